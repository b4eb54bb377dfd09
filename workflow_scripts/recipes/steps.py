"""How many updates an epoch has: a function of the recipe alone, so that it is known while planning."""

import itertools
import math
from collections.abc import Mapping
from typing import Any


def updates_per_epoch(recipe: Mapping[str, Any]) -> int:
    """Of images, as many as `samples_per_epoch` fill batches; a training on text says it itself."""
    if "updates_per_epoch" in recipe:
        return recipe["updates_per_epoch"]
    return batches(recipe["samples_per_epoch"], recipe["batch_size"])


def batches(samples: int, batch_size: int) -> int:
    """How many batches so many samples fill; the last may be smaller."""
    return math.ceil(samples / batch_size)


def in_phases(phases: list[list[int]], epoch: int) -> int:
    """The value of phases [[epochs, value], ...] in epoch 1, 2, ..."""
    ends = itertools.accumulate(epochs for epochs, _ in phases)
    return next(value for end, (_, value) in zip(ends, phases, strict=True) if epoch <= end)
