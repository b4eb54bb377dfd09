"""Finding a curve of low loss between two modes (Garipov et al. 2018; Gotmare et al. 2019, section 2)."""

import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.base import checks
from workflow_scripts.base.checks import number, whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.sampling import generator
from workflow_scripts.landscape.curves import CURVES, coefficients, point, straight
from workflow_scripts.landscape.flat import FlatModel
from workflow_scripts.recipes.schedules import learning_rate
from workflow_scripts.runtime.graphs import Replayed


@dataclass(frozen=True)
class CurveRecipe:
    """How a curve is trained; `schedule` is a schedule's declaration, followed epoch by epoch as in Garipov's code.

    Raises
    ------
    InputError : a number makes no sense, no curve is called `kind`, or the schedule has a negative rate.
    """

    kind: str
    bends: int
    epochs: int
    schedule: dict
    momentum: float
    weight_decay: float

    def __post_init__(self):
        if self.kind not in CURVES:
            raise InputError(f"there is no curve called {self.kind!r}; choose one of {', '.join(CURVES)}")
        whole_number("the number of bends of a curve", self.bends)
        whole_number("the number of epochs of a curve", self.epochs)
        number("the momentum of a curve's training", self.momentum, low=0, below=1)
        number("the weight decay of a curve's training", self.weight_decay, low=0)
        for epoch in range(1, self.epochs + 1):
            number(f"the learning rate of a curve's epoch {epoch}", self.rate(epoch), low=0)

    def rate(self, epoch: int) -> float:
        """Learning rate of epoch 1, 2, ..."""
        return learning_rate(self.schedule, epoch, 1, self.epochs)


@dataclass
class CurveState:
    """A curve in training after `epoch` epochs; all that is needed to go on.

    Attributes
    ----------
    bends, momentum : (bends, D) inner control points and their momentum buffers.
    saved : epoch → bends (bends, D), for the epochs asked for and reached.
    diverged : the loss or a bend became non-finite in this epoch, and training ended there.
    """

    epoch: int
    bends: Tensor
    momentum: Tensor
    saved: dict[int, Tensor] = field(default_factory=dict)
    diverged: bool = False

    def to_tensors(self) -> dict[str, Tensor]:
        """As named tensors, ready for a safetensors file."""
        progress = torch.tensor([self.epoch, self.diverged], dtype=torch.int64)
        saved = {f"saved-{epoch}": bends for epoch, bends in self.saved.items()}
        return {"progress": progress, "bends": self.bends.clone(), "momentum": self.momentum, **saved}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "CurveState":
        """The state that `to_tensors` gave."""
        epoch, diverged = tensors["progress"].tolist()
        saved = {int(name[6:]): bends for name, bends in tensors.items() if name.startswith("saved-")}
        # A file keeps no order of its tensors, and the rows of the curve's table follow it.
        return cls(epoch, tensors["bends"], tensors["momentum"], dict(sorted(saved.items())), bool(diverged))


def train_curve(
    flat: FlatModel,
    start: Tensor,
    end: Tensor,
    batches: Callable[[int], Iterable[tuple[Tensor, Tensor]]],
    recipe: CurveRecipe,
    seed: int,
    save_epochs: Iterable[int],
    state: CurveState | None = None,
    progress: Callable[[int, CurveState, float], None] | None = None,
    autocast: torch.dtype | None = None,
) -> CurveState:
    """Train the bends of a curve between two fixed modes; they begin in equal steps on the segment.

    Dropout and batch normalisation are in train mode, as in Garipov's code. Every random number is a function of
    (seed, epoch), so a resumed training ends in the same bits (on a CPU). A divergence is a result: training stops and
    the state says so.

    Parameters
    ----------
    start, end : (D,) the two modes.
    batches : epoch (1, 2, ...) → normalised, augmented images (b, c, h, w) and labels (b,).
    save_epochs : epochs, 0 to `recipe.epochs`, whose bends are kept in `CurveState.saved`; 0 is the segment.
    state : where an earlier training stopped; None to begin.
    progress : called after each epoch with the epoch, the state (live: copy what is to last) and the epoch's mean loss.
    autocast : type for the forward pass, for example torch.bfloat16; the weights stay as they are.

    Raises
    ------
    InputError : an epoch to save lies outside the training, the state belongs to another curve, the ends are the same
        weights or those of another network, or an epoch has no minibatches.
    """
    if not isinstance(flat, FlatModel):
        raise InputError(f"a curve is trained through a FlatModel, not {checks.described(flat)}: FlatModel(model)")
    checks.function("batches", batches, "the minibatches of epoch 1, 2, ...")
    if not isinstance(save_epochs, Iterable):
        raise InputError(f"the epochs to save must be a list, not {checks.described(save_epochs)}")
    save_epochs = set(save_epochs)
    for epoch in save_epochs:
        if not isinstance(epoch, numbers.Integral):
            raise InputError(f"there is no epoch {epoch!r} to save; epochs are whole numbers")
    if outside := sorted(epoch for epoch in save_epochs if not 0 <= epoch <= recipe.epochs):
        raise InputError(f"epochs {outside} to save lie outside the curve's {recipe.epochs} epochs; leave them out")
    control_points = straight(start, end, recipe.bends)
    if len(start) != len(flat.weights):
        raise InputError(f"the ends have {len(start)} weights and the network {len(flat.weights)}; give ends of it")
    if torch.equal(start, end):
        raise InputError("the ends of the curve are the same weights; give two different modes")
    bends = control_points[1:-1]
    if state is None:
        saved = {0: bends.clone()} if 0 in save_epochs else {}
        state = CurveState(0, bends, torch.zeros_like(bends), saved)
    elif state.bends.shape != bends.shape:
        raise InputError(
            f"the saved state has bends of shape {tuple(state.bends.shape)}, this curve {tuple(bends.shape)}; "
            "remove the state to begin anew"
        )
    else:
        bends.copy_(state.bends)
        saved = {epoch: earlier.to(bends) for epoch, earlier in state.saved.items()}
        state = CurveState(state.epoch, bends, state.momentum.to(bends, copy=True), saved, state.diverged)
    flat.model.train()
    replayed = Replayed()

    def gradients(images: Tensor, labels: Tensor) -> Tensor:
        (loss,) = replayed(lambda *batch: (point_gradient(flat, *batch, autocast),), flat.model, (images, labels))
        return loss

    while state.epoch < recipe.epochs and not state.diverged:
        state.epoch += 1
        images = batches(state.epoch)
        loss = train_epoch(flat, control_points, state.momentum, images, recipe, seed, state.epoch, gradients)
        state.diverged = not (math.isfinite(loss) and bool(bends.isfinite().all()))
        if state.epoch in save_epochs and not state.diverged:
            state.saved[state.epoch] = bends.clone()
        if progress is not None:
            progress(state.epoch, state, loss)
    return state


def train_epoch(
    flat: FlatModel,
    control_points: Tensor,
    momentum: Tensor,
    batches: Iterable[tuple[Tensor, Tensor]],
    recipe: CurveRecipe,
    seed: int,
    epoch: int,
    gradients: Callable[[Tensor, Tensor], Tensor],
) -> float:
    """One epoch, with one t ~ U[0, 1] for each minibatch; the mean loss in nats, without L2.

    gradients : `point_gradient` of a minibatch.
    """
    torch.manual_seed(generator(seed, "dropout", epoch).initial_seed())
    loss_sum = torch.zeros((), dtype=torch.float64, device=flat.weights.device)
    count = 0
    for t, (images, labels) in zip(
        uniforms(generator(seed, "curve", epoch)), checks.minibatches(batches), strict=False
    ):
        loss = step(flat, control_points, momentum, images, labels, t, recipe, recipe.rate(epoch), gradients)
        loss_sum += loss * len(labels)
        count += len(labels)
    if not count:
        raise InputError(
            f"epoch {epoch} of the curve has no minibatches; give at least one an epoch, made anew each time"
        )
    return loss_sum.item() / count


def uniforms(randomness: torch.Generator) -> Iterator[float]:
    """An endless stream of numbers from U[0, 1]."""
    while True:
        yield torch.rand((), generator=randomness, dtype=torch.float64).item()


def step(
    flat: FlatModel,
    control_points: Tensor,
    momentum: Tensor,
    images: Tensor,
    labels: Tensor,
    t: float,
    recipe: CurveRecipe,
    rate: float,
    gradients: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """One step of SGD with momentum on the bends, in place; the loss at phi(t) without L2, a scalar on the device.

    The gradient to bend i is c_i(t) (grad L(phi) + weight_decay phi): the L2 term is that of the curve's point, not of
    the bend (Garipov's `l2_regularizer`).
    """
    point(control_points, t, recipe.kind, out=flat.weights)
    loss = gradients(images, labels) if gradients else point_gradient(flat, images, labels)
    flat.gradient.add_(flat.weights, alpha=recipe.weight_decay)
    shares = coefficients(recipe.kind, t, len(control_points))[1:-1]
    for bend, velocity, share in zip(control_points[1:-1], momentum, shares, strict=True):
        velocity.mul_(recipe.momentum).add_(flat.gradient, alpha=float(share))
        bend.sub_(velocity, alpha=rate)
    return loss


def point_gradient(flat: FlatModel, images: Tensor, labels: Tensor, autocast: torch.dtype | None = None) -> Tensor:
    """Fill `flat.gradient` at the present point; the minibatch's mean loss, a scalar on the device."""
    flat.gradient.zero_()
    with torch.autocast(flat.weights.device.type, dtype=autocast, enabled=autocast is not None):
        logits = flat(images)
    loss = F.cross_entropy(logits.to(flat.weights.dtype), labels)
    loss.backward()
    return loss.detach()
