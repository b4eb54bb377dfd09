"""Each stage alone, on anyone's files: what it makes of them, and what it says where it cannot."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.shared.recipes import CURVE, RECIPE, small_recipe
from tests.shared.stages import call_stage
from workflow_scripts import models
from workflow_scripts.base.arguments import COUNTS, read_json
from workflow_scripts.base.errors import InputError
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.models.vision.initialise import initialise
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.recipes.schema import read_yaml
from workflow_scripts.tasks.evaluation import evaluate
from workflow_scripts.training.job import Job, Trainer, export
from workflow_scripts.training.settings import Settings

ROOT = Path(__file__).parents[2]
MODEL = RECIPE["model"]
RECIPES = {
    "curve": {**CURVE, "model": MODEL},
    "plane": {"side": 3, "margin": 0.2, "images": None, "model": MODEL},
    "similarity": {"images": 100, "diagonal_only": False, "model": MODEL},
    "embedding": {"perplexity": 2, "seed": 0, "model": MODEL},
}
STAGES = {
    "train": "--job", "prepare_data": "--source", "curve": "--start", "plane": "--iterates", "similarity": "--first",
    "embedding": "--mode", "sharpness": "--checkpoints", "fisher": "--checkpoints", "range_test": "--recipe",
    "lease": "--gpus",
}  # fmt: skip


class Foreign:
    """Checkpoints of somebody else: tensors in safetensors files, and nothing that describes them."""

    def __init__(self, folder, tiny_data):
        self.folder, self.networks = folder, {}
        for number, name in enumerate(("a", "b", "c")):
            network = initialise(models.build(MODEL, tiny_data.info), 1.0, seed=number)
            self.networks[name] = network.eval()
            save_file(network.state_dict(), folder / f"{name}.safetensors")
        (folder / "iterates").mkdir()
        for epoch, name in ((1, "c"), (10, "a")):
            shutil.copy(self[name], folder / "iterates" / f"epoch-{epoch}.safetensors")

    def __getitem__(self, name):
        return self.folder / f"{name}.safetensors"


@pytest.fixture(scope="module")
def foreign(tiny_data, tmp_path_factory):
    return Foreign(tmp_path_factory.mktemp("foreign"), tiny_data)


@pytest.fixture(scope="module")
def curve(foreign, tiny, tmp_path_factory):
    """The folder of a curve between two of them."""
    out = tmp_path_factory.mktemp("results") / "curve" / "ab"
    status, told = call_stage("curve", *command("curve", tiny, out, "--start", foreign["a"], "--end", foreign["b"]))
    assert status == 0, told
    return out


def command(stage, data, out, *more, **changes):
    recipe = json.dumps({**RECIPES[stage], **changes})
    return ["--recipe", recipe, "--data", data, "--out", out, "--device", "cpu", *more]


def arguments_of(stage, foreign, curve):
    """What each stage needs besides the recipe, the data and the folder."""
    return {
        "curve": ["--start", foreign["a"], "--end", foreign["b"]],
        "plane": ["--start", foreign["a"], "--end", foreign["b"], "--curve", curve],
        "similarity": ["--first", foreign["a"], "--second", foreign["b"]],
        "embedding": ["--mode", "A", foreign["a"], "--mode", "B", foreign["b"], "--mode", "C", foreign["c"]],
    }[stage]


# --- anyone's checkpoints --------------------------------------------------------------------------------------------


def test_a_curve_between_anyones_checkpoints(curve, foreign, tiny_data):
    table = read_table(curve / "curve.parquet", "path")
    assert table.status == {"state": "finished"} and table.provenance["recipe"]["model"] == MODEL
    frame = table.frame
    assert set(zip(frame.path, frame.epoch, strict=True)) == {("segment", 0), ("curve", 2), ("curve", 4)}
    for t, name in ((0.0, "a"), (1.0, "b")):
        totals = evaluate(foreign.networks[name], tiny_data, "test")
        for path in ("segment", "curve"):
            end = frame[(frame.path == path) & (frame.t == t) & (frame.split == "test")]
            assert end[end.metric == "loss"].value.to_numpy() == pytest.approx(totals.loss, rel=1e-4)
            assert end[end.metric == "accuracy"].value.to_numpy() == pytest.approx(totals.accuracy)
    bends = load_file(curve / "bends.safetensors")
    size = sum(parameter.numel() for parameter in foreign.networks["a"].parameters())
    assert {name: tuple(bend.shape) for name, bend in bends.items()} == {"epoch-2": (1, size), "epoch-4": (1, size)}


def test_a_plane_through_anyones_checkpoints(curve, foreign, tiny, tmp_path):
    ends = ["--start", foreign["a"], "--end", foreign["b"], "--curve", curve]
    status, told = call_stage(
        "plane", *command("plane", tiny, tmp_path, *ends, "--iterates", foreign.folder / "iterates")
    )
    assert status == 0, told
    plane, points = (
        read_table(tmp_path / "plane.parquet", "plane"),
        read_table(tmp_path / "points.parquet", "plane_points"),
    )
    assert len(plane.frame) == 9 * 2 * 2
    vertices = points.frame[(points.frame.kind == "vertex") & (points.frame.method == "affine")].set_index("label")
    distance = np.sqrt(
        sum(((x - y) ** 2).sum().item() for x, y in zip(*(foreign.networks[n].parameters() for n in "ab"), strict=True))
    )
    assert list(vertices.index) == ["a", "b", "bend"]
    assert tuple(vertices.loc["a", ["x", "y"]]) == (0, 0)
    assert vertices.loc["b", "x"] == pytest.approx(distance, rel=1e-5)
    iterates = points.frame[points.frame.kind == "iterate"].set_index(["label", "method"])
    assert set(iterates.index) == {(label, method) for label in ("w1", "w10") for method in ("affine", "linear")}
    assert iterates.loc[("w10", "affine"), "residual"] == pytest.approx(0, abs=1e-3)  # a itself lies in the plane
    assert iterates.loc[("w1", "affine"), "residual"] > 1


def test_a_plane_through_checkpoints_of_one_name(curve, foreign, tiny, tmp_path):
    """Two trainings' last epochs are called alike."""
    for name in "ab":
        (tmp_path / name).mkdir()
        shutil.copy(foreign[name], tmp_path / name / "epoch-7.safetensors")
    ends = ["--start", tmp_path / "a/epoch-7.safetensors", "--end", tmp_path / "b/epoch-7.safetensors"]
    status, told = call_stage("plane", *command("plane", tiny, tmp_path / "out", *ends, "--curve", curve))
    assert status == 0, told
    points = read_table(tmp_path / "out" / "points.parquet", "plane_points").frame
    assert list(points.label.unique()) == ["w7 (start)", "w7 (end)", "bend"]
    assert list(points.drop_duplicates("label").epoch) == [7, 7, -1]


def test_checkpoints_of_a_wrapped_network_are_the_networks(curve, foreign, tiny, tmp_path):
    for name, prefix in (("a", "module."), ("b", "_orig_mod.")):
        state = foreign.networks[name].state_dict()
        save_file({prefix + key: tensor for key, tensor in state.items()}, tmp_path / f"{name}.safetensors")
    tables = []
    for number, place in enumerate((foreign.folder, tmp_path)):
        ends = ["--start", place / "a.safetensors", "--end", place / "b.safetensors", "--curve", curve]
        assert call_stage("plane", *command("plane", tiny, tmp_path / str(number), *ends)) == (0, "")
        tables.append(read_table(tmp_path / str(number) / "plane.parquet", "plane").frame)
    assert tables[0].equals(tables[1])


def test_plain_cca_keeps_every_direction(foreign, tiny, tmp_path):
    both = ["--first", foreign["a"], "--second", foreign["b"]]
    ranks = {}
    for name, options in (("usual", {}), ("named", {"variance_kept": 0.99}), ("plain", {"variance_kept": 1})):
        assert call_stage("similarity", *command("similarity", tiny, tmp_path / name, *both, **options))[0] == 0
        ranks[name] = read_table(tmp_path / name / "similarity.parquet", "similarity").frame
    assert ranks["usual"].equals(ranks["named"])
    assert (ranks["plain"].rank_a >= ranks["usual"].rank_a).all() and (ranks["plain"].rank_a.iloc[-1] == 10)
    wrong = command("similarity", tiny, tmp_path, *both, variance_kept=99)
    assert "share of the variance that is kept is 99" in call_stage("similarity", *wrong)[0]


def test_the_similarity_of_anyones_checkpoints(foreign, tiny, tmp_path):
    both = ["--first", foreign["a"], "--second", foreign["a"]]
    assert call_stage("similarity", *command("similarity", tiny, tmp_path, *both)) == (0, "")
    frame = read_table(tmp_path / "similarity.parquet", "similarity").frame
    own = frame[frame.layer_a == frame.layer_b]
    assert own.similarity.to_numpy() == pytest.approx(1, abs=1e-6)
    assert frame.similarity.between(0, 1 + 1e-9).all() and (frame.n > 0).all()
    assert len(frame) == len(own) ** 2


def test_two_models_can_be_compared(foreign, tiny_data, tiny, tmp_path):
    student = {"name": "student", "width": 0.0625}
    network = initialise(models.build(student, tiny_data.info), 1.0, seed=5)
    save_file(network.state_dict(), tmp_path / "student.safetensors")
    both = ["--first", foreign["a"], "--second", tmp_path / "student.safetensors"]
    spec = {"models": {"first": MODEL, "second": student}}
    assert call_stage("similarity", *command("similarity", tiny, tmp_path, *both, **spec)) == (0, "")
    frame = read_table(tmp_path / "similarity.parquet", "similarity").frame
    assert frame.layer_a.nunique() > frame.layer_b.nunique() == 10


def test_an_embedding_of_anyones_checkpoints(curve, foreign, tiny, tmp_path):
    names = arguments_of("embedding", foreign, curve)
    assert call_stage("embedding", *command("embedding", tiny, tmp_path, *names, "--curve", "AB", curve)) == (0, "")
    frame = read_table(tmp_path / "embedding.parquet", "embedding").frame
    assert dict(zip(frame.name, frame.kind, strict=True)) == {"A": "mode", "B": "mode", "C": "mode", "AB": "bend"}
    assert np.isfinite(frame[["x", "y"]].to_numpy()).all()


def test_a_recipe_may_be_a_file(foreign, tiny, tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPES["similarity"]))
    both = ["--first", foreign["a"], "--second", foreign["b"], "--data", tiny, "--out", tmp_path]
    assert call_stage("similarity", "--recipe", tmp_path / "recipe.json", *both) == (0, "")


# --- help and mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", RECIPES)
def test_what_a_stage_needs_is_declared_for_it(stage):
    """Planning adds the images of an epoch; all else has to stand in a paper's defaults."""
    needed = set(importlib.import_module(f"workflow_scripts.stages.{stage}").EXAMPLE) - {"samples_per_epoch"}
    schema = read_yaml(ROOT / "schemas" / "analyses.schema.yaml")
    assert set(schema["properties"]["defaults"]["properties"][stage]["required"]) == needed


MODULES = {"lease": "workflow_scripts.runtime.lease"}  # all others are in workflow_scripts/stages


@pytest.mark.parametrize("stage", STAGES)
def test_help_helps(stage):
    status, told = call_stage(MODULES.get(stage, stage).removeprefix("workflow_scripts."), "--help")
    assert (
        status == 0
        and STAGES[stage] in told
        and f"python -m {MODULES.get(stage, f'workflow_scripts.stages.{stage}')}" in told
    )
    if "example of a recipe: " in told:
        example = json.loads(told.split("example of a recipe: ")[1].splitlines()[0])
        assert set(example) <= set(RECIPES.get(stage, example))
        assert ("model" in example) != ('"model": {"name": "my.module:f"' in told), "how to name a model"
    if stage == "train":
        assert set(json.loads(told.split("example of a job: ")[1])["recipe"]) == set(RECIPE) - {"engine"}


@pytest.mark.parametrize("stage", RECIPES)
@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        ("data", ["nowhere", "no prepared data set", "python -m workflow_scripts.stages.prepare_data"]),
        ("checkpoint", ["there is no checkpoint at", "nowhere.safetensors"]),
        ("truncated", ["short.safetensors", "cut short or not a safetensors file"]),
        ("pickle", ["pickle.safetensors", "cut short or not a safetensors file", "save_file"]),
        ("undescribed", ["does not say of which model it is"]),
        ("other model", ["is a checkpoint of another model"]),
        ("not a number", ["NaN or infinite values", "diverged"]),
        ("not json", ["'{perplexity: 5}' is not JSON"]),
        ("not a mapping", ["'[1]' is not a JSON mapping", "--help"]),
        ("empty", ["the JSON lacks"]),
        ("no file", ["nowhere.json cannot be read (No such file or directory)"]),
    ],
)
def test_a_mistake_is_told_in_a_sentence(stage, mistake, expected, foreign, curve, tiny, tmp_path):
    out, more = tmp_path / "out", arguments_of(stage, foreign, curve)
    given = command(stage, tiny, out)
    bad = tmp_path / "nowhere.safetensors"
    if mistake == "data":
        given[3] = tmp_path / "nowhere"
    elif mistake in ("checkpoint", "truncated", "pickle", "not a number"):
        if mistake == "truncated":
            bad = tmp_path / "short.safetensors"
            bad.write_bytes(foreign["a"].read_bytes()[:-100])
        elif mistake == "pickle":
            bad = tmp_path / "pickle.safetensors"
            torch.save(foreign.networks["a"].state_dict(), bad)
        elif mistake == "not a number":
            bad = tmp_path / "nan.safetensors"
            state = load_file(foreign["a"])
            save_file({**state, "features.0.bias": state["features.0.bias"] * float("nan")}, bad)
        more = [bad if value == foreign["a"] else value for value in more]
    elif mistake == "undescribed":
        given[1] = json.dumps({key: value for key, value in RECIPES[stage].items() if key != "model"})
    elif mistake == "other model":
        given = command(stage, tiny, out, model={"name": "vgg9", "width": 0.125})
    else:
        given[1] = {"not json": "{perplexity: 5}", "not a mapping": "[1]", "empty": "{}", "no file": "nowhere.json"}[
            mistake
        ]
    sentence, printed = call_stage(stage, *given, *more)
    assert isinstance(sentence, str) and sentence.startswith("error: "), printed
    assert all(part in sentence for part in expected), sentence
    assert not [path for path in out.rglob("*") if path.is_file()]


@pytest.mark.parametrize("stage", ["plane", "embedding"])
@pytest.mark.parametrize("mistake", ["no folder", "no bends", "damaged bends", "damaged table"])
def test_a_curve_that_cannot_be_read_is_told(stage, mistake, foreign, curve, tiny, tmp_path):
    folder = tmp_path / "curve"
    if mistake != "no folder":
        shutil.copytree(curve, folder)
    if mistake == "no bends":
        (folder / "bends.safetensors").unlink()
    elif mistake == "damaged bends":
        (folder / "bends.safetensors").write_bytes(b"nothing")
    elif mistake == "damaged table":
        (folder / "curve.parquet").write_bytes(b"nothing")
    more = [folder if value == curve else value for value in arguments_of(stage, foreign, curve)]
    more += ["--curve", "AB", folder] if stage == "embedding" else []
    sentence, _ = call_stage(stage, *command(stage, tiny, tmp_path / "out", *more))
    assert str(sentence).startswith("error: ") and str(folder) in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"form": "spline"}, "spline"),
        ({"save": [9]}, "[9]"),
        ({"schedule": {"name": "hold"}}, "'hold' is unknown"),
        ({"optimizer": {"momentum": 0.9, "weight_decay": 0, "name": "sgd"}}, "name"),
        ({"perplexity": 3}, "perplexity of 3 with 3 vectors"),
        ({"diagonal_only": True, "images": 1}, "1"),
    ],
)
def test_a_setting_that_cannot_be_is_told(change, expected, foreign, curve, tiny, tmp_path):
    stage = next(stage for stage, recipe in RECIPES.items() if next(iter(change)) in recipe)
    more = arguments_of(stage, foreign, curve)
    sentence, _ = call_stage(stage, *command(stage, tiny, tmp_path / "out" / stage / "x", *more, **change))
    assert str(sentence).startswith("error: ") and expected in sentence, sentence


@pytest.mark.parametrize("stage", ["curve", "plane", "similarity", "fisher", "sharpness"])
def test_what_is_measured_on_images_is_told_of_text(stage, foreign, curve, documents, tmp_path):
    example = importlib.import_module(f"workflow_scripts.stages.{stage}").EXAMPLE
    more = arguments_of(stage, foreign, curve) if stage in RECIPES else ["--checkpoints", foreign["a"]]
    recipe = canonical({**example, "model": MODEL})
    arguments = ("--recipe", recipe, "--data", documents, "--device", "cpu", "--out", tmp_path / "out" / stage / "x")
    assert call_stage(stage, *arguments, *more)[0] == (
        "error: grammar_documents is text (documents), and this is measured on images"
    )


@pytest.mark.parametrize(("stage", "model"), [("translate", "transformer"), ("answer", "bert")])
def test_help_shows_how_to_name_the_model(stage, model):
    for module in stage, f"commands.{stage}":
        assert f'"model": {{"name": "{model}"' in call_stage(module, "--help")[1]


ANALYSES = ("curve", "plane", "similarity", "embedding", "sharpness", "fisher", "range_test", "translate", "answer")


@pytest.mark.parametrize("stage", ANALYSES)
def test_a_setting_of_another_type_is_told_and_named(stage):
    """Before anything is read, and for all of them together."""
    example = importlib.import_module(f"workflow_scripts.stages.{stage}").EXAMPLE
    assert read_json(json.dumps(example), example) == example
    wrong = {key: "x" if isinstance(value, dict) else {"a": 1} for key, value in example.items()}
    counts = COUNTS.intersection(example)
    for key in example:
        with pytest.raises(InputError, match=key):
            read_json(json.dumps({**example, key: wrong[key]}), example)
        if isinstance(example[key], int | float) and not isinstance(example[key], bool):
            with pytest.raises(InputError, match=rf"{key} has too many digits; it must be at most"):
                read_json(json.dumps({**example, key: 10**400}), example)
        with pytest.raises(InputError, match="is no finite number"):
            read_json(json.dumps({**example, key: float("nan")}), example)
    with pytest.raises(InputError) as error:
        read_json(json.dumps({**wrong, **{key: 1 for key in counts}}), example)
    assert all(f"- {key} is " in str(error.value) for key in example if key not in counts)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ("{", "is not JSON"),
        ("nowhere.json", "nowhere.json cannot be read"),
        ('{"recipe": {}}', "lacks checkpoints"),
        ('{"recipe": 5, "checkpoints": {}}', "recipe is 5; it must be a mapping"),
        ('{"recipe": {"data": "tiny"}, "checkpoints": {}}', "lacks model, optimizer, schedule"),
        (canonical({"recipe": small_recipe(model={"name": "vgg61"}), "checkpoints": {}}), "no model 'vgg61'"),
        (canonical({"recipe": small_recipe(schedule={"name": "stair"}), "checkpoints": {}}), "'stair' is unknown"),
        (canonical({"recipe": small_recipe(optimizer={"name": "lion"}), "checkpoints": {}}), "no optimizer 'lion'"),
    ],
)
def test_a_job_that_cannot_be_trained_is_told(job, expected, tiny, tmp_path):
    out = tmp_path / "runs" / "x"
    sentence, _ = call_stage("train", "--job", job, "--data", tiny, "--out", out, "--device", "cpu")
    assert str(sentence).startswith("error: ") and expected in sentence
    assert not out.exists()


def test_a_command_line_ends_with_one_line_and_status_1(foreign, tmp_path):
    command_line = [
        sys.executable,
        "-m",
        "workflow_scripts.stages.train",
        "--job",
        "{}",
        "--data",
        ".",
        "--out",
        tmp_path / "x",
    ]
    done = subprocess.run(command_line, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == "error: the JSON lacks recipe, checkpoints; --help shows an example\n"


def test_a_place_that_cannot_be_written_is_told(foreign, tiny, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    more = arguments_of("similarity", foreign, None)
    sentence, _ = call_stage("similarity", *command("similarity", tiny, tmp_path / "file" / "out", *more))
    assert str(sentence).startswith("error: Not a directory") and str(tmp_path / "file") in sentence


# --- what diverged ---------------------------------------------------------------------------------------------------

HUGE = {"name": "piecewise", "rates": [[2, 0.01], [2, 1e20]]}


class Diverged:
    """A run that diverged after its second epoch, as the workflow leaves it."""

    def __init__(self, data, folder):
        job = Job(small_recipe(schedule=HUGE), {"epoch-2": 6, "epoch-4": 12})
        store = Trainer(Settings(data, folder / "store", "cpu")).finish(job)
        export(store, job, folder / "runs" / job.id)
        self.id, self.folder = job.id, folder / "runs" / job.id
        self.before, self.after = (self.folder / "checkpoints" / f"epoch-{epoch}.safetensors" for epoch in (2, 4))


@pytest.fixture(scope="module")
def diverged(tiny, tmp_path_factory):
    return Diverged(tiny, tmp_path_factory.mktemp("results"))


def test_what_rests_on_a_divergence_says_so_and_the_rest_goes_on(diverged, foreign, tiny, tmp_path):
    assert diverged.before.exists() and not diverged.after.exists()
    curve = tmp_path / "curve" / "x"
    ends = ["--start", foreign["a"], "--end", diverged.after]
    assert call_stage("curve", *command("curve", tiny, curve, *ends)) == (0, "")
    assert load_file(curve / "bends.safetensors") == {}
    plane = tmp_path / "plane" / "x"
    assert call_stage("plane", *command("plane", tiny, plane, *ends, "--curve", curve)) == (0, "")
    both = ["--first", diverged.after, "--second", foreign["a"]]
    assert call_stage("similarity", *command("similarity", tiny, tmp_path, *both)) == (0, "")
    tables = {
        "path": curve / "curve.parquet",
        "plane": plane / "plane.parquet",
        "plane_points": plane / "points.parquet",
        "similarity": tmp_path / "similarity.parquet",
    }
    for kind, path in tables.items():
        table = read_table(path, kind)
        assert table.frame.empty and table.diverged
        assert (table.status["run"], table.status["step"]) == (diverged.id, 8)


def test_checkpoints_from_before_a_divergence_are_as_good_as_any(diverged, foreign, tiny, tmp_path):
    both = ["--first", diverged.before, "--second", foreign["a"]]
    assert call_stage("similarity", *command("similarity", tiny, tmp_path, *both)) == (0, "")
    assert not read_table(tmp_path / "similarity.parquet", "similarity").diverged


def test_a_diverged_mode_is_left_out_of_the_embedding(diverged, foreign, curve, tiny, tmp_path):
    lost = tmp_path / "curve" / "x"
    ends = ["--start", foreign["a"], "--end", diverged.after]
    assert call_stage("curve", *command("curve", tiny, lost, *ends))[0] == 0
    names = [*arguments_of("embedding", foreign, curve), "--mode", "D", diverged.after]
    curves = ["--curve", "AB", curve, "--curve", "AD", lost]
    assert call_stage("embedding", *command("embedding", tiny, tmp_path, *names, *curves)) == (0, "")
    table = read_table(tmp_path / "embedding.parquet", "embedding")
    assert table.frame.name.tolist() == ["A", "B", "C", "AB"]
    assert table.diverged and table.status["run"] == diverged.id
    # One that is missing for no such reason is a mistake all the same.
    sentence, _ = call_stage(
        "embedding", *command("embedding", tiny, tmp_path, *names, "--mode", "E", tmp_path / "e.st")
    )
    assert "there is no checkpoint at" in sentence and "e.st" in sentence


def test_an_embedding_of_nothing_but_divergences_is_empty(diverged, tiny, tmp_path):
    only = ["--mode", "D", diverged.after]
    assert call_stage("embedding", *command("embedding", tiny, tmp_path, *only)) == (0, "")
    table = read_table(tmp_path / "embedding.parquet", "embedding")
    assert table.frame.empty and table.diverged


def test_a_curve_that_diverges_itself_says_so(foreign, curve, tiny, tmp_path):
    ends = ["--start", foreign["a"], "--end", foreign["b"]]
    lost = tmp_path / "curve" / "x"
    wild = {"schedule": {"name": "constant", "lr": 1e30}}
    assert call_stage("curve", *command("curve", tiny, lost, *ends, **wild))[0] == 0
    table = read_table(lost / "curve.parquet", "path")
    assert table.diverged and "curve" in table.status["reason"] and set(table.frame.path) == {"segment"}
    assert np.isfinite(table.frame.value).all()
    assert load_file(lost / "bends.safetensors") == {}
    plane = tmp_path / "plane" / "x"
    assert call_stage("plane", *command("plane", tiny, plane, *ends, "--curve", lost)) == (0, "")
    assert read_table(plane / "plane.parquet", "plane").status == table.status
    names = [*arguments_of("embedding", foreign, curve), "--curve", "AB", lost]
    assert call_stage("embedding", *command("embedding", tiny, tmp_path, *names)) == (0, "")
    assert read_table(tmp_path / "embedding.parquet", "embedding").status == table.status
