"""Evaluation in large batches; sums and counts until the very end."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.base.checks import function, training_data
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.datasets.sampling import WHOLE, Share


@dataclass(frozen=True)
class Totals:
    """Sums over the images that were evaluated.

    loss_sum : sum of the cross-entropy of every image, in nats (no L2 term).
    correct : number of images whose largest logit is the label's.
    in_top5 : number of images where it is among the five largest (or all, where there are fewer classes).
    count : number of images.
    """

    loss_sum: float
    correct: int
    in_top5: int
    count: int

    @property
    def loss(self) -> float:
        """Mean cross-entropy, in nats."""
        return self.loss_sum / self.count

    @property
    def accuracy(self) -> float:
        """Share of correct images, in percent; NaN where the loss is NaN, since NaN logits choose no class."""
        return self._percent(self.correct)

    @property
    def top5_accuracy(self) -> float:
        """Share of images whose label is among the five largest logits, in percent; NaN as `accuracy` is."""
        return self._percent(self.in_top5)

    def _percent(self, images: int) -> float:
        return math.nan if math.isnan(self.loss_sum) else 100.0 * images / self.count


@torch.inference_mode()
def evaluate(
    forward: Callable[[Tensor], Tensor],
    data: TrainingData,
    split: str,
    batch_size: int = 1000,
    limit: int | None = None,
    share: Share = WHOLE,
    total: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> Totals:
    """Evaluate `forward` on un-augmented images of one split, the first `limit` of them where it is given.

    Parameters
    ----------
    forward : maps normalised images (b, c, h, w) to logits (b, classes); in eval mode where that matters. The loss is
        computed in float32, or in float64 where the logits are.
    share, total : for several processes: the batches of this one, and what adds up a tensor over all of them.

    Raises
    ------
    InputError : the split gives no images, or an argument is of another kind.
    """
    training_data(data)
    function("the network", forward, "logits")
    sums, count = torch.zeros(3, dtype=torch.float64, device=data.device), 0
    for images, labels in data.batches(split, batch_size, limit, share):
        logits = forward(images)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        loss = F.cross_entropy(logits, labels, reduction="sum")
        hits = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
        sums += torch.stack([loss, hits[:, 0].sum(), hits.sum()])
        count += len(labels)
    loss_sum, correct, in_top5, count = total(torch.cat([sums, sums.new_tensor([count])])).tolist()
    if not count:
        raise InputError(f"there are no images of the split {split!r} to evaluate; an iterator can be used only once")
    return Totals(loss_sum, int(correct), int(in_top5), int(count))
