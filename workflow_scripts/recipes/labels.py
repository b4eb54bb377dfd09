"""Labels of checkpoints: of which moment of a training each is the state, in the paper's terms.

"epoch-30" and "iteration-200" are the states after so many epochs or updates of the paper. "best" is the state after
the epoch with the least validation loss, and "average-5" the mean of the weights after each of the last five epochs
(iyer2020's Cutoff runs); neither is the state after one certain update.
"""

import re
from dataclasses import dataclass

from workflow_scripts.base.errors import InputError

PATTERN = r"(?:(epoch|iteration)-(0|[1-9][0-9]*)|(best)|(average)-([1-9][0-9]*))"


@dataclass(frozen=True, order=True)
class Label:
    """A label, read.

    kind : "epoch", "iteration", "best" or "average". number : of epochs or updates; 0 of "best".
    """

    kind: str
    number: int = 0

    @classmethod
    def found(cls, text: str) -> "Label | None":
        """The label that a text is, or None where it is none."""
        match = re.fullmatch(PATTERN, text)
        if match is None:
            return None
        kind, number = match[1] or match[3] or match[4], match[2] or match[5] or 0
        return cls(kind, int(number))

    @classmethod
    def parse(cls, text: str) -> "Label":
        """The label that a text is.

        Raises
        ------
        InputError : it is none.
        """
        label = cls.found(text)
        if label is None:
            raise InputError(
                f"{text!r} is no label of a checkpoint; allowed are epoch-30, iteration-200, best and average-5"
            )
        return label

    def __str__(self) -> str:
        return self.kind if self.kind == "best" else f"{self.kind}-{self.number}"

    @property
    def is_of_update(self) -> bool:
        """Whether it is the state after one certain update."""
        return self.kind in ("epoch", "iteration")

    def epochs(self, whole: int, updates_per_epoch: int) -> float:
        """Epochs of the training that are done; all of them for "best" and "average-n", which are known at its end.

        Parameters
        ----------
        whole : epochs of the whole training. updates_per_epoch : in the paper's, whose iterations are counted.
        """
        if not self.is_of_update:
            return whole
        return self.number if self.kind == "epoch" else self.number / updates_per_epoch
