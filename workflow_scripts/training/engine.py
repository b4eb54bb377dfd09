"""The one training engine: a loop that fits on a page, and what it starts from and leaves behind.

Images are bytes on the device, an epoch's randomness is a function of (seed, epoch), and metrics are read from the
device once an epoch. On a GPU the forward pass runs in bfloat16 autocast and channels-last, on a CPU in float32.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts import models
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.resident import ResidentData
from workflow_scripts.models.initialise import initialise
from workflow_scripts.models.layers import part
from workflow_scripts.recipes.schedules import rates
from workflow_scripts.training import optimizers
from workflow_scripts.training.evaluation import evaluate
from workflow_scripts.training.history import History
from workflow_scripts.training.kernels import small_batches
from workflow_scripts.training.sampling import epoch_batches, generator


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


def begin(recipe: dict, resident: ResidentData) -> Progress:
    """A fresh network and optimizer for a recipe."""
    model = models.build(recipe["model"], resident.info)
    initialise(model, **recipe["initialisation"], seed=generator(recipe["seed"], "initialisation"))
    model = model.to(resident.device, memory_format=torch.channels_last)
    return Progress(model, optimizers.build(recipe["optimizer"], model.parameters()))


def train(
    recipe: dict,
    resident: ResidentData,
    progress: Progress,
    checkpoints: dict[str, int],
    save: Callable[[str, dict[str, Tensor]], None],
    after_epoch: Callable[[Progress], None],
    teacher: nn.Module | None = None,
) -> None:
    """Train from where `progress` stands to the end of the recipe, or to where loss or weights become non-finite.

    Parameters
    ----------
    checkpoints : label → step; `save(label, state)` is called for each, once its epoch is known to be finite.
    after_epoch : called after every epoch, for snapshots and the log.
    teacher : the network to distil, in eval mode on the same device; for recipes with distillation.
    """
    steps = math.ceil(recipe["samples_per_epoch"] / recipe["batch_size"])
    rate = rates(recipe["schedule"], steps, recipe["epochs"] * steps).tolist()
    labels_at = {step: [label for label in checkpoints if checkpoints[label] == step] for step in checkpoints.values()}
    objective = _objective(recipe["distillation"], teacher)
    pixels = recipe["batch_size"] * resident.info.image_size**2
    if progress.epoch == 0:
        for label in labels_at.get(0, []):
            save(label, progress.model.state_dict())
    while progress.epoch < recipe["epochs"] and progress.diverged is None:
        epoch = progress.epoch + 1
        with small_batches(pixels, resident.device):
            outcome = _train_epoch(recipe, resident, progress, epoch, steps, rate, objective, labels_at)
        progress.diverged = outcome.diverged
        for label, step, state in outcome.states:
            if progress.diverged is None or (step < progress.diverged["step"] and is_finite(state)):
                save(label, state)
        due = epoch == recipe["epochs"] or epoch % recipe["evaluate_every"] == 0
        test = _evaluate(progress.model, resident) if due and progress.diverged is None else None
        progress.epoch = epoch
        progress.history.add(
            step=epoch * steps,
            epoch=epoch,
            learning_rate=rate[epoch * steps - 1],
            train_loss=outcome.loss,
            train_accuracy=outcome.accuracy,
            test_loss=test and test.loss,
            test_accuracy=test and test.accuracy,
        )
        after_epoch(progress)


@dataclass
class _Epoch:
    """What an epoch gave: mean loss and accuracy, states to save, and where it diverged, if it did."""

    loss: float
    accuracy: float
    states: list[tuple[str, int, dict[str, Tensor]]]
    diverged: dict | None


def _train_epoch(recipe, resident, progress, epoch, steps, rate, objective, labels_at) -> _Epoch:
    """One epoch of updates. Logits and labels stay on the device until its end: no update waits for a number."""
    model, optimizer = progress.model.train(), progress.optimizer
    # Dropout draws from the global generator, so it too is a function of (seed, epoch).
    torch.manual_seed(generator(recipe["seed"], "dropout", epoch).initial_seed())
    frozen = recipe["freeze"]
    outputs, targets, states = [], [], []
    step = (epoch - 1) * steps
    batches = epoch_batches(
        resident, recipe["seed"], epoch, recipe["batch_size"], recipe["samples_per_epoch"], recipe["augment"]
    )
    for images, labels in batches:
        if frozen and step in (0, (epoch - 1) * steps, frozen["steps"]):
            optimizers.freeze(part(model, frozen["part"]), step < frozen["steps"])
        with autocast(resident.device):
            logits = _logits(model, images)
        loss = objective(logits.float(), images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizers.set_rate(optimizer, rate[step])
        optimizer.step()
        step += 1
        outputs.append(logits.detach())
        targets.append(labels)
        for label in labels_at.get(step, ()):
            states.append((label, step, {name: tensor.clone() for name, tensor in model.state_dict().items()}))
    return _summarise(recipe, model, steps, step, outputs, targets, states)


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


def _summarise(recipe: dict, model: nn.Module, steps: int, last: int, outputs: list, targets: list, states: list):
    """Read the metrics of the epoch that ended with step `last` from the device: once.

    Weights that an update made non-finite show in the next update's loss, so only those of the epoch's end are checked.
    """
    logits, labels = torch.cat(outputs).float(), torch.cat(targets)
    losses = F.cross_entropy(logits, labels, reduction="none").double()
    correct = (logits.argmax(1) == labels).sum()
    facts = [losses.mean(), losses.isfinite().all(), is_finite(model.state_dict()), correct]
    loss, finite_losses, finite_weights, hits = torch.stack([fact.double() for fact in facts]).tolist()
    diverged = None
    if not finite_losses:
        image = int((~losses.isfinite()).nonzero()[0])
        step = last - steps + image // recipe["batch_size"] + 1
        diverged = {"step": step, "epoch": step / steps, "reason": "the training loss became non-finite"}
    elif not finite_weights:
        diverged = {"step": last, "epoch": last / steps, "reason": "the weights became non-finite"}
    return _Epoch(loss, 100.0 * hits / len(labels), states, diverged)


def is_finite(state: dict[str, Tensor]) -> Tensor:
    """Whether all values of a state are finite, as a scalar on its device."""
    return torch.stack([tensor.isfinite().all() for tensor in state.values()]).all()


def _evaluate(model: nn.Module, resident: ResidentData):
    model.eval()
    with autocast(resident.device):
        return evaluate(model, resident, "test")


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
