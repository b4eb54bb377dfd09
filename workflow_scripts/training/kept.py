"""Checkpoints that are no single update's state: the best epoch's, and the mean of the last epochs'.

A job asks for them by the labels "best" and "average-n" (recipes/labels.py).
"""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from workflow_scripts.recipes.labels import Label

State = dict[str, Tensor]


class Kept:
    """The states behind such labels while a training goes on.

    Parameters
    ----------
    labels : of all checkpoints that are asked for. epochs : of the whole training.
    """

    def __init__(self, labels: Mapping[str, int], epochs: int):
        self.labels = [label for label in labels if not Label.parse(label).is_of_update]
        self.epochs = epochs
        self.least = float("inf")
        self.states: dict[str, State] = {}

    def take(self, epoch: int, loss: float | None, model: nn.Module) -> None:
        """See the network after an epoch, and its validation loss where it was evaluated."""
        for label in self.labels:
            asked = Label.parse(label)
            if asked.kind == "best":
                if loss is not None and loss < self.least:
                    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
                    self.least, self.states[label] = loss, state
            elif epoch > self.epochs - asked.number:
                self._add(label, model.state_dict(), min(asked.number, self.epochs))

    def _add(self, label: str, state: State, count: int) -> None:
        """Add a share of the weights to the mean; whole numbers, such as counters, are those of the last epoch."""
        mean = self.states.setdefault(label, {})
        for name, tensor in state.items():
            if not tensor.is_floating_point():
                mean[name] = tensor.clone()
            elif name in mean:
                mean[name].add_(tensor, alpha=1 / count)
            else:
                mean[name] = tensor / count

    def finished(self) -> Iterator[tuple[str, State]]:
        """Label and state of each, at the training's end."""
        yield from self.states.items()

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors, for a snapshot."""
        return {f"kept.{label}.{name}": value for label, state in self.states.items() for name, value in state.items()}

    def load(self, tensors: Mapping[str, Tensor], least: float) -> None:
        """Take up what `tensors` gave, and `least`."""
        self.least = least
        for key, value in tensors.items():
            if key.startswith("kept."):
                label, name = key.removeprefix("kept.").split(".", 1)
                self.states.setdefault(label, {})[name] = value
