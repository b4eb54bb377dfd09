"""Optimizers from their specification, and their state as named tensors."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, Adam, AdamW, Optimizer, RAdam

from workflow_scripts.base.checks import described, network
from workflow_scripts.base.errors import InputError
from workflow_scripts.recipes.recipe import of_optimizer
from workflow_scripts.training.lamb import Lamb

NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)

# Of SGD and Adam weight_decay is the L2 term of the loss, as in gotmare2019; of the others it is decoupled from the
# gradient (Loshchilov & Hutter 2019). Only what a recipe says differs from torch's own defaults.
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda groups, momentum=0.9, nesterov=False: SGD(
        groups, lr=0.0, momentum=momentum, nesterov=nesterov, fused=True
    ),
    "adam": lambda groups, betas=(0.9, 0.999), eps=1e-8: Adam(groups, lr=0.0, betas=tuple(betas), eps=eps, fused=True),
    "adamw": lambda groups, betas=(0.9, 0.999), eps=1e-8: AdamW(
        groups, lr=0.0, betas=tuple(betas), eps=eps, fused=True
    ),
    "radam": lambda groups, betas=(0.9, 0.999), eps=1e-8: RAdam(
        groups, lr=0.0, betas=tuple(betas), eps=eps, decoupled_weight_decay=True
    ),
    "lamb": lambda groups, betas=(0.9, 0.999), eps=1e-6: Lamb(groups, betas=tuple(betas), eps=eps),
}
OPTIONS = ("weight_decay", "decay_biases_and_norms")


def build(spec: dict, model: nn.Module) -> Optimizer:
    """An optimizer whose learning rate is still 0: the schedule sets it before every update.

    Parameters
    ----------
    spec : name, and options of `OPTIMIZERS`; weight_decay (default 0) of all parameters or, where
        decay_biases_and_norms is false (default true), of all but biases and normalisation layers.

    Raises
    ------
    InputError : for an unknown name or option, or a value out of its range.
    """
    if not isinstance(spec, Mapping):
        raise InputError(f"an optimizer is described by a mapping with its name, not by {described(spec)}")
    network("the model", model)
    options = {key: value for key, value in spec.items() if key not in ("name", *OPTIONS)}
    if problems := list(of_optimizer(spec)):
        raise InputError(f"the optimizer cannot be made: {'; '.join(problems)}")
    decay, all_decay = spec.get("weight_decay", 0.0), spec.get("decay_biases_and_norms", True)
    try:
        optimizer = OPTIMIZERS[spec["name"]](groups(model, decay, all_decay), **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"the optimizer {spec['name']} cannot take the options {sorted(options)}: {error}") from None
    if optimizer.defaults.get("momentum"):
        # Momentum begins at zero for all at once: the fused update refuses a part that is released later than the rest.
        for parameter in parameters_of(optimizer):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def groups(model: nn.Module, weight_decay: float, all_decay: bool) -> list[dict]:
    """The parameters of a model, each once, by the weight decay that they get."""
    if all_decay:
        return [{"params": list(model.parameters()), "weight_decay": weight_decay}]
    exempt = {
        id(parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if name == "bias" or isinstance(module, NORMS)
    }
    parts = ([p for p in model.parameters() if (id(p) in exempt) == is_exempt] for is_exempt in (False, True))
    return [
        {"params": part, "weight_decay": decay} for part, decay in zip(parts, (weight_decay, 0.0), strict=True) if part
    ]


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
