"""The grammar's text as files, laid out as text of a user's own would be."""

import json
from pathlib import Path

from workflow_scripts.datasets.text.grammar.sentences import pairs
from workflow_scripts.datasets.text.grammar.stories import documents, questions

SEED = 2020
PAIRS = {"train": 4000, "valid": 200, "test": 200}
STORIES = {"train": 400, "test": 60}
DOCUMENTS = 1000


def write_parallel(folder: Path) -> None:
    """train, valid and test in .de and .en; no sentence is in two of them."""
    every = iter(pairs(sum(PAIRS.values()), SEED))
    for split, count in PAIRS.items():
        chosen = [next(every) for _ in range(count)]
        for language in ("de", "en"):
            lines = "".join(f"{getattr(pair, language)}\n" for pair in chosen)
            (folder / f"{split}.{language}").write_text(lines, encoding="utf-8")


def write_questions(folder: Path) -> None:
    """train.json and test.json in SQuAD's form; people of one story are not those of another."""
    for number, (split, count) in enumerate(STORIES.items()):
        text = json.dumps(questions(count, SEED + 1 + number), ensure_ascii=False)
        (folder / f"{split}.json").write_text(text, encoding="utf-8")


def write_documents(folder: Path) -> None:
    """stories.txt: a sentence a line, an empty line between documents."""
    texts = ("".join(f"{sentence}\n" for sentence in document) for document in documents(DOCUMENTS, SEED + 3))
    (folder / "stories.txt").write_text("\n".join(texts), encoding="utf-8")


WRITERS = {"parallel": write_parallel, "questions": write_questions, "documents": write_documents}
