"""Prepare parallel text: words, cleaning, pieces, dictionaries, and arrays of token numbers."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.text.corpora import Corpus
from workflow_scripts.datasets.text.lines import read_lines, read_pairs
from workflow_scripts.datasets.text.moses import as_written, is_clean, words, words_of_all
from workflow_scripts.datasets.text.pieces import UNKNOWN, Dictionary, Pieces, count_words, learn_merges
from workflow_scripts.datasets.text.prepared import PreparedText, Ragged, describe, read_text_description
from workflow_scripts.datasets.text.settings import Parallel

SIDES = ("source", "target")
SPLITS = ("train", "valid", "test")
MERGES = "pieces.json"
REPORTED = 5  # faults of one kind that are reported; a file may have thousands


def prepare_parallel(info: Parallel, corpus: Corpus, folder: Path, source: str, processes: int = 1) -> PreparedText:
    """Write the prepared form of parallel text into an empty folder.

    It holds, for each split and side, `split.side.tokens.npy` and `.offsets.npy` (no end marks in them) and the words
    themselves, `split.side.txt`; `dictionary.side.txt`; `pieces.json`; SHA256SUMS and dataset.json.

    Parameters
    ----------
    source : where the text came from, for the description.
    processes : how many split text into words.

    Raises
    ------
    InputError : tells what is wrong with the text, by file and line.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.words-") as scratch:
        write_words(info, corpus, Path(scratch), processes)
        divide(info, corpus, Path(scratch), folder)
    counts = {side: count_words(read_lines(folder / f"train.{side}.txt")) for side in SIDES}
    both = counts["source"] + counts["target"]
    pieces = Pieces(learn_merges(both, info.merges), sorted(set().union(*both)))
    (folder / MERGES).write_text(json.dumps(asdict(pieces), ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    split = {name: to_pieces(info, pieces, folder, name) for name in SPLITS}
    if not info.clean:
        refuse_faults(info, corpus, split)
    dictionaries = make_dictionaries(info, pieces, split["train"])
    for side, dictionary in dictionaries.items():
        dictionary.save(folder / f"dictionary.{side}.txt")
        table = dictionary.lookup(pieces.names)
        for name in SPLITS:
            found = split[name][side]
            split[name][side] = Ragged(table[found.tokens], found.offsets)
            split[name][side].save(folder, f"{name}.{side}")
    return describe(folder, description(info, source, split, dictionaries))


def description(info: Parallel, source: str, split: dict, dictionaries: dict[str, Dictionary]) -> PreparedText:
    """What is known of the prepared text."""
    return PreparedText(
        name=info.name,
        form=info.form,
        settings=asdict(info),
        source=source,
        counts={
            name: {
                "pairs": len(sides["source"]),
                **{f"{side}_tokens": len(sides[side].tokens) for side in SIDES},
                **{f"{side}_unknown": int((sides[side].tokens == UNKNOWN).sum()) for side in SIDES},
            }
            for name, sides in split.items()
        },
        longest={
            name: {side: int(sides[side].lengths.max(initial=0)) for side in SIDES} for name, sides in split.items()
        },
        vocabulary={side: len(dictionary) for side, dictionary in dictionaries.items()},
    )


def write_words(info: Parallel, corpus: Corpus, scratch: Path, processes: int) -> None:
    """Split.side.txt of words in the scratch folder, after counting the lines of both sides."""
    for split in corpus.files:
        for _ in corpus.pairs(split):  # tells what cannot be read before anything is computed
            pass
        normalise = info.normalise and split == "train"
        for number, (side, language) in enumerate(zip(SIDES, (info.source, info.target), strict=True)):
            raw = (pair[number] for pair in corpus.pairs(split))
            options = language, normalise, info.tokenise, info.aggressive_hyphens
            with (scratch / f"{split}.{side}.txt").open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in words_of_all(raw, processes, *options))


def divide(info: Parallel, corpus: Corpus, scratch: Path, folder: Path) -> None:
    """Clean by words, take every n-th pair for validation, write everything small, as the settings say.

    Raises
    ------
    InputError : nothing is left for a split.
    """
    for split in corpus.files:
        with Writers(folder) as writers:
            kept = 0
            for source, target in read_pairs(*(scratch / f"{split}.{side}.txt" for side in SIDES)):
                lengths = len(source.split()), len(target.split())
                if split == "train" and info.clean == "words" and not is_clean(*lengths, info.longest, info.ratio):
                    continue
                kept += 1
                held_out = split == "train" and info.validation_every and kept % info.validation_every == 0
                pair = (source.lower(), target.lower()) if info.lowercase else (source, target)
                writers.write("valid" if held_out else split, pair)
    for split in SPLITS:
        place = folder / f"{split}.source.txt"
        if not place.is_file() or not place.stat().st_size:
            if split == "valid" and info.validation_every:
                reason = "no pair of the training text was taken for it; lower validation_every or add a file"
            else:
                files = " and ".join(f"{source} and {target.name}" for source, target in corpus.files[split])
                reason = f"{files} have no usable pair"
            raise InputError(f"{info.name}: the {split} set is empty: {reason}")


class Writers:
    """The two files of each split that something is written to."""

    def __init__(self, folder: Path):
        self.folder, self.files = folder, {}

    def __enter__(self) -> "Writers":
        return self

    def write(self, split: str, pair: tuple[str, str]) -> None:
        """Add a line to both files of a split."""
        for side, line in zip(SIDES, pair, strict=True):
            if (split, side) not in self.files:
                path = self.folder / f"{split}.{side}.txt"
                self.files[split, side] = path.open("w", encoding="utf-8", newline="\n")
            self.files[split, side].write(f"{line}\n")

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.close()


def to_pieces(info: Parallel, pieces: Pieces, folder: Path, split: str) -> dict[str, Ragged]:
    """Both sides of a split in numbers of pieces; cleaned by pieces, with the words' files, where the settings say."""
    found = {side: Ragged.of(_in_pieces(pieces, folder / f"{split}.{side}.txt")) for side in SIDES}
    if info.clean != "pieces" or split == "test":
        return found
    lengths = zip(*(found[side].lengths.tolist() for side in SIDES), strict=True)
    keep = np.array([is_clean(*pair, info.longest, info.ratio) for pair in lengths], dtype=bool)
    if not keep.any():
        raise InputError(f"{info.name}: the {split} set is empty: cleaning dropped all of its {len(keep)} pairs")
    for side in SIDES:
        path = folder / f"{split}.{side}.txt"
        kept = [line for line, stays in zip(read_lines(path), keep, strict=True) if stays]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8", newline="\n")
        tokens = found[side].tokens[np.repeat(keep, found[side].lengths)]
        found[side] = Ragged(tokens, np.cumsum([0, *found[side].lengths[keep]], dtype=np.int64))
    return found


def _in_pieces(pieces: Pieces, path: Path) -> Iterator[list[int]]:
    block = []
    for line in read_lines(path):
        block.append(line)
        if len(block) == 20_000:
            yield from pieces.split(block)
            block = []
    yield from pieces.split(block)


def refuse_faults(info: Parallel, corpus: Corpus, split: dict[str, dict[str, Ragged]]) -> None:
    """Refuse empty and over-long sentences of text that is not to be cleaned.

    Raises
    ------
    InputError : tells them by file and line.
    """
    problems = []
    for name in corpus.files:
        if name == "train" and info.validation_every:
            lengths = _interleaved(split, info.validation_every)
        else:
            lengths = np.stack([split[name][side].lengths for side in SIDES])
        for row, what in ((lengths.min(0) == 0, "is empty"), (lengths.max(0) > info.longest, "is too long")):
            for number in np.flatnonzero(row)[:REPORTED].tolist():
                more = f": {lengths[:, number].max()} pieces, where longest is {info.longest}" if "long" in what else ""
                problems.append(f"{corpus.place(name, number + 1)} {what}{more}")
            if (rest := int(row.sum()) - REPORTED) > 0:
                problems.append(f"{name}: {rest} more such lines")
    if problems:
        remedy = "mend the lines, or set clean to words or pieces in dataset.yaml to drop such training pairs"
        raise InputError.together(f"{info.name} has sentences that cannot be used; {remedy}", problems)


def _interleaved(split: dict[str, dict[str, Ragged]], every: int) -> np.ndarray:
    """Lengths (2, n) of training and held-out pairs in the order of the file."""
    train, valid = (np.stack([split[name][side].lengths for side in SIDES]) for name in ("train", "valid"))
    whole = np.empty((2, train.shape[1] + valid.shape[1]), dtype=np.int64)
    held_out = np.arange(1, whole.shape[1] + 1) % every == 0
    whole[:, held_out], whole[:, ~held_out] = valid, train
    return whole


def make_dictionaries(info: Parallel, pieces: Pieces, train: dict[str, Ragged]) -> dict[str, Dictionary]:
    """A dictionary a side, counted on the training text alone; or one for both."""
    counts = {side: np.bincount(train[side].tokens, minlength=len(pieces.names)) for side in SIDES}
    if info.joined:
        counts = dict.fromkeys(SIDES, counts["source"] + counts["target"])
    return {side: Dictionary.of_counts(dict(zip(pieces.names, counts[side].tolist(), strict=True))) for side in SIDES}


@dataclass
class TextCodec:
    """Sentences to token numbers and back, as a prepared data set has them; for text of anyone's.

    side : "source" or "target".
    """

    info: Parallel
    side: str
    pieces: Pieces
    dictionary: Dictionary

    @classmethod
    def load(cls, folder: Path, side: str) -> "TextCodec":
        """The codec of a side of prepared parallel text.

        Raises
        ------
        InputError : the folder is no prepared parallel text.
        """
        prepared = read_text_description(folder)
        if prepared.form != "parallel":
            raise InputError(f"{folder} holds {prepared.form}, not parallel text")
        pieces = Pieces(**json.loads((folder / MERGES).read_text(encoding="utf-8")))
        return cls(prepared.info, side, pieces, Dictionary.load(folder / f"dictionary.{side}.txt"))

    def words(self, lines: list[str]) -> list[str]:
        """Raw lines as the words that the data set's test text has."""
        language = self.info.source if self.side == "source" else self.info.target
        made = words(lines, language, False, self.info.tokenise, self.info.aggressive_hyphens)
        return [line.lower() for line in made] if self.info.lowercase else made

    def plain(self, words: str) -> str:
        """A line of words as plain text: without the spaces and entities that Moses writes, where it wrote them."""
        language = self.info.source if self.side == "source" else self.info.target
        return as_written(words, language) if self.info.tokenise else words

    def encode(self, words: list[str]) -> list[list[int]]:
        """Token numbers of lines of words, without an end mark."""
        table = self.dictionary.lookup(self.pieces.names)
        return [table[numbers].tolist() for numbers in self.pieces.split(words)]

    def decode(self, numbers: list[int]) -> str:
        """The words that token numbers spell, up to the first end mark."""
        return self.dictionary.text(numbers)
