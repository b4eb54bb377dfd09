"""What is known of a data set before anything is prepared. Read while the workflow is planned, so no torch here."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.npy import open_array

AUGMENTATION = "dataset.yaml"  # beside the arrays of a custom data set, optional: crop_padding and flip


@dataclass(frozen=True)
class DatasetInfo:
    """One data set of square images.

    image_size : height and width, in pixels.
    channels : 1 (grey) or 3 (colour).
    classes : labels are 0 .. classes - 1.
    train, test : number of images in each split.
    crop_padding : black pixels put on every side before the random crop back to `image_size`.
    flip : whether training mirrors images left to right at random.
    form : "arrays", which every run has in memory, or "pictures", which are decoded as they are needed; of these,
        `image_size` is what they are cropped and resized to.
    """

    name: str
    image_size: int
    channels: int
    classes: int
    train: int
    test: int
    crop_padding: int
    flip: bool
    form: str = field(default="arrays", kw_only=True)


INFO: dict[str, DatasetInfo] = {
    info.name: info
    for info in [
        DatasetInfo("cifar10", 32, 3, 10, 50_000, 10_000, crop_padding=4, flip=True),
        DatasetInfo("fashion_mnist", 28, 1, 10, 60_000, 10_000, crop_padding=4, flip=True),
        # Digits change meaning when mirrored: no flip.
        DatasetInfo("digits", 8, 1, 10, 1_437, 360, crop_padding=1, flip=False),
        # Who wants it asks its publisher; it is named in config.yaml's data.sources.
        DatasetInfo("imagenet", 224, 3, 1000, 1_281_167, 50_000, crop_padding=0, flip=True, form="pictures"),
    ]
}

# What no publisher gives without being asked: these have to be named in config.yaml's data.sources.
TO_BE_NAMED = frozenset({"imagenet", "wikipedia", "bert_base"})


def info_of_arrays(folder: str | Path, name: str | None = None) -> DatasetInfo:
    """Read the info of a user's own arrays from their headers, labels and optional `dataset.yaml`.

    Only what the info needs is checked here; preparing the data checks everything.

    Parameters
    ----------
    folder : holds x_train.npy, y_train.npy, x_test.npy and y_test.npy; `dataset.yaml` beside them may set
        `crop_padding` (pixels; otherwise image_size // 8) and `flip` (otherwise true).
    name : what the data set is called; the folder's name where it is not given.

    Raises
    ------
    InputError : a file is missing or unreadable, or is not of the shape that images or labels have.
    """
    folder = Path(folder)
    images, labels, test_images = (open_array(folder / f"{file}.npy") for file in ("x_train", "y_train", "x_test"))
    for file, array in (("x_train.npy", images), ("x_test.npy", test_images)):
        if problem := image_shape_problem(array.shape):
            raise InputError(f"{folder / file} {problem}")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels) or labels.min() < 0:
        raise InputError(f"{folder / 'y_train.npy'} must be a list of integers from 0 up, one for each image")
    size = images.shape[1]
    return DatasetInfo(
        name=name or folder.resolve().name,
        image_size=size,
        channels=images.shape[3] if images.ndim == 4 else 1,
        classes=int(labels.max()) + 1,
        train=len(images),
        test=len(test_images),
        **{"crop_padding": size // 8, "flip": True, **own_augmentation(folder, size)},
    )


def image_shape_problem(shape: tuple[int, ...]) -> str | None:
    """Say in half a sentence why `shape` is not (n, size, size) or (n, size, size, 1 or 3), or None where it is."""
    if len(shape) not in (3, 4):
        return f"has {len(shape)} dimensions; images are (n, size, size) or (n, size, size, channels)"
    if len(shape) == 4 and shape[3] not in (1, 3):
        return f"has {shape[3]} channels in its last dimension; only 1 (grey) and 3 (colour) are known"
    if 0 in shape:
        return "holds no images"
    if shape[1] != shape[2]:
        return f"holds images of {shape[1]} × {shape[2]} pixels; only square images are known"
    return None


def own_augmentation(folder: Path, image_size: int) -> dict[str, int | bool]:
    """Read `crop_padding` and `flip` from a folder's optional `dataset.yaml`, and check them.

    Raises
    ------
    InputError : the file is no YAML mapping, has another key, or has a value that is out of range.
    """
    return own_settings(folder, {}, {"crop_padding": (0, image_size - 1)})


def own_settings(folder: Path, defaults: dict, ranges: dict[str, tuple[int, int]]) -> dict[str, int | bool]:
    """Read a folder's optional `dataset.yaml`: whole numbers in `ranges`, and `flip`.

    Returns
    -------
    `defaults`, with what the file sets.

    Raises
    ------
    InputError : the file is no YAML mapping, has another key, or has a value that is out of range.
    """
    path, keys = folder / AUGMENTATION, " and ".join([*ranges, "flip"])
    if not path.exists():
        return defaults
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    settings = {} if settings is None else settings
    if not isinstance(settings, dict):
        raise InputError(f"{path} must be a mapping with the keys {keys}")
    problems = [f"{key!r} is not known; the keys are {keys}" for key in settings if key not in ranges and key != "flip"]
    for key, (least, most) in ranges.items():
        value = settings.get(key, least)
        if type(value) is not int or not least <= value <= most:
            problems.append(f"{key} is {value!r}, but must be a whole number from {least} to {most}")
    if type(settings.get("flip", True)) is not bool:
        problems.append(f"flip is {settings['flip']!r}, but must be true or false")
    if problems:
        raise InputError.together(f"{path} cannot be used", problems)
    return {**defaults, **settings}
