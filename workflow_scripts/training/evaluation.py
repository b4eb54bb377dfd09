"""Evaluation in large batches; sums and counts until the very end."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.datasets.resident import ResidentData


@dataclass(frozen=True)
class Totals:
    """Sums over the images that were evaluated.

    loss_sum : sum of the cross-entropy of every image, in nats (no L2 term).
    correct : number of images whose largest logit is the label's.
    count : number of images.
    """

    loss_sum: float
    correct: int
    count: int

    @property
    def loss(self) -> float:
        """Mean cross-entropy, in nats."""
        return self.loss_sum / self.count

    @property
    def accuracy(self) -> float:
        """Share of correct images, in percent."""
        return 100.0 * self.correct / self.count


@torch.inference_mode()
def evaluate(
    forward: Callable[[Tensor], Tensor],
    resident: ResidentData,
    split: str,
    batch_size: int = 1000,
    limit: int | None = None,
) -> Totals:
    """Evaluate `forward` on un-augmented images of one split, the first `limit` of them where it is given.

    Parameters
    ----------
    forward : maps normalised images (b, c, h, w) to logits (b, classes); in eval mode where that matters.
    """
    loss_sum = torch.zeros((), dtype=torch.float64, device=resident.device)
    correct = torch.zeros((), dtype=torch.int64, device=resident.device)
    count = 0
    for images, labels in resident.batches(split, batch_size, limit):
        logits = forward(images).float()
        loss_sum += F.cross_entropy(logits, labels, reduction="sum").double()
        correct += (logits.argmax(1) == labels).sum()
        count += len(labels)
    return Totals(loss_sum.item(), int(correct.item()), count)
