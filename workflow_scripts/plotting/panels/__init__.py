"""The kinds of panel. Adding one is adding a file here and its keys to schemas/panel.schema.yaml.

Each module has

    values(panel, tables) -> DataFrame     exactly what is plotted, with a column `note` (see evidence/sources.py)
    size(values, panel) -> (float, float)  width and height in inches
    draw(ax, values, panel)                draw those values and nothing else; never called without any
    share(figure, axes, panels)            optional: what all drawn panels of the kind have in common (colour bars)

`tables` is a `evidence.sources.Sources`. docs/panels.md has the keys of each kind.
"""

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from workflow_scripts.base.errors import InputError
from workflow_scripts.recipes.schema import read_yaml, validator

KINDS = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
SCHEMA = Path(__file__).parents[3] / "schemas" / "panel.schema.yaml"


def module(kind: str) -> ModuleType:
    """The module that draws panels of `kind`. Raises InputError if there is none."""
    if kind not in KINDS:
        raise InputError(f"{kind!r} is no kind of panel: take one of {', '.join(KINDS)}")
    return importlib.import_module(f"{__name__}.{kind}")


def problems(panel: Any, number: int, kinds: tuple[str, ...] = KINDS) -> list[str]:
    """What is wrong with the description of a panel by the schema, one sentence each; `kinds` are those it may be of.

    With `kinds=("summary",)` it checks the contents of a table.
    """
    if not isinstance(panel, Mapping):
        return [f"panel {number} must be a mapping with a kind"]
    if panel.get("kind") not in kinds:
        return [f"panel {number} is of kind {panel.get('kind')!r}: take one of {', '.join(kinds)}"]
    validator = _validator(panel["kind"])
    found = [
        f"panel {number} ({panel['kind']}){''.join(f', {part}' for part in error.absolute_path)}: {error.message}"
        for error in sorted(validator.iter_errors(panel), key=lambda error: list(map(str, error.absolute_path)))
    ]
    labels = [series["label"] for series in panel.get("series", [])] if not found else []
    twice = sorted({label for label in labels if labels.count(label) > 1})
    return found + [f"panel {number}: two series are called {label!r}" for label in twice]


@functools.cache
def _validator(kind: str) -> Any:
    definitions = read_yaml(SCHEMA)["$defs"]
    return validator({"$ref": f"#/$defs/{kind}", "$defs": definitions})
