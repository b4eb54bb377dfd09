"""Translating: the test text scored by BLEU for each trial, and anyone's plain text by anyone's checkpoint."""

import re

import pytest
import torch
from sacrebleu import corpus_bleu
from safetensors.torch import load_file, save_file

from tests.shared.jobs import finish
from tests.shared.recipes import TRANSLATION
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.datasets.text.parallel import TextCodec
from workflow_scripts.datasets.text.parallel_text import ParallelText
from workflow_scripts.datasets.text.pieces import END
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.models import checkpoints
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.stages.translate import translated
from workflow_scripts.training.job import Job

SEARCH = {"beam": 3, "length_penalty": 1.0}
MEASURE = {**SEARCH, "compound_splitting": False}


@pytest.fixture(scope="module")
def runs(said, tmp_path_factory):
    """Two trainings that learn the sentences by heart, so that no translation ends for its length alone."""
    own = {"epochs": 1, "updates_per_epoch": 240, "batch_tokens": 300, "schedule": {"name": "constant", "lr": 0.01}}
    folder = tmp_path_factory.mktemp("runs")
    return [finish(Job({**TRANSLATION, **own, "seed": seed}, {"best": 240}), said, folder) for seed in (1, 2)]


@pytest.fixture(scope="module")
def other_text(said, tmp_path_factory):
    """The same text with fewer pieces."""
    folder = tmp_path_factory.mktemp("other")
    for path in said.parent.glob("*.*"):
        (folder / path.name).write_text(path.read_text().replace("300", "200"))
    prepare("said", folder / "out", folder)
    return folder / "out"


@pytest.fixture(scope="module")
def trials(runs):
    return [run / "checkpoints" / "best.safetensors" for run in runs]


def one_at_a_time(said, trial):
    """The words that a network translates each test sentence to."""
    data, codec = ParallelText(said), TextCodec.load(said, "source")
    network = checkpoints.restore(checkpoints.load(trial), data.info).eval()
    lines = codec.encode(data.words("test", "source"))
    with torch.inference_mode():
        return [translated(network, torch.tensor([[*line, END]]), data, SEARCH)[0] for line in lines]


def test_every_trial_has_a_row_with_its_bleu(runs, trials, said, tmp_path, stage):
    arguments = ("--recipe", canonical(MEASURE), "--data", said, "--out", tmp_path / "out" / "x", "--device", "cpu")
    assert stage("translate", *arguments, "--checkpoints", *trials)[0] == 0
    found = read_table(tmp_path / "out" / "x" / "translation.parquet", "translation").frame
    assert list(found.run) == [run.name for run in runs] and set(found.sentences) == {60}
    references = ParallelText(said).words("test", "target")
    for trial, row in zip(trials, found.itertuples(), strict=True):
        expected = one_at_a_time(said, trial)
        assert row.bleu == pytest.approx(corpus_bleu(expected, [references], tokenize="none").score)
        assert row.length_ratio == pytest.approx(len(" ".join(expected).split()) / len(" ".join(references).split()))
        assert "tok:none" in row.signature
    assert found.bleu.min() > 50


def plain(words):
    """Plain text of English words."""
    return re.sub(r" ([.,?!])", r"\1", words)


def test_a_file_is_translated_line_by_line(said, trials, tmp_path, stage):
    """In its order and written as plain text, whatever the lengths of its lines; one without words stays empty."""
    raw = (said.parent / "test.de").read_text().splitlines()
    raw.insert(7, "")
    (tmp_path / "letter.de").write_text("\r\n".join(raw))  # as Windows ends lines; the last has no end
    arguments = ("--text", tmp_path / "letter.de", "--data", said, "--checkpoint", trials[0], "--device", "cpu")
    asked = ("--out", tmp_path / "letter.en", "--recipe", canonical(SEARCH))
    assert stage("commands.translate", *arguments, *asked)[0] == 0
    expected = [plain(words) for words in one_at_a_time(said, trials[0])]
    expected.insert(7, "")
    assert (tmp_path / "letter.en").read_text() == "".join(f"{line}\n" for line in expected)
    assert len(set(expected)) > 20


def test_an_empty_file_has_no_translation(said, trials, tmp_path, stage):
    (tmp_path / "empty").touch()
    arguments = ("--text", tmp_path / "empty", "--data", said, "--checkpoint", trials[0], "--out", tmp_path / "out")
    assert stage("commands.translate", *arguments)[0] == 0
    assert (tmp_path / "out").read_text() == ""


def bare(trials, folder):
    """A checkpoint that does not say of which model it is, with a prefix before its names."""
    save_file({f"module.{name}": t for name, t in load_file(trials[0]).items()}, folder / "bare.safetensors")
    return folder / "bare.safetensors"


def test_a_checkpoint_that_does_not_say_its_model_is_translated_with(said, trials, tmp_path, stage):
    (tmp_path / "letter.de").write_text("Der Mann sieht das Haus.\n")
    recipes = [SEARCH, {**SEARCH, "model": TRANSLATION["model"]}]
    outs = [tmp_path / "described", tmp_path / "bare"]
    for trial, recipe, out in zip((trials[0], bare(trials, tmp_path)), recipes, outs, strict=True):
        arguments = ("--text", tmp_path / "letter.de", "--data", said, "--checkpoint", trial, "--out", out)
        assert stage("commands.translate", *arguments, "--recipe", canonical(recipe))[0] == 0
    assert outs[0].read_text() == outs[1].read_text() != "\n"


MISTAKES = {
    "encoding": ({"text": "Größe".encode("latin1")}, r"letter\.de line 1 is not UTF-8 \(byte 0xf6\)"),
    "no file": ({"text": None}, r"letter\.de cannot be read"),
    "no beams": ({"recipe": '{"beam": 0, "length_penalty": 1.0}'}, "the number of beams is 0"),
    "no penalty": ({"recipe": '{"beam": 5}'}, "the JSON lacks length_penalty"),
    "documents": ({"data": "documents"}, "is no parallel text; name the one that the checkpoint was trained on"),
    "no model": ({"checkpoint": "bare"}, "does not say of which model it is"),
    "no checkpoint": ({"checkpoint": "letter.de"}, r"the checkpoint .*letter\.de is cut short or not a safetensors"),
    "another dictionary": ({"data": "other"}, r"checkpoint of another model: tensor 'target_embedding.weight' is \("),
}


@pytest.mark.parametrize(("own", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_a_sentence(own, sentence, said, documents, trials, other_text, tmp_path, stage):
    own = {"text": b"Hallo.\n", **own}
    if (text := own.pop("text")) is not None:
        (tmp_path / "letter.de").write_bytes(text)
    places = {"documents": documents, "other": other_text, "letter.de": tmp_path / "letter.de"}
    places |= {"bare": bare(trials, tmp_path)}
    given = {"data": said, "checkpoint": trials[0], "recipe": canonical(SEARCH)}
    given |= {key: places.get(value, value) for key, value in own.items()}
    out = tmp_path / "letter.en"
    arguments = (word for key, value in given.items() for word in (f"--{key}", value))
    told, _ = stage("commands.translate", "--text", tmp_path / "letter.de", *arguments, "--out", out, "--device", "cpu")
    assert isinstance(told, str) and re.search(sentence, told) and not out.exists()
