"""Which images a training sees, in which order, moved and mirrored how: a pure function of (seed, epoch).

Nothing is carried from one epoch to the next, so a run that resumes at an epoch boundary sees the same bits. The images
of all epochs form one stream of permutations of the training set; an epoch takes the next `samples_per_epoch` of it.
Where that is the whole set (the paper's scale) an epoch is one permutation, as usual.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from workflow_scripts.base.checks import whole_number
from workflow_scripts.base.errors import InputError


def generator(*key: object) -> torch.Generator:
    """A CPU generator whose stream is a function of `key` alone, for example (seed, "order", 3)."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def epoch_indices(images: int, seed: int, epoch: int, samples: int) -> Tensor:
    """Indices (samples,) of the images of epoch 1, 2, ...: a slice of the stream of seeded permutations."""
    start = (epoch - 1) * samples
    passes = range(start // images, (start + samples - 1) // images + 1)
    stream = torch.cat([torch.randperm(images, generator=generator(seed, "order", number)) for number in passes])
    return stream[start - passes[0] * images :][:samples]


@dataclass(frozen=True)
class Share:
    """The part of every batch that process `rank` of `count` works on; by default all of it."""

    rank: int = 0
    count: int = 1

    def of(self, size: int) -> range:
        """Positions of a batch of `size` that are this process'; the parts differ by one item at most."""
        return range(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    @property
    def key(self) -> tuple[int, ...]:
        """What tells this process' random numbers from those of others; nothing for the first."""
        return (self.rank,) if self.rank else ()


WHOLE = Share()


def check_batches(batch_size: int, limit: int | None) -> None:
    """Check what `TrainingData.batches` is asked for.

    Raises
    ------
    InputError : a size makes no sense.
    """
    whole_number("the batch size", batch_size)
    if limit is not None:
        whole_number("the number of images", limit)


def check_epoch(epoch: int, batch_size: int, samples: int, side: int | None) -> None:
    """Check what `TrainingData.epoch_batches` is asked for.

    Raises
    ------
    InputError : a size makes no sense, or the epoch has no number from 1 on.
    """
    whole_number("the epoch", epoch)
    whole_number("the batch size", batch_size)
    whole_number("the number of images in an epoch", samples)
    if side is not None:
        whole_number("the size of images", side)


def no_split(split: str, splits: Iterable[str]) -> InputError:
    """What to raise where a data set has no split of this name."""
    return InputError(f"the data set has no images of the split {split!r}, only of {' and '.join(splits)}")


def positions(samples: int, batch_size: int, share: Share) -> tuple[Tensor, list[int]]:
    """Positions in an epoch of the images of one process, batch after batch, and how many of them each batch has."""
    if share == WHOLE:
        return torch.arange(samples), [min(batch_size, samples - begin) for begin in range(0, samples, batch_size)]
    parts = [(begin, share.of(min(batch_size, samples - begin))) for begin in range(0, samples, batch_size)]
    chosen = torch.cat([torch.arange(begin + part.start, begin + part.stop) for begin, part in parts])
    return chosen, [len(part) for _, part in parts]
