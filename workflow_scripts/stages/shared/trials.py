"""What the stages share that measure the trials of a setting: one process for all, each kept as soon as it is done.

A measurement is a small mapping of numbers, known by its recipe and by the contents of the checkpoint that it is of: it
is never made twice, and an interrupted job goes on with the trials that are left.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from torch import nn

from workflow_scripts.base.arguments import parser, read_json, results_folder
from workflow_scripts.base.checksums import checksum
from workflow_scripts.evidence.dependencies import divergence, with_fallbacks
from workflow_scripts.evidence.tables import write_table
from workflow_scripts.models import checkpoints
from workflow_scripts.recipes import places
from workflow_scripts.recipes.canonical import fingerprint
from workflow_scripts.recipes.identity import measurement
from workflow_scripts.runtime.log import say
from workflow_scripts.runtime.store import Store
from workflow_scripts.stages.shared.workbench import Workbench

Measure = Callable[[Workbench, nn.Module], dict]


def measure_trials(
    kind: str, description: str, example: dict, measure: Measure, stage: str | None = None, images: bool = True
) -> None:
    """Measure every checkpoint that the command line names, and write the table `<kind>.parquet`, a row for each.

    Parameters
    ----------
    kind : of the table and of what is measured. stage : the module; called as the kind is where it is None.
    images : whether it is measured on images alone.
    description, example : for --help; the keys of `example` are needed in the recipe.
    measure : the columns of a row, less `run`; called with the network in eval mode, all in float32.

    A trial whose training diverged before its checkpoint has no row; the table's status then tells the first of them.
    """
    arguments = parser(stage or kind, description, example)
    arguments.add_argument("--checkpoints", nargs="+", type=Path, required=True, help="one for each trial")
    arguments.add_argument("--results", type=Path, help="folder of store/ (default: two above the output)")
    given = arguments.parse_args()
    recipe = read_json(given.recipe, example)
    bench = Workbench.of(given, recipe)
    bench = bench.of_images() if images else bench
    rows, diverged = [], []
    for path in given.checkpoints:
        if status := divergence([path]):
            diverged.append(status)
        else:
            rows.append(_measured(kind, bench, path, given, measure))
    status = with_fallbacks(diverged[0] if diverged else None, given.checkpoints)
    write_table(given.out / f"{kind}.parquet", pd.DataFrame(rows), kind, status, bench.provenance())


def _measured(kind: str, bench: Workbench, path: Path, given: argparse.Namespace, measure: Measure) -> dict:
    """The row of a checkpoint, from the store if it has it."""
    work = measurement(kind, bench.recipe, checksum(path))
    identity = {**work, "data": bench.data.info.sha256}
    with Store(places.store(results_folder(given, given.out)), fingerprint(work), identity).locked() as store:
        kept = store.finished()
        if kept is None:
            run = checkpoints.load(path).description.get("run", path.stem)
            measured = measure(bench, bench.network(path, bench.recipe.get("model")))
            say(f"{run}: " + ", ".join(f"{name} {value}" for name, value in measured.items()))
            kept = {"run": run, **_without_nan(measured)}
            store.finish(kept)
    return {name: math.nan if value is None else value for name, value in kept.items()}


def _without_nan(row: dict) -> dict:
    """The row as JSON can hold it: null in place of what is not finite."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }
