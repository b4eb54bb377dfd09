"""Fixtures that several test files share; what is no fixture is in tests/shared."""

import os

import numpy as np
import pytest

from tests.shared.declarations import Declarations
from tests.shared.stages import call_stage
from workflow_scripts.base.checksums import checksum
from workflow_scripts.datasets.images.arrays import load
from workflow_scripts.datasets.prepare import prepare

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def declared(tmp_path):
    return Declarations(tmp_path / "declared")


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory):
    """A source directory: 120 of scikit-learn's digits for training and 40 for testing."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = (digits.images * 15.9).astype(np.uint8), digits.target.astype(np.int64)
    folder = tmp_path_factory.mktemp("source")
    for split, chosen in (("train", slice(0, 120)), ("test", slice(120, 160))):
        np.save(folder / f"x_{split}.npy", images[chosen])
        np.save(folder / f"y_{split}.npy", labels[chosen])
    (folder / "dataset.yaml").write_text("crop_padding: 1\nflip: false\n")
    lines = [f"{checksum(path)}  {path.name}\n" for path in sorted(folder.glob("*.npy"))]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_source, tmp_path_factory):
    """The folder of the prepared data set."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    prepare("tiny", folder, tiny_source)
    return folder


@pytest.fixture(scope="session")
def tiny_data(tiny):
    import torch

    from workflow_scripts.datasets.images.in_memory import InMemoryData

    torch.set_num_threads(1)
    return InMemoryData(load(tiny))


@pytest.fixture(scope="session")
def said(tmp_path_factory):
    """The folder of a prepared parallel text of 60 sentences, each of which is in all splits."""
    from workflow_scripts.datasets.text.grammar.sentences import pairs

    folder = tmp_path_factory.mktemp("said")
    for split in ("train", "valid", "test"):
        for end in ("de", "en"):
            (folder / f"{split}.{end}").write_text("".join(f"{getattr(pair, end)}\n" for pair in pairs(60, seed=5)))
    (folder / "dataset.yaml").write_text("{form: parallel, source: de, target: en, merges: 300, joined: true}")
    prepare("said", folder / "out", folder)
    return folder / "out"


@pytest.fixture(scope="session")
def documents(tmp_path_factory):
    """The folder of the grammar's documents, prepared."""
    folder = tmp_path_factory.mktemp("documents") / "out"
    prepare("grammar_documents", folder)
    return folder


@pytest.fixture(scope="session")
def questions(tmp_path_factory, documents):
    """The folder of the grammar's questions, prepared with the word pieces of its documents."""
    folder = tmp_path_factory.mktemp("questions") / "out"
    prepare("grammar_questions", folder, vocabulary=documents)
    return folder


@pytest.fixture
def stage():
    return call_stage


@pytest.fixture(scope="module")
def site(tmp_path_factory, tiny_source):
    """A checkout with a tiny paper, and its directory in which it has been run to its end."""
    from tests.shared.checkout import Site, snakemake

    made = Site(tmp_path_factory.mktemp("site"), tiny_source)
    done = snakemake(*made.targets(), "--cores", "1", root=made.root, directory=made.directory)
    assert done.returncode == 0, done.stderr
    return made
