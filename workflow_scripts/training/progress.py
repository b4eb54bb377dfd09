"""A training under way: all that is needed to go on to the same bits, as named tensors and a few facts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from workflow_scripts.tasks.base import Meter
from workflow_scripts.training import optimizers
from workflow_scripts.training.history import History
from workflow_scripts.training.kept import Kept
from workflow_scripts.training.snapshot import Facts

State = dict[str, Tensor]


@dataclass
class Within:
    """What an epoch under way has gathered: its meter, and the states to save once it is known to be finite.

    pending : (label, step, state). randomness : states of the generators that dropout draws from, by device.
    """

    meter: Meter
    pending: list[tuple[str, int, State]] = field(default_factory=list)
    randomness: dict[str, Tensor] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors."""
        states = {
            f"pending.{label}.{step}.{name}": t for label, step, state in self.pending for name, t in state.items()
        }
        meter = {f"meter.{name}": tensor for name, tensor in self.meter.tensors().items()}
        return {**states, **meter, **{f"randomness.{name}": tensor for name, tensor in self.randomness.items()}}

    def load(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Take up what `tensors` gave, which a file has on the CPU; the meter goes on on its device."""
        self.meter.load({name: tensor.to(device) for name, tensor in _below("meter", tensors).items()})
        self.randomness = _below("randomness", tensors)
        states: dict[tuple[str, int], State] = {}
        for key, tensor in _below("pending", tensors).items():
            label, step, name = key.split(".", 2)
            states.setdefault((label, int(step)), {})[name] = tensor
        self.pending = sorted(((*place, state) for place, state in states.items()), key=lambda one: one[1])


@dataclass
class Progress:
    """A training after `epoch` epochs and `update` updates of the next.

    kept : what is behind the labels of training/kept.py. within : where an epoch is under way.
    diverged : where the loss or a weight became non-finite, {"step", "epoch", "reason"}; training ended there.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    history: History
    kept: Kept
    epoch: int = 0
    update: int = 0
    within: Within | None = None
    diverged: dict | None = None
    unread: dict[str, Tensor] = field(default_factory=dict)  # of a snapshot inside an epoch, until that goes on

    @cached_property
    def weights(self) -> list[Tensor]:
        """Parameters and buffers where they lie; to list them anew costs a small network a tenth of each epoch."""
        return list(self.model.state_dict().values())

    def tensors(self) -> dict[str, Tensor]:
        """Weights, buffers, optimizer state and history, by name."""
        weights = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        within = self.within.tensors() if self.within is not None else {}
        state = optimizers.state_tensors(self.optimizer)
        return {**weights, **state, "history": self.history.tensor(), **self.kept.tensors(), **within}

    def facts(self) -> Facts:
        """Where it stands."""
        pending = [label for label, _, _ in self.within.pending] if self.within is not None else []
        least = self.kept.least if math.isfinite(self.kept.least) else None
        return Facts(self.epoch, self.update, self.diverged, pending=pending, kept=self.kept.labels, least=least)

    def load(self, tensors: Mapping[str, Tensor], facts: Facts) -> None:
        """Take up what `tensors` and `facts` gave."""
        self.model.load_state_dict(_below("model", tensors))
        optimizers.load_state_tensors(self.optimizer, tensors)
        self.kept.load(tensors, math.inf if facts.least is None else facts.least)
        self.history.load(tensors["history"])
        self.epoch, self.update, self.diverged = facts.epoch, facts.update, facts.diverged
        self.unread = dict(tensors) if self.update else {}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose names begin with `prefix`, without it."""
    start = f"{prefix}."
    return {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}
