"""Answering questions as a task: BERT's loss, where a training begins, and a small network that learns to answer."""

import itertools
import os
import shutil

import numpy as np
import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from transformers import BertForQuestionAnswering

from tests.shared.jobs import finish
from tests.shared.recipes import ANSWERING, MASKED_LM, WITHOUT_DROPOUT, Kept
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import open_data
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.datasets.sampling import WHOLE, Share
from workflow_scripts.datasets.text.wordpieces import load_vocabulary, word_piece_tokenizer
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.generation.answers import LONGEST, scores
from workflow_scripts.generation.spans import Spans
from workflow_scripts.models import checkpoints
from workflow_scripts.models.language.bert import PreTraining
from workflow_scripts.models.language.bert_folder import write_bert
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.tasks import task_of
from workflow_scripts.training import engine
from workflow_scripts.training.job import Job

RECIPE = {**ANSWERING, "model": WITHOUT_DROPOUT}
FOLDER = {**RECIPE, "pretrained": {"folder": "bert_tiny"}}


@pytest.fixture(scope="module")
def text(questions):
    return open_data(questions, torch.device("cpu"))


@pytest.fixture(scope="module")
def pretrained(documents, tmp_path_factory):
    """The folder of a pre-training of an epoch, and its recipe."""
    recipe = {**MASKED_LM, "model": WITHOUT_DROPOUT, "epochs": 1, "lengths": [[1, 24]]}
    return finish(Job(recipe, {"epoch-1": 4}), documents, tmp_path_factory.mktemp("pretrained")), recipe


def loss_of(task, network, update):
    return sum(task.loss(network, batch).sum for batch in update.batches) / update.total


def test_the_loss_is_that_of_transformers(text, questions, tmp_path):
    """Of each window without padding, in which no answer can be; the mean over all."""
    task = task_of(RECIPE, text)
    network = task.model()
    write_bert(tmp_path / "bert", network, load_vocabulary(questions))
    theirs = BertForQuestionAnswering.from_pretrained(tmp_path / "bert").train()
    update = next(iter(task.updates(1, WHOLE)))
    (batch,) = update.batches
    rows = []
    for tokens, segments, start, end, _ in zip(*batch.inputs, strict=True):
        real = int((tokens != 0).sum())
        places = {"start_positions": start[None], "end_positions": end[None]}
        rows.append(theirs(input_ids=tokens[None, :real], token_type_ids=segments[None, :real], **places).loss)
    expected = torch.stack(rows).mean()
    expected.backward()
    found = loss_of(task, network, update)
    found.backward()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(
        network.words.weight.grad, theirs.bert.embeddings.word_embeddings.weight.grad, rtol=1e-4, atol=1e-6
    )


def test_shares_and_parts_add_up_to_the_whole_gradient(text):
    def gradient(together, *shares):
        task = task_of(RECIPE, text)
        task.at_once = {48: together}
        network = task.model()
        for share in shares:
            loss_of(task, network, next(iter(task.updates(2, share, 1)))).backward()
        return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])

    whole = gradient(15, WHOLE)
    for other in (gradient(4, WHOLE), gradient(15, Share(0, 2), Share(1, 2)), gradient(4, Share(0, 2), Share(1, 2))):
        torch.testing.assert_close(other, whole, rtol=1e-4, atol=1e-6)


def test_the_best_part_of_all_windows_is_the_answer(text):
    """Against a search of every part of every window, word for word; windows of few tokens, so many of a question."""
    cut, random = (30, 8), torch.Generator().manual_seed(0)
    spans, logits = Spans(text, "test", *cut), {}
    for windows in spans.batches(50):
        start, end = torch.randn(2, *windows.tokens.shape, generator=random)
        spans.add(windows, start, end)
        logits |= {int(n): (s.tolist(), e.tolist()) for n, s, e in zip(windows.index, start, end, strict=True)}
    found, asked, all_windows = spans.texts(), text.texts("test")[1], spans.windows
    assert len(logits) == len(all_windows) > 2 * len(asked) == 2 * len(found)
    assert spans.expected()[asked[3].id] == [answer for _, answer in asked[3].answers]
    for question in range(0, len(asked), 25):
        best = []
        for number in np.flatnonzero(all_windows.question == question).tolist():
            first = int(all_windows.first[number])
            last = first + int(all_windows.stop[number] - all_windows.begin[number])
            start, end = logits[number]
            for one, two in itertools.combinations_with_replacement(range(first, last), 2):
                if two - one < LONGEST:
                    best.append((start[one] + end[two], number, one, two))
        _, number, one, two = max(best)
        assert found[asked[question].id] == text.text_between("test", number, one, two, *cut)


def test_questions_are_learned_to_be_answered(text):
    more = {"batch_size": 32, "updates_per_epoch": 40, "epochs": 5, "evaluate_every": 5, "length": 64, "stride": 32}
    recipe = {**RECIPE, **more}
    task = task_of(recipe, text)
    progress = engine.begin(recipe, task, {})
    before = task.evaluate(progress.model.eval(), Processes())
    engine.train(recipe, task, progress, {}, Kept())
    table = progress.history.table("x").set_index(["epoch", "split", "metric"])["value"]
    after = task.evaluate(progress.model.eval(), Processes())
    assert before["exact_match"] < 5 and before["f1"] < 15
    assert after["exact_match"] > 50 and after["f1"] >= after["exact_match"] and after["loss"] < before["loss"] / 3
    assert table[5, "test", "exact_match"] == after["exact_match"]


def test_exact_match_and_f1_are_of_the_answers(text):
    task = task_of(RECIPE, text)
    network = task.model().eval()
    measured, spans = task.evaluate(network, Processes()), Spans(text, "test", 48, 16)
    with torch.inference_mode():
        for windows in spans.batches(7):
            spans.add(windows, *network(windows.tokens, windows.segments))
    match, overlap = scores(spans.texts(), spans.expected())
    assert (measured["exact_match"], measured["f1"]) == pytest.approx((match, overlap))


# Where a training begins


def encoder(state):
    return {name: state[name] for name in state if name.startswith(("words", "places", "segments", "norm", "layers"))}


def test_a_runs_checkpoint_is_gone_on_from(text, pretrained):
    folder, recipe = pretrained
    source = folder / "checkpoints" / "epoch-1.safetensors"
    begins = {"run": folder.name, "at": "epoch-1", "model": recipe["model"]}
    state = task_of({**RECIPE, "pretrained": begins}, text, source).model().state_dict()
    before = checkpoints.load(source).state
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder(state).items())
    fresh = task_of(RECIPE, text).model().state_dict()
    assert torch.equal(state["answer.weight"], fresh["answer.weight"])
    assert not torch.equal(state["words.weight"], fresh["words.weight"])


def test_a_folder_is_begun_with_and_its_change_begins_anew(text, questions, tmp_path, stage):
    """By the stage's command line; the run is known by the folder's name, but rests on what is in it."""
    weights = []
    for seed in (1, 2):
        network = PreTraining(text.info.vocabulary["text"], **options())
        network.initialise(1.0, torch.Generator().manual_seed(seed))
        shutil.rmtree(tmp_path / "bert", ignore_errors=True)
        write_bert(tmp_path / "bert", network, load_vocabulary(questions))
        job = canonical({"recipe": {**FOLDER, "epochs": 1}, "checkpoints": {"epoch-0": 0}})
        arguments = ("--job", job, "--data", questions, "--out", tmp_path / "runs" / "x", "--device", "cpu")
        assert stage("train", *arguments, "--pretrained", tmp_path / "bert")[0] == 0
        state = checkpoints.load(tmp_path / "runs" / "x" / "checkpoints" / "epoch-0.safetensors").state
        assert all(torch.equal(t, network.state_dict()[name]) for name, t in encoder(state).items())
        weights.append(state["words.weight"])
    assert not torch.equal(*weights)
    told, _ = stage("train", *arguments)
    assert "the training begins with the checkpoint bert_tiny, but it is not known where that is" in told
    assert "data.sources.bert_tiny" in told


def test_a_range_test_begins_with_the_checkpoint(text, questions, pretrained, tmp_path, stage):
    folder, recipe = pretrained
    sweep = {"name": "exponential_range", "lr_min": 1e-5, "lr_max": 1e-3}
    begins = {"run": folder.name, "at": "epoch-1", "model": recipe["model"]}
    tested = canonical({**RECIPE, "pretrained": begins, "schedule": sweep, "window": 0.05})
    arguments = ("--recipe", tested, "--data", questions, "--out", tmp_path / "x", "--device", "cpu")
    source = folder / "checkpoints" / "epoch-1.safetensors"
    assert stage("range_test", *arguments, "--pretrained", source) == (0, "")
    found = read_table(tmp_path / "x" / "range_test.parquet", "range_test").frame
    task = task_of({**RECIPE, "pretrained": begins}, text, source)
    with torch.no_grad():
        first = loss_of(task, task.model(), next(iter(task.updates(1, WHOLE))))
    assert len(found) == 4 and found.loss[0] == pytest.approx(first.item(), rel=1e-5)
    assert "it is not known where that is" in stage("range_test", *arguments)[0]


def options(**own):
    return {key: value for key, value in {**WITHOUT_DROPOUT, **own}.items() if key != "name"}


def folders(path, vocabulary):
    """Checkpoint folders that do not fit, by what is wrong with them."""
    size = vocabulary.get_vocab_size()
    other = {f"x{number}" if number >= 5 else name: number for name, number in vocabulary.get_vocab().items()}
    kinds = {
        "vocabulary": (size, {}, word_piece_tokenizer(other, True)),
        "size": (size, {"layers": 2}, vocabulary),
        "fewer": (size - 1, {}, word_piece_tokenizer(dict(sorted(other.items(), key=lambda i: i[1])[:-1]), True)),
    }
    for name, (count, own, words) in kinds.items():
        write_bert(path / name, PreTraining(count, **options(**own)), words)


def test_checkpoints_that_do_not_fit_are_told(text, questions, pretrained, tmp_path):
    folders(tmp_path, load_vocabulary(questions))
    run = pretrained[0] / "checkpoints" / "epoch-1.safetensors"
    wider = {**RECIPE, "model": {**WITHOUT_DROPOUT, "ffn": 80}, "pretrained": {"run": "x", "at": "epoch-1"}}
    wrong = [
        (FOLDER, tmp_path / "vocabulary", "prepared with other word pieces than those of .*vocabulary, though as many"),
        (FOLDER, tmp_path / "size", "is of another size than the network, .* has to have layers 2"),
        (FOLDER, tmp_path / "fewer", r"145 word pieces, but the network has 146"),
        (FOLDER, tmp_path / "nothing", "there is no checkpoint at"),
        (wider, run, "is of another size than the network, .* ffn 64"),
    ]
    for recipe, source, sentence in wrong:
        with pytest.raises(InputError, match=sentence):
            task_of(recipe, text, source).model()


WRONG = {
    "longer than the network": ({"length": 65}, "65 tokens are longer than the 64 places that the network knows"),
    "no room": ({"length": 8}, "windows of 8 tokens have no room for a question"),
    "gaps": ({"length": 40, "stride": 30}, "leave out parts of a paragraph; choose a stride of at most"),
    "half a stride": ({"stride": 2.5}, "stride is 2.5; it must be a whole number"),
    "no stride": ({"stride": None}, "a recipe of the task question_answering needs stride too"),
}


@pytest.mark.parametrize(("own", "sentence"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_trained_is_told(text, own, sentence):
    recipe = {key: value for key, value in {**RECIPE, **own}.items() if value is not None}
    with pytest.raises(InputError, match=sentence):
        task_of(recipe, text)


def test_documents_are_no_questions(documents):
    with pytest.raises(InputError, match="grammar_documents holds no questions"):
        task_of(RECIPE, open_data(documents, torch.device("cpu")))


def test_an_answer_that_is_not_in_its_paragraph_is_told(questions, tmp_path):
    (tmp_path / "dataset.yaml").write_text("form: questions\n")
    for split in ("train", "test"):
        said = (questions / f"{split}.json").read_text()
        (tmp_path / f"{split}.json").write_text(said.replace('"answer_start": ', '"answer_start": 9', 1))
    with pytest.raises(InputError, match=r"the answer .* is not at character 9"):
        prepare("mine", tmp_path / "out", tmp_path)
