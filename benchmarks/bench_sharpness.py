"""Sharpness against a loop over a DataLoader with a clamp for each tensor; Fisher score against per-sample gradients.

    OMP_NUM_THREADS=1 python -m benchmarks.bench_sharpness

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

from benchmarks.bench_landscape import Normalised, digits
from benchmarks.pairs import ratio
from workflow_scripts.datasets.arrays import ImageData
from workflow_scripts.datasets.resident import ResidentData
from workflow_scripts.landscape.fisher import draw_labels, fisher_score
from workflow_scripts.landscape.sharpness import keskar_sharpness
from workflow_scripts.models import build
from workflow_scripts.models.initialise import initialise
from workflow_scripts.training.sampling import epoch_batches, epoch_indices

EPSILON, STEPS, LEARNING_RATE, MOMENTUM, BATCH = 1e-4, 200, 1e-3, 0.9, 50
FISHER_IMAGES, DRAWS = 200, 10


def trained(width: float, resident: ResidentData) -> nn.Module:
    """A ResNet-18 after two quick epochs: somewhere down the slope."""
    model = initialise(build({"name": "resnet18", "width": width}, resident.info), seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    count = len(resident.y["train"])
    for epoch in (1, 2):
        for images, labels in epoch_batches(resident, 1, epoch, BATCH, count, augment=False):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return model


def usual_sharpness(model: nn.Module, data: ImageData, dtype: torch.dtype) -> tuple[float, float]:
    """Loss at the minimum and after the ascent: DataLoader, SGD, one tensor after the other into its box."""
    model = copy.deepcopy(model).to(dtype)
    dataset = Normalised(data.x_train, data.y_train, data.info)

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
    while step < STEPS:
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
            if step == STEPS:
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


def bench_sharpness(data: ImageData, resident: ResidentData) -> None:
    model = trained(1 / 8, resident)
    count = len(resident.y["train"])

    def ours(dtype: torch.dtype = torch.float32):
        batches = functools.partial(
            epoch_batches, resident, 0, batch_size=BATCH, samples_per_epoch=count, augment=False
        )
        return keskar_sharpness(model, resident, batches, EPSILON, STEPS, LEARNING_RATE, MOMENTUM, dtype=dtype)

    result = ours(torch.float64)
    losses = usual_sharpness(model, data, torch.float64)
    np.testing.assert_allclose((result.loss, result.ascended_loss), losses, rtol=1e-6)
    print(f"sharpness {result.sharpness:.3f} %, {ours().sharpness:.3f} % in float32, on faces {result.on_faces:.2f}")
    compared = ratio(ours, lambda: usual_sharpness(model, data, torch.float32))
    print(f"sharpness, {STEPS} steps: {compared}", flush=True)


def bench_fisher(resident: ResidentData) -> None:
    model = trained(1 / 16, resident)
    batches = functools.partial(resident.batches, "train", FISHER_IMAGES, FISHER_IMAGES)
    images = next(iter(batches()))[0]

    def usual(dtype: torch.dtype = torch.float32) -> float:
        network = copy.deepcopy(model).to(dtype).eval()
        (drawn,) = draw_labels(network, batches, DRAWS, torch.Generator().manual_seed(0), dtype)
        return usual_fisher(network, images.to(dtype), drawn)

    exact = fisher_score(model, batches, DRAWS, tolerance=1e-6, dtype=torch.float64)
    np.testing.assert_allclose(exact.value, usual(torch.float64), rtol=1e-6)
    quick = fisher_score(model, batches, DRAWS)
    print(f"Fisher score {exact.value:.6g}; to 1e-3 in float32 {quick.value:.6g} after {quick.iterations} passes")
    compared = ratio(lambda: fisher_score(model, batches, DRAWS), usual, repeats=3)
    print(f"Fisher score, {FISHER_IMAGES} images x {DRAWS} draws: {compared}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    data = digits()
    resident = ResidentData(data)
    bench_sharpness(data, resident)
    bench_fisher(resident)
