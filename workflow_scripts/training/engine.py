"""The one training engine: a loop that fits on a page, and what it starts from and leaves behind.

Images are bytes, on the device or decoded as they are needed, an epoch's randomness is a function of (seed, epoch),
and metrics are read from the device once an epoch. On a GPU the forward pass runs in bfloat16 autocast and
channels-last, on a CPU in float32. Several processes may train together, each on its share of every batch.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts import models
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.datasets.sampling import generator
from workflow_scripts.models.vision.initialise import initialise
from workflow_scripts.models.vision.layers import part
from workflow_scripts.recipes.schedules import rates
from workflow_scripts.runtime.graphs import Replayed
from workflow_scripts.runtime.kernels import small_batches
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.training import optimizers
from workflow_scripts.training.evaluation import evaluate
from workflow_scripts.training.history import History
from workflow_scripts.training.metrics import EpochMetrics

ALONE = Processes()


@dataclass
class Progress:
    """A training after `epoch` epochs: all that is needed to go on to the same bits.

    diverged : where the loss or a weight became non-finite, {"step", "epoch", "reason"}; training ended there.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    history: History = field(default_factory=History)
    diverged: dict | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Weights, buffers, optimizer state and history, by name."""
        weights = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        return {**weights, **optimizers.state_tensors(self.optimizer), "history": self.history.tensor()}

    def load(self, tensors: dict[str, Tensor], epoch: int, diverged: dict | None) -> None:
        """Take up what `tensors` gave."""
        weights = {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")}
        self.model.load_state_dict(weights)
        optimizers.load_state_tensors(self.optimizer, tensors)
        self.epoch, self.history, self.diverged = epoch, History(tensors["history"]), diverged


def begin(recipe: dict, data: TrainingData) -> Progress:
    """A fresh network and optimizer for a recipe."""
    model = models.build(recipe["model"], data.info)
    initialise(model, **recipe["initialisation"], seed=generator(recipe["seed"], "initialisation"))
    model = model.to(data.device, memory_format=torch.channels_last)
    return Progress(model, optimizers.build(recipe["optimizer"], model.parameters()))


def train(
    recipe: dict,
    data: TrainingData,
    progress: Progress,
    checkpoints: dict[str, int],
    save: Callable[[str, dict[str, Tensor]], None],
    after_epoch: Callable[[Progress], None],
    teacher: nn.Module | None = None,
    processes: Processes = ALONE,
) -> None:
    """Train from where `progress` stands to the end of the recipe, or to where loss or weights become non-finite.

    Parameters
    ----------
    checkpoints : label → step; `save(label, state)` is called for each, once its epoch is known to be finite.
    after_epoch : called after every epoch, for snapshots and the log.
    teacher : the network to distil, in eval mode on the same device; for recipes with distillation.
    processes : those that train this run; all of them call `save` and `after_epoch`.

    Raises
    ------
    InputError : the recipe is one that several processes cannot train together.
    """
    check_shares(recipe, processes)
    steps = math.ceil(recipe["samples_per_epoch"] / recipe["batch_size"])
    rate = rates(recipe["schedule"], steps, recipe["epochs"] * steps).tolist()
    labels_at = {step: [label for label in checkpoints if checkpoints[label] == step] for step in checkpoints.values()}
    loop = _Loop(recipe, data, steps, rate, labels_at, _objective(recipe["distillation"], teacher), processes)
    network = processes.parallel(progress.model, data.device)
    pixels = recipe["batch_size"] * data.info.image_size**2
    if progress.epoch == 0:
        for label in labels_at.get(0, []):
            save(label, progress.model.state_dict())
    while progress.epoch < recipe["epochs"] and progress.diverged is None:
        epoch = progress.epoch + 1
        with small_batches(pixels, data.device):
            outcome = loop.epoch(network, progress, epoch)
        progress.diverged = outcome.diverged
        for label, step, state in outcome.states:
            if progress.diverged is None or (step < progress.diverged["step"] and is_finite(state)):
                save(label, state)
        due = epoch == recipe["epochs"] or epoch % recipe["evaluate_every"] == 0
        test = _evaluate(progress.model, data, processes) if due and progress.diverged is None else None
        progress.epoch = epoch
        progress.history.add(
            step=epoch * steps,
            epoch=epoch,
            learning_rate=rate[epoch * steps - 1],
            train_loss=outcome.loss,
            train_accuracy=outcome.accuracy,
            test_loss=test and test.loss,
            test_accuracy=test and test.accuracy,
            test_top5_accuracy=test and test.top5_accuracy,
        )
        after_epoch(progress)


def check_shares(recipe: dict, processes: Processes) -> None:
    """Refuse what several processes cannot train together.

    Raises
    ------
    InputError : a batch has fewer images than there are processes; a part is frozen for a time.
    """
    last = recipe["samples_per_epoch"] % recipe["batch_size"] or recipe["batch_size"]
    if min(last, recipe["batch_size"]) < processes.count:
        raise InputError(
            f"a batch of {min(last, recipe['batch_size'])} images cannot be shared by {processes.count} processes; "
            "train with fewer, or with a batch_size and samples_per_epoch that leave no such batch"
        )
    if recipe["freeze"] and not processes.alone:
        raise InputError("a run that freezes a part for a time is trained by one process; give it one GPU")


@dataclass
class _Epoch:
    """What an epoch gave: mean loss and accuracy, states to save, and where it diverged, if it did."""

    loss: float
    accuracy: float
    states: list[tuple[str, int, dict[str, Tensor]]]
    diverged: dict | None


@dataclass
class _Loop:
    """What all epochs of a training share; `steps` is their length and `rate` has an entry for every step."""

    recipe: dict
    data: TrainingData
    steps: int
    rate: list[float]
    labels_at: dict[int, list[str]]
    objective: Callable[[Tensor, Tensor, Tensor], Tensor]
    processes: Processes
    replayed: Replayed | None = None

    def epoch(self, network: nn.Module, progress: Progress, epoch: int) -> _Epoch:
        """One epoch of updates. Metrics stay on the device until its end: no update waits for a number."""
        recipe, share = self.recipe, self.processes.share
        model, optimizer = progress.model, progress.optimizer
        network.train()
        seed_dropout(self.data.device, generator(recipe["seed"], "dropout", epoch, *share.key).initial_seed())
        frozen, states, metrics = recipe["freeze"], [], EpochMetrics()
        first = step = (epoch - 1) * self.steps
        batches = self.data.epoch_batches(
            recipe["seed"], epoch, recipe["batch_size"], recipe["samples_per_epoch"], recipe["augment"],
            image_side(recipe["image_sides"], epoch), share,
        )  # fmt: skip
        for images, labels in batches:
            if frozen and step in (0, first, frozen["steps"]):
                optimizers.freeze(part(model, frozen["part"]), step < frozen["steps"])
            whole = min(recipe["batch_size"], recipe["samples_per_epoch"] - (step - first) * recipe["batch_size"])
            logits = self.gradients(network, optimizer, images, labels, whole)
            optimizers.set_rate(optimizer, self.rate[step])
            optimizer.step()
            step += 1
            metrics.add(logits, labels)
            for label in self.labels_at.get(step, ()):
                states.append((label, step, {name: tensor.clone() for name, tensor in model.state_dict().items()}))
        return self._summary(metrics, is_finite(model.state_dict()), first, states)

    def gradients(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, whole: int
    ) -> Tensor:
        """Leave a minibatch's gradients in the parameters; its logits. `whole` images are in all processes' parts."""

        def compute(images: Tensor, labels: Tensor) -> Tensor:
            optimizer.zero_grad()
            with autocast(self.data.device):
                logits = _logits(network, images)
            loss = self.processes.part_of(self.objective(logits.float(), images, labels), len(labels), whole)
            loss.backward()
            return logits.detach()

        if self.replayed is None:
            self.replayed = Replayed(compute, network, enabled=self.processes.alone)
        self.replayed.compute = compute
        return self.replayed(images, labels)

    def _summary(self, metrics: EpochMetrics, finite: Tensor, first: int, states: list) -> _Epoch:
        """Read the metrics of the epoch that began with step `first`.

        Weights that an update made non-finite show in the next update's loss, so only those of the epoch's end are
        checked.
        """
        loss, accuracy, bad, finite = metrics.read(finite, self.processes)
        diverged = None
        if bad is not None:
            diverged = {"step": first + bad + 1, "reason": "the training loss became non-finite"}
        elif not finite:
            diverged = {"step": first + self.steps, "reason": "the weights became non-finite"}
        return _Epoch(loss, accuracy, states, diverged and {**diverged, "epoch": diverged["step"] / self.steps})


def seed_dropout(device: torch.device, seed: int) -> None:
    """Dropout draws from the device's global generator, so with this it too is a function of (seed, epoch).

    `torch.manual_seed` would do so for devices that are not there as well, and keeps a stack trace each time.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def image_side(phases: list[list[int]] | None, epoch: int) -> int | None:
    """The size of training images in epoch 1, 2, ... of phases [[epochs, side], ...]; None for their own, always."""
    if phases is None:
        return None
    ends = itertools.accumulate(epochs for epochs, _ in phases)
    return next(side for end, (_, side) in zip(ends, phases, strict=True) if epoch <= end)


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    try:
        return model(images)
    except ValueError as error:
        if len(images) > 1:
            raise
        raise InputError(
            f"the network cannot be trained on a batch of one image ({error}); choose a batch_size and "
            "samples_per_epoch that leave no such batch"
        ) from None


def is_finite(state: dict[str, Tensor]) -> Tensor:
    """Whether all values of a state are finite, as a scalar on its device."""
    # A sum is finite where all that it adds up is: it cannot overflow in float64, and is a third of the work.
    sums = [tensor.sum(dtype=torch.float64) for tensor in state.values()]
    return torch.stack(sums).isfinite().all()


def _evaluate(model: nn.Module, data: TrainingData, processes: Processes):
    model.eval()
    with autocast(data.device):
        return evaluate(model, data, "test", share=processes.share, total=processes.total)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU; nothing on a CPU, where it is slower."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _objective(distillation: dict | None, teacher: nn.Module | None) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """(logits, images, labels) → the loss of a batch: cross-entropy, or the teacher's soft targets."""
    if distillation is None:
        return lambda logits, images, labels: F.cross_entropy(logits, labels)
    temperature = distillation["temperature"]
    weight = temperature**2 if distillation["scale_by_temperature_squared"] else 1.0

    def objective(logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad(), autocast(images.device):
            soft = teacher(images).float()
        return weight * distillation_loss(logits, soft, temperature)

    return objective


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of the softened distributions, mean over the batch, in nats (Hinton et al., 2015).

    Its gradient is that of the soft cross-entropy. Logits (b, classes); gotmare2019 section 5 takes a temperature of 5.
    """
    softened = (F.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    return F.kl_div(*softened, reduction="batchmean", log_target=True)
