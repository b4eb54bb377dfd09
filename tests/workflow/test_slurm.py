"""The workflow on a real Slurm with profiles/slurm: every job has its own device, and a lost job is made up for.

A tiny paper from data to figures. In a first run one job is cancelled from outside, one runs out of time and one fails
whenever it is tried; a second run does what is left. Where no Slurm can be started, the reason is given.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from tests.slurm.cluster import NODES, cluster, why_not
from workflow_scripts.recipes.merge import merge

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

ROOT = Path(__file__).parents[2]
ON_SLURM = ["--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "3"]
PATIENCE = 280  # seconds until a run is given up
COMPUTING = ("train", "curve", "plane", "similarity")

# Python runs this at its start. Each stage notes what it sees, and goes wrong where a file asks for that.
HOOK = """
import atexit, json, os, sys, time
from pathlib import Path

FOLDER = Path(__file__).parent / "observed"
module = (sys.orig_argv[sys.orig_argv.index("-m") :] + ["", ""])[1] if "-m" in sys.orig_argv else ""

def note(**more):
    seen = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "SLURMD_NODENAME")}
    line = json.dumps({"stage": stage, "pid": os.getpid(), "time": time.time(), **seen}) + "\\n"
    descriptor = os.open(FOLDER / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)

if module.startswith("workflow_scripts.stages."):
    stage = module.removeprefix("workflow_scripts.stages.")
    note()
    atexit.register(note)
    try:
        wrong = (FOLDER / stage).read_text()
        if wrong == "hangs once":
            (FOLDER / stage).unlink()
    except FileNotFoundError:
        wrong = ""
    if wrong == "fails":
        sys.stderr.write("this stage was asked to fail\\n")
        os._exit(1)
    while wrong == "hangs once":
        note()
        time.sleep(1)
"""

# What a tiny paper declares; its defaults are gotmare2019's, but for these.
RUNS = """
defaults: {epochs: 2, schedule: {name: constant, lr: 0.02}}
experiments:
  ends:
    about: The ends of a curve; the second takes long enough to be cancelled
    runs:
      first: {}
      second: {seed: 2, epochs: 240, evaluate_every: 40}
"""

ANALYSES = """
defaults:
  curve: {epochs: 2, save: [2], points: 5}
  plane: {side: 3}
  similarity: {images: 300}
curves:
  between: {start: first@epoch-2, end: second@epoch-240}
planes:
  through: {curve: between, iterates: first}
similarities:
  of_first: {first: first@epoch-1, second: first@epoch-2}
  of_second: {first: second@epoch-40, second: second@epoch-240}
"""

ARTIFACTS = """
artifacts:
  figure_1:
    number: Figure 1
    section: "1"
    title: On the curve
    caption: A curve.
    template: figure
    panels:
      - {kind: path_metric, metric: loss, split: test, series: [{label: curve, curve: between}]}
  figure_2:
    number: Figure 2
    section: "1"
    title: Around the curve
    caption: A plane and two comparisons of layers.
    template: figure
    panels:
      - {kind: plane, plane: through, metric: loss, split: test}
      - {kind: similarity_map, similarity: of_first}
      - {kind: similarity_map, similarity: of_second}
"""


PAPER = "{title: Tiny, authors: Nobody, venue: a test}"


class Pipeline:
    """A copy of the workflow with a tiny paper, watched by HOOK."""

    def __init__(self, folder: Path):
        self.folder, self.observed, self.results = folder, folder / "observed", folder / "results"
        for part in ("rules", "schemas", "notebooks", "report", "envs", "profiles", "workflow_scripts", "scales"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / part, folder)
        paper = folder / "papers" / "tiny"
        paper.mkdir(parents=True)
        for name, text in (("runs", RUNS), ("analyses", ANALYSES), ("artifacts", ARTIFACTS), ("paper", PAPER)):
            declared = yaml.safe_load(text)
            if "defaults" in declared:
                other = yaml.safe_load((ROOT / "papers" / "gotmare2019" / f"{name}.yaml").read_text())
                declared["defaults"] = merge(other["defaults"], declared["defaults"])
            (paper / f"{name}.yaml").write_text(yaml.safe_dump(declared))
        scale = yaml.safe_load((folder / "scales" / "demo.yaml").read_text()) | {"experiments": {}, "analyses": {}}
        scale["runs_per_job"] = 1  # who trains what must not depend on which job comes first
        (folder / "scales" / "demo.yaml").write_text(yaml.safe_dump(scale))
        profile = folder / "profiles" / "slurm" / "config.yaml"
        profile.write_text(profile.read_text().replace("similarity: {gpu: 1}", "similarity: {gpu: 1, runtime: 1m}"))
        (folder / "sitecustomize.py").write_text(HOOK)
        self.observed.mkdir()

    def go_wrong(self, stage: str, how: str) -> None:
        (self.observed / stage).write_text(how)

    def start(self, *options: str) -> subprocess.Popen:
        """Snakemake as docs/cluster.md calls it; it ends when this process is killed."""
        command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "snakemake", "--config", "papers=[tiny]"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "CUDA"))}
        with (self.folder / "told").open("w") as told:
            return subprocess.Popen([*command, *options], cwd=self.folder, env=environment, stdout=told, stderr=told)

    def told(self) -> str:
        return (self.folder / "told").read_text()

    def notes(self, *stages: str) -> list[dict]:
        path = self.observed / "notes"
        notes = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [note for note in notes if not stages or note["stage"] in stages]

    def slurm_jobs(self, *stages: str) -> list[str]:
        """The Slurm jobs in which stages ran, in the order of their start."""
        return list(dict.fromkeys(note["SLURM_JOB_ID"] for note in self.notes(*stages)))

    def cancel_the_other_training(self) -> None:
        """As a user or an operator may: the one that is not finished, which the comment of the job tells."""
        (finished,) = (path.parent.name for path in self.finished_runs())
        queue = subprocess.run(["squeue", "--noheader", "--format=%i %k"], capture_output=True, text=True, check=True)
        jobs = [line.split() for line in queue.stdout.splitlines() if "rule_train" in line and finished not in line]
        subprocess.run(["scancel", *(job for job, _ in jobs)], check=True)

    def finished_runs(self) -> dict[Path, int]:
        """The runs that are finished in the store, and when that was."""
        return {path: path.stat().st_mtime_ns for path in self.results.glob("store/*/finished.json")}


def until(true, process: subprocess.Popen, pipeline: Pipeline) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert process.poll() is None and time.monotonic() < end, pipeline.told()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def slurm():
    with cluster() as logs:
        yield logs


@pytest.fixture(scope="module")
def pipeline(slurm, tmp_path_factory):
    """The first run, in which much goes wrong; what it told and left is kept. Then the second."""
    pipeline = Pipeline(tmp_path_factory.mktemp("pipeline"))
    pipeline.go_wrong("similarity", "hangs once")
    pipeline.go_wrong("plane", "fails")
    assert pipeline.start("--until", "prepare_data", "--cores", "1").wait(PATIENCE) == 0, pipeline.told()
    snakemake = pipeline.start(*ON_SLURM)
    until(lambda: pipeline.finished_runs() and len(pipeline.slurm_jobs("train")) == 2, snakemake, pipeline)
    pipeline.finished_early = pipeline.finished_runs()
    pipeline.cancel_the_other_training()
    assert snakemake.wait(PATIENCE) == 1, pipeline.told()
    pipeline.first_told = pipeline.told()
    pipeline.tables = {path.name for path in pipeline.results.rglob("*.parquet")}
    pipeline.first_jobs = {stage: len(pipeline.slurm_jobs(stage)) for stage in COMPUTING}
    (pipeline.observed / "plane").unlink()
    assert pipeline.start(*ON_SLURM).wait(PATIENCE) == 0, pipeline.told()
    return pipeline


def test_jobs_that_fail_are_cancelled_or_run_out_of_time_are_tried_again(pipeline):
    assert pipeline.first_jobs == {"train": 3, "curve": 1, "plane": 3, "similarity": 3}
    for status in ("FAILED", "CANCELLED", "TIMEOUT"):
        assert f"SLURM status is: '{status}'" in pipeline.first_told


def test_job_that_keeps_failing_is_reported_leaves_nothing_and_holds_up_nothing_else(pipeline):
    assert "Error in rule plane" in pipeline.first_told
    assert "this stage was asked to fail" in pipeline.first_told  # its log is shown
    assert pipeline.tables == {"metrics.parquet", "curve.parquet", "similarity.parquet", "verdicts.parquet"}


def test_second_run_does_only_what_is_left(pipeline):
    jobs = {stage: len(pipeline.slurm_jobs(stage)) for stage in COMPUTING}
    assert jobs == pipeline.first_jobs | {"plane": 4}
    assert [path for part in ("results", "data") for path in (pipeline.folder / part).rglob("*.part")] == []


def test_cancelled_training_repeats_no_finished_run(pipeline):
    assert len(pipeline.finished_early) == 1
    assert pipeline.finished_early.items() < pipeline.finished_runs().items()


def test_every_job_sees_its_own_device_alone(pipeline):
    spans = defaultdict(list)
    for pid in {note["pid"] for note in pipeline.notes(*COMPUTING)}:
        notes = [note for note in pipeline.notes() if note["pid"] == pid]
        (device,) = {(note["SLURMD_NODENAME"], note["CUDA_VISIBLE_DEVICES"]) for note in notes}
        spans[device].append((notes[0]["time"], notes[-1]["time"]))
    assert spans.keys() <= set(itertools.product(NODES, ("0", "1")))
    for times in spans.values():
        for (_, end), (start, _) in itertools.pairwise(sorted(times)):
            assert end <= start
    assert len(spans) > 1  # the similarity that hung had its device while others ran


def test_figures_share_a_submission(pipeline):
    assert len({note["pid"] for note in pipeline.notes("artifact")}) == 2
    assert len(pipeline.slurm_jobs("artifact")) == 1


def test_drawing_takes_no_device(pipeline):
    assert {note["CUDA_VISIBLE_DEVICES"] for note in pipeline.notes("artifact")} <= {None, "", "NoDevFiles"}
