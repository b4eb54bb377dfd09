"""A model as a point of weight space: one flat vector, and its loss at many points."""

from collections.abc import Iterable, Mapping

import pandas as pd
import torch
from torch import Tensor, nn

from workflow_scripts.base import checks
from workflow_scripts.base.checks import described
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.datasets.sampling import WHOLE, Share
from workflow_scripts.landscape.batchnorm import refresh
from workflow_scripts.tasks.evaluation import evaluate

KEEP_BYTES = 1 << 30  # CIFAR-10 in float32 takes 0.7 GiB


class FlatModel:
    """A module whose parameters are views of one flat vector, so that moving in weight space is a single copy.

    The module itself is changed: its parameters and their gradients lie in `weights` and `gradient` from now on, plain
    contiguous and in the order of `named_parameters()`. Do not move or cast it afterwards. Buffers are left apart.

    Attributes
    ----------
    model : the module.
    weights : (D,) parameters, on the module's device and of its type.
    gradient : (D,) into which `backward()` adds; zero it before.

    Raises
    ------
    InputError : it is no module, has no parameters, or has them in several types or on several devices.
    """

    def __init__(self, model: nn.Module):
        if not isinstance(model, nn.Module):
            raise InputError(f"a point of weight space is that of a torch.nn.Module, not of {described(model)}")
        parameters = dict(model.named_parameters())
        if not parameters:
            raise InputError(f"a point of weight space has parameters, and {type(model).__name__} has none")
        if len({(parameter.dtype, parameter.device) for parameter in parameters.values()}) != 1:
            raise InputError("a flat weight vector needs a model whose parameters share one type and one device")
        self.model = model
        self.shapes = {name: parameter.shape for name, parameter in parameters.items()}
        self.weights = torch.cat([parameter.detach().reshape(-1) for parameter in parameters.values()])
        self.gradient = torch.zeros_like(self.weights)
        sizes = [parameter.numel() for parameter in parameters.values()]
        places = zip(self.weights.split(sizes), self.gradient.split(sizes), strict=True)
        for parameter, (weights, gradient) in zip(parameters.values(), places, strict=True):
            parameter.data = weights.view(parameter.shape)
            parameter.grad = gradient.view(parameter.shape)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits of the model at the present point."""
        return self.model(images)

    def set(self, vector: Tensor) -> None:
        """Move to a point (D,).

        Raises
        ------
        InputError : it is no vector of as many weights.
        """
        if not isinstance(vector, Tensor) or vector.shape != self.weights.shape:
            raise InputError(
                f"a point of this network is a torch.Tensor of shape {tuple(self.weights.shape)}, "
                f"not {described(vector)}"
            )
        self.weights.copy_(vector)

    def from_state(self, state: Mapping[str, Tensor]) -> Tensor:
        """The point (D,) of a `state_dict`; its buffers are not part of it.

        Raises
        ------
        InputError : a parameter is missing from the state, is no tensor or has another shape.
        """
        if not isinstance(state, Mapping):
            raise InputError(f"a state is a mapping from names to tensors, not {described(state)}")
        problems = [
            f"{name} should have shape {tuple(shape)}, {_found(state, name)}"
            for name, shape in self.shapes.items()
            if not isinstance(state.get(name), Tensor) or state[name].shape != shape
        ]
        if problems:
            raise InputError.together(
                "the checkpoint does not fit the model; build the model it was made with", problems
            )
        return torch.cat([state[name].reshape(-1).to(self.weights) for name in self.shapes])

    def to_state(self) -> dict[str, Tensor]:
        """The `state_dict` of the present point, buffers included, as copies."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}


def _found(state: Mapping[str, object], name: str) -> str:
    """What a checkpoint has for a parameter, as the end of a sentence."""
    if name not in state:
        return "it is missing from the checkpoint"
    value = state[name]
    return f"the checkpoint has {tuple(value.shape) if isinstance(value, Tensor) else described(value)}"


class KeptBatches:
    """The batches of a `TrainingData`, normalised once and kept: all points of weight space see the same images.

    A split that takes more than `KEEP_BYTES` in float32 is normalised anew at each pass.
    """

    def __init__(self, data: TrainingData):
        self.data, self.device = data, data.device
        self.kept: dict[tuple, list[tuple[Tensor, Tensor]]] = {}

    def batches(
        self, split: str, batch_size: int, limit: int | None = None, share: Share = WHOLE
    ) -> Iterable[tuple[Tensor, Tensor]]:
        """As `TrainingData.batches`."""
        info, count = self.data.info, self.data.count(split)
        images = count if limit is None else min(limit, count)
        if 4 * images * info.channels * info.image_size**2 > KEEP_BYTES:
            return self.data.batches(split, batch_size, limit, share)
        key = (split, batch_size, limit, share)
        if key not in self.kept:
            self.kept[key] = list(self.data.batches(*key))
        return self.kept[key]


@torch.inference_mode()
def evaluate_points(
    flat: FlatModel,
    vectors: Iterable[Tensor],
    data: TrainingData,
    splits: Iterable[str] = ("train", "test"),
    limits: Mapping[str, int | None] | None = None,
    batch_size: int = 1000,
) -> pd.DataFrame:
    """Loss and accuracy at points of weight space: un-augmented images, eval mode, no L2 term.

    A model with batch normalisation gets its statistics from the training images at each point (`batchnorm.refresh`).
    The model is left in eval mode at the last point.

    Parameters
    ----------
    vectors : points (D,), taken one at a time.
    limits : evaluate only the first images of a split (and refresh with as many of "train").

    Returns
    -------
    DataFrame with the columns point (0, 1, ...), split, loss (nats), accuracy (percent).

    Raises
    ------
    InputError : a point does not fit the network, that is no `FlatModel`, or the data are no `TrainingData`.
    """
    if not isinstance(flat, FlatModel):
        raise InputError(
            f"a network whose weights are moved must be a FlatModel, not {described(flat)}: FlatModel(model)"
        )
    checks.training_data(data)
    checks.mapping("the limits of the splits", limits or {})
    if not isinstance(splits, Iterable):
        raise InputError(f"the splits must be a list, such as ('train', 'test'), not {described(splits)}")
    limits, splits = limits or {}, list(splits)
    kept = KeptBatches(data)
    flat.model.eval()
    rows = []
    for point, vector in enumerate(vectors):
        flat.set(vector)
        refresh(flat.model, kept, batch_size, limits.get("train"))
        for split in splits:
            totals = evaluate(flat, kept, split, batch_size, limits.get(split))
            rows.append({"point": point, "split": split, "loss": totals.loss, "accuracy": totals.accuracy})
    return pd.DataFrame(rows, columns=["point", "split", "loss", "accuracy"])
