"""Prepare a data set once: get it, check it, and write the form that `arrays.load` maps."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import whole_directory
from workflow_scripts.datasets.description import CHECKSUMS, DESCRIPTION
from workflow_scripts.datasets.images import pictures
from workflow_scripts.datasets.images.arrays import ARRAYS, Origin, PreparedInfo, load
from workflow_scripts.datasets.images.sources import array_problems, as_images, open_source
from workflow_scripts.datasets.publishers import PUBLISHERS, fetch
from workflow_scripts.datasets.registry import AUGMENTATION, INFO, DatasetInfo
from workflow_scripts.datasets.text.settings import TEXT, is_text_folder

BLOCK = 1000  # images copied at a time
MARK = f"# Written by preparing. Read where this folder serves as a source; runs read {DESCRIPTION}.\n"


if TYPE_CHECKING:
    from workflow_scripts.datasets.text.prepared import PreparedText


def prepare(
    name: str, out: str | Path, source: str | Path | None = None, vocabulary: str | Path | None = None
) -> "PreparedInfo | PreparedText":
    """Prepare data set `name` as the directory `out`; it appears whole or not at all.

    Parameters
    ----------
    source : a directory with train/<class> and val/<class>, of which a listing is prepared; or one with x_train.npy,
        y_train.npy, x_test.npy, y_test.npy and SHA256SUMS. Images are then uint8, (n, size, size) or (n, size, size,
        1 or 3); labels are integers 0 .. k - 1. For a registered name it is a
        mirror and must have the registered shape; any other name is a custom data set, for which an optional
        `dataset.yaml` sets `crop_padding` and `flip`. Text is a registered name's, or has a `dataset.yaml` with its
        `form`; see `text.settings`. None asks the publisher of a registered data set.
    vocabulary : see `text.prepare.prepare_text`.

    Raises
    ------
    InputError : the name is unknown, the publisher cannot be reached, something in the source is wrong (every problem
        is reported), or `out` holds something else.
    """
    out, source = Path(out), None if source is None else Path(source)
    check_destination(out, source)
    if name in TEXT or (source is not None and is_text_folder(source)):
        from workflow_scripts.datasets.text.prepare import prepare_text  # brings what only text needs

        return prepare_text(name, out, source, None if vocabulary is None else Path(vocabulary))
    if source is not None and pictures.is_picture_folder(source):
        return write_listing(out, source.resolve(), name)
    if source is not None:
        arrays, info = open_source(source, name)
        return write(out, arrays, info, str(source))
    if name in INFO and name not in PUBLISHERS:
        raise InputError(
            f"{name} cannot be downloaded without an account at its publisher: get it from https://image-net.org, with "
            f"train/<class> and val/<class>, and name the folder in config.yaml under data.sources.{name}"
        )
    if name not in INFO:
        raise InputError(
            f"{name!r} is not a data set that can be downloaded ({', '.join([*PUBLISHERS, *TEXT])}); for data of your "
            f"own, put its arrays in a directory and name it in config.yaml under data.sources.{name}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.download-") as scratch:
        arrays = fetch(name, Path(scratch))
    if problems := list(array_problems(dict(zip(ARRAYS, arrays, strict=True)), INFO[name])):
        raise InputError.together(f"{PUBLISHERS[name]} published {name} in another form", problems)
    return write(out, arrays, INFO[name], PUBLISHERS[name])


def check_destination(out: Path, source: Path | None) -> None:
    """Preparing replaces `out`, so refuse to replace anything that preparing did not write, or the source itself.

    Raises
    ------
    InputError : in both cases.
    """
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if found and found <= prepared_text_files(out):
        found = set()
    # Snakemake removes a rule's outputs, here the description, before it runs the rule again: the mark stays.
    ours = found & {DESCRIPTION, pictures.LISTING} or (
        AUGMENTATION in found and (out / AUGMENTATION).read_bytes().startswith(MARK.encode())
    )
    if (
        out.is_file()
        or (found and not ours)
        or found - {*ARRAYS, CHECKSUMS, DESCRIPTION, AUGMENTATION, pictures.LISTING}
    ):
        raise InputError(f"{out} holds something else than a prepared data set; give another place or remove it")
    if source is not None and out.resolve() == source.resolve():
        raise InputError(f"{out} would replace its own source {source}; give another place")


def prepared_text_files(out: Path) -> set[str]:
    """The files of a folder that are prepared text's by its checksums; its vocabulary marks it as such."""
    listed = (out / CHECKSUMS).read_text().splitlines() if (out / CHECKSUMS).is_file() else []
    names = {line.partition("  ")[2] for line in listed}
    return {CHECKSUMS, DESCRIPTION, *names} if names & {"pieces.json", "tokenizer.json"} else set()


def write(
    out: Path, arrays: list[np.ndarray], info: DatasetInfo, source: str, origin: Origin | None = None
) -> PreparedInfo:
    """Write checked arrays, in the order of `ARRAYS`, and their description.

    Parameters
    ----------
    origin : what the data set was derived from, if it was.

    Raises
    ------
    InputError : a channel is the same everywhere in the training images.
    """
    x_train, y_train, x_test, y_test = arrays
    mean, std = channel_statistics(as_images(x_train))
    with whole_directory(out) as folder:
        for file, array in zip(ARRAYS, (as_images(x_train), y_train, as_images(x_test), y_test), strict=True):
            write_array(folder / file, array, np.dtype(np.uint8 if file.startswith("x") else np.int64))
        digests = {file: checksum(folder / file) for file in ARRAYS}
        prepared = PreparedInfo(**asdict(info), mean=mean, std=std, source=source, sha256=digests, origin=origin)
        (folder / CHECKSUMS).write_text("".join(f"{digest}  {file}\n" for file, digest in digests.items()))
        (folder / DESCRIPTION).write_text(json.dumps(asdict(prepared), indent=2) + "\n", encoding="utf-8")
        (folder / AUGMENTATION).write_text(f"{MARK}crop_padding: {info.crop_padding}\nflip: {str(info.flip).lower()}\n")
        load(folder)
    return prepared


def write_listing(out: Path, source: Path, name: str) -> PreparedInfo:
    """List the pictures of a folder; they stay where they are."""
    listed = pictures.listing(source, name)
    info = pictures.source_info(source, name, listed)
    digests = {pictures.LISTING: pictures.digest(listed)}
    prepared = PreparedInfo(**asdict(info), mean=pictures.MEAN, std=pictures.STD, source=str(source), sha256=digests)
    with whole_directory(out) as place:
        listed.to_parquet(place / pictures.LISTING, index=False)
        (place / DESCRIPTION).write_text(json.dumps(asdict(prepared), indent=2) + "\n", encoding="utf-8")
    return prepared


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation (divisor n) of each channel of images (n, h, w, c) uint8, as pixels in 0 .. 1.

    They are exact up to the last division: every pixel value is counted.

    Raises
    ------
    InputError : a channel is the same everywhere, so that it cannot be normalised.
    """
    channels = range(images.shape[3])
    counts = np.zeros((len(channels), 256), dtype=np.int64)
    for block in blocks(images):
        counts += [np.bincount(block[..., channel].ravel(), minlength=256) for channel in channels]
    if constant := [str(channel) for channel in channels if np.count_nonzero(counts[channel]) == 1]:
        raise InputError(f"channel {', '.join(constant)} of x_train.npy is the same everywhere; leave it out")
    values, weights = np.arange(256) / 255, counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ values
    std = np.sqrt((weights * (values - mean[:, None]) ** 2).sum(axis=1))
    return tuple(mean.tolist()), tuple(std.tolist())


def write_array(path: Path, array: np.ndarray, dtype: np.dtype) -> None:
    """Write a `.npy` file block by block, so that a mapped array is never in memory as a whole."""
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks(array):
            file.write(np.ascontiguousarray(block, dtype=dtype).data)


def blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Views of `BLOCK` rows."""
    return (array[start : start + BLOCK] for start in range(0, len(array), BLOCK))
