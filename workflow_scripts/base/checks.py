"""What library functions ask of their arguments: each check raises an `InputError` that names the value."""

import math
import numbers
from collections.abc import Iterator, Mapping
from typing import Any

from workflow_scripts.base.errors import InputError


def whole_number(name: str, value: Any, least: int = 1) -> None:
    """Check that a value is an integer of at least `least`.

    Raises
    ------
    InputError : it is not.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise InputError(f"{name} is {value!r}; it must be a whole number of at least {least}")


def number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
) -> None:
    """Check that a value is a finite number with low <= value <= high and above < value < below.

    Raises
    ------
    InputError : it is not.
    """
    accepted = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not accepted or not low <= value <= high or not above < value < below:
        bounds = {"above": above, "at least": low, "at most": high, "below": below}
        allowed = "".join(f", {word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound))
        raise InputError(f"{name} is {value!r}; it must be a finite number{allowed}")


def tensor(name: str, value: Any, *shapes: str) -> None:
    """Check that a value is a torch.Tensor with at least one element and one of these numbers of dimensions.

    Parameters
    ----------
    shapes : as docstrings write them, such as "(n, d)" and "(n, c, h, w)".

    Raises
    ------
    InputError : it is not.
    """
    import torch

    dimensions = [shape.count(",") + (not shape.endswith(",)")) for shape in shapes]
    if not isinstance(value, torch.Tensor) or value.dim() not in dimensions or not value.numel():
        raise InputError(f"{name} must be a torch.Tensor {' or '.join(shapes)}, not {described(value)}")


def network(name: str, value: Any) -> None:
    """Check that a value is a torch.nn.Module.

    Raises
    ------
    InputError : it is not.
    """
    from torch import nn

    if not isinstance(value, nn.Module):
        raise InputError(f"{name} must be a torch.nn.Module, not {described(value)}")


def training_data(value: Any) -> None:
    """Check that a value is what `datasets.opened.TrainingData` describes.

    Raises
    ------
    InputError : it is not, such as a torch DataLoader or tensors.
    """
    if not all(hasattr(value, name) for name in ("device", "batches")):
        raise InputError(
            f"the data must be TrainingData, not {described(value)}; datasets.images.tensors.from_tensors(images, "
            "labels) makes it of two tensors"
        )


def function(name: str, value: Any, gives: str) -> None:
    """Check that a value can be called.

    gives : what it must give, for the sentence.

    Raises
    ------
    InputError : it cannot.
    """
    if not callable(value):
        raise InputError(f"{name} must be a function that gives {gives}, not {described(value)}")


def minibatches(found: Any, labelled: bool = True) -> Iterator[tuple[Any, Any]]:
    """The same minibatches (images, labels), each checked as it comes.

    labelled : whether the labels are looked at; they may be anything otherwise.

    Raises
    ------
    InputError : one is no pair of tensors of as many images as labels (b,), or nothing can be taken from `found`.
    """
    from torch import Tensor

    try:
        batches = iter(found)
    except TypeError:
        raise InputError(f"minibatches (images, labels) are needed, not {described(found)}") from None
    for batch in batches:
        pair = isinstance(batch, tuple | list) and len(batch) == 2
        whole = pair and isinstance(batch[0], Tensor) and batch[0].dim() and batch[0].numel()
        if whole and labelled:
            whole = isinstance(batch[1], Tensor) and batch[1].dim() == 1 and len(batch[0]) == len(batch[1])
        if not whole:
            shown = " and ".join(map(described, batch)) if pair else described(batch)
            raise InputError(f"a minibatch must be images (b, ...) and labels (b,), both torch.Tensor, not {shown}")
        yield batch


def texts(name: str, value: Any) -> None:
    """Check that a value is a list or tuple of texts; one text is a list of letters, which nobody means.

    Raises
    ------
    InputError : it is not.
    """
    if not isinstance(value, list | tuple):
        raise InputError(f"{name} must be a list of texts, not {described(value)}")
    if strange := [each for each in value if not isinstance(each, str)]:
        raise InputError(f"{name} must be texts, and one of them is {described(strange[0])}")


def mapping(name: str, value: Any) -> None:
    """Check that a value is a mapping.

    Raises
    ------
    InputError : it is not.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must be a mapping, not {described(value)}")


def vector(name: str, value: Any) -> Any:
    """The numbers (n,) of an array or list of at least one.

    Raises
    ------
    InputError : it holds none, or something else.
    """
    import numpy as np

    array = np.asarray(value)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iuf":
        raise InputError(f"{name} must be a list of numbers, not {described(value)}")
    return array


def described(value: Any) -> str:
    """A value for a message: its type, and its shape where it has one."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    return f"{name} of shape {tuple(value.shape)}" if hasattr(value, "shape") else name
