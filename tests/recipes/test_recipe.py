"""A training's recipe: its keys, defaults and checks stand in one record, and it is the same after a trip as JSON."""

import json
import math
from pathlib import Path

import pytest

from tests.shared.recipes import RECIPE
from workflow_scripts.base.errors import InputError
from workflow_scripts.recipes.canonical import canonical, fingerprint
from workflow_scripts.recipes.job import Job
from workflow_scripts.recipes.recipe import OF_TEXT, OPTIMIZERS, ImageRecipe, keys, kind_of, needed, read, with_fallback
from workflow_scripts.recipes.schema import read_yaml
from workflow_scripts.training.optimizers import OPTIMIZERS as BUILT

ROOT = Path(__file__).parents[2]
GENERAL = {key: RECIPE[key] for key in ("data", "model", "optimizer", "epochs", "evaluate_every", "seed")}
GENERAL |= {"schedule": {"name": "linear", "lr": 0.1}, "updates_per_epoch": 5}
OWN = {
    "translation": {"batch_tokens": 100},
    "masked_lm": {"batch_size": 4, "lengths": [[3, 16], [1, 32]]},
    "question_answering": {"batch_size": 4},
}
ALL = {"images": RECIPE} | {task: {**GENERAL, "task": task, **own} for task, own in OWN.items()}


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_is_the_same_after_a_trip_as_json(name):
    job = Job(read(ALL[name]), {"epoch-4": 12})
    again = Job.parse(job.text)
    assert again == job and again.id == job.id == fingerprint(dict(job.recipe)) and again.recipe.problems() == []
    assert type(again.recipe) is kind_of(ALL[name].get("task"))


@pytest.mark.parametrize("name", ALL)
def test_defaults_are_part_of_the_identity(name):
    """Whoever leaves out a default means the same training as who writes it down."""
    written = json.loads(canonical(read(ALL[name])))
    short = {key: written[key] for key in needed(type(read(written))) if key in written}
    assert short.keys() < written.keys() and fingerprint(read(short)) == fingerprint(written)


def test_cutoff_is_known_to_be_computed_otherwise_than_it_was():
    """What it cuts no longer depends on the number of processes; no other training has changed with it."""
    assert [read(ALL["translation"] | {"cutoff": cutoff})["engine"] for cutoff in (False, True)] == [1, 2]
    assert {read(recipe)["engine"] for recipe in ALL.values()} == {1}
    assert read(ALL["translation"] | {"cutoff": True, "engine": 1})["engine"] == 1  # as an older table has it


def test_a_recipe_of_images_has_no_task():
    """Their identities are older than tasks are."""
    assert "task" not in read(RECIPE) and set(read(RECIPE)) == set(RECIPE) == set(keys(ImageRecipe)) - {"task"}
    assert fingerprint(read(RECIPE)) == fingerprint(RECIPE)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"colour": "red"}, "unknown key colour; allowed are engine, data"),
        ({"batch_tokens": 3}, "unknown key batch_tokens"),
        ({"task": "translation"}, "the recipe lacks updates_per_epoch, batch_tokens"),
        ({"epochs": True}, "epochs is True; it must be a whole number of at least 1"),
        ({"image_sides": [[3, 8]]}, "image_sides has 3 epochs, but the run has 4"),
        (
            {"optimizer": {"name": "adam", "momentum": 0.9}},
            "optimizer: adam has no 'momentum'; allowed are name, betas",
        ),
        ({"initialisation": {"rule": "default", "variance": 1}}, "the rule 'default' has no variance"),
    ],
)
def test_what_a_recipe_cannot_be_is_told(change, told):
    with pytest.raises(InputError) as error:
        Job.read({"recipe": {**RECIPE, **change}, "checkpoints": {}})
    assert told in str(error.value)


@pytest.mark.parametrize(
    "value", [None, "x", [], [[1]], {}, {"a": 1}, -1, 1.5, True, "NaN"], ids=lambda value: json.dumps(value)
)
@pytest.mark.parametrize("name", ALL)
def test_a_key_of_another_type_is_told_and_named(name, value):
    """What a hand-written job may hold in place of each key: a recipe, or a sentence that names the key."""
    value = math.nan if value == "NaN" else value
    for key in ALL[name]:
        try:
            found = Job.read({"recipe": {**ALL[name], key: value}, "checkpoints": {}}).recipe[key]
        except InputError as error:
            assert key in str(error) or key == "task"
        else:
            good, null = ALL[name][key], value is None and key in ("image_sides", "freeze", "distillation", "fallback")
            assert (
                null or type(found) is type(good) or (good is None and isinstance(value, dict | list)) or key == "task"
            )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"initialisation": {"a": 1}}, "initialisation has the unknown key 'a'"),
        ({"initialisation": {"variance": "3"}}, "initialisation.variance is '3'; it must be a number"),
        ({"optimizer": {"name": []}}, "optimizer.name is []; it must be text"),
        (
            {"optimizer": {"name": "sgd", "weight_decay": 1e300}},
            "weight_decay has too many digits; it must be at most 3.4e+38",
        ),
        ({"seed": 10**30}, "seed has too many digits; it must be at most 9.22e+18"),
        (
            {"optimizer": {"name": "sgd", "weight_decay": -1}},
            "weight_decay is -1; it must be a finite number, at least 0",
        ),
        ({"optimizer": {"name": "sgd", "momentum": 1}}, "momentum is 1"),
        ({"optimizer": {"name": "adam", "eps": 0}}, "eps is 0"),
        ({"optimizer": {"name": "adam", "betas": [0.9]}}, "optimizer.betas is [0.9]; it must be a list of 2"),
        ({"freeze": {"part": "classifier"}}, "freeze has the keys part; it must have part, steps"),
        ({"freeze": {"part": "classifier", "steps": "all"}}, "freeze.steps is 'all'; it must be a whole number"),
        ({"distillation": {"temperature": 5}}, "distillation has the keys temperature"),
        ({"image_sides": [4, 8]}, "image_sides.0 is 4; it must be a list of 2"),
    ],
)
def test_what_a_part_of_a_recipe_cannot_be_is_told(change, told):
    with pytest.raises(InputError) as error:
        Job.read({"recipe": {**RECIPE, **change}, "checkpoints": {}})
    assert told in str(error.value)


def test_problems_are_told_together():
    wrong = {**RECIPE, "optimizer": {"name": "lion"}, "schedule": {"name": "stair"}}
    with pytest.raises(InputError) as error:
        Job.read({"recipe": wrong, "checkpoints": {"last": 3, "epoch-1": -1}})
    told = str(error.value)
    assert all(part in told for part in ("'lion'", "'stair' is unknown", "last: 3", "epoch-1: -1"))


def test_a_fallback_changes_what_it_names():
    recipe = read({**RECIPE, "fallback": {"initialisation": {"variance": 2.0}, "optimizer": {"momentum": 0.5}}})
    other = with_fallback(recipe)
    assert dict(other) == {
        **recipe,
        "initialisation": {"variance": 2.0},
        "optimizer": {**RECIPE["optimizer"], "momentum": 0.5},
    }


def test_what_papers_may_declare_are_keys_of_recipes():
    """The schema describes what papers say; of each key a recipe has one, and of each option of an optimizer too."""
    run = read_yaml(ROOT / "schemas" / "runs.schema.yaml")["$defs"]
    known = {key for kind in (ImageRecipe, *OF_TEXT.values()) for key in keys(kind)}
    assert set(run["run"]["properties"]) == (known - {"engine", "samples_per_epoch"}) | {"trials"}
    assert set(run["run"]["properties"]["task"]["enum"]) == set(OF_TEXT)
    assert set(run["optimizer"]["properties"]) == {option for options in OPTIMIZERS.values() for option in options}
    assert set(OPTIMIZERS) == set(BUILT) == set(run["optimizer"]["properties"]["name"]["enum"])
