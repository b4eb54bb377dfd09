"""What the modules of a network put out for the first training images."""

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from workflow_scripts.base.checks import described, whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.models.vision import layers
from workflow_scripts.models.vision.layers import Operation


def calls(model: nn.Module, data: TrainingData) -> dict[Operation, torch.Size]:
    """Every call of the modules that `layers.operations` lists, in forward order, and its output's shape for an image.

    A module that a forward pass calls several times, such as a ReLU of torchvision's ResNets, is there as many times.
    Two training images are run through the model in eval mode.

    Raises
    ------
    InputError
        As `watch` does.
    """
    shapes = {}

    def keep(operation: Operation, output: Tensor) -> None:
        shapes[operation] = _checked(operation, output).shape[1:]

    listed = layers.operations(model)
    with torch.inference_mode(), _eval_mode(model), _hooked(model, listed, keep):
        for images, _ in data.batches("train", 2, image_count(data, 2)):
            model(images)
    for operation in listed:
        if operation not in shapes:
            raise _missing(model, operation)
    return shapes


def _missing(model: nn.Module, operation: Operation) -> InputError:
    where = "its forward pass" if operation.call == 0 else f"call {operation.call + 1} of its forward pass"
    return InputError(
        f"the module {operation.module_name!r} of {type(model).__name__} takes no part in {where}; list its type in "
        "the model's attribute `unlisted` or call it for every image"
    )


def record(
    model: nn.Module, operations: Collection[Operation], data: TrainingData, limit: int, batch_size: int = 250
) -> dict[Operation, Tensor]:
    """The activations of every operation: float32 (n, d) or (n, c, h, w), n = `image_count`.

    All of them lie in memory together: 10,000 images of a 64 x 32 x 32 layer are 2.6 GB. `watch` shows them batch by
    batch instead. Raises as `watch` does.
    """
    recorded, count = {}, image_count(data, limit)

    def keep(operation: Operation, rows: slice, output: Tensor) -> None:
        if operation not in recorded:
            recorded[operation] = output.new_empty((count, *output.shape[1:]))
        recorded[operation][rows] = output

    watch(model, operations, data, limit, batch_size, keep)
    return recorded


@torch.inference_mode()
def watch(
    model: nn.Module,
    operations: Collection[Operation],
    data: TrainingData,
    limit: int | None,
    batch_size: int,
    look: Callable[[Operation, slice, Tensor], None],
) -> None:
    """Run the first `limit` training images, un-augmented, through a model in eval mode and show it at work.

    Parameters
    ----------
    operations : of the model, as `layers.operations` or `calls` gives them.
    look : is called for every batch and operation with the operation, the slice of images in the batch, and the
        operation's output, float32 (b, d) or (b, c, h, w), which it must copy if it keeps it.

    Raises
    ------
    InputError
        If an activation is NaN or infinite, is not a vector or a map for each image, or never appears.
    """
    rows, awaited = slice(0, 0), set()

    def see(operation: Operation, output: Tensor) -> None:
        if operation in awaited:
            look(operation, rows, _checked(operation, output))
            awaited.discard(operation)
        if not awaited:
            raise _AllSeen  # spares the layers behind the last operation that was asked for

    with _eval_mode(model):
        for images, labels in data.batches("train", batch_size, image_count(data, limit)):
            rows = slice(rows.stop, rows.stop + len(labels))
            awaited.update(operations)
            with _hooked(model, operations, see), contextlib.suppress(_AllSeen):
                model(images)
            if awaited:
                raise _missing(model, min(awaited, key=lambda operation: operation.module_name))


@contextlib.contextmanager
def _hooked(
    model: nn.Module, operations: Iterable[Operation], see: Callable[[Operation, Tensor], None]
) -> Iterator[None]:
    """For one forward pass: `see` is given each call of the operations' modules, numbered, with its output."""
    made: Counter[str] = Counter()

    def hook_of(operation: Operation) -> Callable:
        def hook(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
            call = made[operation.module_name]
            made[operation.module_name] += 1
            see(replace(operation, call=call), output)

        return hook

    with contextlib.ExitStack() as hooks:
        for operation in {operation.module_name: operation for operation in operations}.values():
            handle = model.get_submodule(operation.module_name).register_forward_hook(hook_of(operation))
            hooks.callback(handle.remove)
        yield


def image_count(data: TrainingData, limit: int | None) -> int:
    """How many images are recorded: `limit`, or all training images where there are fewer or it is None.

    Raises
    ------
    InputError
        If that is fewer than two: one image varies with nothing.
    """
    if limit is not None:
        whole_number("the number of images", limit)
    count = data.count("train") if limit is None else min(limit, data.count("train"))
    if count < 2:
        raise InputError(f"representations are compared over images, and {count} of them is too few; use at least 2")
    return count


def is_finite(activations: Tensor) -> bool:
    """Whether no value is NaN or infinite: one of these spoils the sum."""
    return math.isfinite(activations.sum(dtype=torch.float64).item())


class _AllSeen(Exception):
    """Every operation of this batch has been seen."""


@contextlib.contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _checked(operation: Operation, output: Tensor) -> Tensor:
    layer = f"the layer {operation.label} ({operation.module_name})"
    if not isinstance(output, Tensor) or output.ndim not in (2, 4):
        found = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else described(output)
        raise InputError(f"{layer} puts out {found}; only (b, d) and (b, c, h, w) can be compared")
    if not is_finite(output):
        raise InputError(
            f"{layer} puts out NaN or infinity, so the network has diverged and cannot be compared; "
            "choose a checkpoint from before"
        )
    return output.float()
