"""How large a BERT is and what its training needs in a computer's memory, without torch: jobs ask before they start."""

from collections.abc import Mapping
from typing import Any

SAVED = 3  # numbers for a weight that a snapshot holds: itself and two moments
COPIES = 2  # of what is saved while it is being written: the tensors, and the file's bytes
BYTES = 4


def bert_parameters(model: Mapping[str, Any], vocabulary: int) -> int:
    """Weights of a BERT with the heads of its pre-training.

    Parameters
    ----------
    model : its specification, with all options. vocabulary : number of word pieces.
    """
    width, ffn = model["width"], model["ffn"]
    embeddings = (vocabulary + model["longest"] + 2 + 2) * width
    layer = 4 * (width + 1) * width + (width + 1) * ffn + (ffn + 1) * width + 2 * 2 * width
    pooled, guess = (width + 1) * width + 2 * (width + 1), (width + 1) * width + 2 * width + vocabulary
    return embeddings + model["layers"] * layer + pooled + guess


def saving_mebibytes(model: Mapping[str, Any], vocabulary: int) -> int:
    """MiB that a training's snapshots take beside everything else, while one is written."""
    return bert_parameters(model, vocabulary) * SAVED * COPIES * BYTES >> 20
