"""Both sides of every benchmark do the same work: they come to the same numbers on a tiny size. Nothing is timed."""

import dataclasses

import numpy as np
import pytest
import torch

from benchmarks import bench_bert, bench_landscape, bench_sharpness, bench_svcca, bench_training, bench_translation
from benchmarks.__main__ import table
from benchmarks.images import digits, noise
from workflow_scripts.datasets.images.in_memory import InMemoryData

torch.set_num_threads(1)


@pytest.mark.parametrize("setting", bench_training.demo_settings(2560), ids=lambda setting: setting.title)
def test_engine_trains_the_same_function(setting):
    bench_training.assert_agreement(dataclasses.replace(setting, batch_size=min(setting.batch_size, 16)))


def test_agreement_tells_a_different_optimizer(monkeypatch):
    monkeypatch.setattr(bench_training, "usual_optimizer", lambda model: torch.optim.SGD(model.parameters(), 1e-4, 0.8))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        bench_training.assert_agreement(bench_training.demo_settings(2560)[0])


@pytest.mark.parametrize(("name", "batch"), [("vgg9", 16), ("vgg9_bn", 40)])
def test_landscape(name, batch):
    points, data = np.array([0.0, 0.3, 1.0]), digits(80)
    for comparison in bench_landscape.comparisons(name, data, 40, batch, points, side=2):
        comparison.agree()


def test_svcca_pair_and_matrix():
    tiny_data = InMemoryData(digits(150))
    bench_svcca.pair(tiny_data, 0.0625).agree()
    bench_svcca.matrix(tiny_data, 0.0625).agree()


def test_sharpness_and_fisher_score():
    data = digits(120)
    bench_sharpness.sharpness(data, steps=4).agree()
    bench_sharpness.fisher(data, images=6).agree()


def test_translation(tmp_path):
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "width": 32, "heads": 2, "ffn": 48}
    setting = bench_translation.Setting("tiny", (210, 210), sizes, 400, text=bench_translation.prepared(tmp_path))
    bench_translation.assert_agreement(setting)
    bench_translation.beam(setting, updates=30, sentences=60).agree()


def test_bert(tmp_path, monkeypatch):
    tiny = {**bench_bert.MODEL, "layers": 1, "width": 32, "heads": 2, "ffn": 48}
    for form, recipe in bench_bert.TASKS.items():
        monkeypatch.setitem(bench_bert.TASKS, form, {**recipe, "model": tiny})
    for comparison in bench_bert.comparisons(tmp_path, repeats=1):
        comparison.agree()


@pytest.mark.parametrize("make", [digits, noise])
def test_images_are_whole_data_sets(make):
    data = make(200)
    assert len(data.x_train) == len(data.y_train) == data.info.train == 200
    assert len(data.x_test) == len(data.y_test) == data.info.test > 0
    pixels = InMemoryData(data).normalise(InMemoryData(data).x["train"])
    assert pixels.mean((0, 2, 3)).abs().max() < 1e-5
    assert (pixels.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5


def test_table_is_markdown():
    lines = table([{"what": "planes", "ours_s": 0.5, "usual_s": 1.75, "ratio": 3.5}]).splitlines()
    assert lines[2] == "| planes | 0.5 | 1.75 | 3.5 |"
    assert len({line.count("|") for line in lines}) == 1
