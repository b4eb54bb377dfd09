"""Where the numbers of a claim come from: trials of runs, points of curves, similarities of layers, the paper's own.

An operand, as papers/<paper>/claims.yaml declares it (schemas/claims.schema.yaml) and planning resolves it, is one of

tables, quantity   the trials of a run: the quantity after the last epoch, or its mean over `epochs`: [first, last];
                   `statistic: best` takes the best trial alone, once all of them have been made
sharpness, fisher  the trials of a run, as an analysis measures them
curve              a metric at a point of a path: its start, middle, end, lower or higher end, or the mean of its ends
similarity         the mean similarity of a group of layers: all, deep (from the first fully connected layer on) or
                   shallow; of a layer with itself where both networks have the same layers, else of the second
                   network's layers with all of the first; `minus` takes another table's similarities away, and
                   `absolute` the signs
value              a number
digitised          trials of the paper, read off a histogram
reported           a mean of the paper, with its deviation and number of trials where it prints them
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.evidence.effects import Sample
from workflow_scripts.evidence.quantities import QUANTITIES, trials
from workflow_scripts.evidence.reported import as_trials, read_histograms, read_reported, reported_row
from workflow_scripts.evidence.sources import Sources


@dataclass(frozen=True)
class Reading:
    """What was read of an operand.

    missing : how many of its tables or trials nobody has made. notes : what diverged or is missing, in words.
    """

    sample: Sample
    missing: int = 0
    notes: tuple[str, ...] = ()

    @property
    def not_run(self) -> bool:
        """Whether there is nothing because nobody has made it (and not because it diverged)."""
        return self.sample.n == 0 and self.missing > 0


def read(operand: Mapping[str, Any], tables: Sources) -> Reading:
    """The trials behind an operand, or the one number that it is."""
    if "tables" in operand or "quantity" in operand:
        return _trials(operand, tables)
    if "curve" in operand:
        values, notes = path(operand, tables)
        return _one(values, notes, lambda: _point(values, operand["point"]))
    if "similarity" in operand:
        frame, notes = _similarities(operand, tables)
        return _one(frame, notes, lambda: _group(frame, operand["layers"], operand.get("absolute", False)))
    if "digitised" in operand:
        return Reading(Sample.of(_digitised(**operand["digitised"], root=tables.root)))
    if "reported" in operand:
        return Reading(_reported(**operand["reported"], root=tables.root))
    return Reading(Sample.exactly(operand["value"]))


def path(operand: Mapping[str, Any], tables: Sources) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """A metric along a path, from start to end, shape (points,), and what diverged; None where nobody has made it."""
    table = tables.read(operand["curve"], "path")
    if table is None:
        return None, ()
    if table.diverged:
        return np.array([]), (tables.divergence(table.status),)
    where = {"path": operand["path"], "metric": operand["metric"], "split": operand["split"]}
    if operand["path"] == "curve":
        where["epoch"] = operand["epoch"]
    rows = tables.rows(operand["curve"], "path", **where).dropna(subset="point")
    return rows.sort_values("point")["value"].to_numpy(), ()


def diagonal(operand: Mapping[str, Any], tables: Sources) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Similarity of each layer with itself, by depth, shape (layers,), and what diverged; None as in `path`."""
    frame, notes = _similarities(operand, tables)
    if frame is None or frame.empty:
        return None if frame is None else np.array([]), notes
    same = frame[frame["layer_a"] == frame["layer_b"]]
    return same.sort_values("layer_a")["similarity"].to_numpy(), notes


def _one(found: Any, notes: tuple[str, ...], value: Any) -> Reading:
    """Of one number: none where the table is missing or empty."""
    if found is None:
        return Reading(Sample.of([]), 1, notes)
    return Reading(Sample.of([value()] if len(found) else []), 0, notes)


def _trials(operand: Mapping[str, Any], tables: Sources) -> Reading:
    name = operand["quantity"]
    if "epochs" in operand:
        return _over_epochs(operand, tables)
    found = trials(name, operand, tables)
    values = list(found.values.values())
    if operand.get("statistic") == "best" and values:
        best = max(values) if QUANTITIES[name].better == "max" else min(values)
        values = [] if found.missing else [best]
    return Reading(Sample.of(values), found.missing, tuple(found.notes))


def _over_epochs(operand: Mapping[str, Any], tables: Sources) -> Reading:
    """The mean of each trial over the evaluations within `epochs`, both included."""
    quantity, (first, last) = QUANTITIES[operand["quantity"]], operand["epochs"]
    values, notes, missing = [], [], 0
    for place in operand["tables"]:
        table = tables.read(place, quantity.kind)
        if table is None:
            missing += 1
        elif table.diverged:
            notes.append(tables.divergence(table.status))
        else:
            rows = tables.rows(place, quantity.kind, **quantity.where)
            within = rows[rows["epoch"].between(first, last)]["value"]
            values += [float(within.mean())] if len(within) else []
    notes += ["not run"] if missing else []
    return Reading(Sample.of(values), missing, tuple(notes))


def _point(values: Sequence[float], point: str) -> float:
    start, middle, end = values[0], values[len(values) // 2], values[-1]
    return float(
        {
            "start": start,
            "middle": middle,
            "end": end,
            "ends": (start + end) / 2,
            "lower_end": min(start, end),
            "higher_end": max(start, end),
        }[point]
    )


def _similarities(operand: Mapping[str, Any], tables: Sources) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """Rows of a similarity table, less those of `minus` where there is one."""
    read = [tables.read(operand[key], "similarity") for key in ("similarity", "minus") if key in operand]
    if None in read:
        return None, ()
    notes = tuple(tables.divergence(table.status) for table in read if table.diverged)
    if notes:
        return read[0].frame.iloc[:0], notes
    frame = read[0].frame
    if "minus" in operand:
        frame = frame.merge(read[1].frame[["layer_a", "layer_b", "similarity"]], on=["layer_a", "layer_b"])
        frame = frame.assign(similarity=frame["similarity_x"] - frame["similarity_y"])
    return frame, ()


def _group(frame: pd.DataFrame, layers: str, absolute: bool) -> float:
    """The mean over a group of layers; nan where the network has no fully connected layer to tell deep from shallow."""
    labels = [frame.drop_duplicates(f"layer_{side}").sort_values(f"layer_{side}")[f"label_{side}"] for side in "ab"]
    if labels[0].tolist() == labels[1].tolist():
        frame = frame[frame["layer_a"] == frame["layer_b"]]
    connected = frame.loc[frame["label_b"].str.upper() == "FC", "layer_b"]
    if layers != "all":
        if connected.empty:
            return float("nan")
        deep = frame["layer_b"] >= connected.min()
        frame = frame[deep if layers == "deep" else ~deep]
    values = frame["similarity"].abs() if absolute else frame["similarity"]
    return float(values.mean())


def _digitised(file: str, figure: str, setting: float, root: Any) -> list[float]:
    bins = read_histograms(root / file, figure)
    return as_trials(bins[bins["setting"] == setting])


def _reported(file: str, key: list[str], root: Any) -> Sample:
    row = reported_row(read_reported(root / file), key, root / file)
    n = 1 if np.isnan(row["n"]) or np.isnan(row["std"]) else int(row["n"])
    return Sample(n, float(row["value"]), float(row["std"]) if n > 1 else float("nan"))
