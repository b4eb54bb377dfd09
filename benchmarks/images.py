"""What the benchmarks work on: scikit-learn's digits, and noise of CIFAR-10's shape. No file, no network.

`Pictures` is how the usual loops read them: one PIL picture after the other.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms

from workflow_scripts.datasets.images.arrays import ImageData, PreparedInfo


def digits(train: int = 1437) -> ImageData:
    """The digits in 8 x 8, in their stored order; those that are not for training, up to 360, are for testing."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    return image_data("digits", images[: train + 360], labels[: train + 360], train, crop_padding=1, flip=False)


def noise(train: int, test: int = 128) -> ImageData:
    """Random colour images of 32 x 32 with random labels: how long a step takes does not depend on what is seen."""
    random = np.random.default_rng(0)
    images = random.integers(256, size=(train + test, 32, 32, 3), dtype=np.uint8)
    return image_data("noise", images, random.integers(10, size=train + test), train, crop_padding=4, flip=True)


def image_data(name: str, images: np.ndarray, labels: np.ndarray, train: int, crop_padding: int, flip: bool):
    """The first `train` images for training, the others for testing, with the mean and std of the former."""
    pixels = images[:train] / 255
    info = PreparedInfo(
        name=name,
        image_size=images.shape[1],
        channels=images.shape[3],
        classes=10,
        train=train,
        test=len(images) - train,
        crop_padding=crop_padding,
        flip=flip,
        mean=tuple(pixels.mean((0, 1, 2)).tolist()),
        std=tuple(pixels.std((0, 1, 2)).tolist()),
        source="benchmarks",
        sha256={},
    )
    labels = labels.astype(np.int64)
    return ImageData(images[:train], labels[:train], images[train:], labels[train:], info)


class Pictures(Dataset):
    """One split as torchvision's data sets have it: a PIL picture is made and transformed when it is asked for."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable[[Image.Image], Tensor]):
        self.images, self.labels, self.transform = images, labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[i].squeeze())), self.labels[i]


def usual_transform(info: PreparedInfo, augment: bool) -> transforms.Compose:
    moves = [transforms.RandomCrop(info.image_size, padding=info.crop_padding)]
    moves += [transforms.RandomHorizontalFlip()] if info.flip else []
    return transforms.Compose(
        [*(moves if augment else []), transforms.ToTensor(), transforms.Normalize(info.mean, info.std)]
    )
