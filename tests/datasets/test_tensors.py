"""From tensors to the data that the library takes, and what data refuse to be asked for."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import load
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.datasets.images.tensors import from_tensors
from workflow_scripts.generation.answers import best_spans
from workflow_scripts.generation.beam import Search, translate
from workflow_scripts.landscape.fisher import fisher_score
from workflow_scripts.landscape.flat import FlatModel, evaluate_points
from workflow_scripts.landscape.sharpness import keskar_sharpness
from workflow_scripts.representation.similarity import compare
from workflow_scripts.representation.svcca import basis, correlations
from workflow_scripts.tasks.evaluation import evaluate
from workflow_scripts.training.range_test import range_test

IMAGES, LABELS = torch.randn(30, 2, 6, 6, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3


def test_bytes_are_the_data_that_preparing_makes_of_them(tiny):
    """The same batches, bit for bit, as those of the prepared folder."""
    arrays = load(tiny)
    prepared = InMemoryData(arrays)
    x, y, test_x, test_y = (torch.tensor(np.array(each)) for each in (
        arrays.x_train, arrays.y_train, arrays.x_test, arrays.y_test))  # fmt: skip
    data = from_tensors(x.permute(0, 3, 1, 2), y, test_x.permute(0, 3, 1, 2), test_y, crop_padding=1)
    assert data.info.classes == prepared.info.classes and data.count("test") == 40
    for one, other in (
        (data.batches("test", 16), prepared.batches("test", 16)),
        (data.epoch_batches(3, 2, 16, 100, True), prepared.epoch_batches(3, 2, 16, 100, True)),
    ):
        for (images, labels), (same_images, same_labels) in zip(one, other, strict=True):
            torch.testing.assert_close(images, same_images, rtol=0, atol=1e-6)
            assert torch.equal(labels, same_labels)


def test_floating_point_images_are_taken_as_they_are():
    data = from_tensors(IMAGES.double(), LABELS)
    assert torch.equal(torch.cat([images for images, _ in data.batches("train", 7)]), IMAGES)
    images, labels = next(data.epoch_batches(1, 1, 30, 30, augment=False))
    places = torch.cdist(images.flatten(1), IMAGES.flatten(1)).argmin(1)
    assert torch.equal(places.sort().values, torch.arange(30)) and torch.equal(labels, LABELS[places])


def test_two_tensors_are_all_that_the_library_needs():
    data, net = from_tensors(IMAGES, LABELS), nn.Sequential(nn.Flatten(), nn.Linear(72, 4), nn.ReLU(), nn.Linear(4, 3))
    assert evaluate(net, data, "train").loss == pytest.approx(nn.functional.cross_entropy(net(IMAGES), LABELS).item())
    found = keskar_sharpness(net, data, lambda epoch: data.epoch_batches(0, epoch, 10, 30, augment=False), steps=3)
    assert found.status == "ok"
    assert compare(net, net, data)["similarity"].iloc[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((IMAGES.numpy(), LABELS), r"images of train must be a torch\.Tensor \(n, c, side, side\), not numpy\.ndarray"),
        ((IMAGES[0], LABELS), r"not torch\.Tensor of shape \(2, 6, 6\)"),
        ((IMAGES[:0], LABELS[:0]), r"not torch\.Tensor of shape \(0, 2, 6, 6\)"),
        ((IMAGES, LABELS[:, None]), r"labels of train must be .* \(n,\), not torch\.Tensor of shape \(30, 1\)"),
        ((IMAGES, LABELS.float()), r"integers from 0 up, not torch\.float32"),
        ((IMAGES, LABELS - 1), "integers from 0 up, not torch.int64 from -1"),
        ((IMAGES, LABELS[:29]), "30 images, but 29 labels"),
        ((IMAGES[..., :5], LABELS), "are 6 × 5; only square"),
        ((IMAGES * math.inf, LABELS), "finite floating-point"),
        ((torch.zeros(3, 1, 2, 2, dtype=torch.uint8), LABELS[:3]), "channel 0 of the images is the same everywhere"),
        ((IMAGES, LABELS, IMAGES), "labels of test must be .*, not NoneType"),
        ((IMAGES, LABELS, IMAGES[:, :1], LABELS), r"both splits must agree, .* \(30, 1, 6, 6\)"),
    ],
)
def test_tensors_that_do_not_fit_are_told(given, told):
    with pytest.raises(InputError, match=told):
        from_tensors(*given)


def test_nothing_to_evaluate_is_told():
    data = from_tensors(IMAGES, LABELS)
    data.batches = lambda *_: iter([])
    with pytest.raises(InputError, match="no images of the split 'train' to evaluate"):
        evaluate(nn.Flatten(), data, "train")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda data: data.batches("test", 5), "no images of the split 'test', only of train"),
        (lambda data: data.batches("train", 0), "batch size is 0; it must be a whole number of at least 1"),
        (lambda data: data.batches("train", 5, 0), "number of images is 0"),
        (lambda data: data.epoch_batches(0, 0, 5, 30, False), "epoch is 0"),
        (lambda data: data.epoch_batches(0, 1, 5, 0, False), "number of images in an epoch is 0"),
        (lambda data: data.epoch_batches(0, 1, 5, 30, False, -2), "size of images is -2"),
    ],
)
def test_batches_that_make_no_sense_are_told(asked, told):
    with pytest.raises(InputError, match=told):
        list(asked(from_tensors(IMAGES, LABELS)))


ARRAY = np.ones((4, 3), np.float32)
NET = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda: fisher_score(NET, lambda: [(ARRAY, np.zeros(4))]), r"not numpy\.ndarray of shape \(4, 3\)"),
        (lambda: fisher_score(NET, [(torch.ones(4, 3), torch.zeros(4))]), "the batches are list; give a function"),
        (lambda: fisher_score(NET, list, seed=1.5), "the seed is 1.5"),
        (lambda: FlatModel(NET).from_state({"1.weight": ARRAY[:2]}), r"1.weight should .* has numpy\.ndarray"),
        (lambda: evaluate_points(NET, [], from_tensors(IMAGES, LABELS)), "must be a FlatModel, not .*Sequential"),
        (lambda: basis(ARRAY), r"a layer must be a torch\.Tensor \(n, d\), not numpy\.ndarray"),
        (lambda: correlations(torch.ones(4, 1), ARRAY), r"a basis must be a torch\.Tensor \(n, k\)"),
        (lambda: correlations(torch.ones(4, 1), torch.ones(3, 1)), "bases are of 4 and 3 images"),
        (lambda: best_spans(ARRAY, ARRAY, ARRAY > 0), r"the starts must be a torch\.Tensor \(b, l\)"),
        (lambda: best_spans(torch.ones(1, 3), torch.ones(1, 4), torch.ones(1, 3) > 0), "must have one shape"),
        (lambda: translate(NET, ARRAY, Search()), r"the source must be a torch\.Tensor \(b, s\)"),
        (lambda: range_test(NET, None, [], [0.1, -0.1]), "a learning rate of the range test is -0.1"),
        (lambda: range_test(NET, None, [], [0.1], window=1), "the window of the range test is 1"),
    ],
)
def test_what_a_function_cannot_use_is_one_sentence(asked, told):
    with pytest.raises(InputError, match=told):
        asked()
