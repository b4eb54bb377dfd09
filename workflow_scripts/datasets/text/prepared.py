"""The one prepared form of text: token numbers in memory-mappable arrays, what they stand for, and a description."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.description import CHECKSUMS, DESCRIPTION, read_fields
from workflow_scripts.datasets.images.npy import open_array
from workflow_scripts.datasets.text.settings import FORMS, TextInfo


@dataclass(frozen=True)
class PreparedText:
    """What is known of text once it is prepared.

    settings : the fields of its `Parallel`, `Questions` or `Documents`.
    source : where the text came from.
    counts : split → what is counted → how many: pairs, questions, documents, sentences, and the tokens of each side.
    longest : split → side → tokens of the longest sequence.
    vocabulary : side → number of tokens known.
    sha256 : digest of each file, by name.
    """

    name: str
    form: str
    settings: dict
    source: str
    counts: dict[str, dict[str, int]]
    longest: dict[str, dict[str, int]]
    vocabulary: dict[str, int]
    sha256: dict[str, str] = field(default_factory=dict)

    @property
    def info(self) -> TextInfo:
        """The settings as they were declared."""
        return FORMS[self.form](**self.settings)


@dataclass(frozen=True)
class Ragged:
    """Sequences of different lengths, one after the other.

    tokens : (all tokens,) int32. offsets : (n + 1,) int64; sequence i is tokens[offsets[i]:offsets[i + 1]].
    """

    tokens: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each sequence, (n,) int64."""
        return np.diff(self.offsets)

    @classmethod
    def of(cls, sequences: Iterable[Iterable[int]]) -> "Ragged":
        """Sequences of numbers, put one after the other."""
        parts, lengths = [], [0]
        for block in _blocks(sequences):
            lengths += [len(sequence) for sequence in block]
            parts.append(np.fromiter((token for sequence in block for token in sequence), dtype=np.int32))
        return cls(np.concatenate([np.empty(0, np.int32), *parts]), np.cumsum(lengths, dtype=np.int64))

    def save(self, folder: Path, name: str) -> None:
        """Write `name`.tokens.npy and `name`.offsets.npy."""
        np.save(folder / f"{name}.tokens.npy", self.tokens)
        np.save(folder / f"{name}.offsets.npy", self.offsets)

    @classmethod
    def load(cls, folder: Path, name: str, size: int) -> "Ragged":
        """Map what `save` wrote.

        Parameters
        ----------
        size : of the vocabulary, beyond which no token may be.

        Raises
        ------
        InputError : a file is missing or damaged, or a token is beyond the vocabulary.
        """
        tokens, offsets = (open_array(folder / f"{name}.{part}.npy") for part in ("tokens", "offsets"))
        place = folder / f"{name}.offsets.npy"
        if tokens.dtype != np.int32 or offsets.dtype != np.int64 or tokens.ndim != 1 or offsets.ndim != 1:
            raise InputError(
                f"{place} and the tokens beside it are not of the types that preparing writes; prepare again"
            )
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(tokens) or (np.diff(offsets) < 0).any():
            raise InputError(f"{place} does not fit the {len(tokens)} tokens beside it; prepare the data set again")
        if len(tokens) and not (tokens.min() >= 0 and tokens.max() < size):
            where = int(np.flatnonzero((tokens < 0) | (tokens >= size))[0])
            line = int(np.searchsorted(offsets, where, side="right"))
            raise InputError(
                f"{folder / f'{name}.tokens.npy'} has the token {tokens[where]} in sequence {line}, but the vocabulary "
                f"ends at {size - 1}; prepare the data set again"
            )
        return cls(np.asarray(tokens), np.asarray(offsets))  # a slice of a memmap takes several times as long


def _blocks(sequences: Iterable, size: int = 20_000) -> Iterator[list]:
    block = []
    for sequence in sequences:
        block.append(sequence)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def describe(folder: Path, prepared: PreparedText) -> PreparedText:
    """Write the checksums of a folder's files and the description, which now holds them."""
    digests = {path.name: checksum(path) for path in sorted(folder.iterdir())}
    done = PreparedText(**{**asdict(prepared), "sha256": digests})
    (folder / CHECKSUMS).write_text("".join(f"{digest}  {file}\n" for file, digest in digests.items()))
    (folder / DESCRIPTION).write_text(json.dumps(asdict(done), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return done


def read_text_description(folder: Path) -> PreparedText:
    """Read `dataset.json` of prepared text.

    Raises
    ------
    InputError : it is missing, or is not what preparing writes.
    """
    fields = read_fields(folder)
    try:
        prepared = PreparedText(**fields)
        prepared.info  # noqa: B018 - raises where the settings are none
    except (TypeError, KeyError) as error:
        raise InputError(
            f"{folder / DESCRIPTION} is not a description of text that preparing writes ({error}); prepare it again"
        ) from None
    return prepared
