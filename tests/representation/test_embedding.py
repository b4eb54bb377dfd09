"""Weight vectors in the plane: distances by blocks, t-SNE as scikit-learn does it on the vectors themselves."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.manifold import TSNE

from workflow_scripts.base.errors import InputError
from workflow_scripts.representation import embedding
from workflow_scripts.representation.embedding import distances, embed

NAMES = [f"mode-{i}" for i in range(13)]


@pytest.fixture
def vectors() -> np.ndarray:
    """Thirteen float32 vectors in two far groups, of a length that is no multiple of the block."""
    return np.random.default_rng(0).normal(size=(13, 301)).astype(np.float32) + 5 * (np.arange(13) % 2)[:, None]


def test_distances_by_blocks_agree_with_scipy(vectors, monkeypatch):
    monkeypatch.setattr(embedding, "BLOCK", 64)
    expected = cdist(vectors.astype(np.float64), vectors.astype(np.float64))
    assert distances(vectors, NAMES) == pytest.approx(expected, abs=1e-12)


def test_small_differences_of_large_weights_survive():
    near = np.full(1000, 1e4, dtype=np.float32)
    assert distances([near, near + np.float32(0.125)], "ab")[0, 1] == pytest.approx(0.125 * 1000**0.5, rel=1e-12)


def test_is_the_t_sne_of_the_vectors(vectors):
    found = embed(vectors, NAMES)
    usual = TSNE(perplexity=5, init="random", method="exact", random_state=0).fit_transform(vectors.astype(np.float64))
    assert list(found["name"]) == NAMES
    # The descent amplifies the last digit of the distances, so compare who is near whom.
    places = found[["x", "y"]].to_numpy()
    assert np.corrcoef(cdist(places, places).ravel(), cdist(usual, usual).ravel())[0, 1] > 0.99


def test_the_same_seed_gives_the_same_plane(vectors):
    assert embed(vectors, NAMES, seed=3).equals(embed(vectors, NAMES, seed=3))
    assert not embed(vectors, NAMES, seed=3).equals(embed(vectors, NAMES, seed=4))


def test_loaders_give_what_arrays_give(vectors):
    assert embed([lambda v=vector: v for vector in vectors], NAMES).equals(embed(vectors, NAMES))


def test_bad_vectors_are_told(vectors):
    with pytest.raises(InputError, match="13 vectors to embed but 12 names; give one for each"):
        embed(vectors, NAMES[:12])
    with pytest.raises(InputError, match="a perplexity of 13 with 13 vectors is out of range"):
        embed(vectors, NAMES, perplexity=13)
    with pytest.raises(InputError, match=r"'mode-12' has weights of shape \(300,\) and 'mode-0' of \(301,\)"):
        embed([*vectors[:12], vectors[12, :300]], NAMES)
    vectors[4, 7] = np.nan
    with pytest.raises(InputError, match="the weights of 'mode-4' hold NaN or infinity: it diverged; leave it out"):
        embed(vectors, NAMES)


@pytest.mark.parametrize(
    ("odd", "told"),
    [(np.zeros((3, 2)), r"numpy\.ndarray of shape \(3, 2\)"), ([], r"shape \(0,\)"), (np.array(["a"]), "a vector")],
)
def test_what_is_no_vector_is_told(odd, told):
    with pytest.raises(InputError, match=rf"weights of 'odd' must be a vector \(D,\) of numbers.*{told}|{told}"):
        embed([np.zeros(3), np.ones(3), odd], ["a", "b", "odd"], perplexity=1)
