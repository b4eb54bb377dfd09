"""The whole pipeline at scale demo: from an empty directory to every artifact, the report, and nothing left to do."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.shared.browser import needs_chromium, read_report
from workflow_scripts.base.stage import Cost
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.schema import read_yaml

ROOT = Path(__file__).parents[2]
FIGURE_FILES = {"figure.png", "figure.svg", "values.csv", "notebook.html", "notebook.ipynb", "spec.json"}
TABLE_FILES = {"table.html", "table.csv", "table.tex", "table.md", "notebook.html", "notebook.ipynb", "spec.json"}
MEMORY_LIMIT = 1536  # MiB for any job of the demo


def snakemake(directory: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", directory]
    return subprocess.run([*map(str, command), *arguments], capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def plan():
    return make_plan(read_yaml(ROOT / "config.yaml"), ROOT)


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """A directory, with a space in its name, in which the demo has been run."""
    directory = tmp_path_factory.mktemp("the demo")
    done = snakemake(directory, "--cores", "all")
    assert done.returncode == 0, done.stderr[-4000:]
    return directory


def artifact_folder(demo: Path, artifact) -> Path:
    return demo / "results" / "demo" / artifact.spec["paper"] / artifact.name


def test_every_artifact_is_there_with_all_its_files(demo, plan):
    for artifact in plan.artifacts.values():
        folder = artifact_folder(demo, artifact)
        if artifact.sensitivity:
            assert not folder.exists()
            continue
        expected = FIGURE_FILES if artifact.template == "figure" else TABLE_FILES
        assert {path.name for path in folder.iterdir()} == expected, artifact.id
        values = pd.read_csv(folder / ("values.csv" if artifact.template == "figure" else "table.csv"))
        assert len(values), artifact.id


def test_every_figure_says_that_it_is_a_demo_and_on_what_data(demo, plan):
    for artifact in plan.artifacts.values():
        if artifact.template == "figure" and not artifact.sensitivity:
            picture = (artifact_folder(demo, artifact) / "figure.svg").read_text()
            assert "DEMO" in picture, artifact.id
            assert any(data in picture for data in artifact.spec["data"].split(", ")), artifact.id


def test_the_second_time_there_is_nothing_to_do(demo):
    again = snakemake(demo, "--cores", "all")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stderr


def test_each_run_was_trained_once_and_to_its_end(demo, plan):
    wanted = {run.id for artifact in plan.artifacts.values() if not artifact.sensitivity for run in artifact.runs}
    trained = {path.name for path in (demo / "results" / "runs").iterdir()}
    assert wanted <= trained <= set(plan.runs)
    for id in trained:
        metrics = read_table(demo / "results" / "runs" / id / "metrics.parquet", "metrics")
        assert metrics.frame.epoch.max() == plan.runs[id].recipe["epochs"] or metrics.diverged
        saved = {path.stem for path in (demo / "results" / "runs" / id / "checkpoints").glob("*.safetensors")}
        assert saved == set(plan.runs[id].checkpoints) or metrics.diverged


def test_networks_learned_the_digits_so_that_the_figures_show_something(demo, plan):
    by_name = {run.names[0]: id for id, run in plan.runs.items()}
    for name in ("mode_G", "mode_C", "sgdr", "step", "sgdr_bn", "small_batch", "student_independent/1"):
        path = demo / "results" / "runs" / by_name[f"gotmare2019/{name}"] / "metrics.parquet"
        frame = read_table(path, "metrics").frame
        accuracy = frame[(frame.split == "test") & (frame.metric == "accuracy")].sort_values("step").value.iloc[-1]
        assert accuracy > 85, name


def test_the_curve_between_two_modes_lies_above_their_segment(demo, plan):
    curve = next(a for a in plan.analyses.values() if a.name == "gotmare2019/GC")
    frame = read_table(demo / "results" / "curve" / curve.id / "curve.parquet", "path").frame
    middle = frame[(frame.t == 0.5) & (frame.metric == "accuracy") & (frame.split == "train")]
    segment = middle[middle.path == "segment"].value.item()
    last = middle[middle.path == "curve"].sort_values("epoch").value.iloc[-1]
    assert last > segment + 20


def test_no_job_took_more_memory_than_a_small_laptop_has(demo):
    measured = {}
    for path in (demo / "results" / "logs").rglob("*.log"):
        if (cost := Cost.read(path)) is not None:
            measured[path.stem] = cost.memory
    assert len(measured) > 100
    assert {name: size for name, size in measured.items() if size > MEMORY_LIMIT} == {}


def test_an_executed_notebook_tells_the_commit_and_the_analyses_it_rests_on(demo, plan):
    folder = artifact_folder(demo, plan.artifacts["gotmare2019_figure_3"])
    notebook = json.loads((folder / "notebook.ipynb").read_text())
    shown = json.dumps([cell.get("outputs", []) for cell in notebook["cells"]])
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    assert commit[:7] in shown or not commit
    assert all(analysis.id in shown for analysis in plan.artifacts["gotmare2019_figure_3"].analyses)


def test_the_report_collects_every_artifact_and_opens_without_a_network(demo, plan):
    made = snakemake(demo, "--cores", "1", "report")
    assert made.returncode == 0, made.stderr[-2000:]
    page = (demo / "results" / "demo" / "report.html").read_text()
    assert "A closer look at Deep Learning heuristics" in page
    for artifact in plan.artifacts.values():
        if not artifact.sensitivity:
            assert artifact.spec["title"] in page or json.dumps(artifact.spec["title"])[1:-1] in page, artifact.id
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']https?://", page)


@needs_chromium
def test_every_section_of_the_report_shows_its_figures_and_tables(demo, plan):
    page = demo / "results" / "demo" / "report.html"
    if not page.exists():
        assert snakemake(demo, "--cores", "1", "report").returncode == 0
    found, errors = read_report(page)
    assert errors == [] and set(found) == set(plan.titles.values())
    shown = {label: what for sections in found.values() for results in sections.values() for label, what in results}
    wanted = [artifact for artifact in plan.artifacts.values() if not artifact.sensitivity]
    assert len(shown) == len(wanted)
    plain = {label.replace("\u2007", ""): what for label, what in shown.items()}  # without what aligns numbers
    for artifact in wanted:
        what = plain[f"{artifact.spec['number']}: {artifact.spec['title']}"]
        assert what > 100 if artifact.template == "figure" else artifact.spec["title"] in what, artifact.id
