"""Curves between modes: their coefficients, their lengths, and the training of their bends."""

import copy
import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import ImageData, PreparedInfo
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.landscape.curve_training import CurveRecipe, CurveState, step, train_curve
from workflow_scripts.landscape.curves import (
    GRID,
    arc_length,
    coefficients,
    evaluate_curve,
    point,
    straight,
)
from workflow_scripts.landscape.flat import FlatModel

KINDS = ["polygonal", "bezier"]


def curve_recipe(
    kind: str = "polygonal",
    bends: int = 1,
    epochs: int = 100,
    lr: float = 0.015,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
) -> CurveRecipe:
    """A recipe that differs from the paper's where it is asked to."""
    return CurveRecipe(kind, bends, epochs, {"name": "hold_then_linear", "lr": lr}, momentum, weight_decay)


SMALL = curve_recipe(epochs=12, lr=0.1)

# ---------------------------------------------------------------------------------------------------------------------
# coefficients, points, lengths


@given(t=st.floats(0, 1), k=st.integers(2, 9), kind=st.sampled_from(KINDS))
def test_coefficients_are_a_convex_combination(t, k, kind):
    c = coefficients(kind, t, k)
    assert c.sum() == pytest.approx(1.0, abs=1e-12)
    assert (c >= 0).all()


def de_casteljau(control_points: np.ndarray, t: float) -> np.ndarray:
    while len(control_points) > 1:
        control_points = (1 - t) * control_points[:-1] + t * control_points[1:]
    return control_points[0]


@settings(deadline=None)
@given(t=st.floats(0, 1), k=st.integers(2, 7), seed=st.integers(0, 1000))
def test_points_are_those_of_interpolation_and_of_de_casteljau(t, k, seed):
    control_points = np.random.default_rng(seed).standard_normal((k, 5))
    chain = [np.interp(t, np.linspace(0, 1, k), column) for column in control_points.T]
    np.testing.assert_allclose(point(torch.from_numpy(control_points), t, "polygonal"), chain, atol=1e-12)
    bezier = de_casteljau(control_points, t)
    np.testing.assert_allclose(point(torch.from_numpy(control_points), t, "bezier"), bezier, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_curve_begins_and_ends_exactly_at_its_modes_even_with_a_diverged_bend(kind):
    control_points = torch.randn(4, 1000)
    control_points[1] = torch.nan
    assert torch.equal(point(control_points, 0.0, kind), control_points[0])
    assert torch.equal(point(control_points, 1.0, kind), control_points[3])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bends", [0, 1, 2, 5])
def test_an_untrained_curve_is_the_segment(kind, bends):
    a, b = torch.randn(2, 50, dtype=torch.float64)
    control_points = straight(a, b, bends)
    assert torch.equal(control_points[0], a)
    assert torch.equal(control_points[-1], b)
    for t in GRID:
        torch.testing.assert_close(point(control_points, t, kind), (1 - t) * a + t * b)
    np.testing.assert_allclose(arc_length(control_points, GRID, kind), GRID * float((b - a).norm()), atol=1e-12)


def test_the_grid_has_61_values_and_the_middle_exactly():
    assert len(GRID) == 61
    assert GRID[30] == 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_arc_length_adds_the_distances_between_points(kind):
    control_points = torch.randn(4, 300)
    points = np.stack([point(control_points.double(), t, kind).numpy() for t in GRID])
    distances = np.linalg.norm(np.diff(points, axis=0), axis=1)
    np.testing.assert_allclose(arc_length(control_points, GRID, kind), np.r_[0, np.cumsum(distances)], rtol=1e-9)


def test_a_chain_is_as_long_as_its_sides():
    control_points = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    assert arc_length(control_points)[[0, 30, 60]] == pytest.approx([0.0, 3.0, 7.0])


def test_what_is_no_curve_is_refused():
    with pytest.raises(InputError, match="no curve called 'spline'; choose one of polygonal, bezier"):
        point(torch.zeros(3, 2), 0.5, "spline")
    for t in (-0.01, 1.5, np.nan, np.array([0.0, 1.1])):
        with pytest.raises(InputError, match="points for t from 0 to 1, not for"):
            point(torch.zeros(3, 2), t)
    for wrong in (np.zeros((3, 2)), torch.zeros(3), torch.zeros(0, 2)):
        with pytest.raises(InputError, match=r"control points must be a torch\.Tensor \(k, D\), not"):
            arc_length(wrong)
    with pytest.raises(InputError, match="number of control points is 1; it must be a whole number of at least 2"):
        point(torch.zeros(1, 2), 0.5)
    with pytest.raises(InputError, match="ends of a curve have 3 and 4 weights; give two modes of one network"):
        straight(torch.zeros(3), torch.zeros(4), 1)
    with pytest.raises(InputError, match=r"start of a curve must be a torch\.Tensor \(D,\), not numpy\.ndarray"):
        straight(np.zeros(3), torch.zeros(3), 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bends": 0}, "number of bends of a curve is 0; it must be a whole number of at least 1"),
        ({"epochs": 0}, "number of epochs of a curve is 0"),
        ({"momentum": 1.0}, r"momentum of a curve's training is 1\.0; it must be a finite number, at least 0, below 1"),
        ({"weight_decay": -1e-4}, r"weight decay of a curve's training is -0\.0001"),
        ({"lr": -0.1}, "rate"),
        ({"kind": "spline"}, "no curve called 'spline'"),
    ],
)
def test_a_training_that_makes_no_sense_is_refused(change, told):
    with pytest.raises(InputError, match=told):
        curve_recipe(**change)


def test_a_curve_between_ends_that_are_none_is_refused():
    flat = FlatModel(conv_net())
    start, end = flat.weights.clone(), flat.weights + 1
    images = torch.randn(4, 1, 4, 4), torch.zeros(4, dtype=torch.int64)
    once = iter([images])
    train = functools.partial(train_curve, recipe=curve_recipe(epochs=2), seed=0, save_epochs=[2])
    with pytest.raises(InputError, match="ends of the curve are the same weights; give two different modes"):
        train(flat, start, start.clone(), lambda epoch: [images])
    with pytest.raises(InputError, match=r"ends have 5 weights and the network \d+"):
        train(flat, torch.zeros(5), torch.ones(5), lambda epoch: [images])
    with pytest.raises(InputError, match=r"epoch 2 of the curve has no minibatches; .* made anew each time"):
        train(flat, start, end, lambda epoch: once)


def test_what_is_no_point_of_weight_space_is_refused():
    flat = FlatModel(conv_net())
    with pytest.raises(InputError, match=r"is a torch\.Tensor of shape \(\d+,\), not numpy\.ndarray of shape \(3,\)"):
        flat.set(np.zeros(3))
    with pytest.raises(InputError, match=r"not torch\.Tensor of shape \(1,\)"):
        flat.set(torch.zeros(1))
    with pytest.raises(InputError, match="Flatten has none"):
        FlatModel(nn.Flatten())
    with pytest.raises(InputError, match=r"not of collections.OrderedDict"):
        FlatModel(conv_net().state_dict())


# ---------------------------------------------------------------------------------------------------------------------
# the flat model


def conv_net(dropout: float = 0.5) -> nn.Sequential:
    """Images (b, 1, 4, 4) to 3 logits."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout), nn.Linear(16, 3)
    )


def test_a_flat_model_computes_what_the_model_does_and_moves_with_its_vector():
    plain = conv_net().to(memory_format=torch.channels_last).eval()
    images = torch.randn(5, 1, 4, 4)
    flat = FlatModel(copy.deepcopy(plain))
    assert torch.equal(flat(images), plain(images))
    other = conv_net().eval()
    flat.set(flat.from_state(other.state_dict()))
    assert torch.equal(flat(images), other(images))
    assert flat.to_state().keys() == other.state_dict().keys()
    assert torch.equal(flat.from_state(flat.to_state()), flat.weights)


def test_gradients_land_in_one_vector_and_add_up():
    model = conv_net(dropout=0.0)
    images, labels = torch.randn(5, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1])
    gradients = torch.autograd.grad(F.cross_entropy(model(images), labels), list(model.parameters()))
    expected = torch.cat([gradient.reshape(-1) for gradient in gradients])
    flat = FlatModel(model)
    for times in (1, 2):
        F.cross_entropy(flat(images), labels).backward()
        torch.testing.assert_close(flat.gradient, times * expected)


def test_a_state_is_a_copy_and_its_buffers_are_no_part_of_the_vector():
    flat = FlatModel(conv_net())
    state = flat.to_state()
    before = flat.from_state(state)
    flat.weights.zero_()
    state["1.running_mean"].fill_(9.0)
    assert torch.equal(flat.from_state(state), before)


def test_a_checkpoint_of_another_model_is_refused_in_one_go():
    state = conv_net().state_dict()
    del state["0.weight"]
    state["5.bias"] = torch.zeros(10)
    with pytest.raises(InputError) as error:
        FlatModel(conv_net()).from_state(state)
    assert "build the model it was made with" in str(error.value)
    assert "0.weight should have shape (4, 1, 3, 3), it is missing from the checkpoint" in str(error.value)
    assert "5.bias should have shape (3,), the checkpoint has (10,)" in str(error.value)


def test_parameters_of_two_types_are_refused():
    model = conv_net()
    model[5].double()
    with pytest.raises(InputError, match="share one type and one device"):
        FlatModel(model)


# ---------------------------------------------------------------------------------------------------------------------
# training


@pytest.mark.parametrize(("kind", "bends"), [("polygonal", 1), ("polygonal", 3), ("bezier", 1), ("bezier", 2)])
@pytest.mark.parametrize("t", [0.15, 0.5, 0.8])
def test_a_step_follows_the_gradient_of_the_loss_with_l2_at_the_curves_point(kind, bends, t):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    images, labels = torch.randn(6, 1, 4, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    reference = copy.deepcopy(model)
    shapes = {name: p.shape for name, p in reference.named_parameters()}
    flat = FlatModel(model)
    control_points = torch.randn(bends + 2, len(flat.weights), dtype=torch.float64)

    def objective(bend_values: np.ndarray) -> float:
        points = control_points.numpy().copy()
        points[1:-1] = bend_values
        phi = torch.from_numpy(coefficients(kind, t, bends + 2) @ points)
        parts = phi.split([shape.numel() for shape in shapes.values()])
        weights = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        loss = F.cross_entropy(functional_call(reference, weights, images), labels)
        return float(loss + 0.5 * 0.3 * phi.square().sum())

    before = control_points.numpy().copy()
    random = np.random.default_rng(1)
    directions = random.standard_normal((4, *before[1:-1].shape))
    slopes = [(objective(before[1:-1] + 1e-6 * d) - objective(before[1:-1] - 1e-6 * d)) / 2e-6 for d in directions]
    recipe = curve_recipe(kind=kind, bends=bends, momentum=0.0, weight_decay=0.3)
    step(flat, control_points, torch.zeros(bends, len(flat.weights)).double(), images, labels, t, recipe, rate=1.0)
    moved = before - control_points.numpy()
    assert not moved[[0, -1]].any()
    np.testing.assert_allclose([(moved[1:-1] * d).sum() for d in directions], slopes, rtol=1e-6, atol=1e-7)


def test_momentum_is_that_of_sgd():
    torch.manual_seed(0)
    flat = FlatModel(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)))
    images, labels = torch.randn(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    control_points = torch.randn(3, len(flat.weights))
    bend = nn.Parameter(control_points[1].clone())
    optimizer = torch.optim.SGD([bend], lr=0.2, momentum=0.9)
    momentum = torch.zeros(1, len(flat.weights))
    recipe = curve_recipe(weight_decay=0.01)
    for t in (0.2, 0.9, 0.5, 0.7):
        phi = point(torch.stack([control_points[0], bend.detach(), control_points[2]]), t).requires_grad_()
        logits = images.flatten(1) @ phi[:48].view(3, 16).T + phi[48:]
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels) + 0.005 * phi.square().sum(), phi)
        bend.grad = 2 * min(t, 1 - t) * gradient
        optimizer.step()
        step(flat, control_points, momentum, images, labels, t, recipe, rate=0.2)
    torch.testing.assert_close(control_points[1], bend.detach())


def test_the_rate_is_constant_then_linear_then_a_hundredth():
    recipe = curve_recipe()
    rates = {epoch: recipe.rate(epoch) / 0.015 for epoch in (1, 50, 70, 90, 100)}
    assert rates == pytest.approx({1: 1.0, 50: 1.0, 70: 0.505, 90: 0.01, 100: 0.01})


@pytest.fixture(scope="module")
def tiny_data() -> InMemoryData:
    """Three classes of noisy images: a bright left, right or middle."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 120)
    images = random.integers(0, 120, (120, 4, 4, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, [0, 3, 1][label]] += 110
    info = PreparedInfo("bars", 4, 1, 3, 90, 30, 0, False, (0.4,), (0.3,), "drawn", {})
    return InMemoryData(ImageData(images[:90], labels[:90], images[90:], labels[90:], info))


def batches_of(tiny_data: InMemoryData, seed: int = 3):
    return lambda epoch: tiny_data.epoch_batches(seed, epoch, 16, 90, augment=True)


@pytest.fixture(scope="module")
def modes(tiny_data) -> tuple[torch.Tensor, torch.Tensor]:
    """Two trainings of `conv_net` from different initial weights."""
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        flat = FlatModel(conv_net(dropout=0.0))
        optimizer = torch.optim.SGD(flat.model.parameters(), lr=0.2, momentum=0.9)
        for epoch in range(1, 9):
            for images, labels in batches_of(tiny_data, seed)(epoch):
                flat.gradient.zero_()
                F.cross_entropy(flat(images), labels).backward()
                optimizer.step()
        found.append(flat.weights.clone())
    return found[0], found[1]


@pytest.mark.parametrize(("kind", "bends"), [("polygonal", 1), ("bezier", 2)])
def test_training_lowers_the_loss_along_the_curve_and_leaves_the_modes(tiny_data, modes, kind, bends):
    flat = FlatModel(conv_net(dropout=0.0))
    recipe = curve_recipe(kind=kind, bends=bends, epochs=20, lr=0.05)
    start, end = (mode.clone() for mode in modes)
    state = train_curve(flat, start, end, batches_of(tiny_data), recipe, 0, save_epochs=[0, 10, 20])
    assert (state.epoch, state.diverged, sorted(state.saved)) == (20, False, [0, 10, 20])
    assert torch.equal(start, modes[0])
    assert torch.equal(end, modes[1])
    assert torch.equal(state.saved[20], state.bends)
    tables = {}
    for epoch in (0, 20):
        control_points = torch.stack([start, *state.saved[epoch], end])
        tables[epoch] = evaluate_curve(flat, control_points, tiny_data, kind=kind)
    segment = evaluate_curve(flat, torch.stack([start, end]), tiny_data)
    assert list(segment.columns) == ["t", "arc", "split", "loss", "accuracy"]
    for column in ("t", "arc", "loss"):
        np.testing.assert_allclose(segment[column], tables[0][column], rtol=1e-3)
    mean = {epoch: table.query("split == 'train'")["loss"].mean() for epoch, table in tables.items()}
    assert mean[20] < 0.5 * mean[0]


def test_a_resumed_training_ends_in_the_same_bits(tiny_data, modes):
    recipe = curve_recipe(bends=2, epochs=6)
    files = {}

    def keep(epoch, state, loss):
        files[epoch] = save(state.to_tensors())

    def train(state=None, progress=None):
        flat = FlatModel(conv_net(dropout=0.5))
        return train_curve(flat, *modes, batches_of(tiny_data), recipe, 5, [0, 2, 4, 6], state, progress)

    whole = train(progress=keep)
    torch.manual_seed(12345)  # the process's random state must not matter
    resumed = train(CurveState.from_tensors(load(files[3])))
    assert resumed.epoch == whole.epoch == 6
    assert torch.equal(resumed.bends, whole.bends)
    assert torch.equal(resumed.momentum, whole.momentum)
    assert sorted(resumed.saved) == sorted(whole.saved) == [0, 2, 4, 6]
    assert all(torch.equal(resumed.saved[epoch], whole.saved[epoch]) for epoch in whole.saved)
    finished = train(CurveState.from_tensors(load(files[6])))
    assert torch.equal(finished.bends, whole.bends)


def test_seeds_differ(tiny_data, modes):
    recipe = curve_recipe(epochs=1)
    one, other = (
        train_curve(FlatModel(conv_net(0.0)), *modes, batches_of(tiny_data), recipe, seed, []) for seed in (0, 1)
    )
    assert not torch.equal(one.bends, other.bends)


def test_a_divergence_is_recorded_and_ends_the_training(tiny_data, modes):
    recipe = curve_recipe(epochs=6, lr=1e30)
    told = []
    flat = FlatModel(conv_net())
    state = train_curve(
        flat,
        *modes,
        batches_of(tiny_data),
        recipe,
        0,
        [0, 1, 6],
        progress=lambda epoch, state, loss: told.append(epoch),
    )
    assert (state.diverged, state.epoch, sorted(state.saved), told) == (True, 1, [0], [1])
    again = train_curve(
        flat, *modes, batches_of(tiny_data), recipe, 0, [0], CurveState.from_tensors(state.to_tensors())
    )
    assert (again.diverged, again.epoch) == (True, 1)


def test_bad_requests_are_refused(tiny_data, modes):
    flat = FlatModel(conv_net())
    with pytest.raises(InputError, match=r"epochs \[13\] to save lie outside the curve's 12 epochs; leave them out"):
        train_curve(flat, *modes, batches_of(tiny_data), SMALL, 0, [0, 13])
    state = CurveState(1, torch.zeros(2, 7), torch.zeros(2, 7))
    with pytest.raises(InputError, match=r"bends of shape \(2, 7\), this curve \(1, 99\); remove the state"):
        train_curve(flat, *modes, batches_of(tiny_data), SMALL, 0, [], state)
