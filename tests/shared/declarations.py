"""Declarations to edit and plan."""

import contextlib
import shutil
from pathlib import Path

import pytest
import yaml

from workflow_scripts.base.errors import InputError
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.merge import merge
from workflow_scripts.recipes.schema import read_yaml

ROOT = Path(__file__).parents[2]


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
