"""A directory of arrays as a source: a registered data set's mirror or a custom data set. Nothing in it is trusted."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.description import CHECKSUMS
from workflow_scripts.datasets.images.arrays import ARRAYS
from workflow_scripts.datasets.images.npy import open_array
from workflow_scripts.datasets.registry import (
    AUGMENTATION,
    INFO,
    DatasetInfo,
    image_shape_problem,
    info_of_arrays,
    own_augmentation,
)

CHECKSUM_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")


def open_source(folder: Path, name: str) -> tuple[list[np.ndarray], DatasetInfo]:
    """Check everything about a directory of arrays and open it.

    Returns
    -------
    The arrays in the order of `ARRAYS`, memory-mapped as they are stored, and the data set's info.

    Raises
    ------
    InputError : tells every problem that was found.
    """
    if not folder.is_dir():
        raise InputError(f"the source {folder} of {name} is not a directory; name one that holds {', '.join(ARRAYS)}")
    problems = list(checksum_problems(folder))
    arrays = {}
    for file in ARRAYS:
        try:
            arrays[file] = open_array(folder / file)
        except InputError as error:
            problems.append(str(error))
    problems += array_problems(arrays, INFO.get(name))
    if problems:
        raise InputError.together(f"{folder} cannot be used as {name}", problems)
    return list(arrays.values()), source_info(folder, name)


def source_info(folder: Path, name: str) -> DatasetInfo:
    """Give the registry's info for a mirror, and what the folder says for a custom data set.

    Raises
    ------
    InputError : a mirror's `dataset.yaml` asks for another augmentation than the registered one.
    """
    if name not in INFO:
        return info_of_arrays(folder, name)
    info = INFO[name]
    if replace(info, **own_augmentation(folder, info.image_size)) != info:
        raise InputError(
            f"{folder / AUGMENTATION} changes the augmentation of {name}, which is fixed at crop_padding "
            f"{info.crop_padding} and flip {str(info.flip).lower()}; remove it or give the data a name of its own"
        )
    return info


def checksum_problems(folder: Path) -> Iterator[str]:
    """Verify `SHA256SUMS`, in the form that `sha256sum -c` reads; it may list other files too."""
    path = folder / CHECKSUMS
    if not path.is_file():
        yield f"{path} is missing; make it there with `sha256sum *.npy > {CHECKSUMS}`"
        return
    listed = set()
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        match = CHECKSUM_LINE.fullmatch(line)
        if not match:
            yield f"{path} line {number} is not a SHA-256 digest, two spaces and a file name"
            continue
        digest, file = match.groups()
        listed.add(file)
        if file in ARRAYS and (folder / file).is_file() and checksum(folder / file) != digest.lower():
            yield f"{folder / file} does not have the checksum that {CHECKSUMS} gives; copy it again"
    yield from (f"{path} does not list {file}" for file in ARRAYS if file not in listed)


def array_problems(arrays: dict[str, np.ndarray], registered: DatasetInfo | None) -> Iterator[str]:
    """Find what is wrong with arrays by file name; a file that could not be opened may be absent.

    registered : what the arrays must agree with; None for a custom data set.
    """
    for split in ("train", "test"):
        images, labels = arrays.get(f"x_{split}.npy"), arrays.get(f"y_{split}.npy")
        if images is not None:
            yield from image_problems(f"x_{split}.npy", images, registered and image_shape(registered, split))
        if labels is not None:
            yield from label_problems(f"y_{split}.npy", labels)
        if images is not None and labels is not None and images.ndim and labels.ndim and len(images) != len(labels):
            yield f"x_{split}.npy holds {len(images)} images, but y_{split}.npy {len(labels)} labels"
    shapes = [as_images(arrays[file]).shape[1:] for file in ("x_train.npy", "x_test.npy") if file in arrays]
    if registered is None and len(shapes) == 2 and shapes[0] != shapes[1]:
        yield f"images of shape {shapes[0]} in x_train.npy, but {shapes[1]} in x_test.npy; both splits must agree"
    labels = {file: arrays[file] for file in ("y_train.npy", "y_test.npy") if file in arrays}
    if len(labels) == 2 and not any(list(label_problems(file, array)) for file, array in labels.items()):
        yield from class_problems(labels["y_train.npy"], labels["y_test.npy"], registered and registered.classes)


def image_shape(info: DatasetInfo, split: str) -> tuple[int, int, int, int]:
    """Shape (n, size, size, channels) of one split."""
    return (info.train if split == "train" else info.test, info.image_size, info.image_size, info.channels)


def as_images(array: np.ndarray) -> np.ndarray:
    """View grey images (n, h, w) as (n, h, w, 1)."""
    return array[..., None] if array.ndim == 3 else array


def image_problems(file: str, array: np.ndarray, shape: tuple[int, ...] | None) -> Iterator[str]:
    """Find what is wrong with images; `shape` is what a registered data set must have."""
    if array.dtype != np.uint8:
        yield f"{file} is {array.dtype}; pixels must be uint8, from 0 to 255"
    if problem := image_shape_problem(array.shape):
        yield f"{file} {problem}"
    elif shape is not None and as_images(array).shape != shape:
        yield f"{file} has shape {array.shape}, but this data set's is {shape}"


def label_problems(file: str, array: np.ndarray) -> Iterator[str]:
    """Find what is wrong with labels on their own."""
    if array.dtype.kind not in "iu":
        yield f"{file} is {array.dtype}; labels must be integers"
    elif array.ndim != 1:
        yield f"{file} has {array.ndim} dimensions; labels must have one"
    elif not len(array):
        yield f"{file} holds no labels"
    elif array.min() < 0:
        yield f"{file} has the label {array.min()}; labels start at 0"


def class_problems(train: np.ndarray, test: np.ndarray, classes: int | None) -> Iterator[str]:
    """Check that the training labels are exactly 0 .. k - 1, and that the test labels are among them."""
    present = np.unique(train)
    gaps = np.flatnonzero(present != np.arange(len(present)))
    count = classes or int(present[-1]) + 1
    if present[-1] >= count:
        yield f"y_train.npy has the label {present[-1]}, but this data set's classes are 0 to {count - 1}"
    elif len(gaps):
        yield f"y_train.npy has no image of class {gaps[0]}, though labels go up to {count - 1}; number classes from 0"
    elif len(present) < count:
        yield f"y_train.npy has no image of class {len(present)}, but this data set's classes are 0 to {count - 1}"
    elif count < 2:
        yield "y_train.npy has a single class; there must be two at least"
    if test.max() >= count:
        yield f"y_test.npy has the label {test.max()}, but the classes are 0 to {count - 1}"
