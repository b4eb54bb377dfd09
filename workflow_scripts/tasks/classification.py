"""Image classification by cross-entropy: the task of gotmare2019, and of iyer2020 on CIFAR-10 and ImageNet."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts import models
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.datasets.registry import DatasetInfo
from workflow_scripts.datasets.sampling import Share, generator
from workflow_scripts.models.vision.initialise import initialise
from workflow_scripts.recipes.steps import in_phases, updates_per_epoch
from workflow_scripts.runtime.device import autocast
from workflow_scripts.runtime.kernels import small_batches
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.tasks.base import Batch, Loss, Update
from workflow_scripts.tasks.evaluation import evaluate
from workflow_scripts.tasks.image_meter import ImageMeter


def task(recipe: Mapping[str, Any], data: TrainingData, source: Path | None = None) -> "Classification":
    """As `tasks.task_of`; there is no `source`."""
    return Classification(recipe, data)


class Classification:
    """A `Task`; its items are images. The papers' "validation" set is the test set."""

    metrics: Mapping[str, tuple[str, ...]] = {
        "train": ("loss", "accuracy"),
        "test": ("loss", "accuracy", "top5_accuracy"),
    }

    weight = 1.0  # of the loss

    def __init__(self, recipe: Mapping[str, Any], data: TrainingData):
        self.recipe, self.data, self.device = recipe, data, data.device
        self.steps = updates_per_epoch(recipe)

    def model(self) -> nn.Module:
        """A fresh network, channels-last.

        Raises
        ------
        InputError : it cannot take images of the sizes that the recipe wants.
        """
        recipe = self.recipe
        network = models.build(recipe["model"], self.data.info)
        for _, side in recipe["image_sides"] or []:
            check_side(network, recipe["model"]["name"], self.data.info, side)
        initialise(network, **recipe["initialisation"], seed=generator(recipe["seed"], "initialisation"))
        return network.to(self.device, memory_format=torch.channels_last)

    def updates(self, epoch: int, share: Share, start: int = 0) -> Iterator[Update]:
        """As `Task.updates`: batches of augmented images and labels."""
        recipe = self.recipe
        size, samples = recipe["batch_size"], recipe["samples_per_epoch"]
        side = image_side(recipe["image_sides"], epoch)
        batches = self.data.epoch_batches(recipe["seed"], epoch, size, samples, recipe["augment"], side, share)
        for number, (images, labels) in enumerate(itertools.islice(batches, start, None), start):
            yield Update((Batch((images, labels), len(labels)),), min(size, samples - number * size))

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """Cross-entropy; its fact is the logits."""
        images, labels = batch.inputs
        logits = self._logits(network, images)
        return Loss(self.objective(logits.float(), images, labels), (logits.detach(),), self.weight)

    def objective(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """The loss summed over a batch, of float32 logits (b, classes)."""
        return F.cross_entropy(logits, labels, reduction="sum")

    def _logits(self, network: nn.Module, images: Tensor) -> Tensor:
        try:
            with autocast(self.device):
                return network(images)
        except ValueError as error:
            if len(images) > 1:
                raise
            raise InputError(
                f"the network cannot be trained on a batch of one image ({error}); choose a batch_size and "
                "samples_per_epoch that leave no such batch"
            ) from None

    def meter(self) -> ImageMeter:
        """As `Task.meter`."""
        return ImageMeter()

    def evaluate(self, model: nn.Module, processes: Processes) -> dict[str, float]:
        """As `Task.evaluate`, on the test images."""
        with autocast(self.device):
            found = evaluate(model, self.data, "test", share=processes.share, total=processes.total)
        return {name: getattr(found, name) for name in Classification.metrics["test"]}

    def kernels(self) -> contextlib.AbstractContextManager:
        """As `Task.kernels`."""
        return small_batches(self.recipe["batch_size"] * self.data.info.image_size**2, self.device)

    def check(self, processes: Processes) -> None:
        """Raises InputError where a batch has fewer images than there are processes, or a part is frozen for a time."""
        recipe = self.recipe
        smallest = recipe["samples_per_epoch"] % recipe["batch_size"] or recipe["batch_size"]
        smallest = min(smallest, recipe["batch_size"])
        if smallest < processes.count:
            raise InputError(
                f"a batch of {smallest} images cannot be shared by {processes.count} processes; "
                "train with fewer, or with a batch_size and samples_per_epoch that leave no such batch"
            )


@torch.inference_mode()
def check_side(network: nn.Module, name: str, info: DatasetInfo, side: int) -> None:
    """Raises InputError where a network takes images of the data set's own size alone, as one with linear layers."""
    try:
        network.eval()(torch.zeros(1, info.channels, side, side))
    except RuntimeError:
        raise InputError(
            f"image_sides has images of {side} pixels, but {name} takes those of {info.image_size} alone, the size of "
            f"{info.name}; leave image_sides out, or take a network that averages over places, such as resnet18"
        ) from None
    finally:
        network.train()


def image_side(phases: list[list[int]] | None, epoch: int) -> int | None:
    """The size of training images in epoch 1, 2, ... of phases [[epochs, side], ...]; None for their own, always."""
    return None if phases is None else in_phases(phases, epoch)
