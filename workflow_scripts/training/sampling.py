"""Which images a training sees, in which order, moved and mirrored how: a pure function of (seed, epoch).

Nothing is carried from one epoch to the next, so a run that resumes at an epoch boundary sees the same bits. The images
of all epochs form one stream of permutations of the training set; an epoch takes the next `samples_per_epoch` of it.
Where that is the whole set (the paper's scale) an epoch is one permutation, as usual.
"""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from workflow_scripts.datasets.resident import ResidentData

CHUNK = 2048  # images


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


def epoch_batches(
    resident: ResidentData, seed: int, epoch: int, batch_size: int, samples_per_epoch: int, augment: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the normalised images (b, c, h, w) and labels (b,) of one epoch; the last batch may be smaller.

    With `augment`, images are cropped from a black border of `crop_padding` pixels and, where mirror images are
    natural, flipped with probability one half. An epoch's random numbers are drawn and moved to the device at once.
    """
    images = resident.x["train"]
    indices = epoch_indices(len(images), seed, epoch, samples_per_epoch).to(resident.device)
    if augment:
        randomness = generator(seed, "augmentation", epoch)
        padding = resident.info.crop_padding
        shift = torch.randint(0, 2 * padding + 1, (samples_per_epoch, 2), generator=randomness).to(resident.device)
        flip = (torch.rand(samples_per_epoch, generator=randomness) < 0.5 * resident.info.flip).to(resident.device)
    # Many small batches are gathered, moved and normalised in one go; a batch is then a slice.
    chunk = max(1, CHUNK // batch_size) * batch_size
    for begin in range(0, samples_per_epoch, chunk):
        chosen = slice(begin, min(begin + chunk, samples_per_epoch))
        gathered = images[indices[chosen]]
        if augment:
            gathered = resident.augment(gathered, shift[chosen], flip[chosen])
        labels = resident.y["train"][indices[chosen]]
        yield from zip(resident.normalise(gathered).split(batch_size), labels.split(batch_size), strict=True)
