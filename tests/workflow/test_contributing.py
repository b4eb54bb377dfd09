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
    return read_rows(copied, out / "metrics.parquet", "metrics")


def read_rows(copied, path, kind):
    code = (
        "import json, sys; from workflow_scripts.evidence.tables import read_table; "
        "print(read_table(*sys.argv[1:]).frame.to_json(orient='records'))"
    )
    return json.loads(python(copied, "-c", code, path, kind))


def test_a_metric_and_a_task(copied, tiny):
    """One record, one file and one name; the table has the metric with the value of its definition."""
    scripts = copied / "workflow_scripts"
    record = 'Metric("confidence", "confidence", "%", "mean of the largest probability", "max", of_mean=percent),'
    insert(scripts / "evidence" / "metrics.py", 'Metric("learning_rate"', f"{record}\n        ")
    insert(scripts / "tasks" / "__init__.py", '"classification", "distillation"', '"sure", ')
    (scripts / "tasks" / "sure.py").write_text(TASK)
    rows = trained(copied, tiny, small_recipe(task="sure"))
    found = [row["value"] for row in rows if row["metric"] == "confidence"]
    assert len(found) == 4 and all(10 <= value <= 100 for value in found)


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


def write_paper(copied, declared):
    (copied / "papers" / "mine").mkdir()
    for name, text in declared.items():
        (copied / "papers" / "mine" / name).write_text(text)


def planned(copied, what):
    """The words of an expression over the paper's plan at scale demo."""
    code = (
        "from pathlib import Path; from workflow_scripts.recipes.schema import read_yaml; "
        "from workflow_scripts.planning.plan import make_plan; "
        "plan = make_plan({**read_yaml(Path('config.yaml')), 'papers': ['mine']}, Path.cwd()); "
        f"print({what})"
    )
    return python(copied, "-c", code).split()


def test_a_paper(copied):
    """A folder and a name in the configuration: no code."""
    write_paper(copied, PAPER)
    assert planned(copied, "len(plan.runs), *plan.artifacts") == ["2", "mine_figure_1"]


KIND = {
    "workflow_scripts/planning/kinds/norm.py": '''"""Length of the weights of each trial."""

from workflow_scripts.planning.kinds.kind import Cost
from workflow_scripts.planning.kinds.sharpness import of_trials


def norm(resolver, name, settings, where):
    return of_trials(resolver, "norm", name, settings, where)


def norm_operations(recipe, counts):
    return Cost(len(recipe["runs"]) * 2 * counts.weights)
''',
    "workflow_scripts/stages/norm.py": '''"""Measure the length of the weights."""

from workflow_scripts.base.stage import run_stage
from workflow_scripts.stages.shared.trials import measure_trials


def main():
    measure_trials("norm", __doc__, {"order": 2}, measured)


def measured(bench, network):
    order = bench.recipe["order"]
    return {"norm": sum(float((weights.abs() ** order).sum()) for weights in network.parameters()) ** (1 / order)}


if __name__ == "__main__":
    run_stage(main)
''',
    "rules/norm.smk": """# Measure the length of the weights of each trial.
rule norm:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*trials_of(wildcards)),
    output:
        PATHS.analysis("norm", "{id}") / "norm.parquet",
    log:
        LOGS / "norm" / "{id}.log",
    params:
        recipe=recipe_of,
        checkpoints=lambda wildcards: [checkpoint(trial) for trial in trials_of(wildcards)],
    message:
        "measure the weights of {TITLES:{wildcards.id}}"
    shell:
        "launch --gpus 0 norm --recipe {params.recipe:q} --checkpoints {params.checkpoints:q}"
        ' --data "$(dirname {input.data:q})" --out "$(dirname {output:q})" "${{computing[@]}}" > {log:q} 2>&1'
""",
}
RECORD = """    Kind("norm", "norms", "norm", 1, norm, norm_operations, of_trials=True),
"""
TABLE = """    "norm": Kind(
        "a training",
        ("run",),
        {"run": Column("text", "fingerprint"), "norm": Column("real", "length of all its weights")},
    ),
"""
SCHEMA = {
    "      fisher: {allOf": "      norm: {allOf: [{$ref: '#/$defs/norm'}], required: [at, order]}\n",
    "  fisher_scores: {type": "  norms: {type: object, additionalProperties: {$ref: '#/$defs/norm'}}\n",
    "  fisher:\n    type: object": """  norm:
    type: object
    additionalProperties: false
    properties: {at: {$ref: '#/$defs/label'}, runs: {type: string}, order: {type: number, minimum: 1}}
""",
}


def test_a_kind_of_analysis(copied):
    """Resolver and record, stage, table, schema, rule: the workflow then trains what it measures."""
    for folder in ("rules", "notebooks", "report", "envs"):
        shutil.copytree(ROOT / folder, copied / folder)
    shutil.copy(ROOT / "Snakefile", copied)
    for name, text in KIND.items():
        (copied / name).write_text(text)
    kinds = copied / "workflow_scripts" / "planning" / "kinds" / "__init__.py"
    insert(kinds, "RECORDS = (", "from workflow_scripts.planning.kinds.norm import norm, norm_operations\n\n")
    insert(kinds, '    Kind("fisher"', RECORD)
    insert(copied / "workflow_scripts" / "evidence" / "tables.py", '    "fisher": Kind(', TABLE)
    for before, text in SCHEMA.items():
        insert(copied / "schemas" / "analyses.schema.yaml", before, text)
    insert(copied / "Snakefile", '    include: "rules/sharpness.smk"', '    include: "rules/norm.smk"\n')
    declared = PAPER | {
        "runs.yaml": PAPER["runs.yaml"].replace("epochs: 200", "epochs: 2"),
        "analyses.yaml": "defaults: {norm: {at: epoch-2, order: 2}}\nnorms: {of_twice: {runs: twice}}\n",
    }
    write_paper(copied, declared)
    (place,) = planned(copied, "*(plan.paths.tables(one.kind, one.id)['table'] for one in plan.analyses.values())")
    python(copied, "-m", "snakemake", "--cores", "1", "--config", "papers=[mine]", "--", place)
    rows = read_rows(copied, copied / place, "norm")
    assert len(rows) == 2 and all(row["norm"] > 1 for row in rows) and rows[0]["norm"] != rows[1]["norm"]


def test_what_is_named_in_contributing_is_there():
    """Every file and folder that the page names exists."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = set(re.findall(r"`((?:\w+/)+[\w.]*)`", text))
    assert places
    for place in places:
        roots = (ROOT, ROOT / "workflow_scripts")
        assert any((root / place).exists() for root in roots), place
