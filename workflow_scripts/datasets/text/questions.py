"""Prepared questions in memory: windows [CLS] question [SEP] part of paragraph [SEP], and where the answer is."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.npy import open_array
from workflow_scripts.datasets.sampling import WHOLE, Share, epoch_indices, positions
from workflow_scripts.datasets.text.prepared import PreparedText, Ragged, read_text_description
from workflow_scripts.datasets.text.squad import Question, read_squad
from workflow_scripts.datasets.text.wordpieces import CLS, PAD, SEP, load_vocabulary

LONGEST_QUESTION = 64  # tokens; the rest is cut off, as BERT's own script does


class Windows(NamedTuple):
    """Windows on the device, filled up with [PAD] to the longest.

    tokens, segments : (b, l) int64; segments are 0 for the question and 1 for the paragraph.
    start, end : (b,) positions of the answer's first and last token; 0, that of [CLS], where it is not in the window.
    index : (b,) the windows' numbers in `Cut`.
    """

    tokens: Tensor
    segments: Tensor
    start: Tensor
    end: Tensor
    index: Tensor


@dataclass(frozen=True)
class Cut:
    """All windows of a split, (n,) int64 each.

    question : whose window it is. begin, stop : its part of the paragraph's tokens. first : where that part begins in
    the window.
    """

    question: np.ndarray
    begin: np.ndarray
    stop: np.ndarray
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.question)


@dataclass(frozen=True)
class Split:
    """The arrays that `squad.prepare_questions` writes, mapped."""

    contexts: Ragged
    questions: Ragged
    characters: np.ndarray
    context_of: np.ndarray
    answers: np.ndarray


class QuestionText:
    """Prepared questions: of both splits, or of those alone that are to be answered, as the split "test".

    info : the description. special : numbers of [PAD], [CLS] and [SEP].

    Raises
    ------
    InputError : the folder is no prepared questions, or is damaged.
    """

    def __init__(self, folder: str | Path, device: str | torch.device = "cpu"):
        folder = Path(folder)
        self.info: PreparedText = read_text_description(folder)
        if self.info.form != "questions":
            raise InputError(f"{folder} holds {self.info.form}, not questions")
        self.folder, self.device = folder, torch.device(device)
        vocabulary = load_vocabulary(folder)
        self.special = {name: vocabulary.token_to_id(name) for name in (PAD, CLS, SEP)}
        self.splits = {split: self._load(split) for split in self.info.counts}
        self.cut = cache(self._cut)

    def _load(self, split: str) -> Split:
        size = self.info.vocabulary["text"]
        contexts, questions = (Ragged.load(self.folder, f"{split}.{s}", size) for s in ("contexts", "questions"))
        parts = ("characters", "context_of", "answers")
        arrays = [np.asarray(open_array(self.folder / f"{split}.{part}.npy")) for part in parts]
        if [len(array) for array in arrays] != [len(contexts.tokens), len(questions), len(questions)]:
            raise InputError(
                f"the arrays of {split} in {self.folder} do not fit each other; prepare the data set again"
            )
        return Split(contexts, questions, *arrays)

    @cached_property
    def _texts(self) -> dict[str, tuple[list[str], list[Question]]]:
        return {split: read_squad(self.folder / f"{split}.json") for split in self.splits}

    def texts(self, split: str) -> tuple[list[str], list[Question]]:
        """The paragraphs and questions themselves, with all answers."""
        return self._texts[split]

    def count(self, split: str) -> int:
        """Number of questions of a split."""
        return len(self.splits[split].questions)

    def _cut(self, split: str, length: int, stride: int) -> Cut:
        """Cut each question's paragraph into windows of `length` tokens in all, each `stride` tokens after the last."""
        arrays = self.splits[split]
        asked = np.minimum(arrays.questions.lengths, LONGEST_QUESTION)
        if length - 3 - asked.max(initial=0) < 1:
            raise InputError(f"windows of {length} tokens have no room for a question of {asked.max()} and a paragraph")
        room, context = length - 3 - asked, arrays.contexts.lengths[arrays.context_of]
        counts = 1 + np.maximum(0, -(-(context - room) // stride))
        if (skipped := (counts > 1) & (room < stride)).any():
            raise InputError(
                f"windows of {length} tokens that begin every {stride} tokens leave out parts of a paragraph; choose a "
                f"stride of at most {room[skipped].min()}, or longer windows"
            )
        question = np.repeat(np.arange(len(asked)), counts)
        number = np.arange(len(question)) - np.repeat(np.cumsum(counts) - counts, counts)
        begin = number * stride
        return Cut(question, begin, np.minimum(begin + room[question], context[question]), asked[question] + 2)

    @cached_property
    def answer_tokens(self) -> dict[str, np.ndarray]:
        """Of each split, (questions, 2): the first and last token of the first answer in its paragraph."""
        return {split: self._answer_tokens(arrays) for split, arrays in self.splits.items()}

    def _answer_tokens(self, arrays: Split) -> np.ndarray:
        found = np.empty((len(arrays.answers), 2), dtype=np.int64)
        offsets = arrays.contexts.offsets
        for number, (context, (begin, end)) in enumerate(zip(arrays.context_of, arrays.answers, strict=True)):
            spans = arrays.characters[offsets[context] : offsets[context + 1]]
            found[number, 0] = np.searchsorted(spans[:, 1], begin, side="right")
            found[number, 1] = np.searchsorted(spans[:, 0], end, side="left") - 1
        return found

    def epoch_batches(
        self, seed: int, epoch: int, batch_size: int, samples: int, length: int, stride: int, share: Share = WHOLE,
        first: int = 0,
    ) -> Iterator[Windows]:  # fmt: skip
        """Yield the batches of epoch 1, 2, ...: the next `samples` of a stream of permutations of all windows.

        Parameters
        ----------
        length, stride : as of `cut`. share : yield this part of every batch alone.
        first : leave out so many batches at the beginning, after which a training goes on.
        """
        order = epoch_indices(len(self.cut("train", length, stride)), seed, epoch, samples).numpy()
        chosen, sizes = positions(samples, batch_size, share)
        groups = np.split(order[chosen.numpy()], np.cumsum(sizes)[:-1])
        for group in groups[first:]:
            yield self.windows("train", group, length, stride)

    def batches(self, split: str, batch_size: int, length: int, stride: int, share: Share = WHOLE) -> Iterator[Windows]:
        """Yield all windows of a split, those of few tokens first; every `share.count`-th batch for one process."""
        cut = self.cut(split, length, stride)
        order = np.argsort(cut.first + cut.stop - cut.begin, kind="stable")
        for start in range(share.rank * batch_size, len(order), share.count * batch_size):
            yield self.windows(split, order[start : start + batch_size], length, stride)

    def windows(self, split: str, chosen: np.ndarray, length: int, stride: int) -> Windows:
        """The windows of these numbers."""
        arrays, cut = self.splits[split], self.cut(split, length, stride)
        pad, cls, sep = (self.special[name] for name in (PAD, CLS, SEP))
        longest = int((cut.first + cut.stop - cut.begin)[chosen].max(initial=0)) + 1
        tokens = np.full((len(chosen), longest), pad, dtype=np.int64)
        segments = np.zeros_like(tokens)
        for row, number in enumerate(chosen):
            question, first = cut.question[number], cut.first[number]
            context = arrays.contexts[arrays.context_of[question]][cut.begin[number] : cut.stop[number]]
            end = first + len(context)
            tokens[row, 0], tokens[row, first - 1], tokens[row, end] = cls, sep, sep
            tokens[row, 1 : first - 1] = arrays.questions[question][: first - 2]
            tokens[row, first:end] = context
            segments[row, first : end + 1] = 1
        answer = self.answer_tokens[split][cut.question[chosen]]
        inside = (answer[:, 0] >= cut.begin[chosen]) & (answer[:, 1] < cut.stop[chosen])
        places = np.where(inside[:, None], answer - cut.begin[chosen, None] + cut.first[chosen, None], 0)
        made = (tokens, segments, places[:, 0], places[:, 1], np.asarray(chosen))
        return Windows(*(torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for array in made))

    def text_between(self, split: str, number: int, start: int, end: int, length: int, stride: int) -> str:
        """The part of the paragraph from token `start` to `end` of window `number`, both within its paragraph part."""
        cut, arrays = self.cut(split, length, stride), self.splits[split]
        context = arrays.context_of[cut.question[number]]
        shift = arrays.contexts.offsets[context] + cut.begin[number] - cut.first[number]
        begin, stop = arrays.characters[shift + start, 0], arrays.characters[shift + end, 1]
        return self.texts(split)[0][context][begin:stop]
