"""Batch normalisation at a point of weight space that no training visited: its statistics must be measured there."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from workflow_scripts.base import checks
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData


@torch.inference_mode()
def refresh(model: nn.Module, data: TrainingData, batch_size: int = 1000, limit: int | None = None) -> None:
    """Measure running means and variances anew, in one pass over un-augmented training images in fixed order.

    After n images a batch of b enters with momentum b / (n + b), which makes the running values the mean over batches,
    weighted by their images, of batch means and of (unbiased) batch variances, also where the last batch is ragged
    (Garipov et al. 2018, `update_bn` of their code). Batch normalisation alone is in train mode: dropout rests. Modes
    and momenta are put back. A model without running statistics is left alone.

    Raises
    ------
    InputError : an argument is of another kind, or a batch of one image leaves a single value in a channel, which has
        no variance.
    """
    checks.network("the model", model)
    checks.training_data(data)
    checks.whole_number("the batch size", batch_size)
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm) and layer.running_mean is not None]
    if not layers:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
    try:
        seen = 0
        for images, _ in data.batches("train", batch_size, limit):
            seen += len(images)
            for layer in layers:
                layer.momentum = len(images) / seen
            model(images)
    except ValueError as error:
        if len(images) > 1:
            raise
        raise InputError(
            f"batch normalisation cannot take a variance from a last batch of one image: {seen} images in batches of "
            f"{batch_size}; choose another batch size or limit"
        ) from error
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, training in modes:
            module.training = training
