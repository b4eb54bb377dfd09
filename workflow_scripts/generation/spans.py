"""From logits of windows to an answer of each question: the best part of any of its windows, as text."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from workflow_scripts.datasets.text.questions import QuestionText, Windows
from workflow_scripts.generation.answers import LONGEST, best_spans
from workflow_scripts.runtime.processes import ALONE, Processes


class Spans:
    """The best part of each window of a split, gathered on the device batch after batch.

    Parameters
    ----------
    length, stride : of the windows, as of `QuestionText.cut`. longest : tokens that an answer may have.
    """

    def __init__(self, data: QuestionText, split: str, length: int, stride: int, longest: int = LONGEST):
        self.data, self.split, self.cut, self.longest = data, split, (length, stride), longest
        self.windows = data.cut(split, length, stride)
        self.found = torch.zeros(len(self.windows), 3, dtype=torch.float64, device=data.device)

    def batches(self, batch_size: int, processes: Processes = ALONE) -> Iterator[Windows]:
        """All windows; those of one process, where several share them."""
        yield from self.data.batches(self.split, batch_size, *self.cut, processes.share)

    def add(self, batch: Windows, start: Tensor, end: Tensor) -> None:
        """Take the logits (b, l) of a batch: of each place being the answer's first, and its last."""
        places, number = torch.arange(batch.tokens.shape[1]), batch.index.cpu().numpy()
        first = torch.from_numpy(self.windows.first[number])[:, None]
        tokens = torch.from_numpy((self.windows.stop - self.windows.begin)[number])[:, None]
        inside = ((places >= first) & (places < first + tokens)).to(start.device)
        found = best_spans(start, end, inside, self.longest)
        self.found[batch.index] = torch.stack([part.double() for part in found], dim=1)

    def texts(self, processes: Processes = ALONE) -> dict[str, str]:
        """The answers by the questions' ids; of several processes each has all of them."""
        start, end, score = processes.total(self.found).cpu().numpy().T
        # The best window of each question comes first; of equal ones the earliest.
        order = np.lexsort((np.arange(len(score)), -score, self.windows.question))
        chosen = order[np.unique(self.windows.question[order], return_index=True)[1]]
        questions = self.data.texts(self.split)[1]
        return {
            questions[self.windows.question[number]].id: self.data.text_between(
                self.split, number, int(start[number]), int(end[number]), *self.cut
            )
            for number in chosen.tolist()
        }

    def expected(self) -> dict[str, list[str]]:
        """The answers that people gave, by the questions' ids."""
        return {question.id: [text for _, text in question.answers] for question in self.data.texts(self.split)[1]}
