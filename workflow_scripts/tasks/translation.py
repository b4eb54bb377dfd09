"""Translation by a transformer (Vaswani et al. 2017): the task of iyer2020 on WMT'14 and IWSLT'14, also with Cutoff.

An item is a target token, end marks included. Cutoff (Shen et al. 2020) trains on a copy of each batch too, in which
some pieces are unknown, and draws the predictions of both together.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts import models
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.sampling import WHOLE, Share, generator
from workflow_scripts.datasets.text.parallel_text import ParallelText
from workflow_scripts.datasets.text.pieces import PAD, SPECIALS, UNKNOWN
from workflow_scripts.evidence.metrics import METRICS
from workflow_scripts.models.language.transformer import moved
from workflow_scripts.runtime.device import autocast
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.tasks.base import Batch, Loss, SumMeter, Update

CUT = 0.05  # share of the pieces that are cut off (Shen et al. 2020, their script for IWSLT'14)
DIVERGENCE = 5.0  # weight of the divergence of both predictions


def task(recipe: Mapping[str, Any], data: ParallelText, source: Path | None = None) -> "Translation":
    """As `tasks.task_of`; there is no `source`."""
    return Translation(recipe, data)


class Translation:
    """A `Task`; its recipe has batch_tokens, updates_per_epoch, label_smoothing and cutoff (true or false).

    The loss is the cross-entropy with labels smoothed over the whole dictionary; the perplexity is of the true labels,
    and of a training with Cutoff over both copies.
    """

    metrics: Mapping[str, tuple[str, ...]] = {"train": ("loss", "perplexity"), "validation": ("loss", "perplexity")}

    def __init__(self, recipe: Mapping[str, Any], data: ParallelText):
        if not isinstance(data, ParallelText):
            raise InputError(f"{data.info.name} is no parallel text, so that nothing can be learned to be translated")
        self.recipe, self.data, self.device = recipe, data, data.device
        self.steps, self.smoothing = recipe["updates_per_epoch"], recipe["label_smoothing"]

    def model(self) -> nn.Module:
        """A fresh network."""
        network = models.build(self.recipe["model"], self.data.info)
        network.initialise(1.0, generator(self.recipe["seed"], "initialisation"))
        return network.to(self.device)

    def updates(self, epoch: int, share: Share, start: int = 0) -> Iterator[Update]:
        """As `Task.updates`: batches of sentences of like length."""
        recipe = self.recipe
        most, count, cutoff = recipe["batch_tokens"], recipe["updates_per_epoch"], recipe["cutoff"]
        batches = self.data.epoch_batches(recipe["seed"], epoch, most, count, WHOLE if cutoff else share, start)
        for number, pairs in enumerate(batches, start + 1):
            sides = pairs.source, pairs.target
            if cutoff:  # of the whole batch, so that it does not depend on how many processes share it
                drawn = generator(recipe["seed"], "cutoff", epoch, number)
                rows = share.of(len(pairs.source))
                sides = tuple(side[rows.start : rows.stop] for side in (*sides, *(cut_off(s, drawn) for s in sides)))
            tokens = int((sides[1] != PAD).sum()) if share.count > 1 else pairs.total
            yield Update((Batch(sides, tokens),), pairs.total)

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """The smoothed cross-entropy of all target tokens; its facts are the plain one and their number."""
        source, target, *cut = batch.inputs
        places = (target != PAD).flatten().nonzero()[:, 0]
        labels = target.flatten()[places]
        logits = self._logits(network, source, moved(target), places)
        smoothed, plain = cross_entropy(logits, labels, self.smoothing)
        if not cut:
            return Loss(smoothed, (plain.detach(), plain.new_tensor(float(len(labels)))))
        source_cut, target_cut = cut
        other = self._logits(network, source_cut, moved(target_cut), places)
        smoothed_other, plain_other = cross_entropy(other, labels, self.smoothing)
        total = (smoothed + smoothed_other + DIVERGENCE * divergence(logits, other)) / 2
        return Loss(total, ((plain + plain_other).detach(), plain.new_tensor(2.0 * len(labels))))

    def _logits(self, network: nn.Module, source: Tensor, previous: Tensor, places: Tensor) -> Tensor:
        with autocast(self.device):
            return network(source, previous, places).float()

    def meter(self) -> SumMeter:
        """As `Task.meter`."""
        return SumMeter(self.metrics["train"])

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, processes: Processes) -> dict[str, float]:
        """As `Task.evaluate`, on the validation text."""
        sums = torch.zeros(3, dtype=torch.float64, device=self.device)
        for pairs in self.data.batches("valid", self.recipe["batch_tokens"], processes.share):
            places = (pairs.target != PAD).flatten().nonzero()[:, 0]
            logits = self._logits(model, pairs.source, moved(pairs.target), places)
            smoothed, plain = cross_entropy(logits, pairs.target.flatten()[places], self.smoothing)
            sums += torch.stack([smoothed, plain, plain.new_tensor(float(pairs.total))])
        smoothed, plain, count = processes.total(sums).tolist()
        return {"loss": smoothed / count, "perplexity": METRICS["perplexity"].of_mean(plain / count)}

    def kernels(self) -> contextlib.AbstractContextManager:
        """As `Task.kernels`."""
        return contextlib.nullcontext()

    def check(self, processes: Processes) -> None:
        """As `Task.check`: a process without a sentence of a batch has gradients of 0, so any number may train."""


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy with labels smoothed over all classes, and without, each summed; logits (n, classes).

    As `F.cross_entropy` with `label_smoothing`, whose logarithm is computed once for both. Without smoothing both are
    one tensor.
    """
    if not smoothing:
        plain = -F.log_softmax(logits, dim=1).gather(1, labels[:, None]).sum()
        return plain, plain
    return _SmoothedCrossEntropy.apply(logits, labels, smoothing)


class _SmoothedCrossEntropy(torch.autograd.Function):
    """`cross_entropy` with smoothing, and a gradient that is written in one table of logits' size.

    Automatic differentiation needs three more for the same numbers, and they are what a small network's step waits for.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        log_probabilities = F.log_softmax(logits, dim=1)
        ctx.save_for_backward(log_probabilities, labels)
        ctx.smoothing, ctx.spread = smoothing, smoothing / logits.shape[1]
        plain = -log_probabilities.gather(1, labels[:, None]).sum()
        ctx.mark_non_differentiable(plain)
        return (1 - smoothing) * plain - ctx.spread * log_probabilities.sum(), plain

    @staticmethod
    def backward(ctx, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        log_probabilities, labels = ctx.saved_tensors
        found = (-gradient * ctx.spread).expand_as(log_probabilities).clone()
        at_labels = -gradient * (1 - ctx.smoothing)
        found.scatter_add_(1, labels[:, None], at_labels.expand(len(labels), 1))
        return torch._log_softmax_backward_data(found, log_probabilities, 1, found.dtype, out=found), None, None


def cut_off(tokens: Tensor, drawn: torch.Generator) -> Tensor:
    """A copy in which each piece is unknown with probability `CUT`; marks and padding never are."""
    cut = (torch.rand(tokens.shape, generator=drawn).to(tokens.device) < CUT) & (tokens >= len(SPECIALS))
    return tokens.masked_fill(cut, UNKNOWN)


def divergence(one: Tensor, two: Tensor) -> Tensor:
    """½ [KL(m ‖ p) + KL(m ‖ q)] summed over rows of logits (n, classes), with m the softmax of the mean logits.

    That is no Jensen-Shannon divergence, whose m is the mean of the probabilities; it is what Shen et al.'s code has.
    """
    mean = F.log_softmax((one + two) / 2, dim=1)
    parts = (F.kl_div(F.log_softmax(logits, dim=1), mean, reduction="sum", log_target=True) for logits in (one, two))
    return sum(parts) / 2
