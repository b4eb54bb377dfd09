"""Training jobs: started as processes and killed, or finished in this process; and what they leave."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import torch

from workflow_scripts.evidence.tables import read_table
from workflow_scripts.models import checkpoints
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.training.job import Trainer, export
from workflow_scripts.training.settings import Settings

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def start(stage, *arguments):
    command = [sys.executable, "-m", f"workflow_scripts.stages.{stage}", *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill_at_random(stage, arguments, kills, epochs, chance):
    """Start a stage again and again, each time killing it somewhere after some of its epochs; what was printed."""
    printed = []
    for _ in range(kills):
        process, patience = start(stage, *arguments), chance.randint(2, epochs)
        for line in process.stdout:
            printed.append(line)
            patience -= " epoch " in line
            if patience == 0:
                time.sleep(chance.uniform(0, 0.03))
                process.kill()
        assert process.wait() == -9, "".join(printed[-5:])
    return printed


def job_arguments(job, data, out, results):
    return ["--job", canonical({"recipe": job.recipe, "checkpoints": job.checkpoints}), "--data", data, "--out", out,
            "--results", results, "--device", "cpu", "--snapshot-seconds", 0]  # fmt: skip


def finish(job, data, results, **more):
    """Train in this process; the folder of the outputs."""
    store = Trainer(Settings(data, results / "store", "cpu", **more)).finish(job)
    out = results / "runs" / job.id
    export(store, job, out)
    return out


def same_run(one, other):
    """Whether two folders of outputs hold the same numbers, bit for bit."""
    tables = [read_table(folder / "metrics.parquet", "metrics") for folder in (one, other)]
    assert tables[0].frame.equals(tables[1].frame) and tables[0].status == tables[1].status
    names = [sorted(path.name for path in (folder / "checkpoints").iterdir()) for folder in (one, other)]
    assert names[0] == names[1]
    for name in names[0]:
        a, b = (checkpoints.load(folder / "checkpoints" / name) for folder in (one, other))
        assert a.description == b.description and a.state.keys() == b.state.keys()
        assert all(torch.equal(a.state[key], b.state[key]) for key in a.state), name


def ends_in_the_same_bits(job, data, results, epochs):
    """Kill a training once, let it go on, which computes no epoch a third time, and compare it with one of its own."""
    out = results / "runs" / job.id
    arguments = job_arguments(job, data, out, results)
    printed = kill_at_random("train", arguments, kills=1, epochs=epochs, chance=random.Random(1))
    assert not (out / "metrics.parquet").exists()
    last = start("train", *arguments)
    printed += last.communicate()[0].splitlines()
    assert last.returncode == 0, printed[-5:]
    assert sum(" epoch " in line for line in printed) <= job.recipe["epochs"] + 1
    same_run(out, finish(job, data, results / "whole"))
    assert not leftovers(results)


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.endswith(".part")]
