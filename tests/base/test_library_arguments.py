"""Functions of the library that are given what they cannot use say so in a sentence, with shapes."""

import numpy as np
import pytest
import torch
from torch import nn

from workflow_scripts import models
from workflow_scripts.base import checks
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.tensors import from_tensors
from workflow_scripts.evidence.statistics import trend
from workflow_scripts.generation.answers import exact_match, f1, scores
from workflow_scripts.generation.bleu import bleu
from workflow_scripts.landscape.batchnorm import refresh
from workflow_scripts.landscape.curve_training import CurveRecipe, train_curve
from workflow_scripts.landscape.curves import arc_length, coefficients, evaluate_curve, point
from workflow_scripts.landscape.fisher import fisher_score
from workflow_scripts.landscape.flat import FlatModel
from workflow_scripts.landscape.planes import Plane, evaluate_plane
from workflow_scripts.landscape.sharpness import keskar_sharpness
from workflow_scripts.models import checkpoints
from workflow_scripts.models.vision.initialise import initialise
from workflow_scripts.recipes.schedules import learning_rate, rates
from workflow_scripts.representation.embedding import embed
from workflow_scripts.representation.floor import floor
from workflow_scripts.representation.similarity import compare
from workflow_scripts.representation.svcca import basis, correlations
from workflow_scripts.tasks.evaluation import evaluate
from workflow_scripts.training import optimizers
from workflow_scripts.training.range_test import range_test

LABELS = torch.arange(40) % 10
DATA = from_tensors(torch.randint(0, 255, (40, 1, 8, 8), dtype=torch.uint8), LABELS)
IMAGES = torch.randn(40, 1, 8, 8)
RECIPE = CurveRecipe("polygonal", 1, 1, {"name": "constant", "lr": 0.1}, 0.9, 0.0)
PLANE = Plane.through(torch.zeros(5), torch.ones(5), torch.arange(5.0))
CONSTANT = {"name": "constant", "lr": 0.1}


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def ends():
    return torch.zeros(650), torch.ones(650)


def batches(epoch=1):
    return DATA.batches("train", 10)


def sgd(network):
    return torch.optim.SGD(network.parameters(), lr=0.1)


def swept(given):
    network = net()
    return range_test(network, sgd(network), given, [0.1, 0.2])


# By what is wrong in each: calls that are given it, and none of which can use it.
MODEL = {
    "evaluate": lambda wrong: evaluate(wrong, DATA, "test"),
    "evaluate_curve": lambda wrong: evaluate_curve(wrong, torch.stack(ends()), DATA, [0.5]),
    "evaluate_plane": lambda wrong: evaluate_plane(wrong, PLANE, DATA, 2),
    "keskar": lambda wrong: keskar_sharpness(wrong, DATA, batches, steps=1),
    "fisher": lambda wrong: fisher_score(wrong, batches, draws=1),
    "refresh": lambda wrong: refresh(wrong, DATA),
    "compare": lambda wrong: compare(net(), wrong, DATA),
    "range test": lambda wrong: range_test(wrong, sgd(net()), batches(), [0.1]),
    "train_curve": lambda wrong: train_curve(wrong, *ends(), batches, RECIPE, 1, [1]),
    "optimizer": lambda wrong: optimizers.build({"name": "sgd"}, wrong),
    "initialise": lambda wrong: initialise(wrong, seed=1),
    "FlatModel": FlatModel,
    "into": lambda wrong: checkpoints.into(wrong, checkpoints.Checkpoint(net().state_dict())),
}
TRAINING_DATA = {
    "evaluate": lambda wrong: evaluate(net(), wrong, "test"),
    "evaluate_curve": lambda wrong: evaluate_curve(FlatModel(net()), torch.stack(ends()), wrong, [0.5]),
    "keskar": lambda wrong: keskar_sharpness(net(), wrong, batches, steps=1),
    "refresh": lambda wrong: refresh(nn.BatchNorm2d(1), wrong),
    "compare": lambda wrong: compare(net(), net(), wrong),
}
MINIBATCHES = {
    "keskar": lambda wrong: keskar_sharpness(net(), DATA, lambda epoch: wrong, steps=1),
    "fisher": lambda wrong: fisher_score(net(), lambda: wrong, draws=1),
    "fisher, given labels": lambda wrong: fisher_score(net(), lambda: wrong, labels="given"),
    "range test": swept,
    "train_curve": lambda wrong: train_curve(FlatModel(net()), *ends(), lambda epoch: wrong, RECIPE, 1, [1]),
}
OF_EPOCHS = {
    "keskar": lambda wrong: keskar_sharpness(net(), DATA, wrong, steps=1),
    "fisher": lambda wrong: fisher_score(net(), wrong),
    "train_curve": lambda wrong: train_curve(FlatModel(net()), *ends(), wrong, RECIPE, 1, [1]),
}
NO_MODEL = [None, "vgg9", np.zeros((4, 5)), torch.zeros(4, 5), {"name": "vgg9"}]
NO_DATA = [None, np.zeros((4, 5)), torch.zeros(4, 5), (IMAGES, LABELS), [(IMAGES, LABELS)]]
NO_MINIBATCHES = {
    "nothing": None,
    "a number": 3,
    "none": [],
    "numpy": [(IMAGES.numpy(), LABELS.numpy())],
    "labels in numpy": [(IMAGES, LABELS.numpy())],
    "images alone": [IMAGES],
    "other counts": [(IMAGES, LABELS[:3])],
    "no images": [(IMAGES[:0], LABELS[:0])],
    "one-hot labels": [(IMAGES, torch.eye(10)[LABELS])],
    "three things": [(IMAGES, LABELS, LABELS)],
    "no batches but one": (IMAGES, LABELS),
    "a scalar": torch.tensor(1.0),
}


@pytest.mark.parametrize("call", MODEL.values(), ids=MODEL)
@pytest.mark.parametrize("wrong", NO_MODEL, ids=checks.described)
def test_what_is_no_network_is_told(call, wrong):
    with pytest.raises(InputError, match=checks.described(wrong).replace("(", r"\(").replace(")", r"\)")):
        call(wrong)


@pytest.mark.parametrize("call", TRAINING_DATA.values(), ids=TRAINING_DATA)
@pytest.mark.parametrize("wrong", NO_DATA, ids=checks.described)
def test_what_is_no_data_is_told_and_how_to_make_it(call, wrong):
    with pytest.raises(InputError, match=r"must be TrainingData, not .*from_tensors\(images, labels\)"):
        call(wrong)


UNLABELLED = ("labels in numpy", "other counts", "one-hot labels")  # what Fisher's own draws do not look at


@pytest.mark.parametrize("call", MINIBATCHES)
@pytest.mark.parametrize("wrong", NO_MINIBATCHES)
def test_what_is_no_minibatch_is_told(call, wrong):
    if (call, wrong) not in {("fisher", each) for each in UNLABELLED}:
        with pytest.raises(InputError, match=r"minibatch|images, and the batches hold none|labels"):
            MINIBATCHES[call](NO_MINIBATCHES[wrong])


@pytest.mark.parametrize("call", MINIBATCHES.values(), ids=MINIBATCHES)
def test_an_iterator_serves_one_pass(call):
    """Exhausted, it has no minibatches; where passes have to be alike, that is told too."""
    once = iter([(IMAGES, LABELS)])
    list(once)
    with pytest.raises(InputError, match=r"minibatches|none"):
        call(once)


@pytest.mark.parametrize("call", OF_EPOCHS.values(), ids=OF_EPOCHS)
def test_minibatches_themselves_are_no_function_of_epochs(call):
    with pytest.raises(InputError, match="a function that"):
        call([(IMAGES, LABELS)])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: PLANE.point(np.zeros(2), 1), r"numpy\.ndarray|array\(\[0"),
        (lambda: PLANE.point(float("nan"), 1), "nan"),
        (lambda: evaluate_plane(FlatModel(net()), torch.zeros(3, 650), DATA, 2), r"Plane\.through"),
        (lambda: FlatModel(net()).from_state(torch.zeros(650)), r"torch\.Tensor of shape \(650,\)"),
        (lambda: point(torch.zeros(3, 5), [0.5, 0.6]), r"t is \[0\.5, 0\.6\]"),
        (lambda: arc_length(torch.zeros(3, 5), []), "t must be a list of numbers"),
        (lambda: arc_length(torch.zeros(3, 5), ["a"]), "t must be a list of numbers"),
        (lambda: coefficients([], 0.5, 2), r"no curve called \[\]"),
        (lambda: coefficients("bezier", None, 2), "not NoneType"),
        (lambda: floor([1], 2, 10), r"a rank is \[1\]"),
        (lambda: floor(1.5, 2, 10), "a rank is 1.5"),
        (lambda: compare(net(), net(), DATA, limit=2.5), "the number of images is 2.5"),
        (lambda: basis(torch.ones(4, 5, dtype=torch.long)), "int64"),
        (lambda: basis(torch.full((4, 5), torch.nan)), "finite"),
        (lambda: correlations(torch.full((4, 5), torch.nan), torch.ones(4, 5)), "finite"),
        (lambda: embed(None, ["a"]), "the vectors must be a list, not NoneType"),
        (lambda: embed([torch.zeros(3)] * 3, torch.tensor(1.0)), r"the names must be a list, not torch\.Tensor"),
        (lambda: keskar_sharpness(net(), DATA, batches, dtype=torch.int64), "dtype is torch.int64"),
        (lambda: keskar_sharpness(net(), DATA, batches, dtype="float64"), "dtype is 'float64'"),
        (lambda: refresh(nn.BatchNorm2d(1), DATA, 2.5), "the batch size is 2.5"),
        (lambda: range_test(net(), "sgd", batches(), [0.1]), "one of torch.optim, not str"),
        (lambda: range_test(net(), sgd(net()), batches(), 0.1), "the learning rates must be a list"),
        (lambda: initialise(net(), seed=None), "the seed is None"),
        (lambda: initialise(net(), "3", seed=1), "is '3'"),
        (lambda: optimizers.build("sgd", net()), "not by str"),
        (lambda: optimizers.build({"name": "sgd", "weight_decay": -1}, net()), "weight_decay is -1"),
        (lambda: checkpoints.load(torch.zeros(3)), r"not from torch\.Tensor of shape \(3,\)"),
        (lambda: checkpoints.save("x", torch.zeros(3), {}), r"must be a mapping, not torch\.Tensor of shape \(3,\)"),
        (lambda: checkpoints.into(net(), checkpoints.Checkpoint(net())), "must be a mapping, not .*Sequential"),
        (lambda: exact_match("x", "xyz"), "a list of texts, not str"),
        (lambda: exact_match(None, ["x"]), "one of them is NoneType"),
        (lambda: f1("x", []), "no answer that people gave"),
        (lambda: scores(["x"], {"a": ["x"]}), "the answers must be a mapping, not list"),
        (lambda: bleu("a b", ["a b"]), "the translations must be a list of texts, not str"),
        (lambda: bleu(["a b"], [3]), "one of them is int"),
        (lambda: trend([[1.0], [2.0]], "increase"), "the groups must be a mapping, not list"),
        (lambda: rates(CONSTANT, 0, 8), "steps_per_epoch is 0"),
        (lambda: rates(CONSTANT, 4, 2.5), "total_steps is 2.5"),
        (lambda: rates(CONSTANT, float("nan"), 8), "steps_per_epoch is nan"),
        (lambda: learning_rate(CONSTANT, 1.5, 4, 8), "step is 1.5"),
        (lambda: learning_rate(CONSTANT, 1, "4", 8), "steps_per_epoch is '4'"),
        (lambda: models.build(None, DATA.info), "not by None"),
    ],
)  # fmt: skip
def test_what_a_function_cannot_use_is_told(call, told):
    with pytest.raises(InputError, match=told):
        call()
