"""Words as Moses' scripts make them, by sacremoses: normalise, tokenise, lowercase; and its rule for cleaning."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from sacremoses import MosesDetokenizer, MosesPunctNormalizer, MosesTokenizer

BLOCK = 10_000  # lines that a process takes at a time


def words(lines: Iterable[str], language: str, normalise: bool, tokenise: bool, hyphens: bool) -> list[str]:
    """Lines as words with a space between them.

    Parameters
    ----------
    language : two letters; abbreviations and apostrophes are its own.
    normalise : make punctuation plain and put a space for each character that does not print.
    tokenise : as Moses' tokenizer.perl, which writes & < > ' " [ ] | as entities.
    hyphens : split words at hyphens, with @-@ in their place (its option -a).
    """
    # As the Perl script has it, which makes a ’ that is no apostrophe a quotation mark.
    normal = MosesPunctNormalizer(lang=language, perl_parity=True).normalize if normalise else None
    tokenizer = MosesTokenizer(lang=language) if tokenise else None
    made = []
    for line in lines:
        if normal:
            line = printable(normal(line))
        if tokenizer:
            line = tokenizer.tokenize(line, aggressive_dash_splits=hyphens, return_str=True)
        made.append(" ".join(line.split()))
    return made


def as_written(line: str, language: str) -> str:
    """A line of words as plain text, by Moses' detokenizer.perl: no space before a comma, & for its entity."""
    return MosesDetokenizer(lang=language).detokenize(line.split())


def words_of_all(lines: Iterable[str], processes: int, *options: object) -> Iterator[str]:
    """`words` of any number of lines, in their order, a block after the other or in several processes."""
    work: Callable[[list[str]], list[str]] = partial(_words, options=options)
    if processes == 1:
        for block in _blocks(lines):
            yield from work(block)
        return
    with ProcessPoolExecutor(processes) as pool:
        # A few blocks at a time: a corpus does not fit into memory as Python's strings.
        waiting = []
        for block in _blocks(lines):
            waiting.append(pool.submit(work, block))
            if len(waiting) > 2 * processes:
                yield from waiting.pop(0).result()
        for done in waiting:
            yield from done.result()


def _words(block: list[str], options: tuple) -> list[str]:
    return words(block, *options)


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    block = []
    for line in lines:
        block.append(line)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def printable(line: str) -> str:
    """A line with a space for each control, format or unassigned character, as remove-non-printing-char.perl."""
    return "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in line)


def is_clean(source: int, target: int, longest: int, ratio: float) -> bool:
    """Whether a pair of these lengths stays, by the rule of clean-corpus-n.perl."""
    return 1 <= source <= longest and 1 <= target <= longest and source <= ratio * target and target <= ratio * source
