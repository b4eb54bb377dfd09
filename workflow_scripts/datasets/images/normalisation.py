"""From bytes to what networks are trained on."""

import torch
from torch import Tensor

from workflow_scripts.datasets.images.arrays import PreparedInfo


class Normalisation:
    """Bytes (b, c, h, w) → (byte / 255 - mean) / std, float32, channels-last, with a data set's mean and std."""

    def __init__(self, info: PreparedInfo, device: torch.device):
        mean, std = (torch.tensor(value, dtype=torch.float64).view(1, -1, 1, 1) for value in (info.mean, info.std))
        self._scale = (1 / (255 * std)).float().to(device)
        self._offset = (-mean / std).float().to(device)

    def __call__(self, batch: Tensor) -> Tensor:
        return batch.to(torch.float32, memory_format=torch.channels_last).mul_(self._scale).add_(self._offset)
