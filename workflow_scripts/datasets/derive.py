"""Prepare a derived data set from its prepared origin."""

from pathlib import Path

import numpy as np

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.derivation import derivation_of
from workflow_scripts.datasets.images.arrays import Origin, PreparedInfo, load, read_description
from workflow_scripts.datasets.prepare import blocks, check_destination, write


def derive(name: str, out: str | Path, origin: str | Path) -> PreparedInfo:
    """Prepare the derived data set `name` as the directory `out`; it appears whole or not at all.

    Parameters
    ----------
    name : as `Derivation.name` writes it.
    origin : the prepared data set that it is derived from.

    Raises
    ------
    InputError : the name or the origin does not fit, or `out` holds something else.
    """
    out, origin = Path(out), Path(origin)
    derivation = derivation_of(name)
    if derivation is None:
        raise InputError(f"{name!r} is not the name of a derived data set; such a name is like cifar10-16px-10000")
    check_destination(out, origin)
    known = read_description(origin)
    if known.name != derivation.origin:
        raise InputError(f"{origin} holds {known.name}, but {name} is derived from {derivation.origin}")
    if problem := derivation.problem(known):
        raise InputError(f"{name} {problem}")
    data = load(origin)
    chosen = balanced(data.y_train, derivation.train)
    x_train, x_test = (averaged(images, derivation.side) for images in (data.x_train[chosen], data.x_test))
    arrays = [x_train, data.y_train[chosen], x_test, data.y_test]
    source = f"{known.name}: {derivation.train} of its training images, averaged to {derivation.side} pixels"
    recorded = Origin(known.name, known.source, known.sha256)
    return write(out, arrays, derivation.info(known.registered()), source, recorded)


def averaged(images: np.ndarray, side: int) -> np.ndarray:
    """Images (n, h, h, c) uint8 as (n, side, side, c) uint8: the mean of every block of pixels, a half rounded up."""
    factor = images.shape[1] // side
    area = factor * factor
    small = np.empty((len(images), side, side, images.shape[3]), np.uint8)
    for block, out in zip(blocks(images), blocks(small), strict=True):
        cut = block.reshape(len(block), side, factor, side, factor, -1)
        out[:] = (cut.sum(axis=(2, 4), dtype=np.int64) + area // 2) // area
    return small


def balanced(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices, ascending, of the first `count` images where every class in turn gives its next one.

    So classes have equally many images, give or take one, as far as they have enough of them.
    """
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turn[members] = np.arange(len(members))
    return np.sort(np.argsort(turn, kind="stable")[:count])
