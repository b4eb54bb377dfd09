"""The stage `answer`: against transformers from the text on, against SQuAD's own rules, and alone on anyone's files."""

import json
import os
import re

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from transformers import BertForQuestionAnswering, PreTrainedTokenizerFast

from tests.shared.jobs import finish
from tests.shared.recipes import ANSWERING, WITHOUT_DROPOUT
from tests.shared.squad import official_scores
from workflow_scripts.datasets.opened import open_data
from workflow_scripts.datasets.text.squad import read_squad
from workflow_scripts.datasets.text.wordpieces import load_vocabulary, word_piece_tokenizer
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.models import checkpoints
from workflow_scripts.models.language.bert import PreTraining, QuestionAnswering
from workflow_scripts.models.language.bert_folder import write_bert
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.training.job import Job

OPTIONS = {key: value for key, value in WITHOUT_DROPOUT.items() if key != "name"}
ROOM = {"length": 36, "stride": 10, "longest_answer": 6}  # few tokens, so that a question has several windows
WORDS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def network(vocabulary, kind=QuestionAnswering, seed=3):
    """One whose weights are large enough that its answers differ."""
    made = kind(vocabulary.get_vocab_size(), **OPTIONS)
    made.initialise(100.0, torch.Generator().manual_seed(seed))
    return made.eval()


@pytest.fixture(scope="module")
def bert(questions, tmp_path_factory):
    """A BERT folder with the word pieces of the questions."""
    words = load_vocabulary(questions)
    folder = tmp_path_factory.mktemp("bert") / "bert"
    write_bert(folder, network(words), words)
    return folder


def asked_of(path, count):
    """A file with the first questions of another."""
    document = json.loads(path.read_text())
    left = count
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            paragraph["qas"] = paragraph["qas"][:left]
            left -= len(paragraph["qas"])
    return document


@pytest.fixture(scope="module")
def asked(questions, tmp_path_factory):
    """A file of forty questions in SQuAD's form."""
    path = tmp_path_factory.mktemp("asked") / "asked.json"
    path.write_text(json.dumps(asked_of(questions / "test.json", 40)))
    return path


def theirs(bert, path):
    """Answers from the text on by transformers' tokenizer, windows and network: the best part of any window."""
    model = BertForQuestionAnswering.from_pretrained(bert).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(bert / "tokenizer.json"), **WORDS)
    contexts, questions = read_squad(path)
    found, windows = {}, 0
    for question in questions:
        context = contexts[question.context]
        room = ROOM["length"] - 3 - len(tokenizer(question.text, add_special_tokens=False)["input_ids"])
        made = tokenizer(
            question.text, context, truncation="only_second", max_length=ROOM["length"], stride=room - ROOM["stride"],
            return_overflowing_tokens=True, return_offsets_mapping=True, return_token_type_ids=True,
        )  # fmt: skip
        best = []
        for row, offsets in enumerate(made["offset_mapping"]):
            tokens, segments = (torch.tensor([made[key][row]]) for key in ("input_ids", "token_type_ids"))
            with torch.no_grad():
                logits = model(input_ids=tokens, token_type_ids=segments)
            places = [place for place, of in enumerate(made.sequence_ids(row)) if of == 1]
            best += [
                (logits.start_logits[0, one] + logits.end_logits[0, two], offsets[one][0], offsets[two][1])
                for one in places for two in places if one <= two < one + ROOM["longest_answer"]
            ]  # fmt: skip
            windows += 1
        _, begin, end = max(best)
        found[question.id] = context[begin:end]
    assert windows > 2 * len(questions)
    return found


def test_answers_are_those_of_transformers(bert, asked, tmp_path, stage):
    expected = theirs(bert, asked)
    arguments = ("--questions", asked, "--checkpoint", bert, "--recipe", canonical(ROOM), "--device", "cpu")
    status, printed = stage("commands.answer", *arguments, "--out", tmp_path / "answers.json")
    assert status == 0
    assert json.loads((tmp_path / "answers.json").read_text()) == expected
    assert len(set(expected.values())) > 10
    match, overlap = official_scores(json.loads(asked.read_text()), expected)
    assert f"40 questions: exact match {match:.2f} %, F1 {overlap:.2f} %" in printed


def test_every_trial_has_a_row_and_its_scores(questions, asked, tmp_path, stage):
    """Of trainings as they are made, whose answers alone, by their files, are scored by SQuAD's rules."""
    recipe = {**ANSWERING, "epochs": 1, "evaluate_every": 1, "updates_per_epoch": 30, "batch_size": 30}
    runs = [finish(Job({**recipe, "seed": seed}, {"epoch-1": 30}), questions, tmp_path) for seed in (1, 2)]
    trials = [run / "checkpoints" / "epoch-1.safetensors" for run in runs]
    measure = {"length": 48, "stride": 16, "longest_answer": 30, "model": recipe["model"], "data": recipe["data"]}
    running = ("--data", questions, "--device", "cpu")
    arguments = (
        "--recipe",
        canonical(measure),
        "--checkpoints",
        *trials,
        "--out",
        tmp_path / "answers" / "x",
        *running,
    )
    assert stage("answer", *arguments)[0] == 0
    table = read_table(tmp_path / "answers" / "x" / "answers.parquet", "answers").frame
    assert list(table.run) == [run.name for run in runs] and set(table.questions) == {len(questions_of(questions))}
    for trial, run, row in zip(trials, runs, table.itertuples(), strict=True):
        # The checkpoint is answered with alone, and evaluated at the training's end.
        out = tmp_path / "alone.json"
        alone = ("--questions", questions / "test.json", "--checkpoint", trial, "--recipe", canonical(measure))
        assert stage("commands.answer", *alone, "--out", out, *running)[0] == 0
        expected = official_scores(json.loads((questions / "test.json").read_text()), json.loads(out.read_text()))
        assert (row.exact_match, row.f1) == pytest.approx(expected)
        trained = read_table(run / "metrics.parquet", "metrics").frame.set_index(["epoch", "split", "metric"])["value"]
        assert row.exact_match == pytest.approx(trained[1, "test", "exact_match"])
        assert row.f1 == pytest.approx(trained[1, "test", "f1"])


def questions_of(folder):
    return open_data(folder, torch.device("cpu")).texts("test")[1]


def changed(path, folder, old, new):
    said = path.read_text()
    assert old in said
    (folder / "changed.json").write_text(said.replace(old, new, 1))
    return folder / "changed.json"


def of_numbers(vocabulary, count):
    """Other word pieces, as many as that."""
    numbers = {f"x{n}" if n >= 5 else word: n for word, n in vocabulary.get_vocab().items() if n < count}
    return word_piece_tokenizer(dict(sorted(numbers.items(), key=lambda each: each[1])), True)


def untrained(folder, words):
    write_bert(folder / "untrained", network(words, PreTraining), words)
    return {"checkpoint": folder / "untrained"}


def fewer_pieces(folder, words):
    write_bert(folder / "fewer", network(words), words)
    of_numbers(words, words.get_vocab_size() - 1).save(str(folder / "fewer" / "tokenizer.json"))
    return {"checkpoint": folder / "fewer"}


def of_a_run(folder, words):
    checkpoints.save(folder / "run.safetensors", network(words).state_dict(), {"model": WITHOUT_DROPOUT})
    return {"checkpoint": folder / "run.safetensors"}


def other_pieces(folder, words):
    other = folder / "other"
    other.mkdir()
    of_numbers(words, words.get_vocab_size() - 1).save(str(other / "tokenizer.json"))
    return {**of_a_run(folder, words), "data": other}


MISTAKES = {
    "an answer elsewhere": (
        lambda folder, words, asked: {"questions": changed(asked, folder, '"answer_start": ', '"answer_start": 9')},
        r"the answer '.*' is not at character 9",
    ),
    "no JSON": (lambda folder, words, asked: {"questions": changed(asked, folder, "{", "")}, "is not JSON"),
    "no form": (
        lambda folder, words, asked: {"questions": changed(asked, folder, '"qas"', '"asked"')},
        "is not in the form of SQuAD",
    ),
    "no file": (lambda folder, words, asked: {"questions": folder / "none.json"}, "none.json cannot be read"),
    "never fine-tuned": (lambda folder, words, asked: untrained(folder, words), "has no weights that find answers"),
    "fewer word pieces": (
        lambda folder, words, asked: fewer_pieces(folder, words),
        r"145 word pieces, but the network has 146|146 word pieces, but the network has 145",
    ),
    "a run's file without its text": (
        lambda folder, words, asked: of_a_run(folder, words),
        "is no folder that has word",
    ),
    "a run's file with another text": (
        lambda folder, words, asked: other_pieces(folder, words),
        "checkpoint of another model: tensor 'words.weight'",
    ),
    "longer than the network": (
        lambda folder, words, asked: {"recipe": canonical({**ROOM, "length": 65})},
        "windows of 65 tokens are longer than the 64 places",
    ),
    "gaps": (lambda folder, words, asked: {"recipe": canonical({**ROOM, "stride": 30})}, "leave out parts"),
    "no length": (lambda folder, words, asked: {"recipe": '{"length": 36}'}, "the JSON lacks stride, longest_answer"),
    "half a token": (
        lambda folder, words, asked: {"recipe": canonical({**ROOM, "longest_answer": 0.5})},
        "longest_answer is 0.5; it must be a whole number",
    ),
}


@pytest.mark.parametrize(("mistake", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_a_sentence(mistake, sentence, bert, asked, questions, tmp_path, stage):
    given = {"questions": asked, "checkpoint": bert, "recipe": canonical(ROOM), "device": "cpu"}
    given |= mistake(tmp_path, load_vocabulary(questions), asked)
    out = tmp_path / "answers.json"
    arguments = (word for key, value in given.items() for word in (f"--{key}", value))
    told, _ = stage("commands.answer", *arguments, "--out", out)
    assert isinstance(told, str) and re.search(sentence, told) and not out.exists()


def test_data_without_questions_is_told(documents, tmp_path, stage):
    words, path = load_vocabulary(documents), tmp_path / "run.safetensors"
    checkpoints.save(path, network(words, PreTraining).state_dict(), {"model": WITHOUT_DROPOUT})
    arguments = ("--recipe", canonical(ROOM), "--checkpoints", path, "--data", documents, "--out", tmp_path / "answers")
    told, _ = stage("answer", *arguments, "--device", "cpu")
    assert "grammar_documents holds no questions" in told


def test_help_shows_how_it_is_used_alone(stage):
    printed = stage("commands.answer", "--help")[1]
    assert "dev-v1.1.json" in printed and "longest_answer" in printed and "--questions" in printed
