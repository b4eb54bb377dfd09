"""One spelling for every recipe, and the fingerprint that is its identity."""

import hashlib
import json
from collections.abc import Mapping

LENGTH = 12  # hexadecimal digits; 48 bits: a collision among 10,000 recipes has a chance of 2e-7


def canonical(recipe: object) -> str:
    """JSON with sorted keys and no spare white space: equal recipes have equal text, however they were written.

    A number is one number: 5 and 5.0 are both written as 5.
    """
    return json.dumps(_numbers(recipe), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _numbers(node: object) -> object:
    if isinstance(node, Mapping):
        return {key: _numbers(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_numbers(value) for value in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node


def fingerprint(recipe: object) -> str:
    """The identity of a recipe: the first digits of the SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical(recipe).encode()).hexdigest()[:LENGTH]
