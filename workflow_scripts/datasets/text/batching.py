"""Batches of sentences of like length, fixed once: at most so many tokens with padding, however they are shuffled."""

from collections.abc import Sequence

import numpy as np

from workflow_scripts.base.errors import InputError


def buckets(lengths: np.ndarray, most: int, what: str = "sentence") -> list[np.ndarray]:
    """Sort sentences by length and cut them into batches.

    Parameters
    ----------
    lengths : (n,) or (n, sides) tokens, end marks included; the longest side counts, as fairseq's max-tokens does.
    most : tokens, padding included, that a side of a batch may have.
    what : what a sequence is called in the refusal.

    Returns
    -------
    Indices of the sentences of each batch. Of equal lengths, the order is that of the data.

    Raises
    ------
    InputError : a sentence alone has more than `most` tokens.
    """
    sides = lengths[:, None] if lengths.ndim == 1 else lengths
    longest = sides.max(axis=1, initial=0)
    if len(longest) and longest.max() > most:
        worst = int(longest.argmax())
        raise InputError(
            f"no batch of at most {most} tokens has room for {what} {worst + 1}, which has {longest[worst]} with its "
            "end mark; allow more tokens in a batch, or drop it"
        )
    order = np.lexsort((*sides.T, longest))
    starts, ordered = [0], longest[order].tolist()
    for position, length in enumerate(ordered):
        if (position - starts[-1] + 1) * length > most:
            starts.append(position)
    return np.split(order, starts[1:]) if len(order) else []


def in_file_order(lengths: np.ndarray, most: int) -> list[np.ndarray]:
    """The same, without sorting: what bucketing is compared with."""
    longest = lengths.reshape(len(lengths), -1).max(axis=1, initial=0).tolist()
    starts, wide = [0], 0
    for position, length in enumerate(longest):
        wide = max(wide, length)
        if (position - starts[-1] + 1) * wide > most:
            starts.append(position)
            wide = length
    return np.split(np.arange(len(longest)), starts[1:]) if longest else []


def padded_share(lengths: np.ndarray, batches: Sequence[np.ndarray]) -> float:
    """Share of the tokens in batches that are padding, both sides together."""
    sides = lengths.reshape(len(lengths), -1)
    room = sum(len(batch) * int(sides[batch].max(axis=0).sum()) for batch in batches)
    return 1 - int(sides.sum()) / room if room else 0.0


def padding(lengths: np.ndarray, most: int) -> dict[str, float]:
    """The padded share by bucketing and in the order of the file."""
    return {
        "bucketed": padded_share(lengths, buckets(lengths, most)),
        "file order": padded_share(lengths, in_file_order(lengths, most)),
    }
