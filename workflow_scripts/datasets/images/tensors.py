"""Images that somebody has as tensors already, as the data that trainings and analyses take."""

import torch
from torch import Tensor

from workflow_scripts.base.checks import described, tensor, whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import PreparedInfo
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.datasets.images.normalisation import Normalisation


class TensorData(InMemoryData):
    """Images and labels on one device; a `TrainingData` with the split "train", and "test" where it is given.

    Parameters
    ----------
    splits : "train" and "test" → images (n, c, side, side) and labels (n,), checked.
    crop_padding, flip : how `epoch_batches` augments; see `DatasetInfo`.
    """

    def __init__(
        self, splits: dict[str, tuple[Tensor, Tensor]], crop_padding: int, flip: bool, device: str | torch.device
    ):
        self.device = torch.device(device)
        self.x = {split: x.to(self.device, memory_format=torch.channels_last) for split, (x, _) in splits.items()}
        self.y = {split: y.to(self.device, torch.int64) for split, (_, y) in splits.items()}
        counts = {split: len(y) for split, y in self.y.items()}
        images, classes = self.x["train"], 1 + max(int(y.max()) for y in self.y.values())
        mean, std = channel_statistics(images)
        self.info = PreparedInfo(
            "tensors", images.shape[2], images.shape[1], classes, counts["train"], counts.get("test", 0), crop_padding,
            flip, mean=mean, std=std, source="tensors", sha256={},
        )  # fmt: skip
        self.normalise = Normalisation(self.info, self.device) if images.dtype == torch.uint8 else _as_they_are


def from_tensors(
    images: Tensor,
    labels: Tensor,
    test_images: Tensor | None = None,
    test_labels: Tensor | None = None,
    *,
    crop_padding: int = 0,
    flip: bool = False,
    device: str | torch.device = "cpu",
) -> TensorData:
    """The `TrainingData` of tensors, for every function of the library: `from_tensors(images, labels)`.

    Parameters
    ----------
    images, test_images : (n, c, side, side). Bytes (uint8) are normalised by the mean and standard deviation of each
        channel of `images`, as those of prepared data sets are; floating-point numbers are taken as they are, in
        float32, so normalise them as the network knows them.
    labels, test_labels : (n,) integers from 0 up. Without test tensors the split "test" is refused.
    crop_padding, flip : pixels of padding before a random crop, and whether to mirror at random, where a training asks
        for augmented images.

    Raises
    ------
    InputError : a tensor has another shape or type, is empty or not finite, or the splits do not fit each other.
    """
    splits = {"train": (images, labels)}
    if test_images is not None or test_labels is not None:
        splits["test"] = (test_images, test_labels)
    for split, (x, y) in splits.items():
        check_split(split, x, y)
    if len({(x.shape[1:], x.dtype == torch.uint8) for x, _ in splits.values()}) > 1:
        raise InputError(
            f"both splits must agree, but they are {' and '.join(described(x) for x, _ in splits.values())}"
        )
    whole_number("crop_padding", crop_padding, 0)
    return TensorData(splits, crop_padding, flip, device)


def check_split(split: str, images: Tensor, labels: Tensor) -> None:
    """Check images and labels of a split.

    Raises
    ------
    InputError : see `from_tensors`.
    """
    tensor(f"the images of {split}", images, "(n, c, side, side)")
    tensor(f"the labels of {split}", labels, "(n,)")
    if images.shape[2] != images.shape[3]:
        raise InputError(f"the images of {split} are {images.shape[2]} × {images.shape[3]}; only square ones are known")
    if images.dtype != torch.uint8 and not (images.is_floating_point() and images.isfinite().all()):
        raise InputError(f"the images of {split} must be bytes or finite floating-point numbers, not {images.dtype}")
    if labels.is_floating_point() or labels.dtype == torch.bool or labels.min() < 0:
        raise InputError(f"the labels of {split} must be integers from 0 up, not {labels.dtype} from {labels.min()}")
    if len(images) != len(labels):
        raise InputError(f"{split} has {len(images)} images, but {len(labels)} labels; give one for each")


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of bytes, as pixels in 0 .. 1; 0 and 1 where nothing is normalised.

    Raises
    ------
    InputError : a channel is the same everywhere.
    """
    if images.dtype != torch.uint8:
        return (0.0,) * images.shape[1], (1.0,) * images.shape[1]
    pixels = images.transpose(0, 1).flatten(1).double() / 255
    mean, std = pixels.mean(1), pixels.std(1, correction=0)
    if not std.all():
        raise InputError(f"channel {int(std.argmin())} of the images is the same everywhere; leave it out")
    return tuple(mean.tolist()), tuple(std.tolist())


def _as_they_are(images: Tensor) -> Tensor:
    return images.to(torch.float32, memory_format=torch.channels_last)
