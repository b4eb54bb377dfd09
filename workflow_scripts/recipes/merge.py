"""How a declaration inherits: it states only where it differs."""

import copy

# What another name (of an initialisation: rule) makes another thing, which inherits nothing.
NAMED_BY = {"schedule": "name", "optimizer": "name", "model": "name", "initialisation": "rule"}


def merge(base: dict, own: dict) -> dict:
    """`base` with the differences that `own` states; a thing of another name starts afresh."""
    merged = copy.deepcopy(base)
    for key, value in own.items():
        inherits = isinstance(value, dict) and isinstance(merged.get(key), dict)
        if key in NAMED_BY and inherits and NAMED_BY[key] in value:
            inherits = False
        merged[key] = {**merged[key], **copy.deepcopy(value)} if inherits else copy.deepcopy(value)
    return merged
