"""A data set of pictures that are decoded as they are needed, by worker processes, with torchvision's transforms."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.transforms import v2

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import PreparedInfo, read_description
from workflow_scripts.datasets.images.decoding import read_rgb
from workflow_scripts.datasets.images.normalisation import Normalisation
from workflow_scripts.datasets.images.pictures import read_listing
from workflow_scripts.datasets.sampling import (
    WHOLE,
    Share,
    check_batches,
    check_epoch,
    epoch_indices,
    generator,
    no_split,
    positions,
)

RESIZE = 256 / 224  # of the shorter side before the central crop: ImageNet's usual evaluation (He et al. 2016, 3.4)


class StreamedData:
    """Both splits of a prepared picture folder; a `TrainingData`.

    Training pictures are cropped at random to a share of their area and resized (Szegedy et al. 2015), and flipped;
    those of an evaluation are resized and cropped in the middle. A picture's random numbers are a function of (seed,
    epoch, its place in the epoch), whichever process decodes it.

    workers : processes that decode; 0 decodes in this one.
    """

    def __init__(self, prepared: str | Path, device: str | torch.device = "cpu", workers: int = 0):
        self.info: PreparedInfo = read_description(Path(prepared))
        self.device, self.workers = torch.device(device), workers
        self._listed = read_listing(Path(prepared))
        self.normalise = Normalisation(self.info, self.device)

    def count(self, split: str) -> int:
        """As `TrainingData.count`."""
        if split not in self._listed:
            raise no_split(split, self._listed)
        return len(self._listed[split][1])

    def batches(
        self, split: str, batch_size: int, limit: int | None = None, share: Share = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `TrainingData.batches`. A batch has 256 pictures at most, since they are large."""
        check_batches(batch_size, limit)
        count = self.count(split) if limit is None else min(limit, self.count(split))
        batch_size = min(batch_size, 256)
        starts = range(share.rank * batch_size, count, share.count * batch_size)
        orders = [[(i, None) for i in range(start, min(start + batch_size, count))] for start in starts]
        return self._decoded(split, evaluation(self.info.image_size), orders)

    def epoch_batches(
        self,
        seed: int,
        epoch: int,
        batch_size: int,
        samples: int,
        augment: bool,
        side: int | None = None,
        share: Share = WHOLE,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `TrainingData.epoch_batches`; pictures are cropped to `side` pixels from the whole picture."""
        check_epoch(epoch, batch_size, samples, side)
        side = side or self.info.image_size
        chosen, sizes = positions(samples, batch_size, share)
        indices = epoch_indices(self.count("train"), seed, epoch, samples)[chosen].tolist()
        keys = torch.randint(1 << 62, (samples,), generator=generator(seed, "augmentation", epoch))[chosen].tolist()
        places = iter(zip(indices, keys if augment else [None] * len(keys), strict=True))
        orders = [[next(places) for _ in range(size)] for size in sizes]
        transform = augmentation(side, self.info.flip) if augment else evaluation(side)
        return self._decoded("train", transform, orders)

    def _decoded(self, split: str, transform: v2.Transform, orders: list[list]) -> Iterator[tuple[Tensor, Tensor]]:
        files, labels = self._listed[split]
        loader = DataLoader(
            _Pictures(Path(self.info.source), files, labels, transform),
            batch_sampler=orders,
            num_workers=self.workers,
            collate_fn=_collate,
            generator=torch.Generator(),  # else it would draw a number from those of the training
            pin_memory=self.device.type == "cuda",
        )
        for batch in _started(loader):
            if isinstance(batch, str):
                raise InputError(batch)
            images, numbers = (torch.as_tensor(part).to(self.device, non_blocking=True) for part in batch)
            yield self.normalise(images), numbers


def augmentation(side: int, flip: bool) -> v2.Transform:
    """What a training picture goes through."""
    return v2.Compose([v2.RandomResizedCrop(side), v2.RandomHorizontalFlip(0.5 * flip), v2.PILToTensor()])


def evaluation(side: int) -> v2.Transform:
    """What a picture goes through that is evaluated."""
    return v2.Compose([v2.Resize(round(side * RESIZE)), v2.CenterCrop(side), v2.PILToTensor()])


class _Pictures(Dataset):
    """Asked for (index, key), gives the picture (c, side, side) uint8 and its label; or a sentence on what is wrong.

    key : seed of the picture's random numbers, or None where its transform draws none.
    """

    def __init__(self, folder: Path, files: Sequence[str], labels: Sequence[int], transform: v2.Transform):
        self.folder, self.files, self.labels, self.transform = folder, files, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, asked: tuple[int, int | None]) -> tuple[Tensor, int] | str:
        index, key = asked
        try:
            picture = read_rgb(str(self.folder / self.files[index]))
        except InputError as error:
            return str(error)
        with torch.random.fork_rng(devices=[], enabled=key is not None):
            if key is not None:
                torch.manual_seed(key)
            return self.transform(picture), int(self.labels[index])


def _started(loader: DataLoader) -> Iterator:
    """Batches of a loader whose workers run."""
    try:
        return iter(loader)
    except OSError as error:  # each worker needs a few semaphores, which take a page of shared memory each
        raise InputError(
            f"worker processes cannot be started ({error.strerror}); if /dev/shm is full or missing, make room there "
            "(docker run --shm-size 1g), or decode without them (training: {workers: 0})"
        ) from None


def _collate(pictures: list) -> list[Tensor] | list[np.ndarray] | str:
    """A batch: in shared memory or, where that has no room for it (containers often have 64 MB), through a pipe."""
    problem = next((picture for picture in pictures if isinstance(picture, str)), None)
    if problem is not None:
        return problem
    try:
        return default_collate(pictures)
    except RuntimeError as error:
        if "shared memory" not in str(error):
            raise
    images, labels = zip(*pictures, strict=True)
    return [torch.stack(images).numpy(), np.array(labels)]
