"""Residual networks (He et al., 2016, arXiv:1512.03385): ResNet-10, 18 and 32 for CIFAR, ResNet-50 for ImageNet.

Modules are named as in torchvision (conv1, bn1, layer1, ..., downsample) except for the last layer, `classifier`. Every
ReLU is its own module, and modules are registered in forward order.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.models.vision.widths import scaled


def convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the side at stride 1."""
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


class Projection(nn.Sequential):
    """Option B: a 1x1 convolution with batch normalisation, where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class Padding(nn.Module):
    """Option A: every `stride`-th pixel, and zeros for the channels that are new; no parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.new, self.stride = outputs - inputs, stride

    def forward(self, x: Tensor) -> Tensor:
        before = self.new // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.new - before))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (figure 5, left)."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int, shortcut: type[nn.Module]):
        super().__init__()
        self.conv1 = convolution(inputs, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = convolution(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        same = stride == 1 and inputs == channels
        self.downsample = nn.Identity() if same else shortcut(inputs, channels, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu2(out + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions (figure 5, right); the stride is on the 3x3, as in torchvision's "v1.5"."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int, shortcut: type[nn.Module]):
        super().__init__()
        outputs = self.expansion * channels
        self.conv1 = convolution(inputs, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = convolution(channels, channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.conv3 = convolution(channels, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.downsample = nn.Identity() if same else shortcut(inputs, outputs, stride)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu3(out + self.downsample(x))


class ResNet(nn.Module):
    """Images (b, channels, side, side) to logits (b, classes).

    Parameters
    ----------
    info : has `channels` and `classes`; images of any size fit.
    block, shortcut : what a stage repeats, and what stands in for the identity where the shape changes.
    depths : blocks in each stage; each stage but the first halves the side and doubles the channels.
    channels : of the stem and of the first stage.
    large_images : whether the stem is ImageNet's (7x7 of stride 2, then 3x3 max pooling) or CIFAR's (3x3).
    width : multiplies every channel count.
    """

    unlisted = (nn.MaxPool2d,)

    def __init__(self, info, block, shortcut, depths, channels, large_images=False, width=1.0):
        super().__init__()
        inputs = scaled(channels, width)
        self.conv1 = convolution(info.channels, inputs, 7, 2) if large_images else convolution(info.channels, inputs, 3)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if large_images else nn.Identity()
        self.stages = [f"layer{number}" for number in range(1, len(depths) + 1)]
        for number, (stage, depth) in enumerate(zip(self.stages, depths, strict=True)):
            outputs = scaled(channels * 2**number, width)
            blocks = []
            for position in range(depth):
                stride = 2 if number > 0 and position == 0 else 1
                blocks.append(block(inputs, outputs, stride, shortcut))
                inputs = outputs * block.expansion
            self.add_module(stage, nn.Sequential(*blocks))
        self.classifier = nn.Linear(inputs, info.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.classifier(torch.mean(x, dim=(2, 3)))


def resnet18(info, **options) -> ResNet:
    """ResNet-18 with a 3x3 stem (11,173,962 parameters for CIFAR-10): iyer2020, and gotmare2019's figure 15."""
    return ResNet(info, BasicBlock, Projection, (2, 2, 2, 2), channels=64, **options)


def resnet10(info, **options) -> ResNet:
    """ResNet-18 with one block a stage, for scales at which that cannot be afforded."""
    return ResNet(info, BasicBlock, Projection, (1, 1, 1, 1), channels=64, **options)


def resnet32(info, **options) -> ResNet:
    """The CIFAR network of 6n+2 layers with n = 5 (section 4.2; 464,154 parameters): gotmare2019's figure 15."""
    return ResNet(info, BasicBlock, Padding, (5, 5, 5), channels=16, **options)


def resnet50(info, **options) -> ResNet:
    """ResNet-50 for ImageNet (25,557,032 parameters for 1,000 classes): iyer2020, section 5."""
    return ResNet(info, Bottleneck, Projection, (3, 4, 6, 3), channels=64, large_images=True, **options)
