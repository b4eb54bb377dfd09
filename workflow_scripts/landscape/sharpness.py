"""Keskar's sharpness: how far the loss rises within a small box around a minimum, by projected gradient ascent."""

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from workflow_scripts.base.checks import function, minibatches, network, number, training_data, whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.landscape.flat import FlatModel
from workflow_scripts.tasks.evaluation import evaluate

EpochBatches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class Sharpness:
    """The outcome of `keskar_sharpness`.

    sharpness : 100 (ascended_loss - loss) / (1 + loss), in percent (iyer2020, equation 1).
    loss, ascended_loss : mean cross-entropy over the training set at the minimum and at the end of the ascent, in nats.
    on_faces : share of the weights that ended on a face of the box, 0 .. 1; near 1, the ascent has reached a corner.
    steps : minibatch steps taken.
    status : "ok", or "non-finite" where one of the losses is not a finite number; `sharpness` is NaN then.
    """

    sharpness: float
    loss: float
    ascended_loss: float
    on_faces: float
    steps: int
    status: str


class Box:
    """The box |x - centre| <= epsilon (|centre| + 1) around the present values (D,) of a tensor that moves in place."""

    def __init__(self, x: Tensor, epsilon: float):
        self.x = x
        radius = epsilon * (x.abs() + 1)
        self.low, self.high = x - radius, x + radius

    def project(self) -> None:
        """Move x to the nearest point of the box."""
        self.x.clamp_(self.low, self.high)

    def on_faces(self) -> float:
        """Share of the coordinates that lie on a face, 0 .. 1."""
        return ((self.x == self.low) | (self.x == self.high)).double().mean().item()


def keskar_sharpness(
    model: nn.Module,
    data: TrainingData,
    batches: EpochBatches,
    epsilon: float = 1e-4,
    steps: int = 1000,
    learning_rate: float = 1e-3,
    momentum: float = 0.9,
    frozen_batch_norm: bool = False,
    batch_size: int = 1000,
    dtype: torch.dtype = torch.float32,
) -> Sharpness:
    """Keskar's sharpness of a minimum x: 100 (max F(x + y) - F(x)) / (1 + F(x)) over |y_i| <= epsilon (|x_i| + 1).

    F is the mean cross-entropy over all un-augmented training images, without L2 term, in eval mode. The maximum is
    sought by projected stochastic gradient ascent and is its final iterate (iyer2020, section 3.2.1; the metric is
    Keskar et al. 2016). During the ascent batch normalisation uses the minibatch's statistics, and its running ones
    stay in their own box, projected like the weights; dropout rests. `model` is left untouched.

    On CUDA switch TF32 off before (`torch.backends.cudnn.allow_tf32 = False`): the box is no wider than its rounding.

    Parameters
    ----------
    model : maps images (b, c, h, w) to logits (b, classes).
    data : the data set; F is taken over its split "train", in batches of `batch_size`.
    batches : gives the minibatches (images, labels) of the ascent's epoch 1, 2, ..., un-augmented, for example
        `lambda epoch: data.epoch_batches(seed, epoch, 128, 50_000, augment=False)`.
    epsilon, steps, learning_rate : the paper's.
    momentum : of the ascent, as in SGD; the paper leaves it open and 0 is a sensitivity.
    frozen_batch_norm : sensitivity: batch normalisation stays in eval mode during the ascent too.
    dtype : of the computation.

    Raises
    ------
    InputError : an epoch without minibatches; a minibatch that is no pair of tensors, or of which batch normalisation
        cannot take a variance; a number that makes no sense; a model without parameters; an argument of another kind.
    """
    number("epsilon, the size of the box,", epsilon, above=0)
    whole_number("the number of steps of the ascent", steps)
    number("the learning rate of the ascent", learning_rate, above=0)
    number("the momentum of the ascent", momentum, low=0, below=1)
    network("the model", model)
    training_data(data)
    function("batches", batches, "the minibatches of epoch 1, 2, ...")
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"dtype is {dtype!r}; it must be a floating-point type, such as torch.float32")
    flat = FlatModel(copy.deepcopy(model).to(dtype).eval().requires_grad_(True))
    weights, statistics = Box(flat.weights, epsilon), Box(_one_vector(flat.model.buffers(), dtype), epsilon)

    def forward(images: Tensor) -> Tensor:
        return flat(images.to(dtype))

    loss = evaluate(forward, data, "train", batch_size).loss
    if not math.isfinite(loss):
        return Sharpness(math.nan, loss, math.nan, 0.0, 0, "non-finite")
    for layer in flat.model.modules():
        if isinstance(layer, _BatchNorm):
            layer.train(not frozen_batch_norm)
    for images, labels in itertools.islice(_endless(batches), steps):
        flat.gradient.mul_(momentum)  # backward adds to it, so it is the momentum buffer too
        _loss(forward, images, labels).backward()
        flat.weights.add_(flat.gradient, alpha=learning_rate)
        weights.project()
        statistics.project()
    flat.model.eval()
    ascended = evaluate(forward, data, "train", batch_size).loss
    finite = math.isfinite(ascended)
    sharpness = 100 * (ascended - loss) / (1 + loss) if finite else math.nan
    return Sharpness(sharpness, loss, ascended, weights.on_faces(), steps, "ok" if finite else "non-finite")


def _one_vector(buffers: Iterable[Tensor], dtype: torch.dtype) -> Tensor:
    """Make buffers of one type views of one vector (D,), so that projecting them all is one operation."""
    buffers = [buffer for buffer in buffers if buffer.dtype == dtype]
    if not buffers:
        return torch.empty(0, dtype=dtype)
    vector = torch.cat([buffer.flatten() for buffer in buffers])
    for buffer, part in zip(buffers, vector.split([buffer.numel() for buffer in buffers]), strict=True):
        buffer.data = part.view(buffer.shape)
    return vector


def _loss(forward: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of a minibatch of the ascent."""
    try:
        return F.cross_entropy(forward(images), labels)
    except ValueError as error:
        if len(images) > 1:
            raise
        raise InputError(
            "batch normalisation cannot take a variance from a minibatch of one image; choose a batch size that does "
            "not leave one image over, or freeze batch normalisation"
        ) from error


def _endless(batches: EpochBatches) -> Iterator[tuple[Tensor, Tensor]]:
    """The minibatches of epoch 1, 2, ... in one stream."""
    for epoch in itertools.count(1):
        empty = True
        for batch in minibatches(batches(epoch)):
            empty = False
            yield batch
        if empty:
            raise InputError(f"epoch {epoch} of the ascent has no minibatches; give at least one an epoch")
