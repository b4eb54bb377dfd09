"""Weight vectors in the plane by t-SNE (van der Maaten & Hinton 2008; gotmare2019, appendix 7.3, figure 10)."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE

from workflow_scripts.base.checks import described, number, whole_number
from workflow_scripts.base.errors import InputError

BLOCK = 2**20  # coordinates that are widened to float64 at a time

Vector = np.ndarray | Callable[[], np.ndarray]


def embed(vectors: Sequence[Vector], names: Sequence[str], perplexity: float = 5, seed: int = 0) -> pd.DataFrame:
    """Place n vectors in the plane: random initialisation, exact gradients, a fixed seed.

    Parameters
    ----------
    vectors : n vectors (D,), or functions that load one: then no more than two are in memory at a time.
    names : of the vectors.
    perplexity : about the number of neighbours of each vector; less than n.

    Returns
    -------
    Columns name, x and y (no unit: only who is near whom has a meaning).

    Raises
    ------
    InputError
        If names or lengths do not match, a value is NaN or infinite, or there are too few vectors.
    """
    for what, given in (("the vectors", vectors), ("the names", names)):
        if not isinstance(given, Sequence) and np.ndim(given) == 0:
            raise InputError(f"{what} must be a list, not {described(given)}")
    if len(names) != len(vectors):
        raise InputError(f"there are {len(vectors)} vectors to embed but {len(names)} names; give one for each")
    number("the perplexity", perplexity)
    whole_number("the seed", seed, 0)
    number("the seed", seed, high=2**32 - 1)
    if not 0 < perplexity < len(vectors):
        raise InputError(
            f"a perplexity of {perplexity} with {len(vectors)} vectors is out of range; it must be positive and "
            "less than their number"
        )
    tsne = TSNE(perplexity=perplexity, metric="precomputed", method="exact", init="random", random_state=seed)
    places = tsne.fit_transform(distances(vectors, names))
    return pd.DataFrame({"name": list(names), "x": places[:, 0], "y": places[:, 1]})


def distances(vectors: Sequence[Vector], names: Sequence[str]) -> np.ndarray:
    """Euclidean distances (n, n) in float64, of two vectors at a time.

    Raises
    ------
    InputError
        If one is no vector, lengths do not match, or a value is NaN or infinite.
    """
    result = np.zeros((len(vectors), len(vectors)))
    for i, name in enumerate(names):
        vector = _load(vectors[i])
        if vector.ndim != 1 or not vector.size or vector.dtype.kind not in "fiu":
            raise InputError(f"the weights of {name!r} must be a vector (D,) of numbers, not {described(vector)}")
        if not np.isfinite(vector).all():
            raise InputError(f"the weights of {name!r} hold NaN or infinity: it diverged; leave it out")
        for j in range(i):
            other = _load(vectors[j])
            if other.shape != vector.shape:
                raise InputError(
                    f"{name!r} has weights of shape {vector.shape} and {names[j]!r} of {other.shape}; only networks "
                    "of one architecture can be embedded together"
                )
            result[i, j] = result[j, i] = _distance(vector, other)
    return result


def _load(vector: Vector) -> np.ndarray:
    return np.asarray(vector() if callable(vector) else vector)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    total = 0.0
    for start in range(0, len(a), BLOCK):
        block = slice(start, start + BLOCK)
        difference = a[block].astype(np.float64) - b[block]
        total += difference @ difference
    return np.sqrt(total)
