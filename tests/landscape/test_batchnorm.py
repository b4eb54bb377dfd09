"""Batch-norm statistics at a point of weight space: exact, in order, and nothing else is touched."""

import numpy as np
import pytest
import torch
from torch import nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import ImageData, PreparedInfo
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.landscape.batchnorm import refresh


@pytest.fixture
def tiny_data() -> InMemoryData:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (10, 4, 4, 2), dtype=np.uint8)
    labels = random.integers(0, 3, 10)
    info = PreparedInfo("noise", 4, 2, 3, 10, 10, 1, True, (0.5, 0.4), (0.3, 0.2), "drawn", {})
    return InMemoryData(ImageData(images, labels, images, labels, info))


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.BatchNorm1d(48)
    )


def expected(model: nn.Sequential, tiny_data: InMemoryData, batch_size: int, limit: int):
    """Mean and variance of both layers in float64: weighted means over batches of each batch's own statistics."""
    images = tiny_data.x["train"].double().numpy()[:limit] / 255
    images = (images - np.array([0.5, 0.4]).reshape(1, 2, 1, 1)) / np.array([0.3, 0.2]).reshape(1, 2, 1, 1)
    found = []
    for start in range(0, limit, batch_size):
        batch = images[start : start + batch_size]
        maps = nn.functional.conv2d(
            torch.from_numpy(batch), model[0].weight.double(), model[0].bias.double(), padding=1
        ).detach()
        values = maps.numpy().transpose(0, 2, 3, 1).reshape(-1, 3)
        normalised = (maps.numpy() - values.mean(0).reshape(1, 3, 1, 1)) / np.sqrt(
            values.var(0).reshape(1, 3, 1, 1) + 1e-5
        )
        rectified = np.maximum(normalised, 0).reshape(len(batch), -1)
        moments = [values.mean(0), values.var(0, ddof=1), rectified.mean(0), rectified.var(0, ddof=1)]
        found.append((len(batch), moments))
    return [sum(b * moments[i] for b, moments in found) / limit for i in range(4)]


@pytest.mark.parametrize(("batch_size", "limit"), [(4, 10), (5, 10), (10, 10), (4, 7), (64, 10)])
def test_statistics_are_the_weighted_means_over_batches_also_with_a_ragged_last_one(tiny_data, batch_size, limit):
    model = network()
    model[1].running_mean += 7.0  # what was there before must not matter
    refresh(model, tiny_data, batch_size, limit)
    found = [model[1].running_mean, model[1].running_var, model[5].running_mean, model[5].running_var]
    for ours, exact in zip(found, expected(model, tiny_data, batch_size, limit), strict=True):
        np.testing.assert_allclose(ours.numpy(), exact, rtol=2e-5, atol=2e-6)


def test_the_whole_split_is_used_where_there_is_no_limit(tiny_data):
    model, limited = network(), network()
    refresh(model, tiny_data, 4)
    refresh(limited, tiny_data, 4, 10)
    assert torch.equal(model[5].running_var, limited[5].running_var)


def test_dropout_rests_and_modes_and_momenta_are_put_back(tiny_data):
    model = network().train()
    model[1].momentum, model[2].training = 0.3, False
    modes = [module.training for module in model.modules()]
    refresh(model, tiny_data, 4)
    first = model[5].running_mean.clone()
    torch.manual_seed(99)
    refresh(model, tiny_data, 4)
    assert torch.equal(model[5].running_mean, first)
    assert [module.training for module in model.modules()] == modes
    assert (model[1].momentum, model[5].momentum) == (0.3, 0.1)


def test_a_model_without_running_statistics_is_not_even_called(tiny_data):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False))
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    refresh(model, tiny_data, 4)
    assert not calls


def test_one_image_left_over_is_refused_where_it_has_no_variance_and_fine_where_it_has(tiny_data):
    model = network()
    with pytest.raises(InputError, match=r"last batch of one image: 10 images in batches of 3; choose another"):
        refresh(model, tiny_data, 3)
    assert (model.training, model[1].momentum) == (True, 0.1)
    maps_alone = network()[:3]
    refresh(maps_alone, tiny_data, 3)
    assert torch.isfinite(maps_alone[1].running_var).all()


def test_training_still_works_after_a_refresh(tiny_data):
    model = network()
    refresh(model, tiny_data, 4)
    images, _ = next(tiny_data.batches("train", 4))
    model(images).square().sum().backward()
    assert torch.isfinite(model[0].weight.grad).all()
