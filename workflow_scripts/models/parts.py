"""The parts of a network that can be frozen."""

from torch import nn

from workflow_scripts.base.errors import InputError


def parts(model: nn.Module) -> list[str]:
    """The names of all submodules that hold parameters, hence can be frozen: "classifier", "features.0", ..."""
    return [name for name, module in model.named_modules() if name and any(True for _ in module.parameters())]


def part(model: nn.Module, name: str) -> nn.Module:
    """The submodule of that name.

    Raises
    ------
    InputError
        If the model has no such part, or one without parameters.
    """
    known = parts(model)
    if name not in known:
        largest = ", ".join(known_name for known_name in known if "." not in known_name)
        raise InputError(
            f"the model {type(model).__name__} has no part {name!r} to freeze; choose one of {largest}, or a layer "
            f"inside one of them such as {known[-1]}"
        )
    return model.get_submodule(name)
