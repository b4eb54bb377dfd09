"""SVCCA against a plain NumPy and SciPy version in float64, its invariances, and its floor against simulation."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from torch import Tensor, nn
from torchvision.models import resnet

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import ImageData, PreparedInfo
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.models import NAMES, build
from workflow_scripts.models.vision.layers import left_out, operations
from workflow_scripts.representation.activations import calls, record
from workflow_scripts.representation.floor import floor
from workflow_scripts.representation.similarity import compare
from workflow_scripts.representation.spectrum import frequencies
from workflow_scripts.representation.svcca import basis, correlations, svcca

SEEDS = st.integers(0, 2**31)


def leading(x: np.ndarray) -> np.ndarray:
    """The centred data in the directions that hold 99 % of the sum of squared singular values."""
    x = x - x.mean(0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    k = np.searchsorted(np.cumsum(s**2) / np.sum(s**2), 0.99) + 1
    return u[:, :k] * s[:k]


def plain(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Similarity and mean ranks: one SVD and one QR for every frequency of the full transform of every pair."""
    a, b = (np.fft.fft2(np.float64(layer.reshape(*layer.shape[:2], *(layer.shape[2:] or (1, 1))))) for layer in (a, b))
    shared = [range(-(m // 2), (m + 1) // 2) for m in np.minimum(a.shape[2:], b.shape[2:])]
    rows = []
    for u, v in itertools.product(*shared):
        x, y = (leading(layer[:, :, u % layer.shape[2], v % layer.shape[3]]) for layer in (a, b))
        rows.append((np.cos(subspace_angles(x, y)).mean(), x.shape[1], y.shape[1]))
    return tuple(np.mean(rows, axis=0))


def layer(seed: int, *shape: int) -> Tensor:
    """Activations with a spectrum that falls, so that truncation bites, and that depend on a few common causes."""
    generator = torch.Generator().manual_seed(seed)
    causes = torch.randn(shape[0], 3, generator=torch.Generator().manual_seed(0))
    own = torch.randn(shape, generator=generator).flatten(1)
    mixed = own + causes @ torch.randn(3, own.shape[1], generator=generator)
    return mixed.unflatten(1, shape[1:]) * 0.2 ** torch.arange(shape[1]).view(-1, *[1] * (len(shape) - 2))


SHAPES = [
    ((9,), (6,)),
    ((4, 4, 4), (5, 4, 4)),  # equal even sides
    ((4, 5, 5), (3, 5, 5)),  # equal odd sides
    ((4, 8, 8), (5, 4, 4)),  # truncated to even sides: -m/2 without m/2
    ((3, 7, 7), (4, 4, 4)),
    ((3, 6, 6), (4, 3, 3)),
    ((3, 2, 2), (4, 6, 6)),
    ((3, 6, 4), (4, 4, 4)),  # alternating pixels in one of two directions
    ((3, 4, 6), (4, 5, 4)),
    ((5, 4, 4), (7,)),
    ((6,), (4, 3, 3)),
    ((4, 1, 1), (3, 4, 4)),
]


@pytest.mark.parametrize(("shape_a", "shape_b"), SHAPES, ids=str)
def test_agrees_with_the_plain_version(shape_a, shape_b):
    a, b = layer(1, 60, *shape_a), layer(2, 60, *shape_b)
    found, expected = svcca(a, b), plain(a.numpy(), b.numpy())
    assert (found.similarity, found.rank_a, found.rank_b) == pytest.approx(expected, abs=1e-8)
    assert found.similarity < 1
    assert found.rank_a < shape_a[0]


@pytest.mark.parametrize("sides", [((4, 4), (4, 4)), ((8, 8), (4, 4)), ((5, 6), (6, 3)), ((1, 1), (9, 9))], ids=str)
def test_every_shared_frequency_counts_once(sides):
    assert frequencies(*sides).total() == math.prod(map(min, zip(*sides, strict=True)))


def test_conjugates_are_computed_once():
    assert len(frequencies((8, 8), (8, 8))) == 8 * 8 // 2 + 2
    assert len(frequencies((5, 5), (9, 9))) == (5 * 5 + 1) // 2


def test_a_map_meets_a_vector_in_its_mean():
    a, b = layer(1, 50, 4, 6, 6), layer(2, 50, 8)
    assert svcca(a, b).similarity == pytest.approx(svcca(a.double().mean((2, 3)), b).similarity, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, scale=st.floats(1e-3, 1e3), maps=st.booleans())
def test_rotation_scaling_and_shift_change_nothing(seed, scale, maps):
    side = (3, 4) if maps else ()
    a, b = layer(seed, 40, 5, *side).double(), layer(seed + 1, 40, 6, *side).double()
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    moved = scale * torch.tensordot(rotation, b, ([1], [1])).movedim(0, 1) + torch.arange(6.0).view(
        -1, *[1] * len(side)
    )
    assert svcca(a, moved).similarity == pytest.approx(svcca(a, b).similarity, abs=1e-9)
    assert svcca(b, a).similarity == pytest.approx(svcca(a, b).similarity, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, down=st.integers(0, 3), right=st.integers(0, 4))
def test_a_layer_is_like_itself_wherever_it_is_shifted(seed, down, right):
    a = layer(seed, 30, 4, 4, 5).double()
    found = svcca(a, a.roll((down, right), (2, 3)))
    assert found.similarity == pytest.approx(1, abs=1e-9)
    assert found.rank_a == found.rank_b


def test_fewer_images_than_directions_say_nothing():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(20, 400, generator=generator), torch.randn(20, 500, generator=generator)
    found = svcca(a, b)
    assert found.similarity == pytest.approx(1, abs=1e-9)
    assert found.floor == 1
    assert found.rank_a == found.rank_b == 19


def test_basis_is_orthonormal_and_as_small_as_99_percent_allow():
    x = torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.3], dtype=torch.float64))
    x = torch.cat([x, -x])  # centred, singular values 3, 2, 1, 0.3 times the root of two
    kept = basis(x)
    assert kept.shape == (8, 3)
    assert torch.allclose(kept.T @ kept, torch.eye(3, dtype=torch.float64), atol=1e-14)
    assert torch.allclose(kept @ kept.T @ x[:, :3], x[:, :3], atol=1e-14)


def test_correlations_of_known_angles():
    angles = torch.tensor([0.1, 0.7, 1.5], dtype=torch.float64)
    a = torch.eye(6, dtype=torch.float64)[:, :3]
    b = torch.cat([torch.diag(angles.cos()), torch.diag(angles.sin())])
    assert torch.allclose(correlations(a, b), angles.cos(), atol=1e-14)


# --- plain CCA


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, d_a=st.integers(1, 6), d_b=st.integers(1, 8))
def test_without_a_cut_it_is_plain_cca(seed, d_a, d_b):
    a, b = layer(seed, 60, d_a), layer(seed + 1, 60, d_b)
    x, y = (np.float64(each.numpy()) - np.float64(each.numpy()).mean(0) for each in (a, b))
    found = svcca(a, b, variance_kept=1)
    assert found.similarity == pytest.approx(np.cos(subspace_angles(x, y)).mean(), abs=1e-7)
    assert (found.rank_a, found.rank_b) == (d_a, d_b)


def test_directions_that_rounding_made_are_no_directions():
    factors = torch.randn(2, 80, 3, generator=torch.Generator().manual_seed(3))
    a, b = factors[0] @ torch.randn(3, 40), factors[1] @ torch.randn(3, 50)  # float32 products of rank 3
    found = svcca(a, b, variance_kept=1)
    assert (found.rank_a, found.rank_b) == (3, 3)
    assert found.similarity == pytest.approx(svcca(*factors, variance_kept=1).similarity, abs=1e-5)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, math.nan, "all", True])
def test_a_share_of_the_variance_is_a_share(share):
    with pytest.raises(
        InputError, match=r"share of the variance that is kept is .*; it must be a finite number, above 0"
    ):
        svcca(layer(1, 30, 4), layer(2, 30, 4), share)


# --- the floor


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("ranks", [(1, 1), (1, 6), (2, 2), (3, 5), (4, 4), (12, 12), (10, 25), (20, 35), (38, 39)])
def test_floor_agrees_with_simulation(ranks, is_complex):
    n, repeats = 41, 1000
    generator = torch.Generator().manual_seed(0)
    dtype = torch.complex128 if is_complex else torch.float64
    # Projecting out the mean of n images leaves n - 1 dimensions.
    a, b = (torch.linalg.qr(torch.randn(repeats, n - 1, rank, generator=generator, dtype=dtype)).Q for rank in ranks)
    means = torch.linalg.svdvals(a.mH @ b).mean(1)
    error = means.std().item() / math.sqrt(repeats)
    assert floor(*ranks, n, is_complex) == pytest.approx(means.mean().item(), abs=0.01 + 3 * error, rel=0)
    if min(ranks) != 2:
        assert floor(*ranks, n, is_complex) == pytest.approx(means.mean().item(), abs=3 * error, rel=0.015)


@settings(max_examples=100, deadline=None)
@given(rank_a=st.integers(1, 300), rank_b=st.integers(1, 300), n=st.integers(3, 400), is_complex=st.booleans())
def test_floor_is_a_correlation_and_symmetric(rank_a, rank_b, n, is_complex):
    value = floor(rank_a, rank_b, n, is_complex)
    assert 0 < value <= 1
    assert value == floor(rank_b, rank_a, n, is_complex)
    assert value >= max(0, rank_a + rank_b - n + 1) / min(rank_a, rank_b) - 1e-9 or max(rank_a, rank_b) >= n - 1


def test_floor_vanishes_with_many_images_and_is_undefined_without_directions():
    assert floor(10, 10, 10**7) < 0.002
    assert math.isnan(floor(0, 5, 100))


@pytest.mark.parametrize("shapes", [((12, 4, 4), (8, 4, 4)), ((12, 6, 6), (8, 4, 4)), ((30,), (20,))], ids=str)
def test_independent_layers_are_at_the_floor(shapes):
    generator = torch.Generator().manual_seed(4)
    found = svcca(*(torch.randn(150, *shape, generator=generator) for shape in shapes))
    assert found.similarity == pytest.approx(found.floor, rel=0.02)


# --- layers that do not vary


def test_a_dead_layer_has_no_similarity():
    found = svcca(torch.full((20, 3, 4, 4), 0.1), layer(0, 20, 3, 4, 4))
    assert math.isnan(found.similarity)
    assert math.isnan(found.floor)
    assert found.rank_a == 0 < found.rank_b


def test_frequencies_without_variation_are_left_out():
    flat, other = layer(1, 40, 5), layer(2, 40, 4, 3, 3)
    found = svcca(flat[:, :, None, None].expand(-1, -1, 3, 3), other)
    assert found.similarity == pytest.approx(svcca(flat, other).similarity, abs=1e-12)
    assert found.rank_a == pytest.approx(svcca(flat, other).rank_a / 9)


def test_bad_layers_are_told():
    with pytest.raises(InputError, match="recorded for 20 and 19 images; record both for the same ones"):
        svcca(torch.ones(20, 3), torch.ones(19, 3))
    with pytest.raises(InputError, match="NaN or infinity, so the network has diverged"):
        svcca(torch.ones(20, 3), torch.full((20, 3), torch.inf))
    with pytest.raises(
        InputError, match=r"first layer must be a torch\.Tensor .*, not numpy\.ndarray of shape \(20, 3\)"
    ):
        svcca(np.ones((20, 3)), torch.ones(20, 3))
    with pytest.raises(InputError, match=r"second layer must be .* \(n, d\) or \(n, c, h, w\), not .* \(20, 3, 2\)"):
        svcca(torch.ones(20, 3), torch.ones(20, 3, 2))
    with pytest.raises(InputError, match="use at least 2"):
        svcca(torch.ones(1, 3), torch.ones(1, 3))


# --- whole networks


class Net(nn.Module):
    """Maps of sides 6, 3 and 1 and vectors; registered but optional: a module that is never called."""

    def __init__(self, seed: int, width: int = 4, spare: bool = False):
        super().__init__()
        torch.manual_seed(seed)
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(width, 5, 3), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 4))
        if spare:
            self.spare = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


@pytest.fixture(scope="module")
def tiny_data() -> InMemoryData:
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (70, 6, 6, 3), dtype=np.uint8), generator.integers(0, 4, 70)
    info = PreparedInfo("noise", 6, 3, 4, 70, 70, 1, True, (0.5,) * 3, (0.3,) * 3, "drawn", {})
    return InMemoryData(ImageData(images, labels, images, labels, info))


@pytest.fixture(scope="module")
def table(tiny_data) -> pd.DataFrame:
    return compare(Net(0), Net(1, width=6), tiny_data, limit=60, batch_size=25)


def test_recorded_activations_are_those_of_eval_mode(tiny_data):
    net = Net(0)
    net.features[1].eval()
    found = record(net, operations(net), tiny_data, limit=60, batch_size=25)
    found = {operation.module_name: output for operation, output in found.items()}
    assert net.training and not net.features[1].training
    net.eval()
    images = tiny_data.normalise(tiny_data.x["train"][:60])
    assert torch.allclose(found["features.0"], net.features[0](images), atol=1e-6)  # before the ReLU works in place
    assert torch.allclose(found["classifier.1"], net(images), atol=1e-6)
    assert found["classifier.1"].dtype == torch.float32


def test_matrix_agrees_with_the_plain_version(tiny_data, table):
    nets = Net(0), Net(1, width=6)
    outputs = [list(record(net, operations(net), tiny_data, 60, 25).values()) for net in nets]
    assert list(table.columns) == [
        "layer_a", "label_a", "layer_b", "label_b", "similarity", "floor", "rank_a", "rank_b", "n",
    ]  # fmt: skip
    assert len(table) == len(outputs[0]) * len(outputs[1]) == 64
    assert set(table["n"]) == {60}
    for row in table.itertuples():
        a, b = outputs[0][row.layer_a], outputs[1][row.layer_b]
        assert (row.similarity, row.rank_a, row.rank_b) == pytest.approx(plain(a.numpy(), b.numpy()), abs=1e-8)
        assert row.floor == pytest.approx(svcca(a, b).floor)
    assert list(table["label_b"][:8]) == ["conv", "BN", "ReLU", "maxpool", "conv", "ReLU", "drop", "FC"]


def test_the_budget_changes_no_result(tiny_data, table):
    for budget in (1, 100_000):
        found = compare(Net(0), Net(1, width=6), tiny_data, limit=60, batch_size=25, budget=budget)
        pd.testing.assert_frame_equal(found, table, rtol=1e-12)


def test_the_diagonal_is_that_of_the_matrix(tiny_data, table):
    found = compare(Net(0), Net(1, width=6), tiny_data, limit=60, diagonal_only=True)
    expected = table[table["layer_a"] == table["layer_b"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6)  # other batches, other float32 rounding


def test_a_dead_layer_is_a_row_without_similarity(tiny_data):
    dead = Net(0)
    nn.init.constant_(dead.features[0].weight, 0)
    nn.init.constant_(dead.features[0].bias, -0.3)
    found = compare(dead, Net(1), tiny_data, diagonal_only=True)
    assert found["similarity"].isna().all()
    assert (found["rank_a"] == 0).all() and (found["rank_b"] > 0).all()


def test_bad_networks_are_told(tiny_data):
    diverged = Net(0)
    nn.init.constant_(diverged.features[4].weight, math.nan)
    with pytest.raises(InputError, match=r"the layer conv \(features.4\) puts out NaN or infinity"):
        compare(Net(1), diverged, tiny_data)
    with pytest.raises(InputError, match="module 'spare' of Net takes no part in its forward pass"):
        compare(Net(0, spare=True), Net(1), tiny_data)
    with pytest.raises(InputError, match="have 8 and 9 operations, so those on the diagonal do not correspond"):
        compare(Net(0), nn.Sequential(Net(1), nn.ReLU()), tiny_data, diagonal_only=True)
    with pytest.raises(InputError, match="1 of them is too few; use at least 2"):
        compare(Net(0), Net(1), tiny_data, limit=1)
    with pytest.raises(InputError, match=r"puts out shape \(2, 3, 36\)"):
        compare(nn.Sequential(nn.Flatten(2), nn.ReLU()), Net(1), tiny_data)


# --- modules that are called more than once


class Block(nn.Module):
    """Two convolutions, with one ReLU for both or one for each."""

    def __init__(self, shared: bool):
        super().__init__()
        torch.manual_seed(2)
        self.relu = nn.ReLU(inplace=True)  # registered before what it follows
        self.one, self.two = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 4, 3)
        self.again = self.relu if shared else nn.ReLU(inplace=True)
        self.classifier = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.again(self.two(self.relu(self.one(x)))).mean((2, 3)))


def test_every_call_of_a_module_is_a_row(tiny_data):
    shared, apart = (compare(Block(shared), Block(shared), tiny_data, limit=50) for shared in (True, False))
    pd.testing.assert_frame_equal(shared, apart)
    assert shared["label_a"][::5].tolist() == ["conv", "ReLU", "conv", "ReLU", "FC"]
    for budget in (1, 20_000):
        found = compare(Block(True), Block(True), tiny_data, limit=50, budget=budget)
        pd.testing.assert_frame_equal(found, apart, rtol=1e-12)


def test_torchvisions_resnet_has_its_rows_in_forward_order(tiny_data):
    net = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=4)
    block = ["conv", "BN", "ReLU", "conv", "BN", "ReLU"]
    projected = [*block[:5], "conv", "BN", "ReLU"]
    labels = [operation.label for operation in calls(net, tiny_data)]
    assert labels == ["conv", "BN", "ReLU", "maxpool", *block, *projected * 3, "FC"]
    assert left_out(net) == {"AdaptiveAvgPool2d": 1}


@pytest.mark.parametrize("name", NAMES)
def test_the_models_here_call_each_module_once_in_the_order_of_registration(tiny_data, name):
    net = build({"name": name, "width": 0.05}, SimpleNamespace(channels=3, classes=4, image_size=32))
    large = torch.randn(2, 3, 32, 32)
    data = SimpleNamespace(count=lambda split: 2, batches=lambda *_: [(large, torch.zeros(2))])
    assert list(calls(net, data)) == operations(net)


def test_layers_of_other_kinds_are_named():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.GroupNorm(2, 4), nn.GELU(), nn.Flatten(), nn.Linear(4, 2))
    assert left_out(net) == {"GELU": 2, "GroupNorm": 1}


def test_a_module_that_only_some_images_pass_is_told(tiny_data):
    class Sometimes(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if len(x) == 2 else self.features(x)

    with pytest.raises(InputError, match=r"the module 'classifier\.\d' of Sometimes takes no part in its forward pass"):
        compare(Sometimes(0), Net(1), tiny_data)
