"""SVCCA of one pair of convolutions and of the whole matrix of two VGG-11-BN, against an SVD for every pair.

The usual way takes each pair of layers by itself: the whole transform, and at each of its frequencies two singular
value decompositions and one of the product. Ours decomposes each layer once and each conjugate pair of frequencies
once. Run with `OMP_NUM_THREADS=1 python -m benchmarks.bench_svcca`; it takes a minute or two.
"""

import itertools

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from benchmarks.pairs import ratio
from workflow_scripts.datasets.arrays import ImageData, PreparedInfo
from workflow_scripts.datasets.resident import ResidentData
from workflow_scripts.models import build
from workflow_scripts.models.layers import operations
from workflow_scripts.representation.activations import record
from workflow_scripts.representation.similarity import compare
from workflow_scripts.representation.svcca import svcca

IMAGES = 1437
TOLERANCE = 1e-8


def digits() -> ResidentData:
    """Scikit-learn's digits, 8 x 8."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    split = images[:IMAGES], labels[:IMAGES], images[IMAGES:], labels[IMAGES:]
    info = PreparedInfo("digits", 8, 1, 10, IMAGES, 360, 1, False, (0.3,), (0.4,), "scikit-learn", {})
    return ResidentData(ImageData(*split, info))


def networks(resident: ResidentData, width: float) -> tuple[nn.Module, nn.Module]:
    """Two VGG-11-BN for the data, of different initial weights."""
    torch.manual_seed(0)
    return tuple(build({"name": "vgg11_bn", "width": width}, resident.info) for _ in "ab")


def leading(x: Tensor) -> Tensor:
    """Left singular vectors that hold 99 % of the variance."""
    u, s, _ = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    return u[:, : 1 + int((s.square().cumsum(0) < 0.99 * s.square().sum()).sum())]


def usual_pair(a: Tensor, b: Tensor) -> float:
    """Mean over all shared frequencies of the mean canonical correlation."""
    a, b = (torch.fft.fft2(layer.double().reshape(*layer.shape[:2], *(layer.shape[2:] or (1, 1)))) for layer in (a, b))
    shared = [range(-(m // 2), m - m // 2) for m in map(min, zip(a.shape[2:], b.shape[2:], strict=True))]
    return np.mean(
        [
            torch.linalg.svdvals(leading(a[:, :, u, v]).mH @ leading(b[:, :, u, v])).mean().item()
            for u, v in itertools.product(*shared)
        ]
    )


def usual_matrix(resident: ResidentData, net_a: nn.Module, net_b: nn.Module) -> list[float]:
    layers_a, layers_b = (record(net, operations(net), resident, IMAGES).values() for net in (net_a, net_b))
    return [usual_pair(a, b) for a, b in itertools.product(layers_a, layers_b)]


def bench_pair(resident: ResidentData) -> None:
    layers = [record(net, operations(net)[:1], resident, IMAGES) for net in networks(resident, width=0.5)]
    (a,), (b,) = (layer.values() for layer in layers)
    assert abs(svcca(a, b).similarity - usual_pair(a, b)) < TOLERANCE
    timed = ratio(lambda: svcca(a, b), lambda: usual_pair(a, b))
    print(f"a pair of convolutions, 32 channels of 8 x 8, {IMAGES} images: {timed}")


def bench_matrix(resident: ResidentData) -> None:
    nets = networks(resident, width=0.125)
    ours, usual = compare(*nets, resident)["similarity"].to_numpy(), usual_matrix(resident, *nets)
    assert np.abs(ours - usual).max() < TOLERANCE
    timed = ratio(lambda: compare(*nets, resident), lambda: usual_matrix(resident, *nets), repeats=1)
    print(f"the {len(usual)} pairs of layers of VGG-11-BN, 8 to 64 channels, {IMAGES} images: {timed}")


if __name__ == "__main__":
    data = digits()
    bench_pair(data)
    bench_matrix(data)
