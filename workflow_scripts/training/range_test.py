"""Learning-rate range test: raise the rate exponentially over one pass and watch the loss fall, then explode."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.base.checks import described, minibatches, network, number, vector
from workflow_scripts.base.errors import InputError

EXPLOSION = 4.0  # times the least smoothed loss so far: the threshold that made the test popular in fastai


@dataclass(frozen=True)
class RangeTest:
    """What a range test saw, one entry for each step until the sweep's end or the explosion.

    rate : (steps,) learning rate of the step's update.
    loss : (steps,) loss of the step's minibatch, before the update.
    smoothed : (steps,) moving average of the loss.
    status : "finished", "exploded" or "non-finite"; the last two end the sweep early.
    """

    rate: np.ndarray
    loss: np.ndarray
    smoothed: np.ndarray
    status: str

    @property
    def step(self) -> np.ndarray:
        """Number of each step: 1, 2, ..."""
        return np.arange(1, len(self.rate) + 1)

    @property
    def minimum(self) -> float:
        """The rate where the smoothed loss is least; NaN where the first loss was not finite already."""
        return float(self.rate[np.nanargmin(self.smoothed)]) if np.isfinite(self.smoothed[0]) else math.nan

    @property
    def suggestion(self) -> float:
        """The largest rate to train with: a tenth of `minimum` (iyer2020, appendix A)."""
        return self.minimum / 10


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The mean loss of images and labels, in nats."""
    ((images, labels),) = minibatches([batch])
    return F.cross_entropy(model(images), labels)


def range_test(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Any],
    rates: Sequence[float],
    window: float = 0.05,
    loss_of: Callable[[nn.Module, Any], Tensor] = cross_entropy,
) -> RangeTest:
    """Train `model` for a step at each of `rates`, until the loss exceeds four times its least value so far.

    Leslie Smith's range test as iyer2020 uses it (appendix A, figure 4). Trains `model`, so give it one to spend.

    Parameters
    ----------
    optimizer : of the model's parameters; its learning rate is set at every step.
    batches : training minibatches, such as (images, labels), at least as many as there are rates.
    rates : one for each step, rising.
    window : steps that the moving average remembers, as a share of the sweep, so that a sweep of few steps and one of
        many are smoothed alike; 0 smooths nothing. The average is corrected for its start at zero.
    loss_of : the mean loss of the model on a minibatch; by default the cross-entropy of images and labels.

    Raises
    ------
    InputError : no rates; fewer batches than rates; a number that makes no sense.
    """
    try:
        batches = iter(batches)
    except TypeError:
        raise InputError(f"minibatches are needed for the range test, not {described(batches)}") from None
    if not np.size(rates):
        raise InputError("the range test has no learning rates to try; give at least one")
    for rate in vector("the learning rates", rates).tolist():
        number("a learning rate of the range test", rate, low=0)
    number("the window of the range test", window, low=0, below=1)
    network("the model", model)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(f"the optimizer must be one of torch.optim, not {described(optimizer)}")
    memory = 1 - 1 / max(1.0, window * len(rates))
    model.train()
    losses: list[float] = []
    smoothed: list[float] = []
    average, status = 0.0, "finished"
    for rate, batch in zip(rates, batches, strict=False):
        loss = loss_of(model, batch)
        losses.append(loss.item())
        average = memory * average + (1 - memory) * losses[-1]
        smoothed.append(average / (1 - memory ** len(losses)))
        if not math.isfinite(losses[-1]):
            status = "non-finite"
            break
        if smoothed[-1] > EXPLOSION * min(smoothed):
            status = "exploded"
            break
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if status == "finished" and len(losses) < len(rates):
        raise InputError(
            f"the range test has {len(rates)} learning rates but only {len(losses)} minibatches; "
            "give as many minibatches as rates"
        )
    return RangeTest(np.asarray(rates[: len(losses)], dtype=float), np.array(losses), np.array(smoothed), status)
