"""A folder of pictures as a source, in the usual form train/<class>/*.JPEG and val/<class>/*.JPEG.

The pictures of a class may lie in folders below it, as torchvision's ImageFolder takes them; what is hidden (its name
begins with a dot) is left out.

Pictures stay where they are and are decoded as they are needed: preparing lists them, with their sizes in bytes, and a
listing that differs is another data set. Neither torch nor pandas is imported here, since the sizes of a data set are
read while planning.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import is_hidden
from workflow_scripts.datasets.registry import AUGMENTATION, INFO, DatasetInfo, own_settings

if TYPE_CHECKING:
    import pandas as pd

SPLITS = {"train": "train", "test": "val"}  # the papers test on the validation set
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # as torchvision's ImageFolder
LISTING = "pictures.parquet"
# Of ImageNet's training pictures, as everyone normalises with them (torchvision's reference training).
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 224  # pixels, where a custom folder says nothing


def is_picture_folder(folder: Path) -> bool:
    """Whether a source is meant to be one, and not a directory of arrays."""
    return (folder / "train").is_dir() or (folder / "val").is_dir()


def info_of_pictures(folder: Path, name: str) -> DatasetInfo:
    """Count classes and pictures of a custom folder; its optional dataset.yaml may set image_size and flip.

    Raises
    ------
    InputError : a split is missing or empty, or the splits have other classes.
    """
    classes = class_names(folder, name)
    own = own_settings(folder, {"image_size": SIDE, "flip": True}, {"image_size": (8, 1024)})
    counts = {
        split: sum(1 for label in classes for _ in files_in(folder / below / label)) for split, below in SPLITS.items()
    }
    return DatasetInfo(name=name, channels=3, classes=len(classes), crop_padding=0, form="pictures", **counts, **own)


def class_names(folder: Path, name: str) -> list[str]:
    """The classes of a picture folder in alphabetical order, which numbers them.

    Raises
    ------
    InputError : a split is missing, or the splits have other classes.
    """
    found = {}
    for below in SPLITS.values():
        if not (folder / below).is_dir():
            raise InputError(f"{folder / below} of {name} is missing; pictures lie in train/<class> and val/<class>")
        found[below] = sorted(
            entry.name for entry in os.scandir(folder / below) if entry.is_dir() and not is_hidden(entry.name)
        )
    if found["train"] != found["val"] or len(found["train"]) < 2:
        alone = sorted(set(found["train"]) ^ set(found["val"]))
        difference = (
            f"{', '.join(map(printable, alone[:3]))} is in one alone"
            if alone
            else f"there are {len(found['train'])} of them"
        )
        raise InputError(f"{folder}: train and val must have the same classes, two at least, but {difference}")
    return found["train"]


def files_in(folder: Path) -> Iterator[str]:
    """Paths of the pictures of a class, at any depth, in the order of torchvision's ImageFolder.

    Raises
    ------
    InputError : a folder cannot be read, or is a link to one that it lies in.
    """

    def refuse(error: OSError) -> None:
        raise InputError(
            f"{printable(error.filename)} cannot be read ({error.strerror}); make it readable or remove it"
        )

    walked = []
    for place, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in folders:
            check_loop(Path(place, name))
        walked.append((place, files))
    for place, files in sorted(walked):
        yield from (f"{place}/{file}" for file in sorted(files) if is_picture(file))


def check_loop(place: Path) -> None:
    """Refuse a link to a folder that contains it, which would give its pictures without end.

    Raises
    ------
    InputError : it is one.
    """
    if place.is_symlink():
        above, target = place.parent.resolve(), place.resolve()
        if target in (above, *above.parents):
            raise InputError(f"{printable(place)} is a link to a folder that contains it; remove it")


def is_picture(name: str) -> bool:
    """Whether a file is one by its name."""
    return name.lower().endswith(ENDINGS) and not is_hidden(name)


def printable(path: str | Path) -> str:
    """A path for a message; bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def listing(folder: Path, name: str) -> "pd.DataFrame":
    """All pictures, in a fixed order: columns split, file (below the folder), label (0, 1, ...) and bytes.

    Raises
    ------
    InputError : a class without pictures, or a file that cannot be a picture; every problem is reported.
    """
    import pandas as pd

    rows, problems = [], []
    for split, below in SPLITS.items():
        for label, of_class in enumerate(class_names(folder, name)):
            found = list(files_in(folder / below / of_class))
            for path in found:
                file, size = os.path.relpath(path, folder), size_of(path)
                if problem := file_problem(file, size):
                    problems.append(f"{printable(file)} {problem}")
                rows.append((split, file, label, size))
            if not found:
                problems.append(f"{printable(f'{below}/{of_class}')} holds no picture ({', '.join(ENDINGS)})")
    if problems:
        raise InputError.together(f"{folder} cannot be used as {name}", problems)
    return pd.DataFrame(rows, columns=["split", "file", "label", "bytes"])


def size_of(path: str) -> int | None:
    """Bytes of a file; None where there is none."""
    try:
        facts = Path(path).stat()
    except FileNotFoundError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


def file_problem(file: str, size: int | None) -> str | None:
    """What keeps a file of a size from being listed, as the end of a sentence, or None."""
    if size is None:
        return "is not a file, or is a link to nothing; remove it"
    if not size:
        return "is empty; copy it again"
    try:
        file.encode("utf-8")
    except UnicodeEncodeError:
        return "has a name that is not UTF-8; rename it"
    return None


def source_info(folder: Path, name: str, listed: "pd.DataFrame") -> DatasetInfo:
    """The registry's info for a registered data set, which the pictures must fit, and what they say for a custom one.

    Raises
    ------
    InputError : the pictures are not as many as those of the registered data set.
    """
    if name not in INFO:
        return info_of_pictures(folder, name)
    info, counts = INFO[name], listed["split"].value_counts()
    if (counts["train"], counts["test"], listed["label"].max() + 1) != (info.train, info.test, info.classes):
        raise InputError(
            f"{folder} holds {counts['train']} + {counts['test']} pictures of {listed['label'].max() + 1} classes, but "
            f"{name} has {info.train} + {info.test} of {info.classes}; give data of your own a name of its own"
        )
    if (folder / AUGMENTATION).exists():
        raise InputError(f"{folder / AUGMENTATION} would change {name}; remove it or give the data a name of its own")
    return info


def digest(listed: "pd.DataFrame") -> str:
    """SHA-256 of the listing: another file, label or size is another data set."""
    hashed = hashlib.sha256()
    for column in listed.columns:
        hashed.update("\n".join(listed[column].astype(str)).encode())
    return hashed.hexdigest()


def read_listing(prepared: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Files (n,) and labels (n,) int64 of each split of a prepared picture folder.

    Raises
    ------
    InputError : the listing is missing or damaged.
    """
    import pandas as pd

    try:
        listed = pd.read_parquet(prepared / LISTING)
        return {
            split: (rows["file"].to_numpy(str), rows["label"].to_numpy(np.int64))
            for split, rows in listed.groupby("split")
        }
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{prepared / LISTING} cannot be read ({error}); prepare the data set again") from None
