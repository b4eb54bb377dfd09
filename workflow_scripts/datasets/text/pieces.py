"""Pieces of words: byte-pair encodings learned as the papers' preparation learns them, and dictionaries of pieces."""

import contextlib
import io
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

from workflow_scripts.base.errors import InputError

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")  # in fairseq's order
START, PAD, END, UNKNOWN = range(len(SPECIALS))
MULTIPLE = 8  # matrices of such sizes are faster on GPUs
FILL = "unused{:04}"  # pads a dictionary
WORD_END, GOES_ON = "</w>", "@@"


def count_words(lines: Iterable[str]) -> Counter:
    """How often each word occurs in lines of words with spaces between them."""
    counts = Counter()
    for line in lines:
        counts.update(line.split())
    return counts


def learn_merges(counts: Counter, merges: int) -> list[str]:
    """Byte-pair encodings of counted words, one "left right" a merge, most frequent first, by subword-nmt.

    Raises
    ------
    InputError : there is no word of two letters to learn from.
    """
    from subword_nmt.learn_bpe import learn_bpe

    if not any(len(word) > 1 for word in counts):
        raise InputError("the training text has no word of two letters, so no pieces of words can be learned from it")
    learned = io.StringIO()
    lines = (f"{word} {count}" for word, count in counts.items())
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):  # its progress bar
        learn_bpe(lines, learned, merges, is_dict=True)
    return learned.getvalue().splitlines()[1:]  # the first line is a version


@dataclass
class Pieces:
    """Splits words into pieces by merges that were learned.

    merges : as `learn_merges` gives them. letters : all letters of the training text; others are unknown.
    """

    merges: list[str]
    letters: list[str]

    def __post_init__(self):
        pairs = [tuple(merge.split(" ")) for merge in self.merges]
        known = [letter + end for letter in self.letters for end in ("", WORD_END)]
        names = dict.fromkeys(["<unk>", *known, *("".join(pair) for pair in pairs)])
        model = models.BPE(
            vocab={name: number for number, name in enumerate(names)},
            merges=pairs,
            unk_token="<unk>",
            end_of_word_suffix=WORD_END,
        )
        self._tokenizer = Tokenizer(model)
        self._tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        self.names = [written(name) for name in names]

    def split(self, lines: list[str]) -> list[list[int]]:
        """Numbers of the pieces, in `names`, of each line."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(lines)]


def written(piece: str) -> str:
    """A piece as dictionaries write it: the@@ where the word goes on, the where it ends."""
    if piece == "<unk>":
        return piece
    return piece.removesuffix(WORD_END) if piece.endswith(WORD_END) else piece + GOES_ON


@dataclass
class Dictionary:
    """The tokens of one side, by number: four specials, then pieces by falling count in the training text.

    tokens, counts : of each number; the last of them may fill the size up to a multiple of 8, with a count of 0.
    """

    tokens: list[str]
    counts: list[int]

    def __post_init__(self):
        self.numbers = {token: number for number, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def of_counts(cls, counts: dict[str, int]) -> "Dictionary":
        """The dictionary of counted pieces; of equal counts in the order of their letters."""
        ordered = sorted(
            (token for token in counts if counts[token] and token not in SPECIALS), key=lambda t: (-counts[t], t)
        )
        used = len(SPECIALS) + len(ordered)
        fill = [FILL.format(number) for number in range(-used % MULTIPLE)]
        every = [0] * len(SPECIALS) + [counts[token] for token in ordered] + [0] * len(fill)
        return cls([*SPECIALS, *ordered, *fill], every)

    def lookup(self, names: list[str]) -> np.ndarray:
        """The number of each name of a piece, int32; unknown ones become <unk>, and so does text that looks special."""
        known = {name: number for name, number in self.numbers.items() if name not in SPECIALS}
        return np.array([known.get(name, UNKNOWN) for name in names], dtype=np.int32)

    def text(self, numbers: Iterable[int]) -> str:
        """The words that token numbers spell; what stands after the end, and specials but <unk>, is left out."""
        spelled = []
        for number in numbers:
            if number == END:
                break
            if number not in (START, PAD):
                spelled.append(self.tokens[number])
        return f"{' '.join(spelled)} ".replace(f"{GOES_ON} ", "").rstrip(" ")

    def save(self, path: Path) -> None:
        """Write a line "token count" for each number."""
        lines = (f"{token} {count}\n" for token, count in zip(self.tokens, self.counts, strict=True))
        path.write_text("".join(lines), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Dictionary":
        """Read what `save` wrote.

        Raises
        ------
        InputError : the file is missing, or a line is no token and count.
        """
        from workflow_scripts.datasets.text.lines import read_lines

        tokens, counts = [], []
        for number, line in enumerate(read_lines(path), start=1):
            token, _, count = line.rpartition(" ")
            if not token or not count.isdecimal():
                raise InputError(f"{path} line {number} is not a token and its count")
            tokens.append(token)
            counts.append(int(count))
        if tuple(tokens[: len(SPECIALS)]) != SPECIALS:
            raise InputError(f"{path} does not begin with {' '.join(SPECIALS)}, so it is no dictionary of ours")
        return cls(tokens, counts)
