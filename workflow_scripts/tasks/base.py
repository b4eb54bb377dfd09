"""The seam between the engine and what is trained.

A task yields updates, each of one batch or of several whose gradients add up. It gives the loss of a batch as a sum;
the engine divides by the items of the whole update, over all of its batches and processes. So token normalisation,
accumulation and distributed training share one path.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from workflow_scripts.datasets.sampling import Share
from workflow_scripts.evidence.metrics import METRICS
from workflow_scripts.runtime.processes import Processes


class Batch(NamedTuple):
    """What a process computes on at once.

    inputs : what the loss needs, on the device. size : items that the loss is a sum over, such as images or tokens.
    """

    inputs: tuple[Any, ...]
    size: int


class Update(NamedTuple):
    """What one step of the optimizer rests on.

    batches : this process' part of it. total : items in all batches of all processes.
    """

    batches: Iterable[Batch]
    total: int


class Loss(NamedTuple):
    """The loss of a batch.

    sum : over the batch's items, in nats, differentiable. facts : detached tensors for the task's meter.
    weight : what the mean over the items is multiplied with. (A weight within the sum would be rounded otherwise.)
    """

    sum: Tensor
    facts: tuple[Tensor, ...] = ()
    weight: float = 1.0


class Reading(NamedTuple):
    """What a meter says at an epoch's end, over all processes.

    metrics : by name, of the epoch's own forward passes. bad : the first update of the epoch, 0, 1, ..., whose loss is
    not finite, or None. finite : whether the weights are.
    """

    metrics: dict[str, float]
    bad: int | None
    finite: bool


class Meter(Protocol):
    """Gathers the metrics of an epoch on the device; no update waits for a number."""

    def add(self, update: int, loss: Loss, batch: Batch) -> None:
        """Take the loss of a batch of the epoch's update 0, 1, ..."""

    def read(self, finite: Tensor, processes: Processes) -> Reading:
        """Read everything from the device at once; `finite` is a scalar there, read along."""

    def tensors(self) -> dict[str, Tensor]:
        """What has been gathered, for a snapshot inside an epoch."""

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `tensors` gave."""


class Task(Protocol):
    """What is trained.

    metrics : names in evidence.metrics.METRICS of what `meter` and `evaluate` measure, by split in the table's order.
    steps : updates in an epoch. device : where everything is computed.
    """

    metrics: Mapping[str, tuple[str, ...]]
    steps: int
    device: torch.device

    def model(self) -> nn.Module:
        """The network as the training begins, fresh or from a checkpoint, on the device."""

    def updates(self, epoch: int, share: Share, start: int = 0) -> Iterator[Update]:
        """The updates of epoch 1, 2, ... from `start` (0 is the first) on: a function of (seed, epoch, share) alone."""

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """The loss of a batch; `network` is in train mode."""

    def meter(self) -> Meter:
        """A fresh meter, for each epoch."""

    def evaluate(self, model: nn.Module, processes: Processes) -> dict[str, float]:
        """The metrics of `metrics`' split that is not "train", with the model in eval mode."""

    def kernels(self) -> contextlib.AbstractContextManager:
        """Within, an epoch is computed: which of a device's kernels to use, where a task knows better than torch."""

    def check(self, processes: Processes) -> None:
        """Raises InputError where these processes cannot train this together."""


@dataclass
class SumMeter:
    """A meter of sums: of the loss first, then of the facts, each over the items that its count says.

    metrics : name of the metric that each sum's mean gives, the loss included; "" for the counts. Facts come as pairs
    (sum, count) of scalars for each metric but the loss, whose count is the batch's size.
    """

    metrics: tuple[str, ...]
    rows: list[Tensor] = field(default_factory=list)
    updates: list[int] = field(default_factory=list)

    def add(self, update: int, loss: Loss, batch: Batch) -> None:
        """As `Meter.add`."""
        size = loss.sum.new_tensor(float(batch.size))
        self.rows.append(torch.stack([loss.sum.detach(), size, *(fact.to(size) for fact in loss.facts)]).double())
        self.updates.append(update)

    def read(self, finite: Tensor, processes: Processes) -> Reading:
        """As `Meter.read`."""
        rows = torch.stack(self.rows)
        sums = processes.total(rows.sum(0))
        wrong = torch.where(rows[:, 0].isfinite(), float("inf"), torch.tensor(self.updates).to(rows))
        bad, whole = processes.minimum(torch.stack([wrong.min(), finite.to(rows)])).tolist()
        means = (sums[0::2] / sums[1::2]).tolist()
        found = {name: METRICS[name].of_mean(mean) for name, mean in zip(self.metrics, means, strict=True)}
        return Reading(found, None if bad == float("inf") else int(bad), bool(whole))

    def tensors(self) -> dict[str, Tensor]:
        """As `Meter.tensors`."""
        return {"rows": torch.stack(self.rows), "updates": torch.tensor(self.updates)} if self.rows else {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """As `Meter.load`."""
        self.rows = list(tensors["rows"].unbind()) if "rows" in tensors else []
        self.updates = tensors["updates"].tolist() if "updates" in tensors else []
