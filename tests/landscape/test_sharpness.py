"""Keskar's sharpness against closed forms and a plain per-parameter ascent; the box; what is left untouched."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import ImageData, PreparedInfo
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.landscape.sharpness import Box, keskar_sharpness
from workflow_scripts.tasks.evaluation import evaluate

EPSILON = 1e-2


def tiny_data(count: int = 30, classes: int = 3, size: int = 3) -> InMemoryData:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, size, size, 1), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % classes
    info = PreparedInfo(
        name="noise",
        image_size=size,
        channels=1,
        classes=classes,
        train=count,
        test=count,
        crop_padding=0,
        flip=False,
        mean=(0.5,),
        std=(0.3,),
        source="numpy",
        sha256={},
    )
    return InMemoryData(ImageData(images, labels, images, labels, info))


ONE_CLASS = tiny_data(count=2, classes=1, size=1)
NOISE = tiny_data()


def minibatches(data: InMemoryData, batch_size: int = 8):
    count = len(data.y["train"])
    return lambda epoch: data.epoch_batches(0, epoch, batch_size, count, augment=False)


class Chosen(nn.Module):
    """A model whose cross-entropy at label 0 is any positive function of its weights, whatever the image."""

    def __init__(self, weights, function):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float64))
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        loss = self.function(self.weights)
        return torch.stack([torch.zeros_like(loss), loss.expm1().log()]).expand(len(images), 2)


def measure(model: nn.Module, **options):
    options = {"epsilon": EPSILON, "steps": 300, "learning_rate": 0.05, "dtype": torch.float64} | options
    return keskar_sharpness(model, ONE_CLASS, minibatches(ONE_CLASS), **options)


def batch_norm_net() -> nn.Module:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 2, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 3)
    )
    for images, _ in NOISE.batches("train", 10):
        net(images + 1)  # running statistics that are not the minibatches'
    return net


slopes = st.floats(0.1, 3.0).flatmap(lambda size: st.sampled_from([size, -size]))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(-2, 2), slopes), min_size=1, max_size=5), st.sampled_from([1e-4, 1e-2, 1e-1]))
def test_linear_loss_is_greatest_at_a_corner(coordinates, epsilon):
    weights, slope = (torch.tensor(each, dtype=torch.float64) for each in zip(*coordinates, strict=True))
    offset = 3 - slope @ weights
    result = measure(Chosen(weights.tolist(), lambda w: slope @ w + offset), epsilon=epsilon)
    rise = float((slope.abs() * epsilon * (weights.abs() + 1)).sum())
    assert result.loss == pytest.approx(3, rel=1e-6)
    assert result.ascended_loss == pytest.approx(3 + rise, rel=1e-6)
    assert result.sharpness == pytest.approx(100 * rise / 4, abs=1e-4)
    assert (result.on_faces, result.steps, result.status) == (1.0, 300, "ok")


def test_sharper_minimum_has_larger_sharpness():
    start = torch.tensor([1e-3, -2e-3, 3e-3], dtype=torch.float64)
    corner = start.abs() + EPSILON * (start.abs() + 1)
    values = []
    for curvature in (1.0, 10.0, 100.0):
        model = Chosen(start.tolist(), lambda w, h=curvature: 0.5 + h / 2 * w @ w)
        result = measure(model, learning_rate=0.01)
        expected = 0.5 + curvature / 2 * float(corner @ corner)
        assert result.ascended_loss == pytest.approx(expected, rel=1e-6)
        values.append(result.sharpness)
    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_momentum_is_that_of_sgd(momentum):
    model = Chosen([0.0, 0.0], lambda w: 1 + w[0] - 2 * w[1])
    result = measure(model, momentum=momentum, steps=4, learning_rate=1e-3, epsilon=1.0)
    way, velocity = 0.0, 0.0
    for _ in range(4):
        velocity = momentum * velocity + 1
        way += 1e-3 * velocity
    assert result.ascended_loss == pytest.approx(1 + 5 * way, rel=1e-6)
    assert result.on_faces == 0.0


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(-5, 5)), min_size=1, max_size=20),
    st.floats(1e-4, 1e-1),
)
def test_box_projects_to_the_nearest_point(coordinates, epsilon):
    centre, way = (torch.tensor(each, dtype=torch.float64) for each in zip(*coordinates, strict=True))
    x = centre.clone()
    box = Box(x, epsilon)
    x += way
    box.project()
    radius = epsilon * (centre.abs() + 1)
    torch.testing.assert_close(x, centre + way.sign() * torch.minimum(way.abs(), radius), rtol=1e-14, atol=1e-14)
    clearly = (way.abs() > 1.001 * radius).double().mean().item()
    nearly = (way.abs() >= 0.999 * radius).double().mean().item()
    assert clearly <= box.on_faces() <= nearly


@pytest.mark.parametrize("frozen", [False, True])
def test_every_iterate_stays_in_the_box_with_its_statistics(frozen):
    net = batch_norm_net()
    start = {name: value.clone() for name, value in net.state_dict().items() if value.is_floating_point()}
    visited = []
    net.register_forward_pre_hook(lambda module, _: visited.append(copy.deepcopy(module.state_dict())))
    keskar_sharpness(net, NOISE, minibatches(NOISE), EPSILON, 40, 0.1, frozen_batch_norm=frozen)
    for name, centre in start.items():
        excess = [((state[name] - centre).abs() / (centre.abs() + 1)).max().item() for state in visited]
        statistic = "running" in name
        assert max(excess) == (0 if frozen and statistic else pytest.approx(EPSILON, rel=1e-3))


@pytest.mark.parametrize("frozen", [False, True])
def test_equals_a_plain_ascent(frozen):
    net = batch_norm_net()
    result = keskar_sharpness(
        net, NOISE, minibatches(NOISE), EPSILON, 21, 0.01, frozen_batch_norm=frozen, dtype=torch.float64
    )
    loss, ascended = plain_ascent(copy.deepcopy(net).double(), 21, 0.01, frozen)
    assert result.loss == pytest.approx(loss, rel=1e-6)
    assert result.ascended_loss == pytest.approx(ascended, rel=1e-6)
    assert result.sharpness == pytest.approx(100 * (ascended - loss) / (1 + loss), rel=1e-4)


def plain_ascent(net: nn.Module, steps: int, learning_rate: float, frozen: bool) -> tuple[float, float]:
    """F at the start and at the end, with torch's SGD and a clamp for each tensor."""

    def loss() -> float:
        net.eval()
        images, labels = next(NOISE.batches("train", 30))
        return F.cross_entropy(net(images.double()), labels).item()

    first = loss()
    net[1].train(not frozen)
    tensors = [*net.parameters(), net[1].running_mean, net[1].running_var]
    centres = [tensor.detach().clone() for tensor in tensors]
    optimizer = torch.optim.SGD(net.parameters(), learning_rate, momentum=0.9, maximize=True)
    stream = [batch for epoch in range(1, 9) for batch in minibatches(NOISE)(epoch)]
    for images, labels in stream[:steps]:
        optimizer.zero_grad()
        F.cross_entropy(net(images.double()), labels).backward()
        optimizer.step()
        with torch.no_grad():
            for tensor, centre in zip(tensors, centres, strict=True):
                radius = EPSILON * (centre.abs() + 1)
                tensor.copy_(torch.minimum(torch.maximum(tensor, centre - radius), centre + radius))
    return first, loss()


def test_the_model_is_left_untouched():
    net = batch_norm_net()
    net[0].weight.requires_grad_(False)
    before, noise = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    keskar_sharpness(net, NOISE, minibatches(NOISE), EPSILON, 10, 0.1)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert [p.requires_grad for p in net.parameters()] == [False] + [True] * 4
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(noise, torch.get_rng_state())


def test_dropout_rests_and_frozen_weights_ascend_too():
    results = []
    for seed in (1, 2):
        net = batch_norm_net().requires_grad_(seed == 1)
        torch.manual_seed(seed)
        results.append(keskar_sharpness(net, NOISE, minibatches(NOISE), EPSILON, 10, 0.1))
    assert results[0] == results[1]


def test_steps_run_on_through_the_epochs():
    asked = []

    def batches(epoch):
        asked.append(epoch)
        return minibatches(NOISE, 10)(epoch)

    result = keskar_sharpness(batch_norm_net(), NOISE, batches, steps=7)
    assert (asked, result.steps) == ([1, 2, 3], 7)


@pytest.mark.parametrize("epsilon", [1e-7, 1e-6, 1e-4])
def test_losses_in_float64_tell_rises_that_float32_cannot(epsilon):
    """Two weights and one image x of label 0: the greatest loss of log(1 + e^((w1 - w0) x)) is at a corner."""
    data, linear = tiny_data(count=1, classes=1, size=1), nn.Linear(1, 2, bias=False)
    weights = torch.tensor([0.1, 0.2], dtype=torch.float32)
    linear.weight.data = weights[:, None].clone()
    ((image, _),) = data.batches("train", 1)
    x, (w0, w1) = image.item(), weights.double().tolist()
    way = math.copysign(epsilon, x)
    loss, greatest = (math.log1p(math.exp(d * x)) for d in (w1 - w0, w1 - w0 + way * ((w1 + 1) + (w0 + 1))))
    found = keskar_sharpness(
        nn.Sequential(nn.Flatten(), linear), data, minibatches(data), epsilon, 50, 1.0, 0.0, dtype=torch.float64
    )
    assert found.sharpness == pytest.approx(100 * (greatest - loss) / (1 + loss), rel=1e-7)


def test_logits_that_are_no_numbers_choose_no_class():
    found = evaluate(lambda images: torch.full((len(images), 3), math.nan), NOISE, "test")
    assert math.isnan(found.loss) and math.isnan(found.accuracy) and math.isnan(found.top5_accuracy)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epsilon": -0.01}, r"epsilon, the size of the box, is -0\.01; it must be a finite number, above 0"),
        ({"steps": 0}, "number of steps of the ascent is 0; it must be a whole number of at least 1"),
        ({"learning_rate": -1e-3}, r"learning rate of the ascent is -0\.001"),
        ({"learning_rate": math.nan}, "learning rate of the ascent is nan"),
        ({"momentum": 1.0}, r"momentum of the ascent is 1\.0; .* at least 0, below 1"),
        ({"batch_size": 0}, "batch size is 0"),
    ],
)
def test_settings_that_make_no_sense_are_told(options, told):
    with pytest.raises(InputError, match=told):
        measure(Chosen([1.0], lambda w: 1 + w[0]), **options)


def test_a_minimum_that_is_not_finite_is_recorded():
    result = measure(Chosen([math.nan], lambda w: 1 + w[0]))
    assert math.isnan(result.sharpness)
    assert math.isnan(result.loss)
    assert (result.steps, result.status) == (0, "non-finite")


def test_an_ascent_that_is_not_finite_is_recorded():
    result = measure(Chosen([1.0], lambda w: torch.where(w[0] > 1 + EPSILON, w[0] / 0, w[0])))
    assert result.loss == pytest.approx(1)
    assert math.isnan(result.sharpness)
    assert (result.steps, result.status) == (300, "non-finite")


def test_an_epoch_without_minibatches_is_told():
    with pytest.raises(InputError, match="epoch 1 of the ascent has no minibatches; give at least one an epoch"):
        keskar_sharpness(batch_norm_net(), NOISE, lambda epoch: [])


def test_one_image_left_over_is_told_where_batch_norm_needs_more():
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(9), nn.Linear(9, 3))
    batches = minibatches(NOISE, 29)
    with pytest.raises(InputError, match="minibatch of one image; choose a batch size that does not leave one image"):
        keskar_sharpness(net, NOISE, batches, steps=2)
    assert keskar_sharpness(net, NOISE, batches, steps=2, frozen_batch_norm=True).status == "ok"
