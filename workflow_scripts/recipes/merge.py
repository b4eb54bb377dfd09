"""How a declaration inherits: it states only where it differs."""

import copy

REPLACED_WHOLE = ("schedule", "optimizer", "model")  # another `name` makes another thing: nothing is inherited


def merge(base: dict, own: dict) -> dict:
    """`base` with the differences that `own` states; a schedule, optimizer or model of another name starts afresh."""
    merged = copy.deepcopy(base)
    for key, value in own.items():
        inherits = isinstance(value, dict) and isinstance(merged.get(key), dict)
        if key in REPLACED_WHOLE and inherits and "name" in value:
            inherits = False
        merged[key] = {**merged[key], **copy.deepcopy(value)} if inherits else copy.deepcopy(value)
    return merged
