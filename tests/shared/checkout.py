"""A checkout with a tiny paper, to be run by the real Snakemake."""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.merge import merge
from workflow_scripts.recipes.schema import read_yaml

ROOT = Path(__file__).parents[2]


def snakemake(*arguments, directory, root=ROOT, **more):
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        root / "Snakefile",
        "--directory",
        directory,
        *arguments,
    ]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **more)


RUNS = """
defaults:
  data: digits
  model: vgg16
  initialisation: {variance: 1.0}
  optimizer: {name: sgd, momentum: 0.9, weight_decay: 5e-4}
  schedule: {name: constant, lr: 0.02}
  batch_size: 20
  epochs: 2
  augment: true
  evaluate_every: 1
  seed: 1
experiments:
  ends:
    about: The ends of a curve, and one that stands beside it
    runs:
      first: {}
      second: {seed: 2}
      beside: {seed: 3}
  pupils:
    about: A student
    runs:
      pupil:
        model: student
        distillation: {teacher: first@epoch-2, temperature: 5, scale_by_temperature_squared: true}
"""


ANALYSES = """
defaults:
  curve:
    form: polygonal
    bends: 1
    epochs: 2
    save: [2]
    batch_size: 20
    optimizer: {momentum: 0.9, weight_decay: 5e-4}
    schedule: {name: hold_then_linear, lr: 0.015}
    augment: true
    points: 3
    images: null
    seed: 1
curves:
  between: {start: first@epoch-2, end: second@epoch-2}
"""


SCALE = {
    "about": "seconds", "data": {"digits": "birds"}, "samples_per_epoch": 40, "batch_factor": 1, "trials_at_most": 1,
    "runs_per_job": 3, "mem_mb": 1500, "experiments": {}, "analyses": {},
    "models": {
        "vgg16": {"name": "vgg9", "width": 0.0625, "dropout": 0.0, "smallest_side": 2},
        "student": {"width": 0.0625},
    },
}  # fmt: skip


NASTY = "re sults; touch pwned $(touch pwned) `touch pwned` 'one' \"two\" & # *"


class Site:
    """A checkout whose only paper is tiny, and whose names are made to hurt a shell."""

    def __init__(self, root, source):
        self.root, self.directory = root, root / "somewhere else"
        for folder in ("rules", "workflow_scripts", "notebooks", "report", "envs"):
            (root / folder).symlink_to(ROOT / folder)
        shutil.copy(ROOT / "Snakefile", root)
        shutil.copytree(ROOT / "schemas", root / "schemas")
        (root / "papers" / "tiny").mkdir(parents=True)
        (root / "scales").mkdir()
        self.directory.mkdir()
        shutil.copytree(source, root / "birds' (nest); touch pwned")
        config = {"scale": "seconds", "papers": ["tiny"], "results": NASTY}
        training = {**read_yaml(ROOT / "config.yaml")["training"], "device": "cpu", "workers": 0}
        data = {"folder": "the data; touch pwned", "sources": {"birds": str(root / "birds' (nest); touch pwned")}}
        self.write("config.yaml", {**config, "data": data, "training": training})
        self.write("scales/seconds.yaml", SCALE)
        self.write("papers/tiny/paper.yaml", {"title": "Tiny", "authors": "Nobody", "venue": "Nowhere"})
        self.write("papers/tiny/artifacts.yaml", {"artifacts": {}})
        self.write("papers/tiny/runs.yaml", RUNS)
        self.write("papers/tiny/analyses.yaml", ANALYSES)

    def write(self, name, content):
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (self.root / name).write_text(text)

    def change(self, old, new):
        text = (self.root / "papers/tiny/runs.yaml").read_text()
        assert old in text
        self.write("papers/tiny/runs.yaml", text.replace(old, new))

    def plan(self):
        return make_plan(merge(read_yaml(self.root / "config.yaml"), {}), self.root)

    def ids(self):
        """Of runs and curves, by name."""
        plan = self.plan()
        runs = {run.names[0].partition("/")[2]: run.id for run in plan.runs.values()}
        return runs | {each.name.partition("/")[2]: each.id for each in plan.analyses.values()}

    def targets(self):
        plan = self.plan()
        curves = [path for each in plan.analyses.values() for path in plan.paths.tables(each.kind, each.id).values()]
        return [*map(plan.paths.metrics, plan.runs), *curves]
