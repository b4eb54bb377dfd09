"""What the modules of a network put out for the first training images."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.models.vision.layers import Operation


def record(
    model: nn.Module, operations: Sequence[Operation], data: TrainingData, limit: int, batch_size: int = 250
) -> dict[str, Tensor]:
    """The activations of every operation, by module name: float32 (n, d) or (n, c, h, w), n = `image_count`.

    All of them lie in memory together: 10,000 images of a 64 x 32 x 32 layer are 2.6 GB. `watch` shows them batch by
    batch instead. Raises as `watch` does.
    """
    recorded, count = {}, image_count(data, limit)

    def keep(operation: Operation, rows: slice, output: Tensor) -> None:
        if operation.module_name not in recorded:
            recorded[operation.module_name] = output.new_empty((count, *output.shape[1:]))
        recorded[operation.module_name][rows] = output

    watch(model, operations, data, limit, batch_size, keep)
    return recorded


@torch.inference_mode()
def watch(
    model: nn.Module,
    operations: Sequence[Operation],
    data: TrainingData,
    limit: int,
    batch_size: int,
    look: Callable[[Operation, slice, Tensor], None],
) -> None:
    """Run the first `limit` training images, un-augmented, through a model in eval mode and show it at work.

    Parameters
    ----------
    look : is called for every batch and operation with the operation, the slice of images in the batch, and the
        operation's output, float32 (b, d) or (b, c, h, w), which it must copy if it keeps it.

    Raises
    ------
    InputError
        If an activation is NaN or infinite, is not a vector or a map for each image, or never appears.
    """
    rows, awaited = slice(0, 0), set()

    def hook_of(operation: Operation) -> Callable:
        def hook(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
            look(operation, rows, _checked(operation, output))
            awaited.discard(operation.module_name)
            if not awaited:
                raise _AllSeen  # spares the layers behind the last operation that was asked for

        return hook

    with _eval_mode(model), contextlib.ExitStack() as hooks:
        for operation in operations:
            handle = model.get_submodule(operation.module_name).register_forward_hook(hook_of(operation))
            hooks.callback(handle.remove)
        for images, labels in data.batches("train", batch_size, image_count(data, limit)):
            rows = slice(rows.stop, rows.stop + len(labels))
            awaited = {operation.module_name for operation in operations}
            with contextlib.suppress(_AllSeen):
                model(images)
            if awaited:
                raise InputError(
                    f"the module {min(awaited)!r} of {type(model).__name__} takes no part in its forward pass; "
                    "list it in the model's attribute `unlisted` or call it"
                )


def image_count(data: TrainingData, limit: int) -> int:
    """How many images are recorded: `limit`, or all training images where there are fewer.

    Raises
    ------
    InputError
        If that is fewer than two: one image varies with nothing.
    """
    count = min(limit, data.count("train"))
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
    if output.ndim not in (2, 4):
        raise InputError(f"{layer} puts out shape {tuple(output.shape)}; only (b, d) and (b, c, h, w) can be compared")
    if not is_finite(output):
        raise InputError(
            f"{layer} puts out NaN or infinity, so the network has diverged and cannot be compared; "
            "choose a checkpoint from before"
        )
    return output.float()
