"""Sharpness against a loop over a DataLoader with a clamp for each tensor; Fisher score against per-sample gradients.

Digits at 8x8 and narrow ResNet-18s, as the demo scale has them. In float64 both ways must agree to 1e-6 (relative)
before they are timed in float32.
"""

import copy
import functools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset

from benchmarks.images import Pictures, digits, usual_transform
from benchmarks.pairs import Comparison, timed
from workflow_scripts.datasets.images.arrays import ImageData
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.datasets.sampling import epoch_indices
from workflow_scripts.landscape.fisher import draw_labels, fisher_score
from workflow_scripts.landscape.sharpness import keskar_sharpness
from workflow_scripts.models import build
from workflow_scripts.models.vision.initialise import initialise

EPSILON, LEARNING_RATE, MOMENTUM, BATCH = 1e-4, 1e-3, 0.9, 50
DRAWS = 10


def trained(width: float, in_memory: InMemoryData) -> nn.Module:
    """A ResNet-18 after two quick epochs: somewhere down the slope."""
    model = initialise(build({"name": "resnet18", "width": width}, in_memory.info), seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    count = len(in_memory.y["train"])
    for epoch in (1, 2):
        for images, labels in in_memory.epoch_batches(1, epoch, BATCH, count, augment=False):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return model


def usual_sharpness(model: nn.Module, data: ImageData, steps: int, dtype: torch.dtype) -> tuple[float, float]:
    """Loss at the minimum and after the ascent: DataLoader, SGD, one tensor after the other into its box."""
    model = copy.deepcopy(model).to(dtype)
    dataset = Pictures(data.x_train, data.y_train, usual_transform(data.info, augment=False))

    def loss() -> float:
        model.eval()
        with torch.no_grad():
            sums = [
                F.cross_entropy(model(images.to(dtype)), labels, reduction="sum").item()
                for images, labels in DataLoader(dataset, 1000)
            ]
        return sum(sums) / len(dataset)

    before = loss()
    model.train()
    tensors = [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.is_floating_point())]
    centres = [tensor.detach().clone() for tensor in tensors]
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, MOMENTUM, maximize=True)
    step, epoch = 0, 0
    while step < steps:
        epoch += 1
        order = epoch_indices(len(dataset), 0, epoch, len(dataset)).tolist()
        for images, labels in DataLoader(Subset(dataset, order), BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(images.to(dtype)), labels).backward()
            optimizer.step()
            with torch.no_grad():
                for tensor, centre in zip(tensors, centres, strict=True):
                    radius = EPSILON * (centre.abs() + 1)
                    tensor.copy_(torch.minimum(torch.maximum(tensor, centre - radius), centre + radius))
            step += 1
            if step == steps:
                break
    return before, loss()


def usual_fisher(model: nn.Module, images: Tensor, drawn: Tensor) -> float:
    """Top eigenvalue from the gradient of every image and drawn label, one backward pass each, all of them kept."""
    parameters = list(model.parameters())
    rows = []
    for image, labels in zip(images, drawn, strict=True):
        logarithms = model(image[None]).log_softmax(1)[0]
        for label in labels:
            parts = torch.autograd.grad(logarithms[label], parameters, retain_graph=True)
            rows.append(torch.cat([part.flatten() for part in parts]))
    gradients = torch.stack(rows)
    return float(torch.linalg.eigvalsh(gradients @ gradients.T / len(rows))[-1])


def sharpness(data: ImageData, steps: int) -> Comparison:
    """Of a ResNet-18 of width 1/8."""
    in_memory = InMemoryData(data)
    model = trained(1 / 8, in_memory)
    batches = functools.partial(in_memory.epoch_batches, 0, batch_size=BATCH, samples=data.info.train, augment=False)

    def ours(dtype: torch.dtype = torch.float32) -> tuple[float, float]:
        found = keskar_sharpness(model, in_memory, batches, EPSILON, steps, LEARNING_RATE, MOMENTUM, dtype=dtype)
        return found.loss, found.ascended_loss

    def usual(dtype: torch.dtype = torch.float32) -> tuple[float, float]:
        return usual_sharpness(model, data, steps, dtype)

    def agree() -> None:
        np.testing.assert_allclose(ours(torch.float64), usual(torch.float64), rtol=1e-6)

    return Comparison(f"sharpness, {steps} steps of ResNet-18, width 1/8, on digits", ours, usual, agree, repeats=3)


def fisher(data: ImageData, images: int) -> Comparison:
    """Of a ResNet-18 of width 1/16; timed to a relative 1e-3 of the eigenvalue."""
    in_memory = InMemoryData(data)
    model = trained(1 / 16, in_memory)
    batches = functools.partial(in_memory.batches, "train", images, images)

    def ours() -> float:
        return fisher_score(model, batches, DRAWS).value

    def usual(dtype: torch.dtype = torch.float32) -> float:
        network = copy.deepcopy(model).to(dtype).eval()
        (drawn,) = draw_labels(network, batches, DRAWS, torch.Generator().manual_seed(0), dtype)
        return usual_fisher(network, next(batches())[0].to(dtype), drawn)

    def agree() -> None:
        exact = fisher_score(model, batches, DRAWS, tolerance=1e-6, dtype=torch.float64)
        np.testing.assert_allclose(exact.value, usual(torch.float64), rtol=1e-6)

    what = f"Fisher score, {images} digits x {DRAWS} draws, ResNet-18, width 1/16"
    return Comparison(what, ours, usual, agree, repeats=3)


def rows(quick: bool = False) -> list[dict]:
    data = digits()
    return timed([sharpness(data, 50 if quick else 200), fisher(data, 50 if quick else 200)])
