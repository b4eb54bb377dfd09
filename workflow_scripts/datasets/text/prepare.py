"""Prepare text once: get it, check it, and write the form that trainings map."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import whole_directory
from workflow_scripts.datasets.text.corpora import corpus, source_files
from workflow_scripts.datasets.text.documents import prepare_documents
from workflow_scripts.datasets.text.grammar.files import WRITERS
from workflow_scripts.datasets.text.parallel import prepare_parallel
from workflow_scripts.datasets.text.prepared import PreparedText
from workflow_scripts.datasets.text.publishers import FILES, download
from workflow_scripts.datasets.text.settings import TEXT, TextInfo, own_text
from workflow_scripts.datasets.text.squad import prepare_questions
from workflow_scripts.datasets.text.wordpieces import load_vocabulary

GRAMMAR = "the grammar of workflow_scripts/datasets/text/grammar"


def prepare_text(name: str, out: Path, source: Path | None = None, vocabulary: Path | None = None) -> PreparedText:
    """Prepare a text data set as the directory `out`; it appears whole or not at all.

    Parameters
    ----------
    source : the folder with the text: the publisher's files, unpacked, for a registered name, else a user's own with
        its dataset.yaml. None asks the publisher, or makes the text where it is the grammar's.
    vocabulary : a BERT checkpoint or prepared text, whose word pieces questions and documents are to have.

    Raises
    ------
    InputError : the text cannot be got, or something in it is wrong.
    """
    info = TEXT[name] if name in TEXT else own_text(source, name)
    pieces = word_pieces(info, vocabulary)
    out.parent.mkdir(parents=True, exist_ok=True)
    with raw_text(info, out, source) as (folder, origin), whole_directory(out) as place:
        source_files(info, folder)
        if info.form == "questions":
            return prepare_questions(info, folder, place, origin, pieces)
        if info.form == "documents":
            return prepare_documents(info, folder, place, origin, pieces)
        return prepare_parallel(info, corpus(info, folder), place, origin, os.cpu_count() or 1)


def word_pieces(info: TextInfo, vocabulary: Path | None) -> Tokenizer | None:
    """The word pieces that questions or documents are to have; None where they are to be learned.

    Raises
    ------
    InputError : they are to be those of something that is not given.
    """
    named = "" if info.form == "parallel" else info.vocabulary
    if vocabulary is not None and info.form != "parallel":
        return load_vocabulary(vocabulary)
    if named in TEXT:
        raise InputError(f"{info.name} has the word pieces of {named}; prepare that first and name it: --vocabulary")
    if named:
        raise InputError(
            f"{info.name} has the word pieces of {named}: get the checkpoint directory (config.json, "
            f"model.safetensors, tokenizer.json or vocab.txt), and name it in config.yaml under data.sources.{named}"
        )
    return None


@contextlib.contextmanager
def raw_text(info: TextInfo, out: Path, source: Path | None) -> Iterator[tuple[Path, str]]:
    """The folder that holds the text, and where it came from in words; what is got or made for it is removed after."""
    if source is not None:
        if not source.is_dir():
            raise InputError(f"the source {source} of {info.name} is not a directory; name one that holds its text")
        yield source, str(source)
        return
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.download-") as scratch:
        if info.name.startswith("grammar_"):
            WRITERS[info.form](Path(scratch))
            yield Path(scratch), GRAMMAR
        elif info.name in FILES:
            origin = download(info.name, Path(scratch))
            yield Path(scratch), origin
        else:
            raise InputError(
                f"{info.name} has no open publisher: get the text as plain .txt files in a folder, and name that in "
                f"config.yaml under data.sources.{info.name}"
            )
