"""What library functions ask of their arguments: each check raises an `InputError` that names the value."""

import math
import numbers
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

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


class OrNull(NamedTuple):
    """A form for `form_problems` that may be null too."""

    form: Any


def form_problems(value: Any, form: Any, place: str) -> Iterator[str]:
    """What of a JSON value has another type than in an example, each in a sentence.

    Parameters
    ----------
    form : the example. A list shows its first element alone, a tuple is a list of exactly so many; keys of mappings
        that the example does not have may be anything.
    place : what the value is called.
    """
    if isinstance(form, OrNull):
        if value is not None:
            yield from form_problems(value, form.form, place)
        return
    words, accepted = _kind(form)
    if not isinstance(value, accepted) or (isinstance(value, bool) and not isinstance(form, bool)):
        yield f"{place} is {value!r}; it must be {words}"
    elif isinstance(form, Mapping):
        for key in value:
            if key in form:
                yield from form_problems(value[key], form[key], f"{place}.{key}".lstrip("."))
    elif isinstance(form, tuple) and len(value) != len(form):
        yield f"{place} is {value!r}; it must be {words}"
    elif isinstance(form, list | tuple):
        for number, each in enumerate(value):
            yield from form_problems(each, form[number if isinstance(form, tuple) else 0], f"{place}.{number}")


def _kind(form: Any) -> tuple[str, type]:
    """What an example shows, in words and as the type that JSON has for it."""
    kinds = {
        bool: ("true or false", bool),
        int: ("a whole number", int),
        float: ("a number", int | float),
        str: ("text", str),
        list: ("a list", list),
        tuple: (f"a list of {len(form)}" if isinstance(form, tuple) else "", list),
    }
    return kinds.get(type(form), ("a mapping", Mapping))


def described(value: Any) -> str:
    """A value for a message: its type, and its shape where it has one."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    return f"{name} of shape {tuple(value.shape)}" if hasattr(value, "shape") else name
