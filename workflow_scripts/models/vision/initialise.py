"""The papers' initialisations: N(0, 2/n), n the number of inputs of a neuron (gotmare2019), and torch's (iyer2020)."""

import math

import torch
from torch import Generator, nn

from workflow_scripts.base.checks import network, number, whole_number
from workflow_scripts.base.errors import InputError

NEURONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm)


@torch.no_grad()
def initialise(model: nn.Module, variance: float = 1.0, *, rule: str = "he", seed: int | Generator) -> nn.Module:
    """Draw every weight anew, in place; the same values on every device, whatever the global random state.

    By the rule "he" (He et al., 2015) weights of convolutions and FC layers ~ N(0, variance * 2/n), and their biases
    are 0; gotmare2019 trains mode E with `variance=3`. By the rule "default", torch's own, which iyer2020's code leaves
    as it is, weights and biases ~ U(-1/sqrt(n), 1/sqrt(n)). Normalisation layers are 1 and 0, with fresh running
    statistics.

    A custom model with other parameters brings a method `initialise(variance, generator)`, used instead.

    Parameters
    ----------
    seed : an integer, or a CPU generator to draw from.

    Returns
    -------
    nn.Module
        The same `model`.

    Raises
    ------
    InputError
        If the rule is unknown, the variance not positive or not of this rule, or a parameter is one of no rule.
    """
    network("the model", model)
    if not isinstance(seed, Generator):
        whole_number("the seed", seed, 0)
    if not isinstance(rule, str) or rule not in RULES:
        raise InputError(f"there is no initialisation {rule!r}; choose one of {', '.join(RULES)}")
    if rule == "default" and variance != 1.0:
        raise InputError(
            f"the initialisation 'default' has no variance, but {variance!r} is given; choose the rule 'he'"
        )
    number("the variance of the initialisation", variance, above=0)
    generator = seed if isinstance(seed, Generator) else Generator().manual_seed(seed)
    if hasattr(model, "initialise"):
        model.initialise(variance, generator)
        return model
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, NEURONS):
            RULES[rule](module, variance, generator)
        elif isinstance(module, NORMS):
            module.reset_parameters()
        elif own:
            raise InputError(
                f"the initialisation {rule!r} does not cover {name or 'the model itself'} "
                f"({type(module).__name__}); give the model a method initialise(variance, generator)"
            )
    return model


# Numbers are drawn on the CPU in the plain memory format, so that neither device nor layout changes a value.


def _he(layer: nn.Module, variance: float, generator: Generator) -> None:
    deviation = math.sqrt(variance * 2 / layer.weight[0].numel())
    layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * deviation)
    if layer.bias is not None:
        layer.bias.zero_()


def _default(layer: nn.Module, variance: float, generator: Generator) -> None:
    bound = 1 / math.sqrt(layer.weight[0].numel())
    for parameter in layer.parameters(recurse=False):
        parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))


RULES = {"he": _he, "default": _default}
