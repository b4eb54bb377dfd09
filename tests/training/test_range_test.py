"""The learning-rate range test on quadratics, whose stability limits are known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from workflow_scripts.base.errors import InputError
from workflow_scripts.recipes import schedules
from workflow_scripts.training.range_test import range_test

NOTHING = torch.empty(0)


class Point(nn.Module):
    """A point w; the "logits" are w itself."""

    def __init__(self, start):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def forward(self, _):
        return self.weights


def sweep(curvature, rates, window=0.0, batches=None):
    """A range test on 1/2 sum h w² from w = 1."""
    h = torch.tensor(curvature, dtype=torch.float64)
    model = Point([1.0] * len(h))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    batches = [(NOTHING, NOTHING)] * len(rates) if batches is None else batches
    return range_test(model, optimizer, batches, rates, window, lambda model, _: 0.5 * h @ model(NOTHING) ** 2)


def exponential_rates(lr_min, lr_max, steps):
    return schedules.rates({"name": "exponential_range", "lr_min": lr_min, "lr_max": lr_max}, steps, steps)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 20.0))
def test_loss_is_least_at_the_stability_limit(curvature):
    """Gradient descent contracts below 2 / L and expands above: the least loss stands before the first such update."""
    rates = exponential_rates(1e-3, 1e3, 200)
    result = sweep([curvature], rates)
    limit = 2 / curvature
    assert result.minimum == rates[rates >= limit][0]
    assert result.suggestion == result.minimum / 10
    assert result.status == "exploded"
    assert result.loss[-1] > 4 * result.loss.min()
    assert (result.loss[:-1] <= 4 * np.minimum.accumulate(result.loss[:-1])).all()


def test_losses_are_those_of_gradient_descent():
    curvature, rates = np.array([1.0, 3.0]), np.geomspace(0.01, 0.5, 12)
    result = sweep(curvature.tolist(), rates)
    w, losses = np.ones(2), []
    for rate in rates:
        losses.append(0.5 * curvature @ w**2)
        w = w - rate * curvature * w
    np.testing.assert_allclose(result.loss, losses, rtol=1e-12)
    np.testing.assert_array_equal(result.rate, rates)
    np.testing.assert_array_equal(result.step, np.arange(1, 13))
    assert result.status == "finished"


def test_moving_average_is_corrected_for_its_start():
    rates = np.geomspace(0.01, 0.5, 40)
    result = sweep([1.0], rates, window=0.1)
    memory = 1 - 1 / 4
    for k in range(len(rates)):
        weight = memory ** np.arange(k, -1, -1.0)
        assert result.smoothed[k] == pytest.approx(weight @ result.loss[: k + 1] / weight.sum(), rel=1e-9)


def test_window_of_one_step_smooths_nothing():
    result = sweep([1.0], np.geomspace(0.01, 0.5, 20), window=0.05)
    np.testing.assert_allclose(result.smoothed, result.loss, rtol=1e-15)


def test_exponential_rates_rise_by_one_factor():
    """The sweep starts from lr_min before the first update and ends with lr_max at the last."""
    rates = exponential_rates(1e-5, 10.0, 391)
    np.testing.assert_allclose(rates, np.geomspace(1e-5, 10.0, 392)[1:], rtol=1e-12)


def test_a_loss_that_is_not_finite_ends_the_sweep():
    model = Point([1.0])
    losses = iter([3.0, 2.0, math.nan, 1.0])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    batches = [(NOTHING, NOTHING)] * 4
    result = range_test(
        model, optimizer, batches, [0.1, 0.2, 0.4, 0.8], 0.0, lambda model, _: next(losses) * model(NOTHING).sum()
    )
    assert (len(result.loss), result.status, result.minimum) == (3, "non-finite", 0.2)
    assert math.isnan(result.loss[-1])


def test_a_model_that_is_not_finite_from_the_start_has_no_suggestion():
    model = Point([math.nan])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    result = range_test(model, optimizer, [(NOTHING, NOTHING)], [0.1], loss_of=lambda model, _: model(NOTHING).sum())
    assert (len(result.loss), result.status) == (1, "non-finite")
    assert math.isnan(result.suggestion)


def test_a_network_learns_then_explodes():
    torch.manual_seed(0)
    images = torch.randn(200, 12)
    noisy = images[:, :2] + 0.3 * torch.randn(200, 2)  # so that no weights fit all labels, however large
    labels = (noisy[:, 0] > 0).long() + 2 * (noisy[:, 1] > 0).long()
    net = nn.Linear(12, 4).eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9)
    rates = exponential_rates(1e-4, 1e3, 150)
    result = range_test(net, optimizer, ((images, labels) for _ in rates), rates)
    assert net.training
    assert result.status in ("exploded", "non-finite")
    assert result.loss[0] == pytest.approx(F.cross_entropy(torch.zeros(1, 4), labels[:1]).item(), rel=0.2)
    assert np.nanmin(result.smoothed) < 0.5 * result.loss[0]
    assert rates[0] < 10 * result.suggestion < result.rate[-1]


def test_too_few_minibatches_are_told():
    with pytest.raises(InputError, match="has 5 learning rates but only 3 minibatches; give as many"):
        sweep([1.0], [0.1, 0.2, 0.3, 0.4, 0.5], batches=[(NOTHING, NOTHING)] * 3)


def test_no_rates_are_told():
    with pytest.raises(InputError, match="no learning rates to try; give at least one"):
        sweep([1.0], [])
