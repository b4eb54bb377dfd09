"""The student of gotmare2019, section 5: [conv, maxpool, relu] x 2, fc, relu, fc, fc."""

import torch
from torch import Tensor, nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.models.vision.widths import scaled


class Student(nn.Module):
    """Images (b, channels, side, side) to logits (b, classes).

    The paper names the layers and no sizes: 5x5 convolutions (padding 2) and the widths below are this project's
    choice. As in the paper, no ReLU stands between the last two FC layers.

    Parameters
    ----------
    info : has `channels`, `classes` and `image_size` (at least 4).
    width : multiplies every width below.
    c1, c2 : channels of the convolutions.
    f1, f2 : outputs of the first two FC layers.
    """

    def __init__(self, info, width=1.0, c1=64, c2=128, f1=256, f2=128):
        super().__init__()
        if info.image_size < 4:
            raise InputError(f"the student halves its images twice, so they need a side of 4, not {info.image_size}")
        c1, c2, f1, f2 = (scaled(size, width) for size in (c1, c2, f1, f2))
        side = info.image_size // 2 // 2
        self.features = nn.Sequential(
            nn.Conv2d(info.channels, c1, kernel_size=5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(c1, c2, kernel_size=5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(
            nn.Linear(c2 * side * side, f1),
            nn.ReLU(),
            nn.Linear(f1, f2),
            nn.Linear(f2, info.classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


def student(info, **options) -> Student:
    """The shallow network that learns from VGG-16's softened outputs."""
    return Student(info, **options)
