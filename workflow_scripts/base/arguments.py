"""Arguments that several stages share."""

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.forms import OrNull, form_problems
from workflow_scripts.base.stage import command_line

# What recipes count; nothing of it can be less than one.
COUNTS = {"epochs", "batch_size", "samples_per_epoch", "evaluate_every"}
COUNTS |= {"points", "side", "steps", "draws", "max_iterations"}

OPTIONAL = {"model": {"name": ""}, "models": {"first": {"name": ""}, "second": {"name": ""}}, "sentences": 1}

NAMING = """checkpoints that do not say of which model they are need it in the recipe, by one of the names in
workflow_scripts/models/names.py or as your own function(info, **options):
  "model": %s    "model": {"name": "my.module:f", "option": 1}"""
NAMED = {"translate": {"name": "transformer", "width": 512}, "answer": {"name": "bert", "layers": 12}}


def parser(module: str, description: str, example: dict) -> argparse.ArgumentParser:
    """A stage's parser with --recipe, --out and the arguments of `add_running`.

    Parameters
    ----------
    example : a recipe as a user would write it, shown by --help, with how to name a model where it has none.
    """
    made = command_line(f"stages.{module}", description, recipe_help(module, example))
    made.add_argument("--recipe", required=True, help="what to compute: JSON, or a .json file that holds it")
    made.add_argument("--out", type=Path, required=True, help="folder for the tables")
    add_running(made)
    return made


def recipe_help(module: str, example: Mapping[str, Any]) -> str:
    """The end of a stage's --help: an example of its recipe, and how to name a model where that has none."""
    naming = [] if "model" in example else [NAMING % json.dumps(NAMED.get(module, {"name": "vgg16", "width": 0.5}))]
    return "\n\n".join([f"example of a recipe: {json.dumps(example)}", *naming])


def add_running(
    made: argparse.ArgumentParser, data: str = "folder of the prepared data set", required: bool = True
) -> None:
    """The arguments that say how to compute and change no result; `data` is the help of --data."""
    made.add_argument("--data", type=Path, required=required, help=data)
    made.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: %(default)s")
    made.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: %(default)s)")
    made.add_argument("--workers", type=int, default=0, help="processes that decode pictures (default: in this one)")
    made.add_argument("--scale", default="", help="name of the scale, for the provenance")


def add_resuming(made: argparse.ArgumentParser) -> None:
    """The arguments of stages that go on where they were interrupted."""
    made.add_argument("--results", type=Path, help="folder of store/ and runs/ (default: two above the output)")
    made.add_argument("--snapshot-seconds", type=float, default=60.0, help="default: %(default)s")


def results_folder(given: argparse.Namespace, output: Path) -> Path:
    """The folder with store/ (snapshots and finished work) and runs/ (finished runs)."""
    return given.results or output.resolve().parents[1]


def add_config(made: argparse.ArgumentParser) -> None:
    """The arguments that change config.yaml, as Snakemake's do."""
    made.add_argument(
        "--configfile", nargs="+", type=Path, default=[], metavar="FILE", help="files with changes to config.yaml"
    )
    made.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="changes to config.yaml")


def changes(given: argparse.Namespace) -> dict:
    """The changes to config.yaml that are asked for.

    Raises
    ------
    InputError : one is not KEY=VALUE, or its value no YAML.
    """
    found = {}
    for change in given.config:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"--config {change!r} is not KEY=VALUE, such as scale=paper")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            reason = getattr(error, "problem", None) or error
            raise InputError(f"--config {change!r}: the value is not valid YAML ({reason}); quote it") from None
    return found


def read_json(text: str, example: Mapping[str, Any]) -> dict:
    """The mapping that `text` is, or that a .json file holds.

    Parameters
    ----------
    example : the keys that it must have, each with a value of its type; None is a number of images, or null for all.

    Raises
    ------
    InputError : it is no JSON mapping, lacks a key, or has a value of another type, NaN, or a count below 1.
    """
    try:
        given = Path(text).read_text(encoding="utf-8") if text.endswith(".json") else text
        document = json.loads(given, parse_constant=_finite, parse_float=_finite)
    except OSError as error:
        raise InputError(f"{text} cannot be read ({error.strerror}); give JSON or the path of a .json file") from None
    except ValueError as error:
        raise InputError(f"{text[:80]!r} is not JSON ({error}); give JSON or the path of a .json file") from None
    if not isinstance(document, dict):
        raise InputError(f"{text[:80]!r} is not a JSON mapping; --help shows an example")
    if missing := [key for key in example if key not in document]:
        raise InputError(f"the JSON lacks {', '.join(missing)}; --help shows an example")
    for key in COUNTS.intersection(example):
        if type(document[key]) is not int or document[key] < 1:
            raise InputError(f"{key} is {document[key]!r} in the JSON; it must be a whole number of at least 1")
    forms = OPTIONAL | {key: OrNull(1) if key == "images" else value for key, value in example.items()}
    if problems := list(form_problems(document, forms, "")):
        raise InputError.together("the JSON cannot be used; --help shows an example", problems)
    return document


def _finite(word: str) -> float:
    """The number that JSON writes so.

    Raises
    ------
    ValueError : it is NaN or infinite, which Python reads and JSON does not know.
    """
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word} is no finite number")
    return number
