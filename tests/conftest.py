"""What several test files share: declarations to edit, a tiny data set, small recipes, a call of a stage."""

import contextlib
import importlib
import io
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import run
from workflow_scripts.datasets.arrays import load
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.datasets.sources import sha256
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.merge import merge
from workflow_scripts.recipes.schema import read_yaml

ROOT = Path(__file__).parents[1]
os.environ.setdefault("OMP_NUM_THREADS", "1")


class Declarations:
    """A copy of everything that is declared, to be edited and planned."""

    def __init__(self, root):
        self.root = root
        for folder in ("papers", "scales", "schemas"):
            shutil.copytree(ROOT / folder, root / folder)
        shutil.copy(ROOT / "config.yaml", root)
        self.config = read_yaml(root / "config.yaml")
        self.config["papers"] = ["gotmare2019"]

    def path(self, name):
        """runs, analyses, artifacts, paper: of gotmare2019; demo, reduced, paper_scale: of scales/."""
        if name in ("demo", "reduced", "paper_scale"):
            return self.root / "scales" / f"{name.removesuffix('_scale')}.yaml"
        return self.root / "papers" / "gotmare2019" / f"{name}.yaml"

    def replace(self, name, old, new):
        """Edit the text of a document; the line where the edit begins."""
        text = self.path(name).read_text(encoding="utf-8")
        assert old in text, f"{old!r} does not stand in {name}"
        self.path(name).write_text(text.replace(old, new, 1), encoding="utf-8")
        return text[: text.index(old)].count("\n") + 1

    @contextlib.contextmanager
    def document(self, name):
        """The document as mappings and lists, written back at the end."""
        document = read_yaml(self.path(name))
        yield document
        self.path(name).write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def run(self, name, run):
        """Add a run to the first experiment."""
        with self.document("runs") as runs:
            runs["experiments"]["modes"]["runs"][name] = run

    def plan(self, scale="demo", **config):
        return make_plan(merge(self.config, {"scale": scale, **config}), self.root)

    def refusal(self, scale="demo", **config):
        """Plan, expect a refusal, give its sentences."""
        with pytest.raises(InputError) as caught:
            self.plan(scale, **config)
        return str(caught.value)


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
    lines = [f"{sha256(path)}  {path.name}\n" for path in sorted(folder.glob("*.npy"))]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_source, tmp_path_factory):
    """The folder of the prepared data set."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    prepare("tiny", folder, tiny_source)
    return folder


@pytest.fixture(scope="session")
def resident(tiny):
    import torch

    from workflow_scripts.datasets.resident import ResidentData

    torch.set_num_threads(1)
    return ResidentData(load(tiny))


RECIPE = {
    "engine": 1,
    "data": "tiny",
    "model": {"name": "vgg9", "width": 0.0625, "dropout": 0.0, "smallest_side": 2},
    "initialisation": {"variance": 1.0},
    "optimizer": {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4},
    "schedule": {"name": "step", "lr": 0.02, "factor": 0.2, "milestones": [2]},
    "batch_size": 16,
    "samples_per_epoch": 40,
    "epochs": 4,
    "augment": True,
    "image_sides": None,
    "evaluate_every": 1,
    "seed": 1,
    "freeze": None,
    "distillation": None,
    "fallback": None,
}

CURVE = {
    "form": "polygonal",
    "bends": 1,
    "epochs": 4,
    "save": [2, 4],
    "batch_size": 16,
    "samples_per_epoch": 40,
    "optimizer": {"momentum": 0.9, "weight_decay": 5e-4},
    "schedule": {"name": "hold_then_linear", "lr": 0.015},
    "augment": True,
    "points": 3,
    "images": None,
    "seed": 1,
}


def small_recipe(**own):
    """A training of three updates an epoch, in everything else as `own` says."""
    return {**RECIPE, **own}


def call_stage(name, *arguments):
    """Run a stage in this process as its command line does; its exit status (or sentence) and what it printed."""
    module = importlib.import_module(f"workflow_scripts.{name}")
    before, printed, told = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = [f"workflow_scripts/{name}.py", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
            run(module.main)
    except SystemExit as end:
        return end.code or 0, printed.getvalue() + told.getvalue()
    finally:
        sys.argv = before
    return 0, printed.getvalue() + told.getvalue()


@pytest.fixture
def stage():
    return call_stage


@pytest.fixture(scope="module")
def site(tmp_path_factory, tiny_source):
    """A checkout with a tiny paper, and its directory in which it has been run to its end."""
    from test_workflow import Site, snakemake

    made = Site(tmp_path_factory.mktemp("site"), tiny_source)
    done = snakemake(*made.targets(), "--cores", "1", root=made.root, directory=made.directory)
    assert done.returncode == 0, done.stderr
    return made
