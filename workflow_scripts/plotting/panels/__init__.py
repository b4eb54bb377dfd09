"""The kinds of panel. Adding one is adding a file here and its keys to schemas/panel.schema.yaml.

Each module has

    values(panel, tables) -> DataFrame     exactly what is plotted, with a column `note` (see evidence/sources.py)
    size(values, panel) -> (float, float)  width and height in inches
    draw(ax, values, panel)                draw those values and nothing else; never called without any
    share(figure, axes, panels)            optional: what all drawn panels of the kind have in common (colour bars)

`tables` is a `evidence.sources.Sources`. The keys of a panel, by kind (schemas/panel.schema.yaml refuses all others);
`table` is the path of a tidy table, relative to where the workflow runs. Every kind takes `kind` and `title`.

training_curve      a metric against time, for several runs
    metric          accuracy, top5_accuracy, loss or learning_rate
    split           test (default) or train; the learning rate has no split
    x               epoch (default) or step
    log_y, x_limits, y_limits
    zoom            [first, last] of x: only these epochs or steps are shown, and y fits them
    marks           positions of thin vertical lines, such as restarts
    series          list of {label, table}, optionally {colour: 0 to 6}
path_metric         a metric along curves and segments
    metric, split   as above
    x               t (default) or arc_length
    log_y, y_limits
    ends            labels of the two ends, such as [G, A] or [w30, w70]
    palette         categorical (default) or sequential (for epochs of one curve)
    series          list of {label, table, path: curve (default) or segment}, optionally {epoch: of the curve's
                    training, default the last; group: series of a group share their colour; colour: 0 to 6}
plane               a metric over a plane through weight space, with the iterates
    metric, split   as above
    table, points   tables of kinds plane and plane_points (points may be left out)
    method          affine (default) or linear: which projection of the iterates
    log             whether the colour scale is logarithmic; default: for the loss
    worst           value beyond which the colour no longer changes; default: the worst 5 % of the plane share a colour
    labels          mapping from a vertex's label to what to write there
similarity_map      similarity of all layers of a with all layers of b
    table
    minus           a second table: the map then shows the absolute difference of the two
    rows, columns   what the layers of a and of b are, such as "layer at iteration 0"
    layer_labels    whether to write the operations' names (default) or their numbers
    highest         where the colours end; default 1, and for differences the largest of the figure
similarity_diagonal similarity of layer i with layer i, for several pairs of models
    series          list of {label, table}, optionally {colour: 0 to 6}
    layer_labels    as above
embedding           modes and bends placed by t-SNE
    table
    lines           list of [mode, bend, mode]; default: bend GA joins modes G and A
    labels          mapping from a point's name to what to write there
histogram           the trials of several settings, one histogram above the other
    quantity        a key of evidence/quantities.py
    heading         what tells the settings apart, such as "Explore epochs"
    series          list of {label} with the trials of each setting, {tables}, {sharpness} or {fisher} as told in
                    evidence/quantities.py
    digitised       in place of series: {file, figure}, a paper's own histograms and which of them
range_test          the loss against the rate of a learning-rate range test
    table

An artifact may say `layout: {columns: 3, panel_size: [width, height]}`.
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
