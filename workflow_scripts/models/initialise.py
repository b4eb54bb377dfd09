"""The initialisation of gotmare2019: N(0, 2/n), n the number of inputs of a neuron (He et al., 2015)."""

import math

import torch
from torch import Generator, nn

from workflow_scripts.base.errors import InputError

NEURONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm)


@torch.no_grad()
def initialise(model: nn.Module, variance: float = 1.0, *, seed: int | Generator) -> nn.Module:
    """Draw every weight anew, in place; the same values on every device, whatever the global random state.

    Weights of convolutions and FC layers ~ N(0, variance * 2/n); their biases 0; normalisation layers 1 and 0, with
    fresh running statistics. gotmare2019 trains mode E with `variance=3`.

    A model of one's own with other parameters brings a method `initialise(variance, generator)`, used instead.

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
        If the variance is not positive, or the model has parameters that this rule says nothing about.
    """
    if not (math.isfinite(variance) and variance > 0):
        raise InputError(f"the variance of the initialisation must be a positive number, not {variance!r}")
    generator = seed if isinstance(seed, Generator) else Generator().manual_seed(seed)
    if hasattr(model, "initialise"):
        model.initialise(variance, generator)
        return model
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, NEURONS):
            deviation = math.sqrt(variance * 2 / module.weight[0].numel())
            # Drawn on the CPU in the plain memory format, so that neither device nor layout changes a value.
            module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * deviation)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, NORMS):
            module.reset_parameters()
        elif own:
            raise InputError(
                f"the N(0, 2/n) initialisation does not cover {name or 'the model itself'} "
                f"({type(module).__name__}); give the model a method initialise(variance, generator)"
            )
    return model
