"""Translation as a task: its losses are torch's and the papers' formulas, shares add up, Cutoff cuts pieces alone."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from tests.shared.recipes import TRANSLATION
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.sampling import WHOLE, Share
from workflow_scripts.datasets.text.parallel_text import ParallelText
from workflow_scripts.datasets.text.pieces import PAD, SPECIALS, UNKNOWN
from workflow_scripts.models.language.transformer import moved
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.stages.translate import translated
from workflow_scripts.tasks import task_of
from workflow_scripts.tasks.translation import CUT, cross_entropy, cut_off, divergence
from workflow_scripts.training import optimizers

RECIPE = TRANSLATION


@pytest.fixture(scope="module")
def text(said):
    return ParallelText(said)


def test_smoothed_cross_entropy_is_torchs():
    logits, labels = torch.randn(7, 11, dtype=torch.float64), torch.arange(7)
    smoothed, plain = cross_entropy(logits, labels, 0.1)
    torch.testing.assert_close(smoothed, F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="sum"))
    torch.testing.assert_close(plain, F.cross_entropy(logits, labels, reduction="sum"))


def test_divergence_takes_the_mean_of_the_logits():
    one, two = torch.randn(2, 5, 9, dtype=torch.float64)
    p, q, m = ((x.exp() / x.exp().sum(1, keepdim=True)).numpy() for x in (one, two, (one + two) / 2))
    expected = sum(0.5 * (m * np.log(m / other)).sum() for other in (p, q))
    assert divergence(one, two).item() == pytest.approx(expected, rel=1e-12)
    assert divergence(one, one).item() == pytest.approx(0, abs=1e-12)


def test_cutoff_hides_pieces_and_never_marks():
    tokens = torch.randint(0, 50, (400, 100), generator=torch.Generator().manual_seed(1))
    hidden = cut_off(tokens, torch.Generator().manual_seed(2))
    changed = hidden != tokens
    assert (tokens[changed] >= len(SPECIALS)).all() and (hidden[changed] == UNKNOWN).all()
    assert changed.sum() / (tokens >= len(SPECIALS)).sum() == pytest.approx(CUT, rel=0.1)


@pytest.mark.parametrize("cutoff", [False, True])
def test_a_loss_is_the_mean_over_target_tokens(text, cutoff, monkeypatch):
    monkeypatch.setattr("workflow_scripts.tasks.translation.CUT", 0.0)  # both copies are then the same
    task = task_of({**RECIPE, "cutoff": cutoff}, text)
    network = task.model().double()
    (update,) = list(task.updates(1, WHOLE))[:1]
    (batch,) = update.batches
    source, target = batch.inputs[:2]
    found = task.loss(network, batch)
    logits = network(source, moved(target)).transpose(1, 2)
    plain = F.cross_entropy(logits, target, ignore_index=PAD, reduction="sum")
    smoothed = F.cross_entropy(logits, target, ignore_index=PAD, label_smoothing=0.1, reduction="sum")
    assert update.total == batch.size == (target != PAD).sum()
    torch.testing.assert_close(found.sum.double(), smoothed, rtol=1e-6, atol=0)
    copies = 1 + cutoff
    torch.testing.assert_close(found.facts[0].double(), copies * plain, rtol=1e-6, atol=0)
    assert found.facts[1] == copies * update.total


@pytest.mark.parametrize("cutoff", [False, True])
def test_shares_add_up_to_the_whole_gradient(text, cutoff):
    task = task_of({**RECIPE, "cutoff": cutoff}, text)

    def gradient(*shares):
        network = task.model()
        for share in shares:
            update = next(iter(task.updates(3, share)))
            for batch in update.batches:
                (task.loss(network, batch).sum / update.total).backward()
        return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])

    torch.testing.assert_close(gradient(WHOLE), gradient(Share(0, 2), Share(1, 2)), rtol=1e-4, atol=1e-6)


def test_updates_go_on_anywhere(text):
    task = task_of(RECIPE, text)
    whole = [update.batches[0].inputs[0].tolist() for update in task.updates(2, WHOLE)]
    assert len(whole) == task.steps == 6
    assert [update.batches[0].inputs[0].tolist() for update in task.updates(2, WHOLE, 4)] == whole[4:]


def test_what_is_learned_by_heart_is_translated(text):
    task = task_of({**RECIPE, "updates_per_epoch": 240, "batch_tokens": 300}, text)
    network = task.model()
    optimizer = optimizers.build({"name": "radam"}, network)
    before = task.evaluate(network.eval(), Processes())
    meter = task.meter()
    network.train()
    for number, update in enumerate(task.updates(1, WHOLE)):
        optimizers.set_rate(optimizer, 0.01)
        optimizer.zero_grad()
        (batch,) = update.batches
        loss = task.loss(network, batch)
        (loss.sum / update.total).backward()
        meter.add(number, loss, batch)
        optimizer.step()
    reading = meter.read(torch.tensor(True), Processes())
    after = task.evaluate(network.eval(), Processes())
    assert reading.bad is None and reading.finite and set(reading.metrics) == {"loss", "perplexity"}
    assert after["perplexity"] < 1.5 < 50 < before["perplexity"] and after["loss"] < before["loss"]
    references, right = text.words("test", "target"), 0
    for batch in text.batches("test", 400):
        lines = translated(network, batch.source, text, {"beam": 3, "length_penalty": 1.0})
        right += sum(line == references[number] for line, number in zip(lines, batch.index.tolist(), strict=True))
    assert right > 40  # of 60


def test_other_data_is_told(tiny_data):
    with pytest.raises(InputError, match="tiny is no parallel text"):
        task_of(RECIPE, tiny_data)


def test_a_range_test_takes_text(text, stage, tmp_path):
    recipe = {
        **RECIPE,
        "updates_per_epoch": 20,
        "optimizer": {"name": "radam"},
        "schedule": {"name": "exponential_range", "lr_min": 1e-4, "lr_max": 1e-2},
        "window": 0.05,
    }
    arguments = ("--recipe", json.dumps(recipe), "--data", text.folder, "--out", tmp_path / "out")
    assert stage("range_test", *arguments) == (0, "")
    table = pd.read_parquet(tmp_path / "out" / "range_test.parquet")
    assert len(table) == 20 and table["rate"].iloc[-1] == pytest.approx(1e-2)
