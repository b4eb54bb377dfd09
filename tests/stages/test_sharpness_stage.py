"""The stages that measure minima, and the range test, as their command lines run them on a few small networks."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from workflow_scripts.evidence.tables import read_table, write_table
from workflow_scripts.landscape.fisher import fisher_score
from workflow_scripts.landscape.sharpness import keskar_sharpness
from workflow_scripts.models import build, checkpoints
from workflow_scripts.models.vision.initialise import initialise
from workflow_scripts.runtime.kernels import small_batches

MODEL = {"name": "resnet10", "width": 0.0625}
ASCENT = {"epsilon": 1e-2, "steps": 12, "learning_rate": 1e-2, "momentum": 0.9, "frozen_batch_norm": False}
SHARPNESS = {**ASCENT, "batch_size": 16, "seed": 1, "data": "tiny"}
FISHER = {"images": 60, "draws": 10, "tolerance": 1e-3, "max_iterations": 50, "seed": 1, "data": "tiny"}
RANGE = {
    "data": "tiny",
    "model": MODEL,
    "initialisation": {"rule": "default"},
    "optimizer": {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4},
    "schedule": {"name": "exponential_range", "lr_min": 1e-4, "lr_max": 1.0},
    "batch_size": 16,
    "samples_per_epoch": 120,
    "augment": True,
    "window": 0.2,
    "seed": 1,
}
DIVERGED = {"state": "diverged", "run": "c" * 12, "step": 7, "epoch": 1.5, "reason": "the loss is not finite"}


def network(tiny_data, seed):
    return initialise(build(MODEL, tiny_data.info), rule="default", seed=seed).eval()


@pytest.fixture(scope="module")
def trials(tiny_data, tmp_path_factory):
    """Checkpoints of two runs, as the workflow lays them out."""
    root = tmp_path_factory.mktemp("results")
    paths = []
    for seed, run in ((1, "a" * 12), (2, "b" * 12)):
        paths.append(root / "runs" / run / "checkpoints" / "epoch-4.safetensors")
        description = {"model": MODEL, "data": "tiny", "at": "epoch-4", "run": run}
        checkpoints.save(paths[-1], network(tiny_data, seed).state_dict(), description)
    return paths


def measure(stage, kind, recipe, paths, data, out, *more):
    """Run a stage; its exit and the table that it wrote, if it wrote one."""
    done, told = stage(kind, "--recipe", json.dumps(recipe), "--data", data, "--out", out, "--device", "cpu",
                       "--checkpoints", *paths, *more)  # fmt: skip
    table = out / f"{kind}.parquet"
    return done, told, read_table(table, kind) if table.exists() else None


def test_sharpness_of_each_trial_is_the_librarys(stage, tiny, tiny_data, trials, tmp_path):
    done, told, table = measure(stage, "sharpness", SHARPNESS, trials, tiny, tmp_path / "sharpness" / "x")
    assert done == 0 and not table.diverged and table.frame["run"].tolist() == ["a" * 12, "b" * 12]
    for seed, row in zip((1, 2), table.frame.itertuples(), strict=True):

        def batches(epoch):
            return tiny_data.epoch_batches(1, epoch, 16, 120, augment=False)

        with small_batches(16 * 64, tiny_data.device):
            found = keskar_sharpness(network(tiny_data, seed), tiny_data, batches, **ASCENT)
        assert row.sharpness == pytest.approx(found.sharpness) and row.loss == pytest.approx(found.loss)
        assert row.sharpness == pytest.approx(100 * (row.ascended_loss - row.loss) / (1 + row.loss))
        assert row.sharpness > 0 and 0 <= row.on_faces <= 1 and row.steps == 12
        assert row.variant == "momentum 0.9, batch norm moving"
    assert table.provenance["recipe"]["epsilon"] == 1e-2 and "a" * 12 in told


def test_fisher_score_of_each_trial_is_the_librarys(stage, tiny, tiny_data, trials, tmp_path):
    done, _, table = measure(stage, "fisher", FISHER, trials, tiny, tmp_path / "fisher" / "x")
    assert done == 0
    for seed, row in zip((1, 2), table.frame.itertuples(), strict=True):
        found = fisher_score(network(tiny_data, seed), lambda: tiny_data.batches("train", 500, 60), seed=1)
        assert row.fisher_score == pytest.approx(found.value, rel=1e-4) and row.fisher_score > 0
        assert (row.converged, row.residual <= 1e-3) == ("yes", True)


def test_the_labels_of_the_data_are_another_measurement(stage, tiny, tiny_data, trials, tmp_path):
    recipe = {**FISHER, "labels": "given"}
    (given,) = measure(stage, "fisher", recipe, trials[:1], tiny, tmp_path / "fisher" / "x")[2].frame.itertuples()
    (drawn,) = measure(stage, "fisher", FISHER, trials[:1], tiny, tmp_path / "fisher" / "y")[2].frame.itertuples()
    found = fisher_score(network(tiny_data, 1), lambda: tiny_data.batches("train", 500, 60), seed=1, labels="given")
    assert given.fisher_score == pytest.approx(found.value, rel=1e-4) != drawn.fisher_score


def test_a_trial_is_measured_once(stage, tiny, trials, tmp_path):
    """What was measured before an interruption, or for another table, is taken from the store and not made again."""
    first = measure(stage, "sharpness", SHARPNESS, trials[:1], tiny, tmp_path / "sharpness" / "x")[2].frame
    (kept,) = (tmp_path / "store").glob("*/finished.json")
    marked = {**json.loads(kept.read_text()), "sharpness": 123.0}
    kept.write_text(json.dumps(marked))
    second = measure(stage, "sharpness", SHARPNESS, trials, tiny, tmp_path / "sharpness" / "y")[2].frame
    assert second["sharpness"].iloc[0] == 123.0 and second["loss"].iloc[0] == first["loss"].iloc[0]
    assert len(list((tmp_path / "store").iterdir())) == 2


@pytest.mark.parametrize("change", [{"momentum": 0.0}, {"frozen_batch_norm": True}, {"steps": 3}, {"seed": 2}])
def test_another_setting_is_another_measurement(stage, tiny, trials, tmp_path, change):
    usual = measure(stage, "sharpness", SHARPNESS, trials[:1], tiny, tmp_path / "sharpness" / "x")[2].frame
    other = measure(stage, "sharpness", {**SHARPNESS, **change}, trials[:1], tiny, tmp_path / "sharpness" / "y")[
        2
    ].frame
    assert other["loss"].iloc[0] == usual["loss"].iloc[0]
    assert other["sharpness"].iloc[0] != usual["sharpness"].iloc[0]
    told = {"momentum": "momentum 0, batch norm moving", "frozen_batch_norm": "momentum 0.9, batch norm frozen"}
    for setting in change:
        assert other["variant"].iloc[0] == told.get(setting, "momentum 0.9, batch norm moving")


def test_the_same_contents_under_another_name_are_the_same_trial(stage, tiny, trials, tmp_path):
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes(trials[0].read_bytes())
    one = measure(stage, "fisher", FISHER, trials[:1], tiny, tmp_path / "fisher" / "x")[2].frame
    other = measure(stage, "fisher", FISHER, [copy], tiny, tmp_path / "fisher" / "y")[2].frame
    pd.testing.assert_frame_equal(one, other)
    assert len(list((tmp_path / "store").iterdir())) == 1


def test_somebodys_own_checkpoint_is_called_by_its_file(stage, tiny, tiny_data, tmp_path):
    path = tmp_path / "mine.safetensors"
    checkpoints.save(path, network(tiny_data, 3).state_dict(), {})
    out = tmp_path / "fisher" / "x"
    done, told, _ = measure(stage, "fisher", FISHER, [path], tiny, out)
    assert "name the model" in str(done) and "Traceback" not in told
    assert measure(stage, "fisher", {**FISHER, "model": MODEL}, [path], tiny, out)[2].frame["run"].tolist() == ["mine"]


def test_a_trial_that_diverged_is_told_and_the_others_are_measured(stage, tiny, trials, tmp_path):
    lost = tmp_path / "runs" / ("c" * 12) / "checkpoints" / "epoch-4.safetensors"
    write_table(lost.parent.parent / "metrics.parquet", pd.DataFrame(), "metrics", DIVERGED)
    _, _, table = measure(stage, "sharpness", SHARPNESS, [lost, *trials], tiny, tmp_path / "sharpness" / "x")
    assert table.status == DIVERGED and len(table.frame) == 2


def test_a_loss_that_is_not_finite_has_no_sharpness(stage, tiny, tiny_data, tmp_path):
    path = tmp_path / "wild.safetensors"
    state = network(tiny_data, 1).state_dict()
    state["classifier.bias"] = torch.full_like(state["classifier.bias"], -3e38)
    state["classifier.bias"][0] = 3e38
    checkpoints.save(path, state, {"model": MODEL, "run": "d" * 12})
    for _ in range(2):  # measured, and from the store
        row = measure(stage, "sharpness", SHARPNESS, [path], tiny, tmp_path / "sharpness" / "x")[2].frame.iloc[0]
        assert math.isnan(row["sharpness"]) and row["steps"] == 0


@pytest.mark.parametrize("kind", ["sharpness", "fisher"])
def test_a_missing_checkpoint_and_an_unfinished_recipe_are_told(stage, tiny, trials, tmp_path, kind):
    recipe = SHARPNESS if kind == "sharpness" else FISHER
    done, _, table = measure(stage, kind, recipe, [tmp_path / "none.safetensors"], tiny, tmp_path / "x")
    assert "none.safetensors" in str(done) and table is None
    incomplete = {key: value for key, value in recipe.items() if key != "seed"}
    assert "the JSON lacks seed" in str(measure(stage, kind, incomplete, trials, tiny, tmp_path / "x")[0])


# --- range test ------------------------------------------------------------------------------------------------------


def swept(stage, data, out, **change):
    done, _ = stage("range_test", "--recipe", json.dumps({**RANGE, **change}), "--data", data, "--out", out,
                    "--device", "cpu")  # fmt: skip
    assert done == 0
    return read_table(out / "range_test.parquet", "range_test")


def test_the_range_test_sweeps_one_pass_exponentially(stage, tiny, tmp_path):
    table = swept(stage, tiny, tmp_path / "x")
    frame = table.frame
    assert frame["step"].tolist() == list(range(1, len(frame) + 1)) and len(frame) <= 8
    assert table.provenance["sweep"] == ("finished" if len(frame) == 8 else "exploded")
    ratios = frame["rate"].iloc[1:].to_numpy() / frame["rate"].iloc[:-1].to_numpy()
    assert ratios == pytest.approx(np.full(len(frame) - 1, 10 ** (4 / 8)))
    assert frame["minimum"].nunique() == 1 and frame["suggestion"].iloc[0] == pytest.approx(frame["minimum"][0] / 10)
    assert frame["minimum"][0] == frame["rate"][frame["smoothed_loss"].idxmin()]


def test_the_range_test_is_a_function_of_its_recipe(stage, tiny, tmp_path):
    one, two = (swept(stage, tiny, tmp_path / name).frame for name in "xy")
    pd.testing.assert_frame_equal(one, two)
    assert swept(stage, tiny, tmp_path / "z", seed=2).frame["loss"].iloc[0] != one["loss"].iloc[0]


def test_a_sweep_to_enormous_rates_ends_early(stage, tiny, tmp_path):
    wild = swept(stage, tiny, tmp_path / "x", schedule={"name": "exponential_range", "lr_min": 1.0, "lr_max": 1e9})
    assert wild.provenance["sweep"] in ("exploded", "non-finite") and len(wild.frame) < 8
