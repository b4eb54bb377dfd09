"""The one training engine: a loop that fits on a page, and what it starts from and leaves behind.

What is trained is a task's business (tasks/base.py): its network, batches, loss and metrics. The engine counts updates,
sets the learning rate, steps the optimizer, saves what is asked for and says where a training left the finite numbers.
Metrics are read from the device once an epoch. Several processes may train together, each on its share of every update.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.sampling import generator
from workflow_scripts.models.parts import part
from workflow_scripts.recipes.labels import Label
from workflow_scripts.recipes.schedules import rates
from workflow_scripts.runtime.graphs import Replayed
from workflow_scripts.runtime.processes import ALONE, Processes
from workflow_scripts.tasks.base import Batch, Loss, Reading, Task, Update
from workflow_scripts.training import optimizers
from workflow_scripts.training.history import History
from workflow_scripts.training.kept import Kept
from workflow_scripts.training.progress import Progress, Within


class Observer(Protocol):
    """Who follows a training: it writes checkpoints, snapshots and the log."""

    def save(self, label: str, state: dict[str, Tensor]) -> None:
        """Take a checkpoint; called once its epoch is known to be finite."""

    def epoch_ended(self, progress: Progress) -> None:
        """Called after every epoch."""

    def snapshot_is_due(self) -> bool:
        """Asked after every update of a training by one process."""

    def snapshot(self, progress: Progress) -> None:
        """Take a snapshot inside an epoch."""


def begin(recipe: dict, task: Task, checkpoints: dict[str, int]) -> Progress:
    """A fresh network and optimizer for a recipe; `checkpoints` as in `train`."""
    model = task.model()
    optimizer = optimizers.build(recipe["optimizer"], model)
    return Progress(model, optimizer, History(task.metrics), Kept(checkpoints, recipe["epochs"]))


def train(
    recipe: dict,
    task: Task,
    progress: Progress,
    checkpoints: dict[str, int],
    observer: Observer,
    processes: Processes = ALONE,
) -> None:
    """Train from where `progress` stands to the end of the recipe, or to where loss or weights become non-finite.

    Parameters
    ----------
    checkpoints : label → update, of what is to be saved; what training/kept.py follows is saved at the end.
    observer : is given each checkpoint once its epoch is known to be finite, and notified of epochs; in every process.
    processes : those that train this run.

    Raises
    ------
    InputError : the recipe is one that these processes cannot train together.
    """
    if recipe["freeze"] and not processes.alone:
        raise InputError("a run that freezes a part for a time is trained by one process; give it one GPU")
    task.check(processes)
    labels_at: dict[int, list[str]] = {}
    for label, step in checkpoints.items():
        if Label.parse(label).is_of_update:
            labels_at.setdefault(step, []).append(label)
    rate = rates(recipe["schedule"], task.steps, recipe["epochs"] * task.steps).tolist()
    loop = _Loop(recipe, task, rate, labels_at, observer, processes)
    network = processes.parallel(progress.model, task.device)
    if progress.epoch == progress.update == 0:
        for label in labels_at.get(0, []):
            observer.save(label, progress.model.state_dict())
    while progress.epoch < recipe["epochs"] and progress.diverged is None:
        with task.kernels():
            metrics, pending = loop.epoch(network, progress)
        for label, step, state in pending:
            if progress.diverged is None or (step < progress.diverged["step"] and is_finite(state.values())):
                observer.save(label, state)
        progress.epoch, progress.update = progress.epoch + 1, 0
        evaluated = loop.evaluated(progress)
        step = progress.epoch * task.steps
        progress.history.add(step, progress.epoch, rate[step - 1], metrics, evaluated)
        if progress.diverged is None:
            progress.kept.take(progress.epoch, evaluated.get("loss"), progress.model)
            if progress.epoch == recipe["epochs"]:
                for label, state in progress.kept.finished():
                    observer.save(label, state)
        observer.epoch_ended(progress)


@dataclass(frozen=True)
class _Loop:
    """What all epochs of a training share; `rate` has an entry for every update."""

    recipe: dict
    task: Task
    rate: list[float]
    labels_at: dict[int, list[str]]
    observer: Observer
    processes: Processes
    replayed: Replayed = field(default_factory=Replayed)

    def epoch(self, network: nn.Module, progress: Progress) -> tuple[dict[str, float], list]:
        """The updates of an epoch, or those that are left of it; its metrics, and the states to save.

        Metrics stay on the device until its end: no update waits for a number.
        """
        recipe, task, processes = self.recipe, self.task, self.processes
        model, optimizer, frozen, clip = progress.model, progress.optimizer, recipe["freeze"], recipe.get("clip")
        first, within = progress.epoch * task.steps, self._within(progress)
        begin = first + progress.update
        if not model.training:  # after an evaluation
            network.train()
        for update in task.updates(progress.epoch + 1, processes.share, progress.update):
            step = first + progress.update
            if frozen and step in (0, begin, frozen["steps"]):
                optimizers.freeze(part(model, frozen["part"]), step < frozen["steps"])
            for loss, batch in self.gradients(network, optimizer, update):
                within.meter.add(progress.update, loss, batch)
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizers.set_rate(optimizer, self.rate[step])
            optimizer.step()
            progress.update += 1
            for label in self.labels_at.get(step + 1, ()):
                state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
                within.pending.append((label, step + 1, state))
            if progress.update < task.steps and processes.alone and self.observer.snapshot_is_due():
                within.randomness = randomness(task.device)
                self.observer.snapshot(progress)
        progress.within = None
        reading = within.meter.read(is_finite(progress.weights), processes)
        progress.diverged = self._divergence(reading, first)
        return reading.metrics, within.pending

    def gradients(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, update: Update
    ) -> Iterator[tuple[Loss, Batch]]:
        """Leave an update's gradients in the parameters; each batch with its loss."""
        if self.processes.alone and isinstance(update.batches, tuple) and len(update.batches) == 1:
            (batch,) = update.batches

            def compute(*inputs: Tensor) -> tuple[Tensor, ...]:
                optimizer.zero_grad()
                loss = self.task.loss(network, Batch(inputs, batch.size))
                (self.processes.part_of(loss.sum, update.total) * loss.weight).backward()
                return loss.sum.detach(), *loss.facts

            total, *facts = self.replayed(compute, network, batch.inputs, (batch.size, update.total))
            yield Loss(total, tuple(facts)), batch
            return
        optimizer.zero_grad()
        for batch, is_last in _marked(update.batches):
            with self.processes.gradients(network, is_last):
                loss = self.task.loss(network, batch)
                (self.processes.part_of(loss.sum, update.total) * loss.weight).backward()
            yield loss, batch

    def _within(self, progress: Progress) -> Within:
        """Begin an epoch, or take up the one that a snapshot was taken in."""
        progress.within = Within(self.task.meter())
        if progress.update:
            progress.within.load(progress.unread, self.task.device)
            set_randomness(progress.within.randomness)
        else:
            key = self.recipe["seed"], "dropout", progress.epoch + 1, *self.processes.share.key
            seed_dropout(self.task.device, generator(*key).initial_seed())
        progress.unread = {}
        return progress.within

    def _divergence(self, reading: Reading, first: int) -> dict | None:
        """Where the epoch that began after `first` updates diverged, or None.

        Weights that an update made non-finite show in the next update's loss, so only those of the epoch's end are
        checked.
        """
        if reading.bad is not None:
            step, reason = first + reading.bad + 1, "the training loss became non-finite"
        elif not reading.finite:
            step, reason = first + self.task.steps, "the weights became non-finite"
        else:
            return None
        return {"step": step, "reason": reason, "epoch": step / self.task.steps}

    def evaluated(self, progress: Progress) -> dict[str, float]:
        """The metrics of the network after an epoch, where they are due and the training has not diverged."""
        due = progress.epoch == self.recipe["epochs"] or progress.epoch % self.recipe["evaluate_every"] == 0
        if not due or progress.diverged is not None:
            return {}
        progress.model.eval()
        return self.task.evaluate(progress.model, self.processes)


def _marked(batches: Iterable[Batch]) -> Iterator[tuple[Batch, bool]]:
    """Each batch, and whether it is the last."""
    iterator = iter(batches)
    held = next(iterator)
    for batch in iterator:
        yield held, False
        held = batch
    yield held, True


def seed_dropout(device: torch.device, seed: int) -> None:
    """Dropout draws from the device's global generator, so with this it too is a function of (seed, epoch).

    `torch.manual_seed` would do so for devices that are not there as well, and keeps a stack trace each time.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def randomness(device: torch.device) -> dict[str, Tensor]:
    """States of the generators that `seed_dropout` seeds."""
    states = {"cpu": torch.default_generator.get_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_randomness(states: dict[str, Tensor]) -> None:
    """Put back what `randomness` gave."""
    torch.default_generator.set_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


def is_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Whether all values are finite, as a scalar on their device."""
    # A sum is finite where all that it adds up is: it cannot overflow in float64, and is a third of the work.
    sums = [tensor.sum(dtype=torch.float64) for tensor in tensors]
    return torch.stack(sums).isfinite().all()
