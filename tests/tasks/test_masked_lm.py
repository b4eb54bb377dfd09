"""Masked LM as a task: BERT's own loss however it is divided, and a small network that learns the grammar's text."""

import os

import numpy as np
import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from transformers import BertForPreTraining

from tests.shared.recipes import MASKED_LM, WITHOUT_DROPOUT, Kept
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import open_data
from workflow_scripts.datasets.sampling import WHOLE, Share
from workflow_scripts.datasets.text.wordpieces import load_vocabulary
from workflow_scripts.models.language.bert_folder import write_bert
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.tasks import task_of
from workflow_scripts.training import engine

RECIPE = {**MASKED_LM, "model": WITHOUT_DROPOUT}


@pytest.fixture(scope="module")
def text(documents):
    return open_data(documents, torch.device("cpu"))


def losses(task, network, update):
    """The loss of an update, as the engine adds it up, and the metrics of its meter."""
    meter, total = task.meter(), 0.0
    for batch in update.batches:
        loss = task.loss(network, batch)
        meter.add(0, loss, batch)
        total = total + loss.sum / update.total
    return total, meter.read(torch.tensor(True), Processes()).metrics


@pytest.mark.parametrize("together", [15, 4])
def test_the_loss_is_that_of_transformers(text, documents, tmp_path, together):
    task = task_of(RECIPE, text)
    network = task.model()
    write_bert(tmp_path / "bert", network, load_vocabulary(documents))
    theirs = BertForPreTraining.from_pretrained(tmp_path / "bert").train()
    (batch,) = next(iter(task.updates(1, WHOLE))).batches
    tokens, segments, other, chosen, labels, _ = batch.inputs
    marked = torch.full_like(tokens, -100).flatten().index_copy(0, chosen, labels).view_as(tokens)
    expected = theirs(
        input_ids=tokens, token_type_ids=segments, attention_mask=(tokens != 0).long(), labels=marked,
        next_sentence_label=other,
    )  # fmt: skip
    expected.loss.backward()
    task.at_once = {24: together, 48: together}
    update = next(iter(task.updates(1, WHOLE)))
    found, metrics = losses(task, network, update)
    found.backward()
    torch.testing.assert_close(found, expected.loss, rtol=1e-5, atol=0)
    pairs = [(network.words.weight, theirs.bert.embeddings.word_embeddings.weight)]
    pairs += [(network.next.weight, theirs.cls.seq_relationship.weight)]
    for ours, other_weight in pairs:
        torch.testing.assert_close(ours.grad, other_weight.grad, rtol=1e-4, atol=1e-6)
    right = expected.prediction_logits.flatten(0, 1)[chosen].argmax(1) == labels
    assert metrics["loss"] == pytest.approx(expected.loss.item(), rel=1e-5)
    assert metrics["masked_lm_accuracy"] == pytest.approx(100 * right.double().mean().item())
    following = (expected.seq_relationship_logits.argmax(1) == other).double().mean().item()
    assert metrics["next_sentence_accuracy"] == pytest.approx(100 * following)


def test_shares_and_parts_add_up_to_the_whole_gradient(text):
    def gradient(together, *shares):
        task = task_of(RECIPE, text)
        task.at_once = {24: together, 48: together}
        network = task.model()
        for share in shares:
            losses(task, network, next(iter(task.updates(3, share, 1))))[0].backward()
        return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])

    whole = gradient(15, WHOLE)
    for other in (gradient(4, WHOLE), gradient(15, Share(0, 2), Share(1, 2)), gradient(4, Share(0, 2), Share(1, 2))):
        torch.testing.assert_close(other, whole, rtol=1e-4, atol=1e-6)


def test_updates_go_on_anywhere_and_phases_have_their_lengths(text):
    task = task_of(RECIPE, text)

    def tokens(epoch, start=0):
        return [next(iter(update.batches)).inputs[0].tolist() for update in task.updates(epoch, WHOLE, start)]

    assert len(tokens(2)) == task.steps == 4 and tokens(2, 3) == tokens(2)[3:]
    longest = [max(len(batch[0]) for batch in tokens(epoch)) for epoch in (1, 2, 3)]
    assert longest[:2] == [24, 24] and 24 < longest[2] <= 48


def test_the_text_is_learned(text):
    """Better than to know how often each word piece is: the loss falls below that distribution's entropy."""
    labels = np.concatenate([pairs.labels.numpy() for pairs in text.masked_batches("test", 64, 24)])
    shares = np.bincount(labels)[np.unique(labels)] / len(labels)
    entropy = -(shares * np.log(shares)).sum()
    more = {"batch_size": 64, "updates_per_epoch": 20, "optimizer": {"name": "adamw"}, "epochs": 4, "evaluate_every": 4}
    recipe = {**RECIPE, **more, "lengths": [[4, 24]]}
    task = task_of(recipe, text)
    progress = engine.begin(recipe, task, {})
    before = task.evaluate(progress.model.eval(), Processes())
    engine.train(recipe, task, progress, {}, Kept())
    after = task.evaluate(progress.model.eval(), Processes())
    assert after["masked_lm_loss"] < entropy - 0.2 < entropy < before["masked_lm_loss"]
    assert after["loss"] < before["loss"] and after["masked_lm_accuracy"] > 15 > before["masked_lm_accuracy"]
    assert set(after) == set(task.metrics["validation"])


WRONG = {
    "longer than the network": ({"lengths": [[2, 24], [1, 65]]}, "65 tokens are longer than the 64 places"),
    "another network": (
        {"model": {"name": "transformer"}},
        "'transformer' is one of parallel text, but the data are documents",
    ),
    "a pair too short": ({"lengths": [[3, 4]]}, "the tokens of a pair in lengths is 4; it must be .* at least 5"),
    "too few phases": ({"lengths": [[2, 24]]}, "lengths has 2 epochs, but the training has 3"),
    "no updates": ({"updates_per_epoch": 0}, "updates_per_epoch is 0; it must be a whole number of at least 1"),
    "no lengths": ({"lengths": None}, "a recipe of the task masked_lm needs lengths too"),
}


@pytest.mark.parametrize(("own", "sentence"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_trained_is_told(text, own, sentence):
    recipe = {key: value for key, value in {**RECIPE, **own}.items() if value is not None}
    with pytest.raises(InputError, match=sentence):
        task_of(recipe, text)


def test_other_data_and_too_many_processes_are_told(text, tiny_data):
    with pytest.raises(InputError, match="tiny holds no documents"):
        task_of(RECIPE, tiny_data)
    with pytest.raises(InputError, match="a batch of 15 sequences cannot be shared by 16 processes"):
        task_of(RECIPE, text).check(Processes(0, 16))
