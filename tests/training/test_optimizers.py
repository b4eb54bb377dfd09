"""Optimizers as recipes name them take the papers' steps: written out in double precision, and LAMB as timm has it."""

import math

import pytest
import torch
from timm.optim import Lamb as TimmLamb
from torch import nn

from tests.shared.recipes import Kept, small_recipe
from workflow_scripts.tasks import task_of
from workflow_scripts.training import engine, optimizers

STEPS = 12
RATES = [0.02 / (1 + number) for number in range(STEPS)]


def network():
    """A matrix and a bias that move, a normalisation, and a matrix that begins at zero."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 3)).double()
    nn.init.zeros_(made[2].weight)
    return made


def gradients():
    """Of each step and parameter; the same for all optimizers, large and small ones."""
    random = torch.Generator().manual_seed(1)
    shapes = [parameter.shape for parameter in network().parameters()]
    return [[torch.randn(shape, generator=random, dtype=torch.float64) * 10 ** -(step % 3) for shape in shapes]
            for step in range(STEPS)]  # fmt: skip


def ours(spec):
    """Parameters after the steps of `optimizers.build`."""
    made = network()
    optimizer = optimizers.build(spec, made)
    for rate, found in zip(RATES, gradients(), strict=True):
        for parameter, gradient in zip(made.parameters(), found, strict=True):
            parameter.grad = gradient.clone()
        optimizers.set_rate(optimizer, rate)
        optimizer.step()
    return list(made.parameters())


def written_out(update, beta1, beta2, decays):
    """Parameters after steps whose direction `update(step, mean, square, parameter, decay)` gives for one parameter."""
    parameters = [parameter.detach().clone() for parameter in network().parameters()]
    for number, parameter in enumerate(parameters):
        mean = square = torch.zeros_like(parameter)
        for step, rate in enumerate(RATES, start=1):
            gradient = gradients()[step - 1][number]
            mean, square = beta1 * mean + (1 - beta1) * gradient, beta2 * square + (1 - beta2) * gradient**2
            parameter -= rate * update(step, mean, square, parameter, decays[number])
    return parameters


def adamw(beta1, beta2, eps):
    """Loshchilov & Hutter (2019), algorithm 2."""

    def update(step, mean, square, parameter, decay):
        corrected = (square / (1 - beta2**step)).sqrt() + eps
        return mean / (1 - beta1**step) / corrected + decay * parameter

    return update


def radam(beta1, beta2, eps):
    """Liu et al. (2020), algorithm 2, with the weight decay of their code: decoupled from the gradient."""
    longest = 2 / (1 - beta2) - 1

    def update(step, mean, square, parameter, decay):
        length, mean = longest - 2 * step * beta2**step / (1 - beta2**step), mean / (1 - beta1**step)
        if length <= 5:  # as in their code and torch's; the paper has 4, which would change the fifth update alone
            return mean + decay * parameter
        rectified = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        return math.sqrt(rectified) * mean * math.sqrt(1 - beta2**step) / (square.sqrt() + eps) + decay * parameter

    return update


def lamb(beta1, beta2, eps):
    """You et al. (2020), algorithm 2; what has no weight decay has no trust ratio, as in their code."""

    def update(step, mean, square, parameter, decay):
        step = mean / (1 - beta1**step) / ((square / (1 - beta2**step)).sqrt() + eps) + decay * parameter
        both = parameter.norm() > 0 and step.norm() > 0
        return parameter.norm() / step.norm() * step if decay and both else step

    return update


SPLIT = {"decay_biases_and_norms": False}
ALL, MATRICES = [0.1] * 6, [0.1, 0, 0, 0, 0.1, 0]
# Specification, its reference with betas and eps, and the weight decay of each of the network's parameters.
STEPPED = {
    "adamw": ({"name": "adamw", "weight_decay": 0.1}, adamw, (0.9, 0.999, 1e-8), ALL),
    "adamw without decay": ({"name": "adamw"}, adamw, (0.9, 0.999, 1e-8), [0.0] * 6),
    "adamw in groups": ({"name": "adamw", "weight_decay": 0.1, **SPLIT}, adamw, (0.9, 0.999, 1e-8), MATRICES),
    "radam": ({"name": "radam", "weight_decay": 0.1}, radam, (0.9, 0.999, 1e-8), ALL),
    "radam of other betas": (
        {"name": "radam", "betas": [0.8, 0.98], "eps": 1e-6, "weight_decay": 0.1, **SPLIT},
        radam,
        (0.8, 0.98, 1e-6),
        MATRICES,
    ),
    "lamb": ({"name": "lamb", "weight_decay": 0.1}, lamb, (0.9, 0.999, 1e-6), ALL),
    "lamb in groups": ({"name": "lamb", "weight_decay": 0.1, **SPLIT}, lamb, (0.9, 0.999, 1e-6), MATRICES),
}


@pytest.mark.parametrize(("spec", "reference", "numbers", "decays"), STEPPED.values(), ids=STEPPED)
def test_steps_are_those_of_the_paper(spec, reference, numbers, decays):
    beta1, beta2, _ = numbers
    expected = written_out(reference(*numbers), beta1, beta2, decays)
    for found, right, before in zip(ours(spec), expected, network().parameters(), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-6, atol=1e-9)
        assert (found - before).abs().max() > 1e-3


@pytest.mark.parametrize("split", [True, False])
def test_lamb_is_timms(split):
    made = network()
    decay = {"weight_decay": 0.1}
    groups = optimizers.groups(made, 0.1, not split)
    theirs = TimmLamb(groups, lr=0.0, eps=1e-6, max_grad_norm=None, trust_clip=False, always_adapt=False, **decay)
    for rate, found in zip(RATES, gradients(), strict=True):
        for parameter, gradient in zip(made.parameters(), found, strict=True):
            parameter.grad = gradient.clone()
        optimizers.set_rate(theirs, rate)
        theirs.step()
    for one, other in zip(ours({"name": "lamb", **decay, **(SPLIT if split else {})}), made.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_gradients_are_clipped_all_together(tiny_data):
    """An update of SGD without momentum is as long as the rate times the clip, in the gradient's direction."""
    states = {}
    for clip in (None, 0.5, 1e6):
        own = {"optimizer": {"name": "sgd", "momentum": 0.0}, "schedule": {"name": "constant", "lr": 0.1}}
        recipe = {**small_recipe(epochs=1, samples_per_epoch=16, **own), "clip": clip}
        task, every, observer = task_of(recipe, tiny_data), {"iteration-0": 0, "iteration-1": 1}, Kept()
        engine.train(recipe, task, engine.begin(recipe, task, every), every, observer)
        before, after = (torch.cat([t.flatten() for t in state.values()]) for state in observer.states.values())
        states[clip] = after - before
    assert states[None].norm() > 2 * 0.1 * 0.5
    assert states[0.5].norm().item() == pytest.approx(0.1 * 0.5, rel=1e-3)
    assert torch.cosine_similarity(states[0.5], states[None], dim=0).item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(states[1e6], states[None], rtol=1e-4, atol=1e-7)
