"""Optimizers from their specification, and their state as named tensors."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer

from workflow_scripts.base.errors import InputError

# weight_decay is the L2 term of the loss for both, as in the papers; Adam is not AdamW.
OPTIMIZERS = {
    "sgd": lambda parameters, momentum=0.9, weight_decay=0.0, nesterov=False: SGD(
        parameters, lr=0.0, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=True
    ),
    "adam": lambda parameters, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0: Adam(
        parameters, lr=0.0, betas=tuple(betas), eps=eps, weight_decay=weight_decay, fused=True
    ),
}


def build(spec: dict, parameters: Iterable[Tensor]) -> Optimizer:
    """An optimizer whose learning rate is still 0: the schedule sets it before every update.

    Raises
    ------
    InputError : for an unknown name or option.
    """
    options = {key: value for key, value in spec.items() if key != "name"}
    if spec["name"] not in OPTIMIZERS:
        raise InputError(f"there is no optimizer {spec['name']!r}; choose one of {', '.join(OPTIMIZERS)}")
    try:
        optimizer = OPTIMIZERS[spec["name"]](parameters, **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"the optimizer {spec['name']} cannot take the options {sorted(options)}: {error}") from None
    if optimizer.defaults.get("momentum"):
        # Momentum begins at zero for all at once: the fused update refuses a part that is released later than the rest.
        for parameter in parameters_of(optimizer):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """All parameters, in the order of their numbers in `state_dict`."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def state_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Buffers by "optimizer.<parameter's number>.<buffer>"."""
    return {
        f"optimizer.{number}.{name}": value
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def load_state_tensors(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `state_tensors` gave, in whatever memory format it comes."""
    parameters = parameters_of(optimizer)
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            parameter = parameters[int(number)]
            if value.shape == parameter.shape:
                # Fused updates go through parameter and buffer in storage order, so both must lie in memory alike.
                value = torch.empty_like(parameter).copy_(value)
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of the next update."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def freeze(module: torch.nn.Module, frozen: bool) -> None:
    """Freeze or release the parameters of a part. Frozen ones get no gradient, so no update, decay or momentum."""
    for parameter in module.parameters():
        parameter.requires_grad_(not frozen)
        parameter.grad = None
