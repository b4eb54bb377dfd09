"""The one prepared form of a data set: memory-mappable arrays and a description, shared by every run."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.description import DESCRIPTION, read_fields
from workflow_scripts.datasets.images.npy import open_array
from workflow_scripts.datasets.registry import DatasetInfo

ARRAYS = ("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy")


@dataclass(frozen=True)
class Origin:
    """The prepared data set that another one was derived from: its name, its source, and the digests of its arrays."""

    name: str
    source: str
    sha256: dict[str, str]


@dataclass(frozen=True)
class PreparedInfo(DatasetInfo):
    """What is known of a data set once it is prepared.

    mean, std : of each channel over the training images, pixels in 0 .. 1 (std with divisor n).
    source : where the images came from.
    sha256 : digest of each array file, by file name.
    origin : of a derived data set, what it was derived from.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str
    sha256: dict[str, str]
    origin: Origin | None = None

    def registered(self) -> DatasetInfo:
        """What was known before it was prepared."""
        return DatasetInfo(**{each.name: getattr(self, each.name) for each in fields(DatasetInfo)})


@dataclass(frozen=True)
class ImageData:
    """Memory-mapped images (n, size, size, channels) uint8 and labels (n,) int64 of both splits."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    info: PreparedInfo


def load(folder: str | Path) -> ImageData:
    """Memory-map a prepared folder. Cheap: headers, sizes and labels are checked, the pixels are not read.

    Raises
    ------
    InputError : the description or an array is missing, truncated, or one disagrees with the other.
    """
    folder = Path(folder)
    info = read_description(folder)
    arrays, problems = [], []
    for file, (shape, dtype) in zip(ARRAYS, expected(info), strict=True):
        try:
            array = open_array(folder / file)
        except InputError as error:
            problems.append(str(error))
            continue
        if array.shape != shape or array.dtype != dtype:
            problems.append(
                f"{folder / file} is {array.dtype} of shape {array.shape}, "
                f"but {DESCRIPTION} says {np.dtype(dtype)} of shape {shape}"
            )
        elif file.startswith("y") and (strange := array[(array < 0) | (array >= info.classes)]).size:
            problems.append(f"{folder / file} has the label {strange[0]}, but the classes are 0 to {info.classes - 1}")
        arrays.append(array)
    if problems:
        raise InputError.together(f"{folder} cannot be used; prepare {info.name} again", problems)
    return ImageData(*arrays, info)


def expected(info: DatasetInfo) -> list[tuple[tuple[int, ...], type]]:
    """Shape and type of each of `ARRAYS`."""
    image = (info.image_size, info.image_size, info.channels)
    return [
        ((info.train, *image), np.uint8),
        ((info.train,), np.int64),
        ((info.test, *image), np.uint8),
        ((info.test,), np.int64),
    ]


def read_description(folder: Path) -> PreparedInfo:
    """Read `dataset.json`.

    Raises
    ------
    InputError : it is missing, or is not what preparing writes.
    """
    found = read_fields(folder)
    try:
        origin = Origin(**found["origin"]) if found.get("origin") else None
        return PreparedInfo(**{**found, "mean": tuple(found["mean"]), "std": tuple(found["std"]), "origin": origin})
    except (TypeError, KeyError) as error:
        raise InputError(
            f"{folder / DESCRIPTION} is not a description that preparing writes ({error}); prepare it again"
        ) from None
