"""What a JSON document must look like, said by an example of it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

LARGEST = {int: 2**63 - 1, float: 3.4e38}  # that torch counts with: int64 and float32


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
    elif type(form) in LARGEST and abs(value) > LARGEST[type(form)]:
        yield f"{place} has too many digits; it must be at most {LARGEST[type(form)]:.3g}"
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
