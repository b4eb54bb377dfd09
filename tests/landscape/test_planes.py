"""Planes through three points of weight space: their frame, their projections, the loss on their grid."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import vector_to_parameters

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import ImageData, PreparedInfo
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.landscape import flat as flat_module
from workflow_scripts.landscape.batchnorm import refresh
from workflow_scripts.landscape.flat import FlatModel, evaluate_points
from workflow_scripts.landscape.planes import Plane, evaluate_plane


def three_points(seed: int, size: int, lift: float = 1.0) -> list[torch.Tensor]:
    """Two random points (size,) and one beside the middle of their segment, `lift` times as far off as a random one."""
    a, b, c = torch.randn((3, size), generator=torch.Generator().manual_seed(seed))
    return [a, b, 0.5 * (a + b) + lift * c]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(3, 400), lift=st.sampled_from([1.0, 1e-2, 1e-4]))
def test_the_frame_is_orthonormal_and_the_corners_are_the_three_points(seed, size, lift):
    points = three_points(seed, size, lift)
    plane = Plane.through(*points)
    frame = torch.stack([plane.u, plane.v])
    np.testing.assert_allclose((frame @ frame.T).numpy(), np.eye(2), atol=1e-12)
    for corner, vector in zip(plane.corners, points, strict=True):
        np.testing.assert_allclose(plane.point(*corner).numpy(), vector.double().numpy(), atol=1e-11)
        assert plane.project(vector) == pytest.approx((*corner, 0.0), abs=1e-11)
    assert tuple(plane.corners[0]) == (0.0, 0.0)
    assert plane.corners[1, 1] == 0.0
    assert plane.corners[2, 1] > 0.0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(4, 200))
def test_projections_are_the_least_squares_of_numpy(seed, size):
    a, b, c = (vector.double().numpy() for vector in three_points(seed, size))
    w = torch.randn(size, generator=torch.Generator().manual_seed(seed + 1))
    plane = Plane.through(*three_points(seed, size))

    def place(vector):
        return plane.u.numpy() @ (vector - a), plane.v.numpy() @ (vector - a)

    sides = np.stack([b - a, c - a], axis=1)
    affine = a + sides @ np.linalg.lstsq(sides, w.double().numpy() - a, rcond=None)[0]
    expected = (*place(affine), np.linalg.norm(affine - w.double().numpy()))
    np.testing.assert_allclose(plane.project(w), expected, rtol=1e-8, atol=1e-8)

    corners = np.stack([a, b, c], axis=1)
    linear = corners @ np.linalg.lstsq(corners, w.double().numpy(), rcond=None)[0]
    expected = (*place(linear), np.linalg.norm(linear - w.double().numpy()))
    np.testing.assert_allclose(plane.project(w, "linear"), expected, rtol=1e-6, atol=1e-6)


def test_both_projections_agree_on_a_plane_through_zero():
    _, b, c = three_points(0, 30)
    plane = Plane.through(torch.zeros(30), b, c)
    w = torch.randn(30)
    assert plane.project(w, "linear") == pytest.approx(plane.project(w), abs=1e-12)


def test_the_grid_covers_the_three_points_with_the_margin_asked_for():
    a, b = torch.zeros(5), torch.tensor([4.0, 0, 0, 0, 0])
    x, y = Plane.through(a, b, torch.tensor([1.0, 2.0, 0, 0, 0])).grid(n=15, margin=0.2)
    np.testing.assert_allclose(x, np.linspace(-0.8, 4.8, 15))
    np.testing.assert_allclose(y, np.linspace(-0.8, 2.8, 15))  # the same margin, of the larger extent
    x, _ = Plane.through(a, b, torch.tensor([-4.0, 2.0, 0, 0, 0])).grid(n=5, margin=0.0)
    np.testing.assert_allclose(x, [-4, -2, 0, 2, 4])


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (lambda a, b, c: (a, a, c), "the first two points of the plane are the same weights"),
        (lambda a, b, c: (a, b, a), "lie on one line"),
        (lambda a, b, c: (a, b, torch.lerp(a, b, 0.5)), "lie on one line and span no plane; give a bend that left"),
        (lambda a, b, c: (a, b, 3 * b - 2 * a), "lie on one line"),
        (lambda a, b, c: (a, b, c / 0), "finite weights; leave out the point whose training diverged"),
    ],
)
def test_points_that_span_no_plane_are_refused(points, sentence):
    with pytest.raises(InputError, match=sentence):
        Plane.through(*points(*three_points(3, 1000)))


def test_an_unknown_combination_is_refused():
    with pytest.raises(InputError, match="no combination called 'convex'; choose affine or linear"):
        Plane.through(*three_points(0, 10)).project(torch.zeros(10), "convex")


@pytest.fixture(scope="module")
def tiny_data() -> InMemoryData:
    random = np.random.default_rng(0)
    train, test = (random.integers(0, 256, (n, 6, 6, 2), dtype=np.uint8) for n in (37, 23))
    info = PreparedInfo("noise", 6, 2, 3, 37, 23, 1, True, (0.5, 0.4), (0.3, 0.2), "drawn", {})
    return InMemoryData(ImageData(train, random.integers(0, 3, 37), test, random.integers(0, 3, 23), info))


def network(batch_norm: bool, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    norm = [nn.BatchNorm2d(4)] if batch_norm else []
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        *norm,
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(16, 3),
    )


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("keep_bytes", [flat_module.KEEP_BYTES, 0])
def test_a_plane_evaluates_as_its_models_one_at_a_time(tiny_data, batch_norm, keep_bytes, monkeypatch):
    monkeypatch.setattr(flat_module, "KEEP_BYTES", keep_bytes)
    flat = FlatModel(network(batch_norm))
    plane = Plane.through(*(FlatModel(network(batch_norm, seed)).weights for seed in (1, 2, 3)))
    table = evaluate_plane(flat, plane, tiny_data, n=3, batch_size=8, limits={"train": 29})
    x, y = plane.grid(3)
    expected = []
    for place in [(a, b) for a in x for b in y]:
        model = network(batch_norm)
        vector_to_parameters(plane.point(*place).float(), model.parameters())
        refresh(model, tiny_data, 8, 29)
        model.eval()
        for split, count in (("train", 29), ("test", 23)):
            logits = model(tiny_data.normalise(tiny_data.x[split][:count])).double()
            labels = tiny_data.y[split][:count]
            loss = F.cross_entropy(logits, labels).item()
            accuracy = 100 * (logits.argmax(1) == labels).double().mean().item()
            expected.append((*place, split, loss, accuracy))
    assert list(table.columns) == ["x", "y", "split", "loss", "accuracy"]
    assert table["split"].tolist() == [row[2] for row in expected]
    for column, i in (("x", 0), ("y", 1), ("loss", 3), ("accuracy", 4)):
        np.testing.assert_allclose(table[column], [row[i] for row in expected], rtol=1e-5, atol=1e-12)


def test_only_the_splits_asked_for_are_evaluated_and_no_points_give_an_empty_table(tiny_data):
    flat = FlatModel(network(False))
    table = evaluate_points(flat, [flat.weights.clone()], tiny_data, splits=["test"])
    assert table[["point", "split"]].values.tolist() == [[0, "test"]]
    assert evaluate_points(flat, [], tiny_data).empty


def test_points_and_grids_that_make_no_sense_are_refused():
    plane = Plane.through(*torch.eye(3))
    with pytest.raises(InputError, match=r"point of a plane must be a torch\.Tensor \(D,\), not numpy\.ndarray"):
        Plane.through(*np.eye(3))
    with pytest.raises(InputError, match="point to project has 2 weights, but those of the plane 3"):
        plane.project(torch.zeros(2))
    with pytest.raises(InputError, match="number of points on a side of the grid is 1"):
        plane.grid(1)
    with pytest.raises(InputError, match=r"margin of the grid is -0\.2; it must be a finite number, at least 0"):
        plane.grid(3, -0.2)
