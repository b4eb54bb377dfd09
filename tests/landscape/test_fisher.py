"""The Fisher score against the explicit matrix of per-sample gradients, and what it must not be."""

import copy
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.landscape.fisher import draw_labels, fisher_product, fisher_score, top_eigenvalue

CLASSES = 4


def dense_net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(18, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, CLASSES))


def conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES, bias=False)
    )


def batch_norm_net() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(2, 3, 2, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))
    net(3 + 2 * torch.randn(50, 2, 3, 3))  # running statistics that are not the batch's
    return net


NETS = [dense_net, conv_net, batch_norm_net]


@pytest.fixture(params=NETS, ids=lambda build: build.__name__)
def net(request) -> nn.Module:
    torch.manual_seed(3)
    return request.param()


def images_and_labels(count: int = 23) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = 2 * torch.randn(count, 2, 3, 3, generator=generator)
    return images, torch.randint(0, CLASSES, (count,), generator=generator)


def in_batches(size: int, count: int = 23):
    images, labels = images_and_labels(count)
    return lambda: zip(images.split(size), labels.split(size), strict=True)


def log_likelihood_gradients(net: nn.Module, count: int = 23) -> tuple[np.ndarray, np.ndarray]:
    """Gradients (images, classes, parameters) of log p(y | x), and p (images, classes), one plain backward each."""
    net = copy.deepcopy(net).double().eval()
    gradients, probabilities = [], []
    for image in images_and_labels(count)[0].double():
        logarithms = net(image[None]).log_softmax(1)[0]
        rows = [torch.autograd.grad(value, list(net.parameters()), retain_graph=True) for value in logarithms]
        gradients.append([np.concatenate([part.flatten().numpy() for part in row]) for row in rows])
        probabilities.append(logarithms.exp().detach().numpy())
    return np.array(gradients), np.array(probabilities)


def explicit_matrix(gradients: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    chosen = np.concatenate([gradients[n, labels] for n, labels in enumerate(drawn)])
    return chosen.T @ chosen / len(chosen)


def drawn_by(net: nn.Module, batches, seed: int) -> list[torch.Tensor]:
    network = copy.deepcopy(net).double().eval()
    return draw_labels(network, batches, 10, torch.Generator().manual_seed(seed), torch.float64)


def test_equals_the_top_eigenvalue_of_the_explicit_matrix(net):
    batches = in_batches(10)  # 10, 10 and a ragged 3
    drawn = torch.cat(drawn_by(net, batches, seed=7)).numpy()
    expected = np.linalg.eigvalsh(explicit_matrix(log_likelihood_gradients(net)[0], drawn))[-1]
    score = fisher_score(net, batches, seed=7, tolerance=1e-9, max_iterations=200, dtype=torch.float64)
    assert score.converged
    assert score.residual <= 1e-9
    assert score.value == pytest.approx(expected, rel=1e-8)


def test_product_equals_the_explicit_matrix_times_a_vector(net):
    batches = in_batches(8)
    labels = drawn_by(net, batches, seed=1)
    matrix = explicit_matrix(log_likelihood_gradients(net)[0], torch.cat(labels).numpy())
    vector = torch.randn(len(matrix), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    product = fisher_product(copy.deepcopy(net).double().eval(), batches, labels, vector)
    np.testing.assert_allclose(product.numpy(), matrix @ vector.numpy(), rtol=1e-10, atol=1e-12)


def test_many_draws_approach_the_true_fisher_not_the_empirical_one(net):
    gradients, probabilities = log_likelihood_gradients(net)
    weighted = gradients * np.sqrt(probabilities)[..., None]
    flat = weighted.reshape(-1, gradients.shape[-1])
    true = np.linalg.eigvalsh(flat.T @ flat / len(gradients))[-1]
    empirical = np.linalg.eigvalsh(explicit_matrix(gradients, images_and_labels()[1].numpy()[:, None]))[-1]
    assert abs(empirical - true) > 0.05 * true
    score = fisher_score(net, in_batches(23), draws=20_000)
    assert score.value == pytest.approx(true, rel=0.02)


def test_the_labels_of_the_data_change_nothing(net):
    images, labels = images_and_labels()
    other = (labels + 1) % CLASSES
    assert fisher_score(net, lambda: [(images, labels)]) == fisher_score(net, lambda: [(images, other)])


def test_given_labels_are_the_empirical_fisher(net):
    gradients, _ = log_likelihood_gradients(net)
    expected = np.linalg.eigvalsh(explicit_matrix(gradients, images_and_labels()[1].numpy()[:, None]))[-1]
    score = fisher_score(net, in_batches(10), tolerance=1e-9, dtype=torch.float64, labels="given")
    assert score.value == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"draws": 0}, "number of labels to draw is 0; it must be a whole number of at least 1"),
        ({"draws": 2.5}, r"number of labels to draw is 2\.5; it must be a whole number"),
        ({"tolerance": -1e-3}, r"tolerance is -0\.001; it must be a finite number, above 0"),
        ({"max_iterations": 0}, "largest number of iterations is 0"),
        ({"labels": "true"}, "labels of the Fisher score are 'true'; choose drawn or given"),
    ],
)
def test_settings_that_make_no_sense_are_told(options, told):
    with pytest.raises(InputError, match=told):
        fisher_score(dense_net(), in_batches(10), **options)


def test_what_cannot_be_measured_is_told():
    images, labels = images_and_labels()
    with pytest.raises(InputError, match="Flatten has none"):
        fisher_score(nn.Flatten(), in_batches(10))
    once = iter([(images, labels)])
    with pytest.raises(InputError, match="give a function that makes them anew each time"):
        fisher_score(dense_net(), lambda: once)
    with pytest.raises(InputError, match="the label 4, but the network has the classes 0 to 3"):
        fisher_score(dense_net(), lambda: [(images, labels + 1)], labels="given")
    with pytest.raises(InputError, match=r"integers of shape \(23,\), not torch\.float32 of shape \(23, 4\)"):
        fisher_score(dense_net(), lambda: [(images, torch.zeros(23, 4))], labels="given")


def test_nothing_is_printed_of_torchs_own_deprecations():
    code = (
        "import torch; from workflow_scripts.landscape.fisher import fisher_score\n"
        "images = torch.randn(5, 3); print(fisher_score(torch.nn.Linear(3, 2), lambda: [(images, images)]).converged)"
    )
    done = subprocess.run([sys.executable, "-W", "error::FutureWarning", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


def test_labels_follow_the_model():
    logits = torch.tensor([[0.0, 1.0, -2.0, -math.inf], [3.0, 3.0, 3.0, 3.0]])
    (drawn,) = draw_labels(
        nn.Identity(), lambda: [(logits, logits)], 40_000, torch.Generator().manual_seed(0), torch.float32
    )
    for row, labels in zip(logits.double().softmax(1), drawn, strict=True):
        share = torch.bincount(labels, minlength=CLASSES) / labels.numel()
        assert ((share - row).abs() <= 4 * (row * (1 - row) / labels.numel()).sqrt()).all()


@settings(max_examples=15, deadline=None)
@given(size=st.integers(1, 23))
def test_batch_size_does_not_matter(size):
    torch.manual_seed(3)
    net = batch_norm_net()
    whole = fisher_score(net, in_batches(23), tolerance=1e-10, dtype=torch.float64).value
    parts = fisher_score(net, in_batches(size), tolerance=1e-10, dtype=torch.float64).value
    assert parts == pytest.approx(whole, rel=1e-9)


def test_float32_is_good_to_the_tolerance(net):
    single = fisher_score(net, in_batches(10))
    double = fisher_score(net, in_batches(10), tolerance=1e-10, dtype=torch.float64)
    assert single.converged
    assert single.iterations < double.iterations
    assert single.value == pytest.approx(double.value, rel=1e-3)


def test_the_model_is_left_untouched(net):
    net.train()
    next(net.parameters()).requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    noise = torch.get_rng_state()
    fisher_score(net, in_batches(10), dtype=torch.float64)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert [p.requires_grad for p in net.parameters()] == [False] + [True] * (len(list(net.parameters())) - 1)
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(noise, torch.get_rng_state())


def test_seed_decides_the_draws(net):
    scores = [fisher_score(net, in_batches(10), seed=seed).value for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


def test_a_network_that_is_not_finite_is_recorded(net):
    with torch.no_grad():
        next(net.parameters())[0] = math.nan
    score = fisher_score(net, in_batches(10))
    assert math.isnan(score.value)
    assert not score.converged


def test_a_network_that_is_certain_has_score_zero():
    class Certain(nn.Linear):
        def forward(self, images):
            return torch.tensor([[0.0, 1e4]]) + 0 * super().forward(images.flatten(1))

    score = fisher_score(Certain(18, 2), in_batches(10))
    assert (score.value, score.residual, score.converged) == (0.0, 0.0, True)


def test_no_images_is_told():
    with pytest.raises(InputError, match="the batches hold none; give at least one batch"):
        fisher_score(dense_net(), lambda: [])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), size=st.integers(1, 40), rank=st.integers(1, 40))
def test_lanczos_equals_a_dense_eigensolver(seed, size, rank):
    factor = torch.randn(size, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    matrix = factor @ factor.T
    start = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1))
    result = top_eigenvalue(matrix.mv, start, tolerance=1e-9, max_iterations=500)
    assert result.converged
    assert result.value == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-9)


def test_lanczos_says_when_it_has_not_converged():
    matrix = torch.diag(torch.linspace(0.99, 1.0, 200, dtype=torch.float64))
    result = top_eigenvalue(matrix.mv, torch.ones(200, dtype=torch.float64), tolerance=1e-6, max_iterations=3)
    assert (result.iterations, result.converged) == (3, False)
    assert result.residual > 1e-6
    assert abs(1.0 - result.value) <= 0.01
