"""The workflow on a real Slurm with profiles/slurm: every job has its own device, and a lost job is made up for.

One run of a tiny paper, in which one job fails, one is cancelled from outside and one runs out of time; then one in
which a job fails for good. Where no Slurm can be started, these tests are skipped and say why.
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
from slurm.cluster import NODES, cluster, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

ROOT = Path(__file__).parents[1]
COMPUTING = {"train_together", "train", "curve", "plane", "similarity"}

# Python runs this at its start. Each stage notes what it sees, and goes wrong once where a file asks for that.
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

if module.startswith("workflow_scripts.") and module != "workflow_scripts.lease":
    stage = module.removeprefix("workflow_scripts.")
    note()
    atexit.register(note)
    try:
        wrong = (FOLDER / stage).read_text()
        (FOLDER / stage).unlink()
    except FileNotFoundError:
        wrong = ""
    if wrong == "fails":
        sys.stderr.write("this stage was asked to fail\\n")
        os._exit(1)
    while wrong == "hangs":
        note()
        time.sleep(1)
"""

RUNS = """
defaults:
  data: digits
  model: vgg16
  initialisation: {variance: 1.0}
  optimizer: {name: sgd, momentum: 0.9, weight_decay: 5e-4}
  schedule: {name: constant, lr: 0.02}
  batch_size: 100
  epochs: 2
  augment: true
  evaluate_every: 1
  seed: 1
experiments:
  ends:
    about: The ends of a curve; the second takes long enough to be cancelled
    runs:
      first: {}
      second: {seed: 2, epochs: 400, evaluate_every: 40}
"""

ANALYSES = """
defaults:
  curve:
    form: polygonal
    bends: 1
    epochs: 2
    save: [2]
    batch_size: 100
    optimizer: {momentum: 0.9, weight_decay: 5e-4}
    schedule: {name: hold_then_linear, lr: 0.015}
    augment: true
    points: 5
    seed: 1
  plane: {side: 3, margin: 0.2}
  similarity: {images: 300, diagonal_only: false}
curves:
  between: {start: first@epoch-2, end: second@epoch-400}
planes:
  through: {curve: between, iterates: first}
similarities:
  of_first: {first: first@epoch-1, second: first@epoch-2}
  of_second: {first: second@epoch-40, second: second@epoch-400}
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
        for name, text in (("runs", RUNS), ("analyses", ANALYSES), ("artifacts", ARTIFACTS)):
            (paper / f"{name}.yaml").write_text(text)
        (paper / "paper.yaml").write_text("title: Tiny\nauthors: Nobody\nvenue: a test\n")
        scale = yaml.safe_load((folder / "scales" / "demo.yaml").read_text()) | {"experiments": {}, "analyses": {}}
        (folder / "scales" / "demo.yaml").write_text(yaml.safe_dump(scale))
        profile = folder / "profiles" / "slurm" / "config.yaml"
        profile.write_text(profile.read_text().replace("similarity: {gpu: 1}", "similarity: {gpu: 1, runtime: 1m}"))
        (folder / "sitecustomize.py").write_text(HOOK)
        self.observed.mkdir()

    def go_wrong(self, stage: str, how: str) -> None:
        (self.observed / stage).write_text(how)

    def start(self, *options: str) -> subprocess.Popen:
        """Snakemake as a user calls it; only what would make a test wait is set lower."""
        waits = ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5"]
        profile = ["--workflow-profile", "profiles/slurm"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "CUDA"))}
        with (self.folder / "told").open("w") as told:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", *profile, "--config", "papers=[tiny]", *waits, *options],
                cwd=self.folder,
                env=environment,
                stdout=told,
                stderr=told,
            )

    def told(self) -> str:
        return (self.folder / "told").read_text()

    def notes(self, *stages: str) -> list[dict]:
        path = self.observed / "notes"
        notes = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [note for note in notes if not stages or note["stage"] in stages]

    def slurm_jobs(self, *stages: str) -> list[str]:
        """The Slurm jobs in which stages ran, in the order of their start."""
        return list(dict.fromkeys(note["SLURM_JOB_ID"] for note in self.notes(*stages)))

    def finished_runs(self) -> dict[Path, int]:
        """The runs that are finished in the store, and when that was."""
        return {path: path.stat().st_mtime_ns for path in self.results.glob("store/*/finished.json")}


def until(true, process: subprocess.Popen, pipeline: Pipeline) -> None:
    while not true():
        assert process.poll() is None, pipeline.told()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def slurm():
    with cluster() as logs:
        yield logs


@pytest.fixture(scope="module")
def pipeline(slurm, tmp_path_factory):
    """The tiny paper from data to figures: a curve fails, a training is cancelled, a similarity runs out of time."""
    pipeline = Pipeline(tmp_path_factory.mktemp("pipeline"))
    pipeline.go_wrong("curve", "fails")
    pipeline.go_wrong("similarity", "hangs")
    snakemake = pipeline.start()
    try:
        until(pipeline.finished_runs, snakemake, pipeline)
        pipeline.finished_before = pipeline.finished_runs()
        (training,) = pipeline.slurm_jobs("train_together")
        subprocess.run(["scancel", training], check=True)
        snakemake.wait(280)
    finally:
        snakemake.kill()
        snakemake.wait()
    assert snakemake.returncode == 0, pipeline.told()
    return pipeline


def test_jobs_that_fail_are_cancelled_or_run_out_of_time_are_tried_again(pipeline):
    for stage, jobs in (("curve", 2), ("train_together", 2), ("similarity", 3), ("plane", 1)):
        assert len(pipeline.slurm_jobs(stage)) == jobs, stage
    for status in ("FAILED", "CANCELLED", "TIMEOUT"):
        assert f"SLURM status is: '{status}'" in pipeline.told()
    assert pipeline.told().count("Trying to restart job") == 3


def test_cancelled_training_repeats_no_finished_run(pipeline):
    assert len(pipeline.finished_before) == 1
    assert pipeline.finished_before.items() < pipeline.finished_runs().items()


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


def test_jobs_that_only_draw_or_prepare_take_no_device(pipeline):
    for stage in ("prepare_data", "artifact"):
        devices = {note["CUDA_VISIBLE_DEVICES"] for note in pipeline.notes(stage)}
        assert devices <= {None, "", "NoDevFiles"} and pipeline.notes(stage)


def test_figures_share_a_submission(pipeline):
    assert len({note["pid"] for note in pipeline.notes("artifact")}) == 2
    assert len(pipeline.slurm_jobs("artifact")) == 1


def test_nothing_is_half_written_and_nothing_left_to_do(pipeline):
    assert [path for part in ("results", "data") for path in (pipeline.folder / part).rglob("*.part")] == []
    again = pipeline.start("--dry-run")
    assert again.wait(60) == 0
    assert "Nothing to be done" in pipeline.told()


def test_job_that_keeps_failing_is_reported_and_leaves_no_outputs(pipeline):
    table = next(pipeline.results.glob("plane/*/plane.parquet"))
    pipeline.go_wrong("plane", "fails")
    snakemake = pipeline.start("--retries", "0", "--forcerun", "plane")
    assert snakemake.wait(120) == 1
    assert "Error in rule plane" in pipeline.told()
    assert "this stage was asked to fail" in pipeline.told()  # its log is shown
    assert not table.exists()
