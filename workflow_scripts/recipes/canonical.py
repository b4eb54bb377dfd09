"""One spelling for every recipe, and the fingerprint that is its identity."""

import hashlib
import json

LENGTH = 12  # hexadecimal digits; 48 bits: a collision among 10,000 recipes has a chance of 2e-7


def canonical(recipe: object) -> str:
    """JSON with sorted keys and no spare white space: equal recipes have equal text, however they were written."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(recipe: object) -> str:
    """The identity of a recipe: the first digits of the SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical(recipe).encode()).hexdigest()[:LENGTH]
