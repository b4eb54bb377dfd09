"""Pre-training and fine-tuning BERT as jobs: killed, divided among processes or into parts, they come to the same."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.shared.jobs import ENVIRONMENT, ends_in_the_same_bits, finish, job_arguments
from tests.shared.recipes import ANSWERING, MASKED_LM, WITHOUT_DROPOUT
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.models import checkpoints
from workflow_scripts.models.language import memory
from workflow_scripts.training.job import Job

ROOT = Path(__file__).parents[2]
RECIPES = {"masked_lm": MASKED_LM, "question_answering": ANSWERING}


@pytest.fixture(params=RECIPES)
def job(request, documents, questions):
    """A training with dropout and the folder of its data."""
    recipe = RECIPES[request.param]
    folder = documents if request.param == "masked_lm" else questions
    return Job(recipe, {"iteration-2": 2, "epoch-2": 8, "epoch-3": 12}), folder


def without_chance(job):
    """Without dropout, and by SGD: Adam's step is of full size where a gradient is 0 but for rounding."""
    own = {"model": WITHOUT_DROPOUT, "optimizer": {"name": "sgd", "momentum": 0.9}}
    return Job({**job.recipe, **own, "schedule": {"name": "linear", "lr": 0.1}}, job.checkpoints)


def alike(one, other):
    """Whether two runs' outputs are the same but for rounding."""
    tables = [read_table(out / "metrics.parquet", "metrics").frame for out in (one, other)]
    values = [table.set_index(["epoch", "split", "metric"])["value"].to_dict() for table in tables]
    assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-3)
    states = [checkpoints.load(out / "checkpoints" / "epoch-3.safetensors").state for out in (one, other)]
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-3, atol=1e-5)
    before = checkpoints.load(one / "checkpoints" / "iteration-2.safetensors").state
    assert any((before[name] - tensor).abs().max() > 1e-2 for name, tensor in states[0].items()), "nothing was trained"


def test_a_training_that_is_killed_ends_in_the_same_bits(job, tmp_path):
    one, data = job
    one = Job({**one.recipe, "epochs": 9, **lengths(one.recipe)}, {"epoch-3": 12, "epoch-9": 36})
    ends_in_the_same_bits(one, data, tmp_path, epochs=3)


def lengths(recipe):
    return {"lengths": [[4, 24], [5, 48]]} if "lengths" in recipe else {}


def test_two_processes_come_to_what_one_comes_to(job, tmp_path):
    one, data = without_chance(job[0]), job[1]
    out = tmp_path / "runs" / one.id
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    line = [sys.executable, *together, "-m", "workflow_scripts.stages.train", *job_arguments(one, data, out, tmp_path)]
    done = subprocess.run(list(map(str, line)), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    alike(out, finish(one, data, tmp_path / "one"))


def test_accumulation_comes_to_what_whole_batches_come_to(job, tmp_path, monkeypatch):
    """Little memory, so that a batch of 15 is computed in several parts."""
    one, data = without_chance(job[0]), job[1]
    whole = finish(one, data, tmp_path / "whole")
    seen = []
    counted = memory.most_sequences
    monkeypatch.setattr(memory, "ON_CPU", 400_000)
    monkeypatch.setattr(memory, "most_sequences", lambda *given: seen.append(counted(*given)) or seen[-1])
    alike(finish(one, data, tmp_path / "parts"), whole)
    assert seen and all(1 <= count <= 8 for count in seen)
