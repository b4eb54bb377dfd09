"""Two processes that train one run together come to what one process comes to with the same batches."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.shared.recipes import small_recipe
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.sampling import WHOLE, Share, positions
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.schema import read_yaml
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.tasks.base import Batch, Loss
from workflow_scripts.tasks.classification import Classification
from workflow_scripts.tasks.image_meter import ImageMeter

ROOT = Path(__file__).parents[2]
# 40 images in batches of 15, 15 and 10: two processes have 7 and 8, 7 and 8, 5 and 5 of them.
RECIPE = small_recipe(batch_size=15, samples_per_epoch=40, epochs=3)
STEPS = 3


def command(recipe: dict, tiny: Path, out: Path, processes: int, *more: str) -> list[str]:
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    job = json.dumps({"recipe": recipe, "checkpoints": {"epoch-1": STEPS, "epoch-3": 3 * STEPS}})
    arguments = ["--job", job, "--out", str(out), "--data", str(tiny), "--device", "cpu", *more]
    return [sys.executable, *(together if processes > 1 else []), "-m", "workflow_scripts.stages.train", *arguments]


def train(recipe: dict, tiny: Path, results: Path, processes: int) -> tuple[dict, dict]:
    """Weights after the last epoch, and metrics by (epoch, split, metric)."""
    out = results / "runs" / "x"
    done = subprocess.run(command(recipe, tiny, out, processes), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return outputs(out)


def outputs(out: Path) -> tuple[dict, dict]:
    table = read_table(out / "metrics.parquet", "metrics").frame
    metrics = table.set_index(["epoch", "split", "metric"])["value"].to_dict()
    return load_file(out / "checkpoints" / "epoch-3.safetensors"), metrics


def test_two_processes_equal_one(tiny, tmp_path):
    weights, metrics = train(RECIPE, tiny, tmp_path / "one", 1)
    others, also = train(RECIPE, tiny, tmp_path / "two", 2)
    assert metrics.keys() == also.keys() and weights.keys() == others.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-4, atol=1e-6)
    for key, value in metrics.items():
        assert also[key] == pytest.approx(value, rel=1e-5), key
    start = load_file(tmp_path / "one" / "runs" / "x" / "checkpoints" / "epoch-1.safetensors")
    assert any((start[name] - weights[name]).abs().max() > 1e-3 for name in weights), "nothing was trained"


def test_two_processes_that_are_killed_go_on_to_the_same_bits(tiny, tmp_path):
    expected = train(RECIPE, tiny, tmp_path / "whole", 2)
    out = tmp_path / "killed" / "runs" / "x"
    line = command(RECIPE, tiny, out, 2, "--snapshot-seconds", "0")
    process = subprocess.Popen(line, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("killed/store/*/snapshot.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = train(RECIPE, tiny, tmp_path / "killed", 2)
    assert again[1] == expected[1]
    assert all(torch.equal(tensor, expected[0][name]) for name, tensor in again[0].items())


def test_what_the_first_process_finds_wrong_ends_all(tiny, tmp_path):
    recipe = small_recipe(freeze={"part": "classifier", "steps": 3})
    done = subprocess.run(command(recipe, tiny, tmp_path / "runs" / "x", 2), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "a run that freezes a part for a time is trained by one process; give it one GPU" in done.stderr
    assert not (tmp_path / "runs" / "x" / "metrics.parquet").exists()


@pytest.mark.parametrize(("batch", "samples", "images"), [(4, 40, 4), (16, 35, 3), (64, 7, 7)])
def test_a_batch_must_have_an_image_for_each_process(tiny_data, batch, samples, images):
    task = Classification(small_recipe(batch_size=batch, samples_per_epoch=samples), tiny_data)
    task.check(Processes(0, images))
    with pytest.raises(InputError, match=f"a batch of {images} images cannot be shared by {images + 1} processes"):
        task.check(Processes(0, images + 1))


def test_batch_normalisation_needs_gpus():
    with pytest.raises(InputError, match="batch normalisation on GPUs alone"):
        Processes(0, 2).parallel(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), torch.device("cpu"))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shares_are_a_partition_of_every_batch(count):
    parts = [positions(23, 6, Share(rank, count) if count > 1 else WHOLE) for rank in range(count)]
    assert all(sum(sizes) == len(chosen) and len(sizes) == 4 for chosen, sizes in parts)
    for batch, size in enumerate((6, 6, 6, 5)):
        of_batch = [chosen.split(sizes)[batch] for chosen, sizes in parts]
        assert torch.cat(of_batch).tolist() == list(range(6 * batch, 6 * batch + size))
        assert max(map(len, of_batch)) - min(map(len, of_batch)) <= 1


def test_metrics_are_the_same_however_often_they_are_summed(monkeypatch):
    random = torch.Generator().manual_seed(0)
    steps = [(torch.randn(n, 10, generator=random), torch.randint(10, (n,), generator=random)) for n in (8, 8, 8, 3)]
    seen = []
    for held in (1, 100, 1 << 24):
        monkeypatch.setattr("workflow_scripts.tasks.image_meter.HELD", held)
        metrics = ImageMeter()
        for update, (logits, labels) in enumerate(steps):
            metrics.add(update, Loss(torch.tensor(0.0), (logits,)), Batch((None, labels), len(labels)))
        seen.append(metrics.read(torch.tensor(True), Processes()))
    logits, labels = (torch.cat(part) for part in zip(*steps, strict=True))
    loss = nn.functional.cross_entropy(logits.double(), labels).item()
    hits = 100 * np.mean(logits.argmax(1).numpy() == labels.numpy())
    for found, bad, finite in seen:
        assert found == {"loss": pytest.approx(loss, rel=1e-6), "accuracy": pytest.approx(hits)}
        assert bad is None and finite


@pytest.mark.parametrize("bad", [0, 1, 3])
@pytest.mark.parametrize("held", [1, 1 << 24])
def test_metrics_tell_the_first_step_that_is_not_finite(monkeypatch, bad, held):
    monkeypatch.setattr("workflow_scripts.tasks.image_meter.HELD", held)
    metrics = ImageMeter()
    for step, size in enumerate((8, 5, 8, 3)):
        logits = torch.zeros(size, 4)
        if step >= bad:
            logits[-1] = float("nan")
        labels = torch.zeros(size, dtype=torch.long)
        metrics.add(step, Loss(torch.tensor(0.0), (logits,)), Batch((None, labels), size))
    assert metrics.read(torch.tensor(True), Processes()).bad == bad


def test_the_workflow_starts_a_process_for_each_gpu_of_a_run(tmp_path):
    """With two devices in name alone, the processes find no GPU and compute on the CPU."""
    plan = make_plan({**read_yaml(ROOT / "config.yaml"), "papers": ["gotmare2019"]}, ROOT)
    run = next(run for run in plan.runs.values() if "gotmare2019/step" in run.names)
    training = {"device": "auto", "workers": 0, "gpus": {"digits": 2}}
    (tmp_path / "own.yaml").write_text(json.dumps({"papers": ["gotmare2019"], "training": training}))
    target = plan.paths.metrics(run.id)
    line = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", tmp_path]
    line += ["--configfile", tmp_path / "own.yaml", "--cores", "2", "--resources", "gpu=2", "--", target]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "0,1"}
    done = subprocess.run(list(map(str, line)), cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    table = read_table(tmp_path / target, "metrics")
    assert table.provenance["device"] == "2 x cpu"
    assert table.frame.query("split == 'test' and metric == 'accuracy'")["value"].iloc[-1] > 85
