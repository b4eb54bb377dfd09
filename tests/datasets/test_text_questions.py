"""Questions and documents: answers are found by their characters; windows and pairs are whole, bad files refused."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.datasets.sampling import Share
from workflow_scripts.datasets.text.documents import DocumentText
from workflow_scripts.datasets.text.questions import LONGEST_QUESTION, QuestionText
from workflow_scripts.datasets.text.wordpieces import NAMES, learn_vocabulary, load_vocabulary, vocabulary_problem

REAL = Path(os.environ.get("CLOSER_LOOK_DATA", "nowhere"))


def squad(context, question, answer, begin):
    asked = {"id": "q1", "question": question, "answers": [{"text": answer, "answer_start": begin}]}
    return {"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": [asked]}]}]}


LONG = squad("Ä" + "one two three four five six seven eight nine ten " * 9 + "here.", "where is it?", "here", 442)


def own_questions(folder, train=LONG, test=LONG):
    folder.mkdir()
    for split, document in (("train", train), ("test", test)):
        text = document if isinstance(document, str) else json.dumps(document)
        (folder / f"{split}.json").write_text(text)
    (folder / "dataset.yaml").write_text("form: questions\npieces: 60\n")
    return folder


# Word pieces


def test_a_plain_vocabulary_is_whole_and_as_its_file_says(tmp_path):
    names = [*NAMES, "a", "##b", "C", "c"]
    (tmp_path / "vocab.txt").write_text("\n".join(names) + "\n")
    loaded = load_vocabulary(tmp_path)
    assert [loaded.token_to_id(name) for name in names] == list(range(len(names))) and loaded.get_vocab_size() == 9
    assert loaded.encode("ab C", add_special_tokens=False).tokens == ["a", "##b", "c"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert load_vocabulary(tmp_path).encode("C", add_special_tokens=False).tokens == ["C"]


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("vocab.txt", "[PAD]\n[UNK]\n", r"vocab.txt has no \[CLS\], \[SEP\], \[MASK\]"),
        ("tokenizer.json", "{}", "tokenizer.json is no vocabulary of word pieces"),
        ("other", "", "has neither tokenizer.json nor vocab.txt"),
    ],
)
def test_a_bad_vocabulary_is_told(tmp_path, file, content, sentence):
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=sentence):
        load_vocabulary(tmp_path)


def test_learned_pieces_are_the_same_each_time():
    lines = ["the cat sat on the mat", "a dog and a cat sat"] * 5
    one, two = (learn_vocabulary(lines, 30, True) for _ in range(2))
    assert one.get_vocab() == two.get_vocab() and 27 < one.get_vocab_size() <= 30
    assert [one.token_to_id(name) for name in NAMES] == [0, 1, 2, 3, 4]
    every = learn_vocabulary(lines, 1000, True)
    assert every.encode("The CAT sogs", add_special_tokens=False).tokens == ["the", "cat", "s", "##o", "##g", "##s"]
    assert every.get_vocab_size() == 34


def test_a_vocabulary_of_another_size_is_told():
    assert vocabulary_problem(5, 5, "the checkpoint") is None
    assert "prepared with 6 word pieces, but the checkpoint has 5" in vocabulary_problem(6, 5, "the checkpoint")


def test_hidden_files_are_no_documents(tmp_path):
    """What a Mac or a notebook leaves behind is not Wikipedia."""
    text = "".join(f"the cat {n} sat\nit was happy\n\n" for n in range(40))
    for place in ("a.txt", "below/b.txt"):
        (tmp_path / "text" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "text" / place).write_text(text)
    (tmp_path / "text" / "dataset.yaml").write_text("form: documents\ntest_every: 10\n")
    before = prepare("mine", tmp_path / "before", tmp_path / "text")
    (tmp_path / "text" / "._a.txt").write_bytes(b"\xff\xfe attributes")
    (tmp_path / "text" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "text" / ".ipynb_checkpoints" / "a.txt").write_text(text)
    assert prepare("mine", tmp_path / "after", tmp_path / "text").counts == before.counts
    assert before.counts["train"]["documents"] == 72


def test_questions_share_the_pieces_of_the_documents(documents, questions, tmp_path):
    both = [load_vocabulary(folder).get_vocab() for folder in (documents, questions)]
    assert both[0] == both[1]
    with pytest.raises(InputError, match="has the word pieces of grammar_documents; prepare that first"):
        prepare("grammar_questions", tmp_path / "out")
    with pytest.raises(InputError, match=r"has the word pieces of bert_base: get .* data\.sources\.bert_base"):
        prepare("squad", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Questions


def test_every_answer_is_found_in_exactly_its_tokens(questions):
    text = QuestionText(questions)
    contexts, asked = text.texts("train")
    assert text.info.counts["train"]["questions"] == len(asked) == text.count("train") and len(asked) > 1500
    for batch in text.batches("train", 64, 64, 32):
        for number, start, end in zip(*(part.tolist() for part in (batch.index, batch.start, batch.end)), strict=True):
            question = asked[text.cut("train", 64, 32).question[number]]
            found = text.text_between("train", number, start, end, 64, 32) if start else None
            assert found in (None, question.answers[0][1])
            assert found or len(contexts[question.context]) > 150


def test_every_nth_test_question_is_asked_and_all_are_trained_on(questions, tmp_path):
    whole = QuestionText(questions)
    raw = tmp_path / "raw"
    raw.mkdir()
    for split in ("train", "test"):
        (raw / f"{split}.json").write_bytes((questions / f"{split}.json").read_bytes())
    (raw / "dataset.yaml").write_text("form: questions\nask_every: 7\n")
    prepare("mine", tmp_path / "seventh", raw, questions)
    found = QuestionText(tmp_path / "seventh")
    contexts, asked = (whole.texts("test")[0], whole.texts("test")[1][::7])
    assert found.count("train") == whole.count("train") and found.count("test") == len(asked) > 20
    for one, other in zip(found.texts("test")[1], asked, strict=True):
        assert (one.id, one.text, one.answers) == (other.id, other.text, other.answers)
        assert found.texts("test")[0][one.context] == contexts[other.context]
    assert len(found.texts("test")[0]) == len({question.context for question in asked})


def test_windows_cover_a_long_paragraph_as_berts_do(tmp_path):
    prepare("mine", tmp_path / "out", own_questions(tmp_path / "source"))
    text = QuestionText(tmp_path / "out")
    arrays, length, stride = text.splits["train"], 30, 10
    asked, context = arrays.questions[0], arrays.contexts[0]
    room, begins = length - 3 - len(asked), []
    while not begins or begins[-1] + room < len(context):  # as in BERT's run_squad.py
        begins.append(len(begins) * stride)
    (batch,) = text.batches("train", 100, length, stride)
    order = np.argsort(batch.index)
    cls, sep, pad = (text.special[name] for name in ("[CLS]", "[SEP]", "[PAD]"))
    assert len(order) == len(begins) > 5
    answered = 0
    for begin, row in zip(begins, order.tolist(), strict=True):
        part = context[begin : begin + room].tolist()
        expected = [cls, *asked, sep, *part, sep]
        fill = batch.tokens.shape[1] - len(expected)
        assert batch.tokens[row].tolist() == expected + [pad] * fill
        assert batch.segments[row].tolist() == [0] * (len(asked) + 2) + [1] * (len(part) + 1) + [0] * fill
        if batch.start[row]:
            answered += 1
            number = int(batch.index[row])
            assert (
                text.text_between("train", number, int(batch.start[row]), int(batch.end[row]), length, stride) == "here"
            )
    assert answered == sum(begin + room >= len(context) - 1 for begin in begins)


def test_a_long_question_is_cut_and_a_window_without_room_is_told(tmp_path):
    long = squad("It is here.", "where " * 100, "here", 6)
    prepare("mine", tmp_path / "out", own_questions(tmp_path / "source", train=long))
    text = QuestionText(tmp_path / "out")
    assert text.cut("train", 384, 128).first.tolist() == [LONGEST_QUESTION + 2]
    with pytest.raises(InputError, match="windows of 60 tokens have no room for a question of 64"):
        text.cut("train", 60, 20)


BAD_QUESTIONS = {
    "no JSON": ("{", "train.json is not JSON"),
    "other JSON": ({"data": [{"paragraphs": [{"context": "a"}]}]}, "paragraph 1 has no 'qas'"),
    "a list": ([1], "paragraph 1 has no 'data' that is a list"),
    "null": ({"data": [{"paragraphs": None}]}, "paragraph 1 has no 'paragraphs' that is a list"),
    "a paragraph that is no text": (squad(5, "where?", "5", 0), "paragraph 1 has no 'context' that is a text"),
    "a question that is no text": (squad("It is here.", None, "here", 6), "has no 'question' that is a text"),
    "an answer that is no text": (squad("It is 5.", "what?", 5, 6), "paragraph 1 has no 'text' that is a text"),
    "a place in words": (squad("It is here.", "where?", "here", "6"), "has no 'answer_start' that is a whole number"),
    "none": ({"data": []}, "train.json has no questions"),
    "not there": (squad("It is here.", "where?", "there", 6), "question q1 of paragraph 1: the answer 'there' is not"),
    "elsewhere": (squad("It is here.", "where?", "here", 5), "the answer 'here' is not at character 5"),
}  # fmt: skip


@pytest.mark.parametrize(("document", "sentence"), BAD_QUESTIONS.values(), ids=BAD_QUESTIONS)
def test_bad_questions_are_told_by_file_and_question(tmp_path, document, sentence):
    with pytest.raises(InputError) as caught:
        prepare("mine", tmp_path / "out", own_questions(tmp_path / "source", train=document))
    assert sentence in str(caught.value) and "train.json" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_question_epochs_resume_and_are_shared(questions):
    text = QuestionText(questions)

    def batches(epoch, **options):
        return [w.tokens.tolist() for w in text.epoch_batches(3, epoch, 8, 44, 64, 32, **options)]

    whole = batches(2)
    assert [len(batch) for batch in whole] == [8, 8, 8, 8, 8, 4] and whole[2:] == batches(2, first=2)
    assert whole != batches(1)
    for rank in range(2):
        for part, batch in zip(text.epoch_batches(3, 2, 8, 44, 64, 32, Share(rank, 2)), whole, strict=True):
            half = len(batch) // 2
            expected = batch[rank * half : (rank + 1) * half]
            width = part.tokens.shape[1]
            assert part.tokens.tolist() == [row[:width] for row in expected]


# Documents


def test_a_pair_that_follows_is_a_part_of_a_document(documents):
    text = DocumentText(documents)
    joined = {"train": [], "test": []}
    for split, ends in text.documents.items():
        ragged = text.sentences[split]
        for begin, end in itertools.pairwise(ends):
            joined[split].append(" ".join(map(str, ragged.tokens[ragged.offsets[begin] : ragged.offsets[end]])) + " ")
    others = []
    cases = [(length, batch) for length in (30, 200) for batch in text.batches("test", 50, length)]
    for length, batch in cases:
        for row, segment, other in zip(*(part.tolist() for part in batch), strict=True):
            cls, sep, pad = (text.special[name] for name in ("[CLS]", "[SEP]", "[PAD]"))
            row = row[: row.index(pad)] if pad in row else row
            middle, end = (place for place, token in enumerate(row) if token == sep)
            assert row[0] == cls and end == len(row) - 1 < length and len(segment) <= length
            assert segment[: end + 1] == [0] * (middle + 1) + [1] * (end - middle)
            one, two = row[1:middle], row[middle + 1 : end]
            assert one and two
            # Where nothing is cut off, the two are a piece of a document.
            whole = [[*one, *two]] if length == 200 and not other else [one, two]
            for part in (" ".join(map(str, tokens)) + " " for tokens in whole):
                assert any(part in document for document in joined["test"])
            others.append(other)
    assert 0.35 < np.mean(others) < 0.65


def test_pairs_are_a_function_of_seed_epoch_and_place(documents):
    text = DocumentText(documents)

    def pairs(epoch, **options):
        return [[part.tolist() for part in batch] for batch in text.epoch_batches(5, epoch, 6, 20, 48, **options)]

    assert pairs(1) == pairs(1) != pairs(2)
    assert pairs(1, first=2) == pairs(1)[2:] and [len(batch[2]) for batch in pairs(1)] == [6, 6, 6, 2]
    for parts, whole in zip(
        zip(pairs(1, share=Share(0, 2)), pairs(1, share=Share(1, 2)), strict=True), pairs(1), strict=True
    ):
        assert parts[0][2] + parts[1][2] == whole[2]


def test_plain_text_of_ones_own_is_divided_by_documents(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "dataset.yaml").write_text("form: documents\ntest_every: 2\npieces: 80\n")
    (source / "a.txt").write_text("one two.\nthree four.\n\n\nfive six.\none four three.\n")
    (source / "b.txt").write_text("nine ten.\neleven.\n")
    info = prepare("mine", tmp_path / "out", source)
    assert {split: info.counts[split]["documents"] for split in info.counts} == {"train": 2, "test": 1}
    text = DocumentText(tmp_path / "out")
    vocabulary = load_vocabulary(tmp_path / "out")
    assert vocabulary.decode(text.sentences["test"][1].tolist()) == "one four three."
    (source / "b.txt").write_bytes("größer\n".encode("latin1"))
    with pytest.raises(InputError, match=r"b\.txt line 1 is not UTF-8"):
        prepare("mine", tmp_path / "out", source)
    (source / "b.txt").unlink()
    (source / "a.txt").unlink()
    with pytest.raises(InputError, match=r"has no \.txt files"):
        prepare("mine", tmp_path / "out", source)


@pytest.mark.skipif(not (REAL / "squad-v1.1").is_dir(), reason="CLOSER_LOOK_DATA names no folder with SQuAD")
def test_squads_windows_and_answers(tmp_path):
    """With word pieces learned on its own questions; the answers are those of all windows that hold one."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "dataset.yaml").write_text("form: questions\npieces: 1000\n")
    document = json.loads((REAL / "squad-v1.1" / "dev-v1.1.json").read_text(encoding="utf-8"))
    for split in ("train", "test"):
        (source / f"{split}.json").write_text(json.dumps({**document, "data": document["data"][:6]}))
    prepare("mine", tmp_path / "out", source)
    text = QuestionText(tmp_path / "out")
    _, asked = text.texts("test")
    cut, tried = text.cut("test", 384, 128), np.random.default_rng(0).choice(len(asked), 500, replace=False)
    windows = text.windows("test", np.flatnonzero(np.isin(cut.question, tried)), 384, 128)
    exact = 0
    for number, start, end in zip(
        *(part.tolist() for part in (windows.index, windows.start, windows.end)), strict=True
    ):
        if start:
            found = text.text_between("test", number, start, end, 384, 128)
            answer = asked[cut.question[number]].answers[0][1]
            assert answer in found  # an answer may begin or end within a token
            exact += found == answer
    assert exact > 480
