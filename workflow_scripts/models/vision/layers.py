"""The operations of an image network in forward order."""

from collections import Counter
from dataclasses import dataclass

from torch import nn

from workflow_scripts.base.errors import InputError

LABELS = {
    nn.Conv2d: "conv",
    nn.BatchNorm2d: "BN",
    nn.ReLU: "ReLU",
    nn.MaxPool2d: "maxpool",
    nn.Dropout: "drop",
    nn.Linear: "FC",
}


@dataclass(frozen=True)
class Operation:
    """One row of a layer-by-layer figure.

    label : as in gotmare2019's figure 14: conv, BN, ReLU, maxpool, drop or FC.
    module_name : the module whose output it is, for `model.get_submodule`.
    call : which call of the module in a forward pass: 0, 1, ...
    """

    label: str
    module_name: str
    call: int = 0


def operations(model: nn.Module) -> list[Operation]:
    """The operations of a model: those of VGG-11 with batch norm are the 31 rows of gotmare2019's figure 14.

    They are its modules of the kinds in `LABELS`, in the order of registration, without the types in its attribute
    `unlisted` if it has one. The models here register their modules in forward order and call each once; how often and
    in which order another model calls them, `representation.activations.calls` finds. See `left_out` for the others.

    Raises
    ------
    InputError
        If the model has no such module.
    """
    unlisted = getattr(model, "unlisted", ())
    found = [
        Operation(LABELS[type(module)], name)
        for name, module in model.named_modules()
        if type(module) in LABELS and not isinstance(module, unlisted)
    ]
    if not found:
        kinds = ", ".join(kind.__name__ for kind in LABELS)
        raise InputError(f"the model {type(model).__name__} has none of the layers that can be compared: {kinds}")
    return found


def left_out(model: nn.Module) -> dict[str, int]:
    """The kinds of layers that `operations` does not list though they compute something, with their numbers.

    A layer is a module without submodules, or one with parameters of its own. What a model computes by functions, such
    as `torch.relu`, is no module and is not seen.
    """
    silent = (nn.Identity, nn.Flatten, nn.Unflatten, *getattr(model, "unlisted", ()))
    layers = (
        module
        for module in model.modules()
        if not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))
    )
    kinds = Counter(type(layer).__name__ for layer in layers if type(layer) not in (*LABELS, *silent))
    return dict(sorted(kinds.items()))
