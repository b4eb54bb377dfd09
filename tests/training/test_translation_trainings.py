"""Translation and Cutoff as jobs: killed they end in the same bits, two processes come to what one comes to, and the
checkpoints that are no single update's state are what they are called."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.shared.jobs import ENVIRONMENT, ends_in_the_same_bits, finish, job_arguments, same_run
from tests.shared.recipes import TRANSLATION
from workflow_scripts.datasets.text.parallel_text import ParallelText
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.models import checkpoints
from workflow_scripts.training.job import Job, Trainer
from workflow_scripts.training.settings import Settings

ROOT = Path(__file__).parents[2]
DROPOUT = {**TRANSLATION["model"], "dropout": 0.2}
RECIPES = {
    "translation": {**TRANSLATION, "model": DROPOUT},
    "cutoff": {
        **TRANSLATION,
        "model": {**DROPOUT, "attention_dropout": 0.1, "activation_dropout": 0.1, "share": "all"},
        "optimizer": {"name": "adam", "betas": [0.9, 0.98], "eps": 1e-9, "weight_decay": 1e-4},
        "schedule": {"name": "inverse_sqrt", "lr": 0.005, "warmup": {"epochs": 1}},
        "clip": None,
        "cutoff": True,
    },
}


def states(out, *labels):
    """States of a run's checkpoints."""
    return [checkpoints.load(out / "checkpoints" / f"{label}.safetensors").state for label in labels]


def test_a_training_that_is_killed_ends_in_the_same_bits(said, tmp_path):
    """Of a training with a best and an averaged checkpoint; snapshots are taken after every update."""
    recipe = {**RECIPES["translation"], "epochs": 9}
    job = Job(recipe, {"iteration-2": 2, "epoch-3": 18, "epoch-9": 54, "best": 54, "average-5": 54})
    ends_in_the_same_bits(job, said, tmp_path, epochs=4)


@pytest.mark.parametrize(("name", "optimizer"), [("translation", torch.optim.RAdam), ("cutoff", torch.optim.Adam)])
def test_a_training_goes_on_inside_an_epoch(name, optimizer, said, tmp_path, monkeypatch):
    """Stopped after the fourth of an epoch's six updates, it computes the other two alone."""
    job = Job(RECIPES[name], {"iteration-11": 11, "best": 24, "average-2": 24})
    computed, step = [], optimizer.step

    def counted(self, *arguments):
        computed.append(self)
        if len(computed) == 11:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(optimizer, "step", counted)
    with pytest.raises(KeyboardInterrupt):
        Trainer(Settings(said, tmp_path / "store", "cpu", snapshot_seconds=0)).finish(job)
    ended = finish(job, said, tmp_path, snapshot_seconds=0)
    assert len(computed) == 11 + 24 - 10
    same_run(ended, finish(job, said, tmp_path / "whole"))


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_come_to_what_one_comes_to(name, said, tmp_path):
    """Processes have other numbers of target tokens, and the mean is over the tokens of both; Cutoff cuts the same.
    Of the batch that has one sentence one of them has none.

    Without dropout, and by SGD: Adam's step is of full size where a gradient is 0 but for rounding.
    """
    own = {"optimizer": {"name": "sgd", "momentum": 0.9}, "schedule": {"name": "linear", "lr": 0.5}}
    own["model"] = {key: 0.0 if "dropout" in key else value for key, value in RECIPES[name]["model"].items()}
    job = Job({**RECIPES[name], **own}, {"iteration-2": 2, "epoch-4": 24, "best": 24, "average-2": 24})
    sizes = [len(batch) for batch in ParallelText(said).buckets("train", job.recipe["batch_tokens"])]
    assert min(sizes) == 1 and len(sizes) <= 24
    out = tmp_path / "runs" / job.id
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    line = [sys.executable, *together, "-m", "workflow_scripts.stages.train", *job_arguments(job, said, out, tmp_path)]
    done = subprocess.run(list(map(str, line)), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    whole = finish(job, said, tmp_path / "one")
    tables = [read_table(each / "metrics.parquet", "metrics").frame for each in (out, whole)]
    values = [table.set_index(["epoch", "split", "metric"])["value"].to_dict() for table in tables]
    assert len(values[0]) == 20 and values[0] == pytest.approx(values[1], rel=1e-4)
    for label in job.checkpoints:
        for one, other in zip(*(states(each, label)[0].values() for each in (out, whole)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    before, after = states(whole, "iteration-2", "epoch-4")
    assert any((before[name] - tensor).abs().max() > 1e-2 for name, tensor in after.items()), "nothing was trained"


def test_the_best_is_of_the_least_loss_and_the_average_of_the_last(said, tmp_path):
    """With a rate that makes the validation loss rise again before the end."""
    own = {"optimizer": {"name": "sgd", "momentum": 0.9}, "schedule": {"name": "constant", "lr": 2.0}}
    recipe = {**RECIPES["translation"], **own, "epochs": 8}
    every = {f"epoch-{epoch}": 6 * epoch for epoch in range(1, 9)}
    out = finish(Job(recipe, {**every, "best": 48, "average-5": 48}), said, tmp_path)
    table = read_table(out / "metrics.parquet", "metrics").frame
    losses = table.query("split == 'validation' and metric == 'loss'").set_index("epoch")["value"]
    least = int(losses.idxmin())
    assert 1 < least < 8
    (best, chosen, average), last = states(out, "best", f"epoch-{least}", "average-5"), states(out, *list(every)[3:])
    assert all(torch.equal(best[name], chosen[name]) for name in best)
    for name, tensor in average.items():
        torch.testing.assert_close(tensor, torch.stack([state[name] for state in last]).mean(0), rtol=1e-5, atol=1e-6)
        assert not torch.equal(tensor, last[-1][name])
