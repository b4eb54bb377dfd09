"""VGG for small images: table 1 of Simonyan & Zisserman (2014, arXiv:1409.1556) with the head of gotmare2019.

Every convolution is 3x3 with padding 1 and a bias, "M" halves the side by 2x2 max pooling. The papers' networks for
32x32 images end at 512 channels of 1x1, followed by dropout, 512, ReLU, dropout, 512, ReLU, classes.
"""

import torch
from torch import Tensor, nn

from workflow_scripts.models.vision.widths import scaled

CONFIGURATIONS = {
    "A": (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "D": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
    "shallow": (64, "M", 128, "M", 256, 256, "M", 256, 256, "M"),
}


class VGG(nn.Module):
    """Images (b, channels, side, side) to logits (b, classes).

    Parameters
    ----------
    info : has `channels`, `classes` and `image_size`.
    configuration : a key of `CONFIGURATIONS`.
    batch_norm : whether batch normalisation stands between each convolution and its ReLU.
    width : multiplies every channel count and the width of the head.
    dropout : probability of dropping a unit before each hidden FC layer.
    smallest_side : a pooling that would make the side smaller is left out, so that images of any size fit.
    """

    unlisted = (nn.MaxPool2d,)  # figure 14 of gotmare2019 lists no pooling

    def __init__(self, info, configuration, batch_norm, width=1.0, dropout=0.5, smallest_side=1):
        super().__init__()
        layers, channels, side = [], info.channels, info.image_size
        for entry in CONFIGURATIONS[configuration]:
            if entry != "M":
                outputs = scaled(entry, width)
                layers.append(nn.Conv2d(channels, outputs, kernel_size=3, padding=1))
                layers += [nn.BatchNorm2d(outputs), nn.ReLU()] if batch_norm else [nn.ReLU()]
                channels = outputs
            elif side // 2 >= smallest_side:
                layers.append(nn.MaxPool2d(2))
                side //= 2
        hidden = scaled(512, width)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(channels * side * side, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, info.classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


def vgg9(info, **options) -> VGG:
    """Six convolutions and three FC layers: the shallow sibling, for scales at which VGG-11 and 16 do not train."""
    return VGG(info, "shallow", batch_norm=False, **options)


def vgg9_bn(info, **options) -> VGG:
    """`vgg9` with batch normalisation."""
    return VGG(info, "shallow", batch_norm=True, **options)


def vgg11(info, **options) -> VGG:
    """Configuration A: eight convolutions and three FC layers."""
    return VGG(info, "A", batch_norm=False, **options)


def vgg11_bn(info, **options) -> VGG:
    """Configuration A with batch normalisation: the network of gotmare2019, section 4 (31 rows in figure 14)."""
    return VGG(info, "A", batch_norm=True, **options)


def vgg16(info, **options) -> VGG:
    """Configuration D, thirteen convolutions and three FC layers: the network of gotmare2019, sections 2, 3 and 5."""
    return VGG(info, "D", batch_norm=False, **options)


def vgg16_bn(info, **options) -> VGG:
    """Configuration D with batch normalisation: gotmare2019, appendix 8.4."""
    return VGG(info, "D", batch_norm=True, **options)
