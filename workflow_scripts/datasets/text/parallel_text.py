"""Prepared parallel text in memory: batches of token numbers, a pure function of (seed, epoch, share)."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.sampling import WHOLE, Share, epoch_indices
from workflow_scripts.datasets.text.batching import buckets
from workflow_scripts.datasets.text.parallel import SIDES, SPLITS
from workflow_scripts.datasets.text.pieces import END, PAD, Dictionary
from workflow_scripts.datasets.text.prepared import PreparedText, Ragged, read_text_description


class Pairs(NamedTuple):
    """Sentence pairs on the device, each ended by </s> and filled up with <pad> on the right.

    source, target : (b, s) and (b, t) int64. index : (b,) their numbers in the split.
    total : tokens to predict, end marks included, in the whole batch that this is a share of.
    """

    source: Tensor
    target: Tensor
    index: Tensor
    total: int


class ParallelText:
    """All splits of a prepared parallel text.

    info : its description. device : where batches are put.

    Raises
    ------
    InputError : the folder is no prepared parallel text, or is damaged.
    """

    def __init__(self, folder: str | Path, device: str | torch.device = "cpu"):
        folder = Path(folder)
        self.info: PreparedText = read_text_description(folder)
        if self.info.form != "parallel":
            raise InputError(f"{folder} holds {self.info.form}, not parallel text")
        self.folder, self.device = folder, torch.device(device)
        self.sides = {
            split: {side: Ragged.load(folder, f"{split}.{side}", self.info.vocabulary[side]) for side in SIDES}
            for split in SPLITS
        }
        for split, sides in self.sides.items():
            counts = {side: len(sides[side]) for side in SIDES}
            if len(set(counts.values())) > 1:
                raise InputError(f"{folder}: {split} has {counts['source']} sources but {counts['target']} targets")
            if not counts["source"]:
                raise InputError(f"{folder}: {split} has no pairs; prepare the data set again")
        self.buckets = cache(self._buckets)
        self.dictionary = cache(self._dictionary)

    def count(self, split: str) -> int:
        """Number of pairs of a split."""
        return len(self.sides[split]["source"])

    def lengths(self, split: str) -> np.ndarray:
        """Tokens of each pair with the end marks, (n, 2): source, target."""
        return np.stack([self.sides[split][side].lengths + 1 for side in SIDES], axis=1)

    def words(self, split: str, side: str) -> list[str]:
        """The words of a split before they were cut into pieces: what translations are compared with."""
        return (self.folder / f"{split}.{side}.txt").read_text(encoding="utf-8").split("\n")[:-1]

    def _dictionary(self, side: str) -> Dictionary:
        """The tokens of a side."""
        return Dictionary.load(self.folder / f"dictionary.{side}.txt")

    def _buckets(self, split: str, most: int) -> list[np.ndarray]:
        """The batches of a split, of at most `most` padded tokens a side, by length; see `batching.buckets`."""
        files = f"{self.folder}/{split}.source.txt and {split}.target.txt"
        return buckets(self.lengths(split), most, f"the pair in {files} line")

    def epoch_batches(
        self, seed: int, epoch: int, most: int, updates: int, share: Share = WHOLE, first: int = 0
    ) -> Iterator[Pairs]:
        """Yield the batches of epoch 1, 2, ...: the next `updates` of a stream of permutations of all batches.

        Parameters
        ----------
        most : padded tokens of a batch's longer side.
        share : yield this part of every batch alone; it may be empty.
        first : leave out so many batches at the beginning, after which a training goes on.
        """
        found = self.buckets("train", most)
        for number in epoch_indices(len(found), seed, epoch, updates)[first:].tolist():
            yield self.batch("train", found[number], share)

    def batches(self, split: str, most: int, share: Share = WHOLE) -> Iterator[Pairs]:
        """Yield all pairs of a split, short ones first; of several processes each has every `share.count`-th batch."""
        for chosen in self.buckets(split, most)[share.rank :: share.count]:
            yield self.batch(split, chosen)

    def batch(self, split: str, chosen: np.ndarray, share: Share = WHOLE) -> Pairs:
        """A process' share of the pairs `chosen`."""
        own = chosen[share.of(len(chosen))]
        sides = self.sides[split]
        source, target = (self._padded(sides[side], own) for side in SIDES)
        offsets = sides["target"].offsets
        total = int((offsets[chosen + 1] - offsets[chosen]).sum()) + len(chosen)
        return Pairs(source, target, torch.from_numpy(own).to(self.device), total)

    def _padded(self, ragged: Ragged, chosen: np.ndarray) -> Tensor:
        """Sequences (b, longest + 1) int64: each with its end mark, then padding."""
        begins, ends = ragged.offsets[chosen], ragged.offsets[chosen + 1]
        lengths = ends - begins
        columns = np.arange(lengths.max(initial=0) + 1)
        inside = columns < lengths[:, None]
        filled = np.full(inside.shape, PAD, dtype=np.int64)
        filled[inside] = ragged.tokens[(begins[:, None] + columns)[inside]]
        filled[np.arange(len(chosen)), lengths] = END
        return torch.from_numpy(filled).to(self.device)
