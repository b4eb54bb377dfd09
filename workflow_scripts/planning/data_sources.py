"""What data sets and folders of the user's own are, by config.yaml's data.sources."""

import os
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import is_hidden
from workflow_scripts.datasets.images.pictures import SPLITS, info_of_pictures, is_picture_folder
from workflow_scripts.datasets.registry import INFO, TO_BE_NAMED, DatasetInfo, info_of_arrays
from workflow_scripts.datasets.text.corpora import source_files
from workflow_scripts.datasets.text.settings import TEXT, TextInfo, is_checkpoint_folder, is_text_folder, own_text


def own_data(sources: dict[str, str]) -> tuple[dict[str, DatasetInfo | TextInfo], list[str]]:
    """Facts of the data sets that config.yaml's data.sources adds under new names, and what is wrong with them.

    A folder that serves as a known data set must be of its shape, since everything is planned with it; it may still be
    on another machine, where jobs run.
    """
    added, problems = {}, []
    for name, folder in sources.items():
        place = Path(folder)
        try:
            if name in TEXT or is_text_folder(place):
                info = TEXT.get(name) or own_text(place, name)
                if place.exists():  # it may be on another machine, where jobs run
                    source_files(info, place)
                added[name] = info
            elif is_checkpoint_folder(place):
                continue  # it gives its word pieces and weights to what names it
            elif name not in INFO:
                if problem := of_no_form(name, place):
                    raise InputError(problem)
                info_of = info_of_pictures if is_picture_folder(place) else info_of_arrays
                added[name] = info_of(place, name)
            elif problem := not_pictures(INFO[name], place) or not_arrays(INFO[name], place):
                problems.append(f"config.yaml: data.sources.{name}: {problem}")
        except InputError as error:
            problems.append(f"config.yaml: data.sources.{name}: {error}")
    return added, problems


def of_no_form(name: str, folder: Path) -> str | None:
    """Say of what is neither arrays nor pictures, text or a checkpoint what it lacks; None of what is one of them."""
    if (folder / "x_train.npy").exists() or is_picture_folder(folder):
        return None
    if name in TO_BE_NAMED:  # what is no data set of them is a checkpoint
        return f"{folder} is no BERT checkpoint: it lacks config.json, or tokenizer.json and vocab.txt beside it"
    if not folder.is_dir():
        return f"{folder} is not a folder"
    return (
        f"{folder} has no x_train.npy for arrays, no train/<class> and val/<class> for pictures, no dataset.yaml that "
        f"says the form of text, and no config.json of a BERT checkpoint; {_hint(folder, 'name one that has')}"
    )


def not_arrays(known: DatasetInfo, folder: Path) -> str | None:
    """Say what a folder lacks that is named as a data set of arrays; None of one that is on another machine alone."""
    if known.form != "arrays" or not folder.exists():
        return None
    if not (folder / "x_train.npy").exists():
        return f"{folder} has no x_train.npy; name a folder that holds the arrays of {known.name}"
    return other_shape(known, str(folder))


def not_pictures(known: DatasetInfo, folder: Path) -> str | None:
    """Say what a folder lacks that is named as a data set of pictures; None of one that is on another machine alone."""
    if known.form != "pictures" or not folder.exists():
        return None
    missing = [split for split in SPLITS.values() if not has_classes(folder / split)]
    if not missing:
        return None
    whole = all((folder / split).is_dir() for split in missing)
    hint = _hint(folder, "make a folder for each class there" if whole else "name the folder that holds both")
    return f"{folder} has no {' and no '.join(f'{split}/<class>' for split in missing)}; {hint}"


def has_classes(split: Path) -> bool:
    """Whether a folder has a folder in it that is not hidden."""
    return split.is_dir() and any(entry.is_dir() and not is_hidden(entry.name) for entry in os.scandir(split))


def _hint(folder: Path, otherwise: str) -> str:
    """Which folder below this one holds the pictures, if one does; else what to do."""
    roots = [place.parent for place in folder.glob("*/*/train") if (place.parent / "val").is_dir()]
    return f"name {roots[0]}" if roots else otherwise


def other_shape(known: DatasetInfo, folder: str) -> str | None:
    """Say how the arrays of a folder differ from the data set that they are named as, or None where they do not."""
    found = info_of_arrays(folder, known.name)
    shapes = [
        f"{info.train:,} + {info.test:,} images of {info.image_size} × {info.image_size} × {info.channels}"
        for info in (found, known)
    ]
    if shapes[0] == shapes[1]:
        return None
    return f"{folder} holds {shapes[0]}, but {known.name} has {shapes[1]}; give this data a name of its own"
