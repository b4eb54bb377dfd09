"""The training metrics of an epoch: gathered on the device, read from it once."""

import bisect
import itertools
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.runtime.processes import Processes

HELD = 1 << 24  # logits that wait to be summed; 64 MiB in float32
NEVER = 1 << 60


@dataclass
class EpochMetrics:
    """Loss and hits of the steps of an epoch, from the logits of its own forward passes.

    No step waits for a number: logits are held, summed on the device when they become many, and read by `read`.
    """

    logits: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    sums: list[Tensor] = field(default_factory=list)
    held: int = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """A step's logits (b, classes) and labels (b,)."""
        self.logits.append(logits.detach())
        self.labels.append(labels)
        self.sizes.append(len(labels))
        self.held += logits.numel()
        if self.held > HELD:
            self._sum()

    def _sum(self) -> None:
        """Turn what is held into (sum of losses, hits, number of the first image whose loss is not finite)."""
        logits, labels = torch.cat(self.logits).float(), torch.cat(self.labels)
        losses = F.cross_entropy(logits, labels, reduction="none").double()
        bad = ~losses.isfinite()
        before = sum(self.sizes) - len(labels)
        first = torch.where(bad.any(), bad.double().argmax() + before, NEVER)
        hits = (logits.argmax(1) == labels).sum()
        self.sums.append(torch.stack([losses.sum(), hits.double(), first.double()]))
        self.logits, self.labels, self.held = [], [], 0

    def read(self, finite: Tensor, processes: Processes) -> tuple[float, float, int | None, bool]:
        """Over all processes: mean loss (nats), accuracy (percent), the first step, 0, 1, ..., whose loss is not finite
        or None, and `finite`, a scalar on the device that is read along.
        """
        if self.logits:
            self._sum()
        losses, hits, first = torch.stack(self.sums).unbind(1)
        facts = torch.stack([losses.sum(), hits.sum(), first.min(), finite.double()])
        if processes.alone:
            loss, correct, image, whole = facts.tolist()
            step, count = self._step_of(image), sum(self.sizes)
        else:
            total = processes.total(torch.cat([facts[:2], facts.new_tensor([sum(self.sizes)])]))
            steps = [NEVER if (step := self._step_of(facts[2].item())) is None else step, facts[3].item()]
            least = processes.least(facts.new_tensor(steps))
            (loss, correct, count), (step, whole) = total.tolist(), least.tolist()
            step = None if step == NEVER else int(step)
        return loss / count, 100.0 * correct / count, step, bool(whole)

    def _step_of(self, image: float) -> int | None:
        return None if image >= NEVER else bisect.bisect(list(itertools.accumulate(self.sizes)), image)
