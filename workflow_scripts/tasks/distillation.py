"""Distillation: a student learns the softened outputs of a teacher (Hinton et al., 2015; gotmare2019, section 5)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.models import checkpoints
from workflow_scripts.recipes.canonical import fingerprint
from workflow_scripts.runtime.device import autocast
from workflow_scripts.tasks.classification import Classification


def task(recipe: Mapping[str, Any], data: TrainingData, source: Path | None = None) -> "Distillation":
    """As `tasks.task_of`; `source` is the teacher's checkpoint.

    Raises
    ------
    InputError : no teacher is given, or it cannot be read.
    """
    if source is None:
        raise InputError(
            f"the run {fingerprint(recipe)} distils a teacher; name the teacher's checkpoint with --teacher"
        )
    described = recipe["distillation"]["teacher"]["model"]
    teacher = checkpoints.restore(checkpoints.load(source), data.info, described)
    return Distillation(recipe, data, teacher.to(data.device).eval().requires_grad_(False))


class Distillation(Classification):
    """Classification whose loss is the teacher's soft targets; its metrics are those of the labels."""

    def __init__(self, recipe: Mapping[str, Any], data: TrainingData, teacher: nn.Module):
        super().__init__(recipe, data)
        settings = recipe["distillation"]
        self.teacher, self.temperature = teacher, settings["temperature"]
        self.weight = self.temperature**2 if settings["scale_by_temperature_squared"] else 1.0

    def objective(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """As `Classification.objective`."""
        with torch.no_grad(), autocast(self.device):
            soft = self.teacher(images).float()
        return distillation_loss(logits, soft, self.temperature)


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of the softened distributions, summed over the batch, in nats (Hinton et al., 2015).

    Its gradient is that of the soft cross-entropy. Logits (b, classes); gotmare2019 section 5 takes a temperature of 5.
    """
    softened = (F.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    return F.kl_div(*softened, reduction="sum", log_target=True)
