"""Parallel text: prepared as the papers' scripts do it, bad text is refused by file and line, batches are whole."""

import os
import shutil
import socket
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.datasets.sampling import Share
from workflow_scripts.datasets.text.batching import buckets, in_file_order, padded_share, padding
from workflow_scripts.datasets.text.corpora import raw_lines
from workflow_scripts.datasets.text.grammar.sentences import pairs
from workflow_scripts.datasets.text.moses import is_clean, words, words_of_all
from workflow_scripts.datasets.text.parallel import TextCodec
from workflow_scripts.datasets.text.parallel_text import ParallelText
from workflow_scripts.datasets.text.pieces import END, PAD, SPECIALS, Dictionary, Pieces, learn_merges
from workflow_scripts.datasets.text.prepared import Ragged
from workflow_scripts.datasets.text.publishers import FILES
from workflow_scripts.datasets.text.settings import TEXT
from workflow_scripts.datasets.text.wordpieces import NAMES

REAL = Path(os.environ.get("CLOSER_LOOK_DATA", "nowhere"))  # a folder with real data sets, where somebody has it


def write_text(folder, text, settings="form: parallel\nsource: de\ntarget: en\nmerges: 60\n"):
    """A user's folder: stem.language → lines."""
    folder.mkdir(exist_ok=True)
    for name, lines in text.items():
        content = lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode()
        (folder / name).write_bytes(content)
    (folder / "dataset.yaml").write_text(settings)
    return folder


def small_text():
    said = pairs(60, seed=1)
    cut = {"train": said[:40], "valid": said[40:50], "test": said[50:]}
    return {f"{split}.{end}": [getattr(p, end) for p in part] for split, part in cut.items() for end in ("de", "en")}


def refusal(folder, tmp_path, name="mine"):
    with pytest.raises(InputError) as caught:
        prepare(name, tmp_path / "out", folder)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))
    return str(caught.value)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    prepare("mine", folder / "out", write_text(folder / "source", small_text()))
    return folder / "out"


# The steps of preparing


def test_words_are_moses_words():
    line = ['It\'s a well-known "fact", Mr. Smith & Co. said (50%).']
    assert words(line, "en", False, True, False) == [
        "It &apos;s a well-known &quot; fact &quot; , Mr. Smith &amp; Co. said ( 50 % ) ."
    ]
    assert words(["a well-known fact"], "en", False, True, True) == ["a well @-@ known fact"]
    assert words(["„so“\u200b\x07 – ja"], "de", True, True, False) == ["&quot; so &quot; - ja"]
    assert words(["the voters’ will"], "en", True, True, False) == ["the voters &quot; will"]  # by the Perl script
    assert words(["  left as\tit is. "], "en", False, False, False) == ["left as it is."]


def test_words_of_many_lines_are_the_same_in_several_processes():
    lines = [f"Line {number}, here." for number in range(25_000)]
    alone = list(words_of_all(lines, 1, "en", False, False, False))
    assert alone == lines == list(words_of_all(lines, 2, "en", False, False, False))


@pytest.mark.parametrize(
    ("lengths", "clean"), [((1, 1), True), ((0, 1), False), ((3, 2), True), ((2, 3), True), ((4, 2), False),
                           ((175, 175), True), ((176, 175), False)]
)  # fmt: skip
def test_cleaning_keeps_pairs_of_like_length(lengths, clean):
    assert is_clean(*lengths, longest=175, ratio=1.5) is clean


WORD = st.text("abcäß", min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORD, min_size=2, max_size=40), st.integers(1, 30))
def test_pieces_are_those_of_subword_nmt(found, merges):
    import io

    from subword_nmt.apply_bpe import BPE

    counts = Counter([*found, "ab", "ab"])
    learned = learn_merges(counts, merges)
    pieces = Pieces(learned, sorted(set("".join(counts))))
    theirs = BPE(io.StringIO("\n".join(["#version: 0.2", *learned])))
    line = " ".join(found)
    ours = " ".join(pieces.names[number] for number in pieces.split([line])[0])
    assert ours == theirs.process_line(line)


def test_a_dictionary_counts_down_and_fills_up_to_a_multiple_of_eight():
    dictionary = Dictionary.of_counts({"b": 2, "a": 2, "c@@": 7, "never": 0, "<pad>": 5})
    assert dictionary.tokens == [*SPECIALS, "c@@", "a", "b", "unused0000"]
    assert dictionary.counts == [0, 0, 0, 0, 7, 2, 2, 0]
    assert dictionary.lookup(["b", "never", "<pad>"]).tolist() == [6, 3, 3]
    assert dictionary.text([4, 5, 1, 6, 3, END, 5]) == "ca b <unk>"


def test_a_dictionary_survives_its_file(tmp_path):
    dictionary = Dictionary.of_counts({"ä": 1, "b@@": 9})
    dictionary.save(tmp_path / "d.txt")
    assert Dictionary.load(tmp_path / "d.txt") == dictionary
    (tmp_path / "d.txt").write_text("<s> 0\nno count\n")
    with pytest.raises(InputError, match=r"d\.txt line 2 is not a token and its count"):
        Dictionary.load(tmp_path / "d.txt")


def test_tagged_files_give_their_sentences(tmp_path):
    talk, training = tmp_path / "talk.xml", tmp_path / "train.tags.de-en.en"
    talk.write_text('<doc>\n<seg id="1"> It’s so. </seg>\n<seg id="12">No</seg>\n</doc>\n', encoding="utf-8")
    assert list(raw_lines(talk)) == ["It's so.", "No"]
    training.write_text("<url>http://x</url>\n<talkid>1</talkid>\n<title>A title</title>\nPlain.\n")
    assert list(raw_lines(training)) == ["A title", "Plain."]


# What is prepared


def test_prepared_tokens_spell_the_text(small):
    text, raw = ParallelText(small), small_text()
    for side, end in (("source", "de"), ("target", "en")):
        codec = TextCodec.load(small, side)
        for split in ("train", "valid", "test"):
            expected = words(raw[f"{split}.{end}"], end, False, True, False)
            assert text.words(split, side) == expected
            spelled = [codec.decode(tokens) for tokens in text.sides[split][side]]
            if split == "train":
                assert spelled == expected
            assert [list(tokens) for tokens in text.sides[split][side]] == codec.encode(expected)


def test_dictionaries_are_counted_on_training_text_alone(small):
    text = ParallelText(small)
    for side in ("source", "target"):
        dictionary = text.dictionary(side)
        seen = np.bincount(text.sides["train"][side].tokens, minlength=len(dictionary))
        assert seen.tolist() == dictionary.counts and len(dictionary) == text.info.vocabulary[side]
        assert dictionary.counts[4:] == sorted(dictionary.counts[4:], reverse=True) and len(dictionary) % 8 == 0


def test_a_joined_dictionary_is_one_for_both(tmp_path):
    source = write_text(tmp_path / "source", small_text(), "{form: parallel, source: de, target: en, joined: true}")
    prepare("mine", tmp_path / "out", source)
    both = [(tmp_path / "out" / f"dictionary.{side}.txt").read_bytes() for side in ("source", "target")]
    assert both[0] == both[1]


def test_every_nth_cleaned_pair_validates(tmp_path):
    text = {
        "train.de": ["eins a", "zwei b", "", "drei c", "vier d e f g h"],
        "train.en": ["one a", "two b", "x", "three c", "y"],
    }
    text |= {"test.de": ["fünf"], "test.en": ["five"]}
    folder = write_text(
        tmp_path / "source", text,
        "{form: parallel, source: de, target: en, clean: words, longest: 9, validation_every: 3, lowercase: true}",
    )  # fmt: skip
    info = prepare("mine", tmp_path / "out", folder)
    assert ParallelText(tmp_path / "out").words("valid", "target") == ["three c"]
    assert {split: info.counts[split]["pairs"] for split in info.counts} == {"train": 2, "valid": 1, "test": 1}


def test_preparing_twice_gives_the_same_bytes(small, tmp_path):
    prepare("mine", tmp_path / "again", write_text(tmp_path / "source", small_text()))
    for path in small.iterdir():
        if path.name != "dataset.json":  # which names the source
            assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_prepared_text_is_replaced_and_nothing_else(tmp_path):
    source = write_text(tmp_path / "source", small_text())
    prepare("mine", tmp_path / "out", source)
    (tmp_path / "out" / "dataset.json").unlink()
    prepare("mine", tmp_path / "out", source)
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="holds something else"):
        prepare("mine", tmp_path / "out", source)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "precious"


# Bad text, one by one


def changed(**files):
    return small_text() | {name.replace("_", "."): change for name, change in files.items()}


GOOD = small_text()
BAD_TEXT = {
    "unequal": (
        changed(train_en=GOOD["train.en"][:-2]), "train.de has 40 lines, but {folder}/train.en has 38"
    ),
    "unequal the other way": (
        changed(test_de=GOOD["test.de"][:-1]), "test.de has 9 lines, but {folder}/test.en has 10"
    ),
    "encoding": (
        changed(valid_de="Größe\n".encode("latin1") * 10), "valid.de line 1 is not UTF-8 (byte 0xf6)"
    ),
    "empty line": (
        changed(train_de=[*GOOD["train.de"][:6], "", *GOOD["train.de"][7:]]),
        "train.de and train.en line 7 is empty",
    ),
    "too long": (
        changed(train_en=["Word " * 300, *GOOD["train.en"][1:]]), "train.de and train.en line 1 is too long: "
    ),
    "no validation": (
        changed(valid_de=[], valid_en=[]),
        "the valid set is empty: {folder}/valid.de and valid.en have no usable pair",
    ),
    "missing": ({name: text for name, text in GOOD.items() if name != "test.en"}, "test.en is missing"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), BAD_TEXT.values(), ids=BAD_TEXT)
def test_bad_text_is_refused_by_file_and_line(tmp_path, text, sentence):
    folder = write_text(tmp_path / "source", text)
    assert sentence.format(folder=folder) in refusal(folder, tmp_path)


BAD_SETTINGS = {
    "form: poems": "form is one of parallel",
    "form: [": "dataset.yaml cannot be read",
    "{form: parallel, target: en}": "source is missing; name the language",
    "{form: parallel, source: de, target: en, merge: 3}": "'merge' is not known",
    "{form: parallel, source: de, target: en, merges: 0}": "merges is 0, but must be a number of at least 1",
    "{form: parallel, source: de, target: en, longest: 2.5}": "longest is 2.5, but must be a whole number",
    "{form: parallel, source: de, target: en, joined: 1}": "joined is 1, but must be true or false",
    "{form: parallel, source: de, target: en, clean: all}": "clean is 'all', but must be words or pieces",
}


@pytest.mark.parametrize(("text", "sentence"), BAD_SETTINGS.items())
def test_bad_settings_are_refused(tmp_path, text, sentence):
    assert sentence in refusal(write_text(tmp_path / "source", small_text(), text), tmp_path)


def test_a_token_beyond_the_vocabulary_is_told(small, tmp_path):
    Ragged.of([[1, 2], [3, 700, 4]]).save(tmp_path, "train.source")
    with pytest.raises(InputError, match=r"token 700 in sequence 2, but the vocabulary ends at 99"):
        Ragged.load(tmp_path, "train.source", 100)


@pytest.mark.parametrize("name", [name for name in FILES if name in TEXT])
def test_without_a_network_the_remedy_is_told_and_nothing_is_left(tmp_path, name, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setattr(urllib.request, "_opener", None)  # urlopen keeps its first, with the proxies of that time
    monkeypatch.setenv("http_proxy", closed)
    monkeypatch.setenv("https_proxy", closed)
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    (pieces / "vocab.txt").write_text("\n".join(NAMES))
    with pytest.raises(InputError) as caught:
        prepare(name, tmp_path / name, vocabulary=pieces)
    assert f"{name} could not be downloaded from http" in str(caught.value) and f"sources.{name}" in str(caught.value)
    assert list(tmp_path.iterdir()) == [pieces]


# Batches


LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60)


@settings(max_examples=150, deadline=None)
@given(LENGTHS, st.integers(30, 200))
def test_batches_hold_every_sentence_once_and_no_more_tokens_than_allowed(lengths, most):
    lengths = np.array(lengths)
    for cut in (buckets(lengths, most), in_file_order(lengths, most)):
        assert sorted(np.concatenate(cut).tolist()) == list(range(len(lengths)))
        assert all(len(batch) * lengths[batch].max() <= most for batch in cut)
    assert np.concatenate(in_file_order(lengths, most)).tolist() == list(range(len(lengths)))


def test_padding_is_told_for_both_orders():
    lengths = np.array([2, 9, 2, 9])
    assert padded_share(lengths, [np.array([0, 1]), np.array([2, 3])]) == pytest.approx(14 / 36)
    assert padding(lengths, 18) == {"bucketed": 0.0, "file order": pytest.approx(14 / 36)}


def test_a_sentence_that_no_batch_has_room_for_is_told(small):
    with pytest.raises(
        InputError,
        match=r"at most 5 tokens has room for the pair in .*/train\.source\.txt and train\.target\.txt line \d+",
    ):
        ParallelText(small).buckets("train", 5)


def test_prepared_text_without_a_pair_in_a_split_is_told(small, tmp_path):
    shutil.copytree(small, tmp_path / "out")
    for side in ("source", "target"):
        Ragged.of([]).save(tmp_path / "out", f"valid.{side}")
    with pytest.raises(InputError, match="out: valid has no pairs; prepare the data set again"):
        ParallelText(tmp_path / "out")


def test_a_batch_is_its_sentences_ended_and_filled_up(small):
    text = ParallelText(small)
    for batch in text.batches("valid", 200):
        for side, padded in (("source", batch.source), ("target", batch.target)):
            for row, number in zip(padded.tolist(), batch.index.tolist(), strict=True):
                sentence = text.sides["valid"][side][number].tolist()
                assert row == [*sentence, END, *[PAD] * (padded.shape[1] - len(sentence) - 1)]
        assert batch.total == (batch.target != PAD).sum()


def batch_facts(batches):
    return [(b.index.tolist(), b.source.tolist(), b.target.tolist(), b.total) for b in batches]


def test_epochs_are_one_stream_and_resume_at_any_update(small):
    text = ParallelText(small)
    count = len(text.buckets("train", 150))
    first = [index for epoch in (1, 2, 3) for index, *_ in batch_facts(text.epoch_batches(7, epoch, 150, 3))]
    whole = [index for index, *_ in batch_facts(text.epoch_batches(7, 1, 150, 9))]
    assert first == whole and count > 3
    once = [number for index, *_ in batch_facts(text.epoch_batches(7, 1, 150, count)) for number in index]
    assert sorted(once) == list(range(40))
    assert batch_facts(text.epoch_batches(7, 2, 150, 5, first=3)) == batch_facts(text.epoch_batches(7, 2, 150, 5))[3:]
    assert batch_facts(text.epoch_batches(8, 1, 150, 9)) != batch_facts(text.epoch_batches(7, 1, 150, 9))


@pytest.mark.parametrize("processes", [2, 3])
def test_shares_together_are_the_batch(small, processes):
    text = ParallelText(small)
    shares = [list(text.epoch_batches(1, 1, 150, 4, Share(rank, processes))) for rank in range(processes)]
    for whole, *parts in zip(text.epoch_batches(1, 1, 150, 4), *shares, strict=True):
        assert torch.cat([part.index for part in parts]).tolist() == whole.index.tolist()
        assert {part.total for part in parts} == {whole.total} and all(part.total for part in parts)
        assert sum(int((part.target != PAD).sum()) for part in parts) == whole.total
    seen = [
        number
        for rank in range(processes)
        for b in text.batches("test", 60, Share(rank, processes))
        for number in b.index
    ]
    assert sorted(map(int, seen)) == list(range(10))


# Real text, where somebody has it


@pytest.mark.skipif(not (REAL / "multi30k-en-de").is_dir(), reason="CLOSER_LOOK_DATA names no folder with Multi30k")
def test_multi30k_is_prepared_whole(tmp_path):
    info = prepare("multi30k_de_en", tmp_path / "out", REAL / "multi30k-en-de")
    text = ParallelText(tmp_path / "out")
    assert {split: text.count(split) for split in ("train", "valid", "test")} == {
        "train": 29000,
        "valid": 1014,
        "test": 1000,
    }
    assert info.counts["train"]["source_unknown"] == 0
    shares = padding(text.lengths("train"), 1500)
    assert shares["bucketed"] < 0.1 < shares["file order"]
    assert text.words("train", "target")[0] == "two young , white males are outside near many bushes ."


@pytest.mark.skipif(not (REAL / "iwslt14-de-en").is_dir(), reason="CLOSER_LOOK_DATA names no folder with IWSLT'14")
def test_published_codes_split_as_subword_nmt_splits():
    import io

    from subword_nmt.apply_bpe import BPE

    codes = (REAL / "iwslt14-de-en" / "bpe10k" / "code").read_text(encoding="utf-8")
    lines = (REAL / "iwslt14-de-en" / "tok" / "valid.de").read_text(encoding="utf-8").split("\n")[:1000]
    merges = [line for line in codes.splitlines() if line and not line.startswith("#")]
    pieces, theirs = Pieces(merges, sorted(set("".join(lines)) - {" "})), BPE(io.StringIO(codes))
    for line, numbers in zip(lines, pieces.split(lines), strict=True):
        assert " ".join(pieces.names[number] for number in numbers) == theirs.process_line(line)
