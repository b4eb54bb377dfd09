"""Find a curve of low loss between two checkpoints, and evaluate it and the segment (gotmare2019, section 2.1).

The outputs are curve.parquet (loss and accuracy along the curve at the saved epochs of its training, and along the
segment) and bends.safetensors (the bends at those epochs, as flat weight vectors). An interrupted training goes on from
its last snapshot. Ends whose own training diverged give a table without rows that says so.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.base.arguments import add_resuming, parser, read_json, results_folder
from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import run_stage
from workflow_scripts.evidence.dependencies import divergence, with_fallbacks
from workflow_scripts.evidence.tables import write_table
from workflow_scripts.landscape.curve_training import CurveRecipe, CurveState, train_curve
from workflow_scripts.landscape.curves import evaluate_curve
from workflow_scripts.landscape.flat import FlatModel
from workflow_scripts.landscape.tidy import path_table
from workflow_scripts.models import checkpoints
from workflow_scripts.recipes import places
from workflow_scripts.recipes.canonical import fingerprint
from workflow_scripts.recipes.identity import curve_training
from workflow_scripts.recipes.labels import Label
from workflow_scripts.recipes.steps import updates_per_epoch
from workflow_scripts.runtime.log import EpochLog
from workflow_scripts.runtime.store import Store
from workflow_scripts.stages.shared.workbench import Workbench, describe, weights

EXAMPLE = {
    "form": "polygonal",
    "bends": 1,
    "epochs": 100,
    "save": [20, 40, 60, 80, 100],
    "batch_size": 100,
    "samples_per_epoch": 50000,
    "optimizer": {"momentum": 0.9, "weight_decay": 5e-4},
    "schedule": {"name": "hold_then_linear", "lr": 0.015},
    "augment": True,
    "points": 61,
    "images": None,
    "seed": 1,
}


def main() -> None:
    arguments = parser("curve", __doc__, EXAMPLE)
    arguments.add_argument("--start", type=Path, required=True, help="checkpoint at t = 0")
    arguments.add_argument("--end", type=Path, required=True, help="checkpoint at t = 1")
    add_resuming(arguments)
    given = arguments.parse_args()
    recipe = read_json(given.recipe, EXAMPLE)
    if wrong := sorted(set(recipe["optimizer"]) ^ set(EXAMPLE["optimizer"])):
        raise InputError(f"a curve's optimizer has momentum and weight_decay alone; mend {', '.join(wrong)}")
    if status := divergence([given.start, given.end]):
        write_outputs(given.out, pd.DataFrame(), {}, status, describe(recipe, given.scale))
        return
    # Losses along a curve are means over thousands of images, in which ten bits do not show.
    bench = Workbench.of(given, recipe, exact=False).of_images()
    flat = FlatModel(bench.network(given.start, recipe.get("model")))
    start, end = (weights(flat, path) for path in (given.start, given.end))
    state = trained(bench, flat, start, end, given)
    table = evaluated(bench, flat, start, end, state)
    status = with_fallbacks(status_of(recipe, state), [given.start, given.end])
    write_outputs(given.out, table, state.saved, status, bench.provenance())


def trained(
    bench: Workbench, flat: FlatModel, start: torch.Tensor, end: torch.Tensor, given: argparse.Namespace
) -> CurveState:
    """Train the bends, or go on from where the store has them."""
    recipe = bench.recipe
    identity = curve_training(recipe, [checksum(given.start), checksum(given.end)], bench.data.info.sha256)
    id = fingerprint(identity)
    with Store(places.store(results_folder(given, given.out)), id, identity).locked() as store:
        snapshot = store.snapshot()
        state = CurveState.from_tensors(snapshot[0]) if snapshot else None
        log = EpochLog(id, recipe["epochs"], state.epoch if state else 0)
        last = time.monotonic()

        def after_epoch(epoch: int, state: CurveState, loss: float) -> None:
            nonlocal last
            log.epoch(epoch, f"loss on the curve {loss:.4f}")
            if epoch == recipe["epochs"] or state.diverged or time.monotonic() - last > given.snapshot_seconds:
                store.save_snapshot(state.to_tensors(), {"epoch": epoch})
                last = time.monotonic()

        def batches(epoch: int):
            sizes = recipe["batch_size"], recipe["samples_per_epoch"]
            return bench.data.epoch_batches(recipe["seed"], epoch, *sizes, recipe["augment"])

        settings = CurveRecipe(
            recipe["form"], recipe["bends"], recipe["epochs"], recipe["schedule"], **recipe["optimizer"]
        )
        return train_curve(
            flat, start, end, batches, settings, recipe["seed"], recipe["save"], state, after_epoch, bench.autocast
        )


def evaluated(
    bench: Workbench, flat: FlatModel, start: torch.Tensor, end: torch.Tensor, state: CurveState
) -> pd.DataFrame:
    """Loss and accuracy along the segment and along the curve at its saved epochs: a table of kind "path"."""
    t = np.linspace(0.0, 1.0, bench.recipe["points"])
    limits = dict.fromkeys(("train", "test"), bench.recipe["images"])
    tables = [path_table(evaluate_curve(flat, torch.stack([start, end]), bench.data, t, limits=limits), "segment", 0)]
    for epoch, bends in state.saved.items():
        points = torch.stack([start, *bends.to(start), end])
        along = evaluate_curve(flat, points, bench.data, t, bench.recipe["form"], limits=limits)
        tables.append(path_table(along, "curve", epoch))
    return pd.concat(tables, ignore_index=True)


def status_of(recipe: dict, state: CurveState) -> dict | None:
    """The table's status: a curve whose own training diverged says at which epoch."""
    if not state.diverged:
        return None
    step = state.epoch * updates_per_epoch(recipe)
    reason = "the loss on the curve became non-finite"
    return {"state": "diverged", "run": fingerprint(recipe), "step": step, "epoch": state.epoch, "reason": reason}


def write_outputs(out: Path, table: pd.DataFrame, saved: dict, status: dict | None, provenance: dict) -> None:
    """Write curve.parquet and bends.safetensors."""
    checkpoints.write(out / "bends.safetensors", {str(Label("epoch", epoch)): bends for epoch, bends in saved.items()})
    write_table(out / "curve.parquet", table, "path", status, provenance)


if __name__ == "__main__":
    run_stage(main)
