"""A data set that lives on the run's device as bytes; batches are augmented and normalised there."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import ImageData
from workflow_scripts.datasets.images.normalisation import Normalisation
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

CHUNK = 2048  # images that are gathered, moved and normalised in one go


class InMemoryData:
    """Both splits on one device.

    x : "train" and "test" → images (n, c, h, w) uint8, channels-last in memory.
    y : "train" and "test" → labels (n,) int64.
    info : the prepared data set's `PreparedInfo`.
    device : where everything is.

    Raises
    ------
    InputError : the images do not fit into the device's memory.
    """

    def __init__(self, image_data: ImageData, device: str | torch.device = "cpu"):
        self.info = image_data.info
        self.device = torch.device(device)
        splits = {"train": (image_data.x_train, image_data.y_train), "test": (image_data.x_test, image_data.y_test)}
        try:
            # `torch.tensor` copies exactly once, so no run depends on the mapped file afterwards.
            self.x = {
                split: torch.tensor(x, device=self.device).permute(0, 3, 1, 2) for split, (x, _) in splits.items()
            }
            self.y = {split: torch.tensor(y, device=self.device) for split, (_, y) in splits.items()}
        except torch.OutOfMemoryError:
            size = sum(x.nbytes for x, _ in splits.values()) / 2**20
            raise InputError(
                f"the {size:.0f} MiB of {self.info.name} do not fit into the free memory of {self.device}; "
                "free it or run on the CPU"
            ) from None
        self.normalise = Normalisation(self.info, self.device)

    def count(self, split: str) -> int:
        """As `TrainingData.count`."""
        if split not in self.y:
            raise no_split(split, self.y)
        return len(self.y[split])

    def augment(self, batch: Tensor, shift: Tensor, flip: Tensor) -> Tensor:
        """Pad with black, crop back at `shift`, then mirror where `flip`: one gather for the whole batch.

        The usual CIFAR augmentation (He et al. 2016, section 4.2), before normalising, as torchvision's
        RandomCrop(size, padding) and RandomHorizontalFlip do it.

        Parameters
        ----------
        batch : images (b, c, h, w) uint8.
        shift : (b, 2) int64 in 0 .. 2 * crop_padding: the crop's top and left in the padded image.
        flip : (b,) bool.

        Returns
        -------
        Images (b, c, h, w) uint8, channels-last.
        """
        size, padding = self.info.image_size, self.info.crop_padding
        padded = F.pad(batch.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
        image = torch.arange(len(batch), device=batch.device)
        step = torch.arange(size, device=batch.device)
        row = shift[:, :1] + step
        column = shift[:, 1:] + torch.where(flip[:, None], step.flip(0), step)
        width = padded.shape[1]
        pixel = (image[:, None, None] * width + row[:, :, None]) * width + column[:, None, :]
        # Whole pixels by number: three times as fast as indexing by (image, row, column).
        cropped = padded.flatten(0, 2).index_select(0, pixel.flatten())
        return cropped.view(len(batch), size, size, -1).permute(0, 3, 1, 2)

    def batches(
        self, split: str, batch_size: int, limit: int | None = None, share: Share = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `TrainingData.batches`."""
        check_batches(batch_size, limit)
        self.count(split)
        x, y = self.x[split][:limit], self.y[split][:limit]
        for start in range(share.rank * batch_size, len(y), share.count * batch_size):
            yield self.normalise(x[start : start + batch_size]), y[start : start + batch_size]

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
        """As `TrainingData.epoch_batches`.

        Images are cropped from a black border of `crop_padding` pixels and, where mirror images are natural, flipped
        with probability one half. An epoch's random numbers are drawn and moved to the device at once.
        """
        check_epoch(epoch, batch_size, samples, side)
        order = epoch_indices(self.count("train"), seed, epoch, samples)
        chosen, sizes = positions(samples, batch_size, share)
        indices = order[chosen].to(self.device)
        if augment:
            randomness, padding = generator(seed, "augmentation", epoch), self.info.crop_padding
            shift = torch.randint(0, 2 * padding + 1, (samples, 2), generator=randomness)[chosen].to(self.device)
            flip = (torch.rand(samples, generator=randomness) < 0.5 * self.info.flip)[chosen].to(self.device)
        together, begin = max(1, CHUNK // batch_size), 0
        for number in range(0, len(sizes), together):
            group = sizes[number : number + together]
            now = slice(begin, begin + sum(group))
            begin = now.stop
            images = self.x["train"][indices[now]]
            if augment:
                images = self.augment(images, shift[now], flip[now])
            images = resized(self.normalise(images), side)
            yield from zip(images.split(group), self.y["train"][indices[now]].split(group), strict=True)


def resized(images: Tensor, side: int | None) -> Tensor:
    """Images (b, c, h, w) in another size, bilinear with antialiasing; as they are where `side` is None or theirs."""
    if side in (None, images.shape[-1]):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)
