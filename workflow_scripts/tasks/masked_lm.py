"""Pre-training BERT: masked word pieces and next sentences (Devlin et al. 2019, section 3.1; iyer2020, section 5.3.3).

An item is a pair of segments. The loss of an update is BERT's own, the mean over all masked places plus the mean over
all pairs; as a sum over items, each masked place counts pairs / masked places of the whole update, however that is
divided into batches and among processes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.base.checks import whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.sampling import Share
from workflow_scripts.datasets.text.documents import DocumentText, Masked, MaskedUpdate
from workflow_scripts.datasets.text.masking import MARKS
from workflow_scripts.evidence.metrics import METRICS
from workflow_scripts.models.language.bert import PreTraining
from workflow_scripts.recipes.steps import in_phases
from workflow_scripts.runtime.device import autocast
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.tasks.base import Batch, Loss, SumMeter, Update
from workflow_scripts.tasks.bert import EVALUATED, BertTask

SHORTEST = MARKS + 2  # tokens of a pair: one of each segment
MEASURED = ("loss", "masked_lm_loss", "masked_lm_accuracy", "next_sentence_accuracy")


def task(recipe: Mapping[str, Any], data: DocumentText, source: Path | None = None) -> "MaskedLM":
    """As `tasks.task_of`; `source` is the checkpoint that `pretrained` names, where it names one."""
    return MaskedLM(recipe, data, source)


class MaskedLM(BertTask):
    """A `Task`; its recipe has batch_size, updates_per_epoch and lengths, [[epochs, tokens of a pair], ...].

    The "validation" pairs are of the documents held out, always the same ones: their masks never change, and they are
    as long as those of the first phase, so that the losses of all epochs can be compared.
    """

    metrics: Mapping[str, tuple[str, ...]] = {"train": MEASURED, "validation": MEASURED}

    def __init__(self, recipe: Mapping[str, Any], data: DocumentText, source: Path | None = None):
        if not isinstance(data, DocumentText):
            raise InputError(f"{data.info.name} holds no documents, so that no masked words can be learned from it")
        for epochs, length in recipe["lengths"]:
            whole_number("the epochs of a phase in lengths", epochs)
            whole_number("the tokens of a pair in lengths", length, SHORTEST)
        total = sum(epochs for epochs, _ in recipe["lengths"])
        if recipe.get("epochs", 1) > total:
            raise InputError(f"lengths has {total} epochs, but the training has {recipe['epochs']}; add a phase")
        super().__init__(recipe, data, source, PreTraining, [length for _, length in recipe["lengths"]])

    def updates(self, epoch: int, share: Share, start: int = 0) -> Iterator[Update]:
        """As `Task.updates`: each of as many batches as memory asks for."""
        recipe, device = self.recipe, self.device
        size, length = recipe["batch_size"], in_phases(recipe["lengths"], epoch)
        together = self.at_once[length]
        for update in self.data.masked_updates(recipe["seed"], epoch, size, self.steps, length, together, share, start):
            weight = torch.full((), size / update.masked, device=device)
            batches = _batches(update, weight)
            yield Update(tuple(batches) if len(share.of(size)) <= together else batches, size)

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """Both cross-entropies; the facts are masked loss, masked places and next sentences guessed."""
        *inputs, weight = batch.inputs
        pairs = Masked(*inputs)
        masked, following, hits, right = self._sums(network, pairs)
        places, count = (masked.new_full((), float(len(each))) for each in (pairs.labels, pairs.other))
        return Loss(masked * weight + following, (masked.detach(), places, hits, places, right, count))

    def _sums(self, network: nn.Module, pairs: Masked) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sums of the losses of masked places and of pairs, and how many of each are guessed right."""
        with autocast(self.device):
            guessed, following = network(pairs.tokens, pairs.segments, pairs.chosen)
        both = ((guessed, pairs.labels), (following, pairs.other))
        losses = (F.cross_entropy(logits.float(), right, reduction="sum") for logits, right in both)
        return *losses, *((logits.argmax(1) == right).sum() for logits, right in both)

    def meter(self) -> SumMeter:
        """As `Task.meter`."""
        return SumMeter(MEASURED)

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, processes: Processes) -> dict[str, float]:
        """As `Task.evaluate`, on the documents held out."""
        length = self.recipe["lengths"][0][1]
        sums = torch.zeros(6, dtype=torch.float64, device=self.device)
        together = min(self.at_once[length], EVALUATED)
        for pairs in self.data.masked_batches("test", together, length, processes.share):
            found = self._sums(model, pairs)
            counts = (sums.new_full((), float(len(each))) for each in (pairs.labels, pairs.other))
            sums += torch.stack([each.double() for each in (*found, *counts)])
        masked, following, hits, right, places, count = processes.total(sums).tolist()
        means = (masked / places + following / count, masked / places, hits / places, right / count)
        return {name: METRICS[name].of_mean(mean) for name, mean in zip(MEASURED, means, strict=True)}


def _batches(update: MaskedUpdate, weight: Tensor) -> Iterator[Batch]:
    """The parts of an update, made as they are asked for; the weight is that of a masked place's loss."""
    for pairs in update.parts:
        yield Batch((*pairs, weight), len(pairs.tokens))
