"""Fisher score: the largest eigenvalue of the Fisher information matrix, as a measure of sharpness."""

import copy
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp

from workflow_scripts.base import checks
from workflow_scripts.base.checks import described, number, tensor, whole_number
from workflow_scripts.base.errors import InputError

Batches = Callable[[], Iterable[tuple[Tensor, Tensor]]]
LABELS = ("drawn", "given")


@dataclass(frozen=True)
class FisherScore:
    """The outcome of `fisher_score`.

    value : the largest eigenvalue; NaN where the network's outputs or derivatives are not finite.
    iterations : Lanczos steps, each one pass over the data.
    converged : whether the relative residual came down to the tolerance.
    residual : |F v - value v| / value for the unit eigenvector v; some eigenvalue of F lies within residual x value.
    """

    value: float
    iterations: int
    converged: bool
    residual: float


def fisher_score(
    model: nn.Module,
    batches: Batches,
    draws: int = 10,
    seed: int = 0,
    tolerance: float = 1e-3,
    max_iterations: int = 100,
    dtype: torch.dtype = torch.float32,
    labels: str = "drawn",
) -> FisherScore:
    """Largest eigenvalue of F = 1/(draws N) sum over N images and `draws` labels each of g g'.

    g is the gradient of log p(label | image) over all parameters, and labels are drawn from the *model*, which makes F
    an unbiased estimate of the true Fisher matrix; with the data's labels it is the empirical Fisher, another matrix
    (iyer2020, section 3.2.2; Kunstner et al. 2019). Batch normalisation and dropout are in eval mode. `model` is
    left untouched. On CUDA switch TF32 off before (`torch.backends.cudnn.allow_tf32 = False`).

    Parameters
    ----------
    model : maps images (b, c, h, w) to logits (b, classes).
    batches : called once for each pass; gives the same (images, labels) in the same order every time, for example
        `functools.partial(data.batches, "train", 500)`.
    draws : labels drawn for each image, once: they are the same in every pass.
    seed : of the drawn labels and the start vector.
    tolerance : the relative residual at which the iteration stops.
    dtype : of the computation.
    labels : "drawn" from the model, `draws` for each image, or "given": those of the batches, one for each image.

    Raises
    ------
    InputError : no images or no parameters, batches that are no tensors or differ between passes, or a number that
        makes no sense.
    """
    check_settings(draws, seed, tolerance, max_iterations, labels)
    if not callable(batches):
        raise InputError(
            f"the batches are {described(batches)}; give a function that makes them anew for each pass, for example "
            'functools.partial(data.batches, "train", 500)'
        )
    checks.network("the model", model)
    network = copy.deepcopy(model).to(dtype).eval()
    if not (size := sum(parameter.numel() for parameter in network.parameters())):
        raise InputError(f"the Fisher score is about parameters, and {type(model).__name__} has none")
    generator = torch.Generator().manual_seed(seed)
    chosen = (
        given_labels(network, batches, dtype)
        if labels == "given"
        else draw_labels(network, batches, draws, generator, dtype)
    )
    if not chosen:
        raise InputError("the Fisher score needs images, and the batches hold none; give at least one batch")
    start = torch.randn(size, generator=generator, dtype=torch.float64).to(next(network.parameters()).detach())
    with warnings.catch_warnings():
        # torch compiles its own forward-mode rules by the torch.jit.script that it deprecates.
        warnings.filterwarnings("ignore", r".*torch\.jit\.script", FutureWarning)
        return top_eigenvalue(lambda v: fisher_product(network, batches, chosen, v), start, tolerance, max_iterations)


def check_settings(draws: int, seed: int, tolerance: float, max_iterations: int, labels: str) -> None:
    """Check the numbers of `fisher_score`.

    Raises
    ------
    InputError : one makes no sense.
    """
    whole_number("the number of labels to draw", draws)
    whole_number("the seed", seed, 0)
    number("the tolerance", tolerance, above=0)
    whole_number("the largest number of iterations", max_iterations)
    if labels not in LABELS:
        raise InputError(f"the labels of the Fisher score are {labels!r}; choose {' or '.join(LABELS)}")


@torch.no_grad()
def given_labels(network: nn.Module, batches: Batches, dtype: torch.dtype) -> list[Tensor]:
    """The batches' labels (b, 1) int64, one tensor for each batch.

    Raises
    ------
    InputError : they are no integers (b,), or one is no class of the network.
    """
    labels = []
    for images, given in checks.minibatches(batches(), labelled=False):
        tensor("the images of a batch", images, "(b, d)", "(b, h, w)", "(b, c, h, w)")
        tensor("the labels of a batch", given, "(b,)", "(b, 1)")
        classes = network(images[:1].to(dtype)).shape[1]
        if given.is_floating_point() or given.shape != images.shape[:1]:
            raise InputError(
                f"labels must be integers of shape ({len(images)},), not {given.dtype} of shape {tuple(given.shape)}"
            )
        if len(wrong := given[(given < 0) | (given >= classes)]):
            raise InputError(
                f"there is the label {wrong[0].item()}, but the network has the classes 0 to {classes - 1}"
            )
        labels.append(given[:, None].long())
    return labels


@torch.no_grad()
def draw_labels(
    network: nn.Module, batches: Batches, draws: int, generator: torch.Generator, dtype: torch.dtype
) -> list[Tensor]:
    """Draw labels (b, draws) int64 from the network's own distribution, one tensor for each batch.

    By inverting the distribution function at uniform numbers from a CPU generator: the same draws on every device.
    """
    labels = []
    for images, _ in checks.minibatches(batches(), labelled=False):
        tensor("the images of a batch", images, "(b, d)", "(b, h, w)", "(b, c, h, w)")
        distribution = network(images.to(dtype)).double().softmax(1).cumsum(1)
        uniform = torch.rand(len(images), draws, generator=generator, dtype=torch.float64).to(distribution)
        chosen = torch.searchsorted(distribution, uniform * distribution[:, -1:], right=True)
        labels.append(chosen.clamp_(max=distribution.shape[1] - 1))  # only NaN goes beyond the last class
    return labels


def fisher_product(network: nn.Module, batches: Batches, labels: list[Tensor], vector: Tensor) -> Tensor:
    """F v for a flat vector v (parameters,) in the order of `network.parameters()`.

    F = 1/N sum J' S J over images, with the Jacobian J (classes, parameters) of the logits and the second moment
    S = 1/draws sum (e_y - p)(e_y - p)' of the drawn labels' gradients at the logits: J v is one forward-mode pass, J' u
    one backward pass over the same evaluation, and no gradient of a single image is ever held.
    """
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    tangent = _like(parameters, vector)
    total, count = torch.zeros_like(vector), 0
    for images, drawn in _with_labels(batches, labels):
        images = images.to(vector.dtype)

        def linearised(weights: dict[str, Tensor], images: Tensor = images) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            logits, change = jvp(lambda w: functional_call(network, w, (images,)), (weights,), (tangent,))
            return logits, (logits, change)

        _, pullback, (logits, change) = vjp(linearised, parameters, has_aux=True)
        (gradient,) = pullback(_second_moment_product(logits.softmax(1), drawn, change))
        total += torch.cat([part.flatten() for part in gradient.values()])
        count += len(images)
    return total / count


def _with_labels(batches: Batches, labels: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """The images of a pass with the labels that were chosen in the first one."""
    for batch, chosen in itertools.zip_longest(batches(), labels):
        if batch is None or chosen is None or len(batch[0]) != len(chosen):
            raise InputError(
                "the batches of this pass are not those of the first; give a function that makes them anew each time, "
                'for example functools.partial(data.batches, "train", 500)'
            )
        yield batch[0], chosen


def _second_moment_product(probability: Tensor, drawn: Tensor, change: Tensor) -> Tensor:
    """S u for every image: 1/draws sum over drawn labels y of (e_y - p)(u_y - p.u), without forming S."""
    slope = change.gather(1, drawn) - (probability * change).sum(1, keepdim=True)
    return (-probability * slope.sum(1, keepdim=True)).scatter_add(1, drawn, slope) / drawn.shape[1]


def _like(parameters: dict[str, Tensor], vector: Tensor) -> dict[str, Tensor]:
    """The flat vector as tensors of the parameters' shapes."""
    parts = vector.split([parameter.numel() for parameter in parameters.values()])
    return {name: part.view_as(p) for (name, p), part in zip(parameters.items(), parts, strict=True)}


def top_eigenvalue(
    multiply: Callable[[Tensor], Tensor], start: Tensor, tolerance: float, max_iterations: int
) -> FisherScore:
    """Largest eigenvalue of a symmetric positive semi-definite matrix, known by its products, by Lanczos iteration.

    Needs a fraction of the power iteration's products and keeps two vectors. They lose their orthogonality to the older
    ones by rounding, which repeats eigenvalues that are already found but moves none (Paige 1976): the largest is safe.
    """
    vector, previous, coupling = start / start.norm(), torch.zeros_like(start), 0.0
    diagonal: list[float] = []
    couplings: list[float] = []
    value = residual = math.nan
    for _ in range(max_iterations):
        product = multiply(vector) - coupling * previous
        diagonal.append(torch.dot(product, vector).item())
        product -= diagonal[-1] * vector
        coupling = product.norm().item()
        if not math.isfinite(coupling):
            return FisherScore(math.nan, len(diagonal), False, math.nan)
        values, vectors = eigh_tridiagonal(np.array(diagonal), np.array(couplings))
        value, error = float(values[-1]), coupling * abs(float(vectors[-1, -1]))
        residual = error / value if error > 0 else 0.0
        if residual <= tolerance:
            break
        couplings.append(coupling)
        previous, vector = vector, product / coupling
    return FisherScore(value, len(diagonal), residual <= tolerance, residual)
