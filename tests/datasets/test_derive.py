"""Derived data sets: smaller images, fewer of them, and where they came from."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.derivation import derivation_of
from workflow_scripts.datasets.derive import averaged, balanced, derive
from workflow_scripts.datasets.images.arrays import load, read_description


@pytest.fixture
def derived(tiny, tmp_path):
    derive("tiny-4px-50", tmp_path / "derived", tiny)
    return tmp_path / "derived"


def test_an_image_becomes_the_mean_of_its_blocks_and_the_test_set_stays_whole(derived, tiny):
    origin, data = load(tiny), load(derived)
    blocks = origin.x_test.astype(float).reshape(40, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    np.testing.assert_array_equal(data.x_test, np.floor(blocks + 0.5))
    np.testing.assert_array_equal(data.y_test, origin.y_test)
    assert data.x_train.shape == (50, 4, 4, 1)


def test_it_says_where_it_came_from_and_is_what_was_planned(derived, tiny):
    info, origin = read_description(derived), read_description(tiny)
    assert info.registered() == derivation_of("tiny-4px-50").info(origin.registered())
    assert (info.origin.name, info.origin.source, info.origin.sha256) == ("tiny", origin.source, origin.sha256)
    pixels = load(derived).x_train / 255
    np.testing.assert_allclose((info.mean[0], info.std[0]), (pixels.mean(), pixels.std()))


def test_descriptions_of_earlier_versions_are_read(tiny, tmp_path):
    found = json.loads((tiny / "dataset.json").read_text())
    del found["origin"]
    (tmp_path / "dataset.json").write_text(json.dumps(found))
    assert read_description(tmp_path).origin is None


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array), data=st.data())
def test_classes_are_as_equal_as_the_data_allow(labels, data):
    count = data.draw(st.integers(1, len(labels)))
    chosen = balanced(labels, count)
    assert len(chosen) == count and (np.diff(chosen) > 0).all()
    taken, there = (np.bincount(part, minlength=5) for part in (labels[chosen], labels))
    assert all(taken[k] == there[k] or taken[k] >= taken.max() - 1 for k in range(5))
    for k in range(5):  # and of each class they are its first
        np.testing.assert_array_equal(chosen[labels[chosen] == k], np.flatnonzero(labels == k)[: taken[k]])


def test_a_half_is_rounded_up_and_nothing_overflows():
    image = np.array([[[0, 1], [0, 1]], [[255, 255], [255, 255]]], np.uint8)[..., None]
    assert averaged(image, 1).ravel().tolist() == [1, 255]


@pytest.mark.parametrize(
    ("name", "word"),
    [("tiny", "not the name"), ("digits-4px-50", "holds tiny"), ("tiny-3px-50", "divide"), ("tiny-4px-121", "121")],
)
def test_what_cannot_be_derived_is_told_and_nothing_is_written(tiny, tmp_path, name, word):
    with pytest.raises(InputError, match=word):
        derive(name, tmp_path / "derived", tiny)
    assert not (tmp_path / "derived").exists()


def test_a_border_shrinks_with_the_images(tiny):
    info = replace(read_description(tiny).registered(), name="big", image_size=32, crop_padding=4)
    assert derivation_of("big-16px-100").info(info).crop_padding == 2
