"""Plain text as documents of sentences: prepared, and in memory as pairs of segments that may follow each other.

A file has a sentence in a line and an empty line between documents, the usual form for pre-training BERT.
"""

import itertools
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.ahead import ahead
from workflow_scripts.datasets.images.npy import open_array
from workflow_scripts.datasets.sampling import WHOLE, Share, epoch_indices, positions
from workflow_scripts.datasets.text.corpora import text_files
from workflow_scripts.datasets.text.lines import read_lines
from workflow_scripts.datasets.text.masking import MARKS, masked, masked_count
from workflow_scripts.datasets.text.prepared import PreparedText, Ragged, describe, read_text_description
from workflow_scripts.datasets.text.settings import VOCABULARY, Documents
from workflow_scripts.datasets.text.wordpieces import CLS, MASK, PAD, SEP, learn_vocabulary, load_vocabulary

SPLITS = ("train", "test")
SHORT = 0.1  # share of pairs that are shorter than there is room for (Devlin et al. 2019, their code)
BLOCK = 10_000


def prepare_documents(
    info: Documents, raw: Path, folder: Path, source: str, vocabulary: Tokenizer | None
) -> PreparedText:
    """Write the prepared form of plain text into an empty folder.

    It holds, for each split, the tokens of its sentences and `split.documents.npy`, the number of the sentence that
    each document begins with, and of all sentences.

    Parameters
    ----------
    vocabulary : word pieces to use; learned from the training documents where it is None.

    Raises
    ------
    InputError : a file is not UTF-8, or a split has no document of two sentences.
    """
    files = text_files(raw)
    if vocabulary is None:
        lines = (
            sentence for split, document in read_documents(files, info) if split == "train" for sentence in document
        )
        vocabulary = learn_vocabulary(lines, info.pieces, info.lowercase)
    vocabulary.save(str(folder / VOCABULARY))
    counts, longest = {}, {}
    for split in SPLITS:
        lengths = [0]
        wanted = (document for name, document in read_documents(files, info) if name == split)
        sentences = Ragged.of(_in_pieces(wanted, vocabulary, lengths))
        if max(lengths) < 2:
            raise InputError(f"{info.name}: no document for {split} has two sentences; add text, or lower test_every")
        sentences.save(folder, f"{split}.text")
        np.save(folder / f"{split}.documents.npy", np.cumsum(lengths, dtype=np.int64))
        many = {"documents": len(lengths) - 1, "sentences": len(sentences), "text_tokens": len(sentences.tokens)}
        counts[split], longest[split] = many, {"text": int(sentences.lengths.max(initial=0))}
    size = {"text": vocabulary.get_vocab_size()}
    return describe(folder, PreparedText(info.name, info.form, asdict(info), source, counts, longest, size))


def read_documents(files: list[Path], info: Documents) -> Iterator[tuple[str, list[str]]]:
    """The split and sentences of each document; every `test_every`-th is for testing."""
    number = 0
    for path in files:
        document = []
        for line in itertools.chain(read_lines(path), [""]):
            if line.strip():
                document.append(line.strip())
            elif document:
                number += 1
                yield "train" if number % info.test_every else "test", document
                document = []


def _in_pieces(documents: Iterator[list[str]], vocabulary: Tokenizer, lengths: list[int]) -> Iterator[list[int]]:
    """Token numbers of all sentences; the number of each document's is put into `lengths`."""
    waiting = []
    for document in documents:
        lengths.append(len(document))
        waiting += document
        if len(waiting) > BLOCK:
            yield from (encoding.ids for encoding in vocabulary.encode_batch_fast(waiting, add_special_tokens=False))
            waiting = []
    yield from (encoding.ids for encoding in vocabulary.encode_batch_fast(waiting, add_special_tokens=False))


class Segments(NamedTuple):
    """Pairs of segments on the device: [CLS] first [SEP] second [SEP], filled up with [PAD] to the longest.

    tokens, segments : (b, l) int64; segments are 0 for the first and 1 for the second.
    other : (b,) int64; 0 where the second follows the first in its document, 1 where it is from anywhere.
    """

    tokens: Tensor
    segments: Tensor
    other: Tensor


class Masked(NamedTuple):
    """Pairs of segments on the device, some of whose word pieces are to be guessed.

    tokens, segments, other : as of `Segments`, with the masks.
    chosen : (n,) int64, numbers of the masked places in the flattened (b * l,). labels : (n,) int64, what was there.
    """

    tokens: Tensor
    segments: Tensor
    other: Tensor
    chosen: Tensor
    labels: Tensor


class MaskedUpdate(NamedTuple):
    """What one update of a pre-training rests on.

    parts : this process' pairs, as many at a time as are computed on together. masked : masked places of all processes.
    """

    parts: Iterator[Masked]
    masked: int


class Pair(NamedTuple):
    """Two segments as token numbers, whether the second is from anywhere, and the generator that they were drawn by."""

    first: np.ndarray
    second: np.ndarray
    other: bool
    random: np.random.Generator

    @property
    def length(self) -> int:
        """Tokens with the marks."""
        return len(self.first) + len(self.second) + MARKS


class DocumentText:
    """Both splits of prepared documents.

    info : the description. special : numbers of [PAD], [CLS], [SEP] and [MASK].

    Raises
    ------
    InputError : the folder is no prepared documents, or is damaged.
    """

    def __init__(self, folder: str | Path, device: str | torch.device = "cpu"):
        folder = Path(folder)
        self.info: PreparedText = read_text_description(folder)
        if self.info.form != "documents":
            raise InputError(f"{folder} holds {self.info.form}, not documents")
        self.folder, self.device = folder, torch.device(device)
        vocabulary = load_vocabulary(folder)
        self.special = {name: vocabulary.token_to_id(name) for name in (PAD, CLS, SEP, MASK)}
        self.sentences, self.documents, self.starts = {}, {}, {}
        for split in SPLITS:
            self.sentences[split] = Ragged.load(folder, f"{split}.text", self.info.vocabulary["text"])
            self.documents[split] = ends = np.asarray(open_array(folder / f"{split}.documents.npy"))
            if not len(ends) or ends[-1] != len(self.sentences[split]):
                raise InputError(f"the arrays of {split} in {folder} do not fit each other; prepare the data set again")
            # A pair begins at any sentence that another one follows.
            last = np.zeros(len(self.sentences[split]), dtype=bool)
            last[ends[1:] - 1] = True
            self.starts[split] = np.flatnonzero(~last)

    def count(self, split: str) -> int:
        """Number of sentences at which a pair may begin."""
        return len(self.starts[split])

    def epoch_batches(
        self, seed: int, epoch: int, batch_size: int, samples: int, length: int, share: Share = WHOLE, first: int = 0
    ) -> Iterator[Segments]:
        """Yield the batches of epoch 1, 2, ...: pairs that begin at the next `samples` of a stream of permutations.

        Parameters
        ----------
        length : tokens of a pair, with its three marks, at most.
        share : yield this part of every batch alone.
        first : leave out so many batches at the beginning, after which a training goes on.
        """
        order = epoch_indices(self.count("train"), seed, epoch, samples).numpy()
        chosen, sizes = positions(samples, batch_size, share)
        begin = 0
        for number, size in enumerate(sizes):
            places, begin = chosen[begin : begin + size].numpy(), begin + size
            if number >= first:
                yield self._segments("train", order[places], [(seed, epoch, place) for place in places], length)

    def batches(self, split: str, batch_size: int, length: int, share: Share = WHOLE) -> Iterator[Segments]:
        """Yield a pair from every start of a split, always the same; every `share.count`-th batch for one process."""
        every = np.arange(self.count(split))
        for start in range(share.rank * batch_size, len(every), share.count * batch_size):
            chosen = every[start : start + batch_size]
            yield self._segments(split, chosen, [(0, 0, place) for place in chosen], length)

    def masked_updates(
        self, seed: int, epoch: int, batch_size: int, updates: int, length: int, together: int, share: Share = WHOLE,
        first: int = 0,
    ) -> Iterator[MaskedUpdate]:  # fmt: skip
        """Yield the updates of epoch 1, 2, ...: the pairs of `epoch_batches`, masked.

        Each process draws all pairs of an update, since how many places are masked is counted over all of them.

        Parameters
        ----------
        batch_size : pairs of an update. together : pairs of a part, at most. share, first : as of `epoch_batches`.
        """
        order = epoch_indices(self.count("train"), seed, epoch, batch_size * updates).numpy()
        own = share.of(batch_size)

        def drawn(begin: int) -> list[Pair]:
            keys = [(seed, epoch, place) for place in range(begin, begin + batch_size)]
            return self._drawn("train", order[begin:][:batch_size], keys, length)

        begins = range(first * batch_size, len(order), batch_size)
        # While a GPU computes there is time to draw the next update's pairs.
        for pairs in ahead(drawn, begins) if self.device.type == "cuda" else map(drawn, begins):
            parts = self._parts(pairs[own.start : own.stop], together)
            yield MaskedUpdate(parts, sum(masked_count(pair.length) for pair in pairs))

    def _parts(self, pairs: list[Pair], together: int) -> Iterator[Masked]:
        for start in range(0, len(pairs), together):
            yield self._masked(pairs[start : start + together])

    def masked_batches(self, split: str, batch_size: int, length: int, share: Share = WHOLE) -> Iterator[Masked]:
        """As `batches`, masked, always the same."""
        every = np.arange(self.count(split))
        for start in range(share.rank * batch_size, len(every), share.count * batch_size):
            chosen = every[start : start + batch_size]
            yield self._masked(self._drawn(split, chosen, [(0, 0, place) for place in chosen], length))

    def _segments(self, split: str, chosen: np.ndarray, keys: list[tuple[int, ...]], length: int) -> Segments:
        return Segments(*map(self._put, self._filled(self._drawn(split, chosen, keys, length))))

    def _drawn(self, split: str, chosen: np.ndarray, keys: list[tuple[int, ...]], length: int) -> list[Pair]:
        """The pairs that begin at these starts, each drawn by a generator of its own key."""
        generators = map(np.random.default_rng, keys)
        starts = self.starts[split][chosen].tolist()
        return [
            Pair(*self.pair(split, start, length, random), random)
            for start, random in zip(starts, generators, strict=True)
        ]

    def _filled(self, pairs: list[Pair]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The arrays of `Segments`."""
        pad, cls, sep = (self.special[name] for name in (PAD, CLS, SEP))
        longest = max((pair.length for pair in pairs), default=0)
        tokens = np.full((len(pairs), longest), pad, dtype=np.int64)
        segments = np.zeros_like(tokens)
        for row, pair in enumerate(pairs):
            tokens[row, : pair.length] = np.concatenate([[cls], pair.first, [sep], pair.second, [sep]])
            segments[row, len(pair.first) + 2 : pair.length] = 1
        return tokens, segments, np.array([pair.other for pair in pairs], dtype=np.int64)

    def _masked(self, pairs: list[Pair]) -> Masked:
        """Pairs whose masks are drawn by the generators that drew them."""
        tokens, segments, other = self._filled(pairs)
        width, size, mask = tokens.shape[1], self.info.vocabulary["text"], self.special[MASK]
        chosen, labels = [], []
        for row, pair in enumerate(pairs):
            places, put = masked(tokens[row, : pair.length], len(pair.first) + 2, mask, size, pair.random)
            chosen.append(row * width + places)
            labels.append(tokens[row, places])
            tokens[row, places] = put
        return Masked(*map(self._put, (tokens, segments, other, np.concatenate(chosen), np.concatenate(labels))))

    def _put(self, array: np.ndarray) -> Tensor:
        """An array on the device. A GPU goes on computing while it comes, so that the next pairs can be drawn."""
        tensor = torch.from_numpy(array)
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def pair(
        self, split: str, start: int, length: int, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """Two segments, the first from sentence `start` on, and whether the second is from anywhere.

        Sentences fill the room together; they are divided between two of them, and in half of the cases the second part
        is replaced by sentences of another document (Devlin et al. 2019, appendix A.2).
        """
        room = length - 3
        wanted = int(random.integers(2, room + 1)) if random.random() < SHORT else room
        ends = self.documents[split]
        document = int(np.searchsorted(ends, start, side="right")) - 1
        offsets = self.sentences[split].offsets
        filled = offsets[start + 1 : ends[document + 1] + 1] - offsets[start]
        count = max(2, int(np.searchsorted(filled, wanted)) + 1)
        cut = start + int(random.integers(1, min(count, len(filled))))
        first = self._tokens(split, start, cut)
        other = bool(random.random() < 0.5) and len(ends) > 2
        if other:
            elsewhere = int(random.integers(len(ends) - 2))
            elsewhere += elsewhere >= document
            begin = int(random.integers(ends[elsewhere], ends[elsewhere + 1]))
            second = self._tokens(split, begin, int(ends[elsewhere + 1]))[: max(1, wanted - len(first))]
        else:
            second = self._tokens(split, cut, start + min(count, len(filled)))
        while len(first) + len(second) > room:  # the longer one loses a token at either end
            longer = first if len(first) > len(second) else second
            longer = longer[1:] if random.random() < 0.5 else longer[:-1]
            first, second = (longer, second) if len(first) > len(second) else (first, longer)
        return first, second, other

    def _tokens(self, split: str, begin: int, end: int) -> np.ndarray:
        """The tokens of sentences begin .. end - 1, one after the other."""
        ragged = self.sentences[split]
        return ragged.tokens[ragged.offsets[begin] : ragged.offsets[end]]
