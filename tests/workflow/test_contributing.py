"""What CONTRIBUTING.md says is enough is enough: each list is tried in a copy of the package."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared.recipes import small_recipe
from workflow_scripts.recipes.canonical import canonical, fingerprint

ROOT = Path(__file__).parents[2]

TASK = '''"""Classification that also measures how sure the network is."""

import torch

from workflow_scripts.evidence.metrics import METRICS
from workflow_scripts.tasks.classification import Classification


def task(recipe, data, source=None):
    return Sure(recipe, data)


class Sure(Classification):
    metrics = {**Classification.metrics, "test": ("loss", "accuracy", "confidence")}

    @torch.inference_mode()
    def evaluate(self, model, processes):
        total, count = 0.0, 0
        for images, labels in self.data.batches("test", 100):
            total += model(images).softmax(1).amax(1).sum().item()
            count += len(labels)
        found = {**super().evaluate(model, processes), "confidence": METRICS["confidence"].of_mean(total / count)}
        return {name: found[name] for name in self.metrics["test"]}
'''
OWN = """from torch import nn


def falling(step, steps_per_epoch, total_steps, start):
    return start * (1 - (step - 1) / total_steps)


def linear(info, width):
    model = nn.Sequential(nn.Flatten())
    model.add_module("classifier", nn.Linear(info.channels * info.image_size**2, info.classes))
    return model
"""


@pytest.fixture
def copied(tmp_path):
    """A copy of the checkout's code and declarations, to be added to."""
    for folder in ("workflow_scripts", "schemas", "papers", "scales"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "config.yaml", tmp_path)
    return tmp_path


def python(copied, *arguments):
    environment = {**os.environ, "PYTHONPATH": f"{copied}{os.pathsep}{copied / 'own'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=copied, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def insert(path, before, text):
    content = path.read_text(encoding="utf-8")
    assert before in content
    path.write_text(content.replace(before, text + before, 1), encoding="utf-8")


def trained(copied, tiny, recipe):
    job = canonical({"recipe": recipe, "checkpoints": {}})
    out = copied / "runs" / fingerprint(recipe)
    python(copied, "-m", "workflow_scripts.stages.train", "--job", job, "--data", tiny, "--out", out, "--device", "cpu")
    return read_facts(copied, out / "metrics.parquet")


def read_facts(copied, path):
    code = (
        "import json, sys; from workflow_scripts.evidence.tables import read_table; "
        "print(read_table(sys.argv[1], 'metrics').frame.to_json(orient='records'))"
    )
    return json.loads(python(copied, "-c", code, path))


def test_a_metric_and_a_task(copied, tiny):
    """One record, one file and one name; the table has the metric with the value of its definition."""
    scripts = copied / "workflow_scripts"
    record = 'Metric("confidence", "confidence", "%", "mean of the largest probability", "max", of_mean=percent),'
    insert(scripts / "evidence" / "metrics.py", 'Metric("learning_rate"', f"{record}\n        ")
    insert(scripts / "tasks" / "__init__.py", '"classification": "classification"', '"sure": "sure", ')
    (scripts / "tasks" / "sure.py").write_text(TASK)
    rows = trained(copied, tiny, small_recipe(task="sure", epochs=2))
    found = [row["value"] for row in rows if row["metric"] == "confidence"]
    assert len(found) == 2 and all(10 <= value <= 100 for value in found)


def test_a_schedule_and_a_model_of_ones_own(copied, tiny):
    (copied / "own").mkdir()
    (copied / "own" / "mine.py").write_text(OWN)
    recipe = small_recipe(schedule={"name": "mine:falling", "start": 0.02}, model={"name": "mine:linear", "width": 1})
    rows = trained(copied, tiny, recipe)
    rates = [row["value"] for row in rows if row["metric"] == "learning_rate"]
    assert rates == pytest.approx([0.02 * (1 - (3 * epoch - 1) / 12) for epoch in range(1, 5)])


PAPER = {
    "paper.yaml": "title: Mine\nauthors: Me\nvenue: Here\n",
    "runs.yaml": """
defaults:
  data: cifar10
  model: resnet18
  initialisation: {rule: default}
  optimizer: {name: sgd}
  schedule: {name: linear, lr: 0.1}
  batch_size: 128
  epochs: 200
  augment: true
  evaluate_every: 1
  seed: 1
experiments:
  only:
    about: Twice the same
    runs:
      twice: {trials: 2}
""",
    "analyses.yaml": "defaults: {}\n",
    "artifacts.yaml": """
artifacts:
  figure_1:
    number: Figure 1
    section: "1"
    title: Two runs
    caption: Accuracy.
    template: figure
    panels:
      - {kind: training_curve, metric: accuracy, series: [{label: first, run: twice/1}, {label: second, run: twice/2}]}
""",
}


def test_a_paper(copied):
    """A folder and a name in the configuration: no code."""
    (copied / "papers" / "mine").mkdir()
    for name, text in PAPER.items():
        (copied / "papers" / "mine" / name).write_text(text)
    code = (
        "from pathlib import Path; from workflow_scripts.recipes.schema import read_yaml; "
        "from workflow_scripts.planning.plan import make_plan; "
        "plan = make_plan({**read_yaml(Path('config.yaml')), 'papers': ['mine']}, Path.cwd()); "
        "print(len(plan.runs), *plan.artifacts)"
    )
    assert python(copied, "-c", code).split() == ["2", "mine_figure_1"]


def test_what_is_named_in_contributing_is_there():
    """Every file and folder that the page names exists."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = set(re.findall(r"`((?:\w+/)+[\w.]*)`", text))
    assert places
    for place in places:
        roots = (ROOT, ROOT / "workflow_scripts")
        assert any((root / place).exists() for root in roots), place
