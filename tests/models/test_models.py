"""The networks against closed-form counts, torchvision and their own forward pass; initialisation; bad options."""

import inspect
import itertools
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.models import MODELS, NAMES, build, names
from workflow_scripts.models.parts import part, parts
from workflow_scripts.models.vision.initialise import initialise
from workflow_scripts.models.vision.layers import operations
from workflow_scripts.models.vision.resnet import Padding, ResNet
from workflow_scripts.models.vision.student import Student
from workflow_scripts.models.vision.vgg import VGG
from workflow_scripts.models.vision.widths import scaled

CIFAR = SimpleNamespace(channels=3, classes=10, image_size=32)
CLASSES = {"vgg": VGG, "resnet": ResNet, "student": Student}


def images_of(side: int, channels: int = 3) -> SimpleNamespace:
    return SimpleNamespace(channels=channels, classes=10, image_size=side)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that let the signal through, and every bias, scale and running statistic away from its default."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
        elif name.endswith(("weight", "running_var")):
            tensor.copy_(1 + 0.2 * noise.abs())
        elif name.endswith(("bias", "running_mean")):
            tensor.copy_(0.1 * noise)
    return model.eval()


# --- the papers' sizes ---

VGG_CHANNELS = {
    "vgg9": [3, 64, 128, 256, 256, 256, 256],
    "vgg11": [3, 64, 128, 256, 256, 512, 512, 512, 512],
    "vgg16": [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512],
}


@pytest.mark.parametrize("name", VGG_CHANNELS)
@pytest.mark.parametrize("suffix", ["", "_bn"])
def test_vgg_has_the_papers_number_of_parameters(name, suffix):
    channels = VGG_CHANNELS[name]
    convolutions = sum(9 * a * b + b for a, b in itertools.pairwise(channels))
    pixels = 2 * 2 if name == "vgg9" else 1  # four poolings instead of five
    head = (channels[-1] * pixels * 512 + 512) + (512 * 512 + 512) + (512 * 10 + 10)
    batch_norm = 2 * sum(channels[1:]) if suffix else 0
    assert count(build({"name": name + suffix}, CIFAR)) == convolutions + head + batch_norm


@pytest.mark.parametrize(
    ("name", "info", "parameters"),
    [
        ("resnet18", CIFAR, 11_173_962),
        ("resnet32", CIFAR, 464_154),
        ("resnet50", SimpleNamespace(channels=3, classes=1000, image_size=224), 25_557_032),
        ("student", CIFAR, (75 * 64 + 64) + (25 * 64 * 128 + 128) + (8192 * 256 + 256) + (256 * 128 + 128) + 1290),
    ],
)
def test_other_models_have_the_published_number_of_parameters(name, info, parameters):
    assert count(build({"name": name}, info)) == parameters


def test_vgg_ends_at_512_channels_of_one_pixel_like_the_paper():
    for name in ("vgg11", "vgg16_bn"):
        model = build({"name": name}, CIFAR).eval()
        assert model.features(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 1, 1)
        assert [layer.out_features for layer in model.classifier if isinstance(layer, nn.Linear)] == [512, 512, 10]


def same_as_torchvision(ours: nn.Module, theirs: nn.Module, side: int) -> None:
    state = {name.replace("classifier.", "fc."): tensor for name, tensor in ours.state_dict().items()}
    theirs.load_state_dict(state)
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = ours(x)
        torch.testing.assert_close(logits, theirs.eval()(x), rtol=1e-4, atol=1e-4 * logits.abs().max().item())
    assert (logits[0] - logits[1]).abs().max() > 0.01 * logits.abs().max()


def test_resnet50_computes_what_torchvisions_does():
    info = SimpleNamespace(channels=3, classes=1000, image_size=224)
    same_as_torchvision(randomised(build({"name": "resnet50"}, info)), torchvision.models.resnet50(), side=64)


def test_resnet18_is_torchvisions_with_the_cifar_stem():
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    same_as_torchvision(randomised(build({"name": "resnet18"}, CIFAR)), theirs, side=32)


def test_option_a_shortcut_keeps_every_second_pixel_and_adds_zero_channels():
    x = torch.arange(2 * 3 * 5 * 4, dtype=torch.float32).reshape(2, 3, 5, 4)
    out = Padding(3, 8, stride=2)(x)
    assert out.shape == (2, 8, 3, 2)
    assert torch.equal(out[:, 2:5], x[:, :, ::2, ::2])
    assert out[:, :2].abs().sum() == 0 and out[:, 5:].abs().sum() == 0


# --- any size, any width ---


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [8, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_logits_for_images_of_every_size_and_memory_format(name, side, channels):
    model = randomised(build({"name": name, "width": 0.1}, images_of(side, channels))).double()
    x = torch.randn(2, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(x)
        channels_last = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert logits.shape == (2, 10)
    assert (logits[0] - logits[1]).abs().max() > 1e-3 * logits.abs().max()
    torch.testing.assert_close(channels_last, logits, rtol=1e-9, atol=1e-9 * logits.abs().max().item())


@given(st.integers(1, 40), st.integers(1, 12), st.sampled_from(["vgg9", "vgg11", "vgg16"]))
@settings(max_examples=40, deadline=None)
def test_vgg_pools_only_while_the_side_stays_large_enough(side, smallest, name):
    spec = {"name": name, "width": 0.01, "smallest_side": smallest}
    model = build(spec, images_of(side)).eval()
    expected, poolings = side, {"vgg9": 4, "vgg11": 5, "vgg16": 5}[name]
    while poolings and expected // 2 >= smallest:
        expected, poolings = expected // 2, poolings - 1
    assert model.features(torch.zeros(1, 3, side, side)).shape[-2:] == (expected, expected)
    assert model(torch.zeros(1, 3, side, side)).shape == (1, 10)


@given(st.integers(1, 4096), st.floats(0.001, 10.0))
def test_scaled_widths_are_rounded_and_at_least_four(channels, width):
    result = scaled(channels, width)
    assert result >= 4
    assert result == 4 or abs(result - channels * width) <= 0.5
    assert scaled(channels, 1.0) == max(4, channels)


def test_options_reach_the_network():
    model = build({"name": "vgg11", "width": 0.25, "dropout": 0.1}, CIFAR)
    assert [layer.out_channels for layer in model.features if isinstance(layer, nn.Conv2d)][-1] == 128
    assert [layer.out_features for layer in model.classifier if isinstance(layer, nn.Linear)] == [128, 128, 10]
    assert [layer.p for layer in model.classifier if isinstance(layer, nn.Dropout)] == [0.1, 0.1]
    student = build({"name": "student", "c1": 6, "c2": 16, "f1": 120, "f2": 84}, CIFAR)
    assert [tuple(p.shape[:1]) for p in student.parameters() if p.ndim > 1] == [(6,), (16,), (120,), (84,), (10,)]


def test_students_need_images_that_can_be_halved_twice():
    with pytest.raises(InputError, match="a side of 4, not 3"):
        build({"name": "student"}, images_of(3))


# --- operations and parts ---


def test_figure_14_has_31_rows():
    rows = [operation.label for operation in operations(build({"name": "vgg11_bn", "width": 0.1}, CIFAR))]
    assert rows == ["conv", "BN", "ReLU"] * 8 + ["drop", "FC", "ReLU", "drop", "FC", "ReLU", "FC"]
    assert len(rows) == 31


def test_the_student_has_the_ten_operations_of_figure_6():
    rows = [operation.label for operation in operations(build({"name": "student"}, CIFAR))]
    assert rows == ["conv", "maxpool", "ReLU"] * 2 + ["FC", "ReLU", "FC", "FC"]


@pytest.mark.parametrize("name", NAMES)
def test_operations_come_in_forward_order_each_once_and_leave_their_input_alone(name):
    model = build({"name": name, "width": 0.1}, CIFAR)
    listed = operations(model)
    called = []
    for operation in listed:

        def hook(module, inputs, output, name=operation.module_name):
            called.append((name, inputs[0], inputs[0]._version, output))

        model.get_submodule(operation.module_name).register_forward_hook(hook)
    model(torch.randn(2, 3, 32, 32))
    assert [call[0] for call in called] == [operation.module_name for operation in listed]
    for _, images, version, output in called:  # a later in-place operation would raise the version
        assert images._version == version
        assert output._version == 0


@pytest.mark.parametrize("name", ["resnet18", "resnet32", "resnet50"])
def test_resnet_operations_are_counted_by_hand(name):
    labels = [operation.label for operation in operations(build({"name": name, "width": 0.1}, CIFAR))]
    blocks, each, projections = {"resnet18": (8, 2, 3), "resnet32": (15, 2, 0), "resnet50": (16, 3, 4)}[name]
    assert labels.count("conv") == labels.count("BN") == 1 + blocks * each + projections
    assert labels.count("ReLU") == 1 + blocks * each
    assert labels.count("FC") == 1 and labels[-1] == "FC" and "maxpool" not in labels


def test_a_model_without_known_layers_has_no_operations_to_compare():
    with pytest.raises(InputError, match="Embedding has none of the layers that can be compared"):
        operations(nn.Embedding(3, 4))


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_lies_in_a_part_and_the_classifier_is_one(name):
    model = build({"name": name, "width": 0.1}, CIFAR)
    inside = {id(parameter) for name in parts(model) for parameter in part(model, name).parameters()}
    assert inside == {id(parameter) for parameter in model.parameters()}
    assert part(model, "classifier") is model.classifier
    if name.startswith("resnet"):
        assert isinstance(model.classifier, nn.Linear)


@pytest.mark.parametrize("name", ["head", "", "features.1", "classifier.weight"])
def test_an_unknown_part_is_told_with_the_known_ones(name):
    with pytest.raises(InputError, match="choose one of features, classifier, or a layer inside"):
        part(build({"name": "vgg9", "width": 0.1}, CIFAR), name)


# --- initialisation ---


@pytest.mark.parametrize("variance", [1.0, 3.0])
def test_weights_have_the_moments_of_the_papers_normal_distribution(variance):
    model = initialise(build({"name": "vgg11_bn", "width": 0.5}, CIFAR), variance, seed=5)
    checked = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.in_channels * 9
        elif isinstance(module, nn.Linear):
            fan_in = module.in_features
        else:
            continue
        z = (module.weight.detach().double() / (variance * 2 / fan_in) ** 0.5).flatten()
        tolerance = 5 / z.numel() ** 0.5
        assert abs(z.mean()) < tolerance
        assert abs(z.square().mean() - 1) < tolerance * 2**0.5
        assert abs((z.abs() < 1).double().mean() - 0.682689) < tolerance / 2
        assert module.bias.abs().sum() == 0
        checked += 1
    assert checked == 11


def test_initialisation_starts_batch_norm_afresh():
    model = build({"name": "resnet18", "width": 0.1}, CIFAR)
    model(torch.randn(4, 3, 32, 32))
    for module in initialise(randomised(model), seed=0).modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
            assert (module.running_mean == 0).all() and (module.running_var == 1).all()
            assert module.num_batches_tracked == 0


def test_initialisation_depends_on_the_seed_alone():
    def state(seed, fresh=0):
        torch.manual_seed(fresh)
        model = build({"name": "vgg9_bn", "width": 0.1}, CIFAR)
        if fresh:
            model = model.to(memory_format=torch.channels_last)
        before = torch.get_rng_state()
        initialise(model, seed=seed)
        assert torch.equal(before, torch.get_rng_state())
        return model.state_dict()

    one, again, other = state(1), state(1, fresh=9), state(torch.Generator().manual_seed(2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    weights = [name for name in one if one[name].ndim > 1]
    assert not any(torch.equal(one[name], other[name]) for name in weights)
    assert all(torch.equal(other[name], tensor) for name, tensor in state(2).items())


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_variance_that_is_not_positive_is_refused(variance):
    with pytest.raises(InputError, match="above 0"):
        initialise(nn.Linear(2, 2), variance, seed=0)


def test_parameters_that_the_rule_does_not_cover_are_told():
    with pytest.raises(InputError, match=r"does not cover 1 \(Embedding\); give the model a method"):
        initialise(nn.Sequential(nn.Linear(2, 2), nn.Embedding(3, 4)), seed=0)


def test_a_model_may_bring_its_own_initialisation():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(3))

        def initialise(self, variance, generator):
            self.scale.copy_(variance * torch.rand(3, generator=generator))

    expected = 2 * torch.rand(3, generator=torch.Generator().manual_seed(4))
    assert torch.equal(initialise(Own(), 2.0, seed=4).scale, expected)


# --- names and options ---


def test_names_are_known_without_torch():
    code = (
        "import sys; from workflow_scripts.models import names, build; names.check({'name': 'vgg11'}); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_declared_options_and_defaults_are_those_of_the_code(name):
    kind = next(kind for prefix, kind in CLASSES.items() if name.startswith(prefix))
    parameters = inspect.signature(kind).parameters
    for option, declared in names.options(name).items():
        assert parameters[option].default == declared.default
    structural = {"info", "configuration", "batch_norm", "block", "shortcut", "depths", "channels", "large_images"}
    assert set(parameters) - structural == set(MODELS[name].options)


def test_specifications_that_mean_the_same_are_equal_once_checked():
    short = {"name": "vgg16"}
    full = {"smallest_side": 1, "dropout": 0.5, "name": "vgg16", "width": 1}
    assert names.check(short) == names.check(full) == names.check(names.check(full))
    assert short == {"name": "vgg16"}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"name": "vgg12"}, r"there is no model 'vgg12'; choose one of vgg9, .*student, .*or give your own"),
        ({"name": ["vgg11"]}, "there is no model"),
        ({"name": None}, "there is no model None"),
        ({"width": 1.0}, "a model is described by"),
        ("vgg11", "a model is described by"),
        ({"name": "vgg11", "depth": 3}, "no option 'depth'; vgg11 takes width, dropout, smallest_side"),
        ({"name": "resnet18", "dropout": 0.5}, "no option 'dropout'; resnet18 takes width"),
        ({"name": "vgg11", "width": 0}, "width: 0 is not a number from 0.001 to 100"),
        ({"name": "vgg11", "width": float("nan")}, "width: nan is not a number"),
        ({"name": "vgg11", "width": float("inf")}, "width: inf is not a number"),
        ({"name": "vgg11", "width": "1"}, "width: '1' is not a number"),
        ({"name": "vgg11", "width": True}, "width: True is not a number"),
        ({"name": "vgg11", "dropout": 1.0}, "dropout: 1.0 is not a number from 0 to 0.99"),
        ({"name": "vgg11", "smallest_side": 1.5}, "smallest_side: 1.5 is not a whole number from 1 "),
        ({"name": "student", "c1": 0}, "c1: 0 is not a whole number"),
    ],
)
def test_a_wrong_specification_is_told(spec, sentence):
    with pytest.raises(InputError, match=sentence):
        build(spec, CIFAR)


def test_all_wrong_options_are_told_together():
    with pytest.raises(InputError, match=r"(?s)'depth'.*width: -1.*dropout: 2"):
        names.check({"name": "vgg11", "depth": 3, "width": -1, "dropout": 2})


# --- a custom model ---

OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.ReLU())
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x):
        return self.classifier(self.body(x))

def net(info, scale=1):
    return Net(info.channels * info.image_size**2, info.classes * scale)

def headless(info):
    return nn.Linear(3, 4)

def other_arguments(path):
    raise AssertionError("never called")

number = 3
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "their_nets.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "their_nets"
    sys.modules.pop("their_nets", None)


def test_a_model_of_ones_own_is_built_by_its_path(own_module):
    model = build({"name": f"{own_module}:net", "scale": 2}, CIFAR)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 20)
    assert [operation.label for operation in operations(model)] == ["ReLU", "FC"]
    assert parts(model) == ["classifier"]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("their_nets:absent", {}, "cannot be imported: .*absent"),
        ("no_such_module_here:net", {}, "cannot be imported: No module named 'no_such_module_here'"),
        ("their_nets:number", {}, "cannot be imported: 3 is not a callable object"),
        ("their_nets:net", {"size": 3}, r"cannot take the options \['size'\]"),
        ("their_nets:headless", {}, "returned a Linear without a submodule `classifier`"),
        ("their_nets:other_arguments", {}, "its first parameter must be `info`"),
        ("os:system", {}, "its first parameter must be `info`"),
        ("their_nets.net", {}, "there is no model 'their_nets.net'"),
        ("their_nets:net:net", {}, "there is no model"),
    ],
)
def test_a_path_that_leads_to_no_model_is_told(own_module, name, options, sentence):
    with pytest.raises(InputError, match=sentence):
        build({"name": name, **options}, CIFAR)
