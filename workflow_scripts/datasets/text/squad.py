"""Questions in the JSON of SQuAD v1.1: read, checked, and prepared as token numbers."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import write_text
from workflow_scripts.datasets.text.prepared import PreparedText, Ragged, describe
from workflow_scripts.datasets.text.settings import VOCABULARY, Questions
from workflow_scripts.datasets.text.wordpieces import learn_vocabulary

REPORTED = 5
KINDS = {list: "a list", str: "a text", int: "a whole number", str | int: "a text"}


@dataclass(frozen=True)
class Question:
    """A question about a paragraph.

    answers : (begin, text) of each answer that people gave; context[begin:][:len(text)] is the text.
    """

    id: str
    context: int
    text: str
    answers: list[tuple[int, str]]


def read_squad(path: Path) -> tuple[list[str], list[Question]]:
    """The paragraphs and questions of a file.

    Raises
    ------
    InputError : it is no JSON of SQuAD's form, has no questions, or an answer is not in its paragraph.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start})") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error})") from None
    contexts, questions = [], []
    try:
        for article in part(document, "data", list):
            for paragraph in part(article, "paragraphs", list):
                for asked in part(paragraph, "qas", list):
                    answers = [
                        (part(answer, "answer_start", int), part(answer, "text", str))
                        for answer in part(asked, "answers", list)
                    ]
                    text, id = part(asked, "question", str), str(part(asked, "id", str | int))
                    questions.append(Question(id, len(contexts), text, answers))
                contexts.append(part(paragraph, "context", str))
    except KeyError as error:
        raise InputError(
            f"{path} is not in the form of SQuAD v1.1, data / paragraphs / context and qas / id, question and answers "
            f"/ text and answer_start: paragraph {len(contexts) + 1} has no {error.args[0]}"
        ) from None
    if problems := list(question_problems(contexts, questions)):
        reported = problems[:REPORTED] + [f"{len(problems) - REPORTED} more"] * (len(problems) > REPORTED)
        raise InputError.together(f"{path} has questions that cannot be used", reported)
    if not questions:
        raise InputError(f"{path} has no questions")
    return contexts, questions


def part(mapping: Any, key: str, kind: type | UnionType) -> Any:
    """A value of a mapping.

    Raises
    ------
    KeyError : it has none of that kind.
    """
    value = mapping.get(key) if isinstance(mapping, dict) else None
    if not isinstance(value, kind):
        raise KeyError(f"{key!r} that is {KINDS[kind]}")
    return value


def question_problems(contexts: list[str], questions: list[Question]) -> Iterator[str]:
    """What is wrong with questions, a sentence each."""
    seen = set()
    for question in questions:
        context, where = contexts[question.context], f"question {question.id} of paragraph {question.context + 1}"
        if question.id in seen:
            yield f"{where}: another question has this id"
        seen.add(question.id)
        if not question.answers:
            yield f"{where} has no answer; questions of SQuAD v1.1 have one at least"
        for begin, text in question.answers:
            if not text or type(begin) is not int or context[max(begin, 0) :][: len(text)] != text or begin < 0:
                yield f"{where}: the answer {text!r} is not at character {begin} of its paragraph"


def every(n: int, path: Path) -> dict:
    """The first, the n + 1st, ... question of a file that `read_squad` reads, with their paragraphs."""
    document, number = json.loads(path.read_text(encoding="utf-8-sig")), itertools.count()
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            paragraph["qas"] = [asked for asked in paragraph["qas"] if next(number) % n == 0]
        article["paragraphs"] = [paragraph for paragraph in article["paragraphs"] if paragraph["qas"]]
    return document


def prepare_questions(
    info: Questions, raw: Path, folder: Path, source: str, vocabulary: Tokenizer | None
) -> PreparedText:
    """Write the prepared form of questions into an empty folder.

    It holds, for each split, the tokens of its contexts and questions; `split.characters.npy`, where each token of the
    contexts begins and ends in its paragraph; `split.context_of.npy`, each question's paragraph; `split.answers.npy`,
    where its first answer begins and ends, in characters; and `split.json`, the file itself.

    Parameters
    ----------
    vocabulary : word pieces to use; learned from the training paragraphs and questions where it is None.

    Raises
    ------
    InputError : tells what is wrong with the files.
    """
    files = {"train": raw / info.train, "test": raw / info.test}
    read = {split: read_squad(path) for split, path in files.items()}
    if info.ask_every > 1:
        files["test"] = folder / "test.json"
        write_text(files["test"], json.dumps(every(info.ask_every, raw / info.test), ensure_ascii=False))
        read["test"] = read_squad(files["test"])
    if vocabulary is None:
        contexts, questions = read["train"]
        lines = [*contexts, *(question.text for question in questions)]
        vocabulary = learn_vocabulary(lines, info.pieces, info.lowercase)
    return _write(info, files, read, folder, source, vocabulary)


def prepare_asked(path: Path, folder: Path, vocabulary: Tokenizer) -> PreparedText:
    """Write the prepared form of a file of questions that are only asked, as the test questions, into an empty folder.

    Raises
    ------
    InputError : tells what is wrong with the file.
    """
    info = Questions("questions", test=path.name)
    return _write(info, {"test": path}, {"test": read_squad(path)}, folder, str(path), vocabulary)


def _write(
    info: Questions,
    files: dict[str, Path],
    read: dict[str, tuple[list[str], list[Question]]],
    folder: Path,
    source: str,
    vocabulary: Tokenizer,
) -> PreparedText:
    """Write the splits that were read, and the description."""
    vocabulary.save(str(folder / VOCABULARY))
    counts, longest = {}, {}
    for split, (contexts, questions) in read.items():
        found = write_split(folder, split, contexts, questions, vocabulary)
        if (whole := folder / f"{split}.json") != files[split]:
            whole.write_bytes(files[split].read_bytes())
        tokens = {f"{side}_tokens": len(ragged.tokens) for side, ragged in found.items()}
        counts[split] = {"questions": len(questions), "contexts": len(contexts), **tokens}
        longest[split] = {side: int(ragged.lengths.max(initial=0)) for side, ragged in found.items()}
    size = {"text": vocabulary.get_vocab_size()}
    return describe(folder, PreparedText(info.name, info.form, asdict(info), source, counts, longest, size))


def write_split(
    folder: Path, split: str, contexts: list[str], questions: list[Question], vocabulary: Tokenizer
) -> dict[str, Ragged]:
    """Write the arrays of a split."""
    encoded = vocabulary.encode_batch(contexts, add_special_tokens=False)
    asked = vocabulary.encode_batch([question.text for question in questions], add_special_tokens=False)
    found = {
        "contexts": Ragged.of(encoding.ids for encoding in encoded),
        "questions": Ragged.of(encoding.ids for encoding in asked),
    }
    for side, ragged in found.items():
        ragged.save(folder, f"{split}.{side}")
    spans = [np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2) for encoding in encoded]
    np.save(folder / f"{split}.characters.npy", np.concatenate(spans))
    np.save(folder / f"{split}.context_of.npy", np.array([question.context for question in questions]))
    first = [(begin, begin + len(text)) for begin, text in (question.answers[0] for question in questions)]
    np.save(folder / f"{split}.answers.npy", np.array(first))
    return found
