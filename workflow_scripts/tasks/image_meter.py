"""The training metrics of an epoch of images: gathered on the device, read from it once."""

import bisect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.runtime.processes import Processes
from workflow_scripts.tasks.base import Batch, Loss, Reading

HELD = 1 << 24  # logits that wait to be summed; 64 MiB in float32
NEVER = 1 << 60


@dataclass
class ImageMeter:
    """Loss and hits of the updates of an epoch, from the logits of its own forward passes.

    No update waits for a number: logits are held, summed on the device when they become many, and read by `read`.
    """

    logits: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    sums: list[Tensor] = field(default_factory=list)
    held: int = 0

    def add(self, update: int, loss: Loss, batch: Batch) -> None:
        """The logits (b, classes), which are the loss' only fact, and the labels (b,), the batch's second input."""
        (logits,), labels = loss.facts, batch.inputs[1]
        self.logits.append(logits)
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

    def read(self, finite: Tensor, processes: Processes) -> Reading:
        """As `Meter.read`: mean loss (nats), accuracy (percent)."""
        if self.logits:
            self._sum()
        losses, hits, first = torch.stack(self.sums).unbind(1)
        facts = torch.stack([losses.sum(), hits.sum(), first.min(), finite.double()])
        if processes.alone:
            loss, correct, image, whole = facts.tolist()
            bad, count = self._update_of(image), sum(self.sizes)
        else:
            total = processes.total(torch.cat([facts[:2], facts.new_tensor([sum(self.sizes)])]))
            bads = [NEVER if (bad := self._update_of(facts[2].item())) is None else bad, facts[3].item()]
            minimum = processes.minimum(facts.new_tensor(bads))
            (loss, correct, count), (bad, whole) = total.tolist(), minimum.tolist()
            bad = None if bad == NEVER else int(bad)
        return Reading({"loss": loss / count, "accuracy": 100.0 * correct / count}, bad, bool(whole))

    def _update_of(self, image: float) -> int | None:
        return None if image >= NEVER else bisect.bisect(list(itertools.accumulate(self.sizes)), image)

    def tensors(self) -> dict[str, Tensor]:
        """As `Meter.tensors`."""
        kept = {"sizes": torch.tensor(self.sizes, dtype=torch.int64)}
        if self.logits:
            kept |= {"logits": torch.cat(self.logits), "labels": torch.cat(self.labels)}
        return kept | ({"sums": torch.stack(self.sums)} if self.sums else {})

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """As `Meter.load`."""
        self.sizes = tensors["sizes"].tolist()
        self.logits, self.labels = ([tensors[name]] if name in tensors else [] for name in ("logits", "labels"))
        self.sums = list(tensors["sums"].unbind()) if "sums" in tensors else []
        self.held = sum(logits.numel() for logits in self.logits)
