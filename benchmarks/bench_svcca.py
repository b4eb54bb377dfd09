"""SVCCA of one pair of convolutions and of the whole matrix of two VGG-11-BN, against an SVD for every pair.

The usual way takes each pair of layers by itself: the whole transform, and at each of its frequencies two singular
value decompositions and one of the product. Ours decomposes each layer once and each conjugate pair of frequencies
once. Both must agree to 1e-8 before they are timed.
"""

import itertools

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.images import digits
from benchmarks.pairs import Comparison, timed
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.models import build
from workflow_scripts.models.vision.layers import operations
from workflow_scripts.representation.activations import record
from workflow_scripts.representation.similarity import compare
from workflow_scripts.representation.svcca import svcca

TOLERANCE = 1e-8


def networks(in_memory: InMemoryData, width: float) -> tuple[nn.Module, nn.Module]:
    """Two VGG-11-BN for the data, of different initial weights."""
    torch.manual_seed(0)
    return tuple(build({"name": "vgg11_bn", "width": width}, in_memory.info) for _ in "ab")


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


def usual_matrix(in_memory: InMemoryData, net_a: nn.Module, net_b: nn.Module, images: int) -> list[float]:
    layers_a, layers_b = (record(net, operations(net), in_memory, images).values() for net in (net_a, net_b))
    return [usual_pair(a, b) for a, b in itertools.product(layers_a, layers_b)]


def pair(in_memory: InMemoryData, width: float) -> Comparison:
    """The first convolutions of two networks."""
    images = in_memory.info.train
    layers = [record(net, operations(net)[:1], in_memory, images) for net in networks(in_memory, width)]
    (a,), (b,) = (layer.values() for layer in layers)

    def agree() -> None:
        assert abs(svcca(a, b).similarity - usual_pair(a, b)) < TOLERANCE

    what = f"SVCCA of a pair of convolutions, {a.shape[1]} channels of 8 x 8, {images} digits"
    return Comparison(what, lambda: svcca(a, b), lambda: usual_pair(a, b), agree)


def matrix(in_memory: InMemoryData, width: float) -> Comparison:
    """All layers of two networks."""
    images = in_memory.info.train
    nets = networks(in_memory, width)

    def ours() -> np.ndarray:
        return compare(*nets, in_memory, images)["similarity"].to_numpy()

    def usual() -> list[float]:
        return usual_matrix(in_memory, *nets, images)

    def agree() -> None:
        assert np.abs(ours() - usual()).max() < TOLERANCE

    pairs = len(operations(nets[0])) ** 2
    what = f"SVCCA matrix, {pairs} pairs of layers of VGG-11-BN, width {width}, {images} digits"
    return Comparison(what, ours, usual, agree, repeats=1)


def rows(quick: bool = False) -> list[dict]:
    in_memory = InMemoryData(digits(500 if quick else 1437))
    return timed([pair(in_memory, width=0.5), matrix(in_memory, width=0.0625 if quick else 0.125)])
