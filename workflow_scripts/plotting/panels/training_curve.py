"""A metric of several trainings against time."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from workflow_scripts.evidence.sources import Sources
from workflow_scripts.plotting import style


def size(values: pd.DataFrame, panel: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches."""
    return 3.7, 2.6


def values(panel: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """Columns series, epoch, step, value, note: every point that is drawn; the last of a diverged run has a note."""
    metric = panel["metric"]
    where = {"metric": metric} if metric == "learning_rate" else {"metric": metric, "split": panel.get("split", "test")}
    columns = ["series", "epoch", "step", "value", "note"]
    frames = [
        tables.rows(series["table"], "metrics", **where).assign(series=series["label"]).reindex(columns=columns)
        for series in panel["series"]
    ]
    shown = pd.concat(frames, ignore_index=True)
    if "zoom" not in panel:
        return shown
    x = panel.get("x", "epoch")
    return shown[shown[x].isna() | shown[x].between(*panel["zoom"])].reset_index(drop=True)


def draw(ax: Axes, values: pd.DataFrame, panel: Mapping[str, Any]) -> None:
    """One line a series, or the point of a run that was evaluated once; where a run diverged, its line ends in a cross
    and the legend says when.
    """
    x = panel.get("x", "epoch")
    for number, series in enumerate(panel["series"]):
        rows = values[values["series"] == series["label"]].dropna(subset=x)
        if rows.empty:
            continue
        colour = style.COLOURS[series.get("colour", number) % len(style.COLOURS)]
        note = " ".join(filter(None, rows["note"]))
        label = f"{series['label']} (× {_when(note)})" if note else series["label"]
        below = {"linewidth": 4, "alpha": 0.45} if series.get("broad") else {}
        once = {"marker": "o"} if len(rows) == 1 else {}
        ax.plot(rows[x], rows["value"], color=colour, label=label, **below, **once)
        last = rows[np.isfinite(rows["value"])].tail(1)
        if note and last[x].between(*panel.get("x_limits", (-np.inf, np.inf))).any():
            ax.plot(last[x], last["value"], "x", color=colour, markersize=7, markeredgewidth=2, clip_on=False)
    for mark in panel.get("marks", []):
        ax.axvline(mark, color=style.FAINT, linewidth=0.6, linestyle=":", zorder=0)
    ax.set(xlabel="Training epoch" if x == "epoch" else "Training iteration")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if values[x].nunique() == 1:
        ax.set_xlim(left=0)
    if "zoom" in panel:
        ax.set_xlim(panel["zoom"])
    style.metric_axis(ax, panel)
    if panel["metric"] == "learning_rate" and "zoom" in panel:
        ax.set_ylim(bottom=0)


def _when(note: str) -> str:
    """When a run diverged, by its note, for a legend; the step of it stands in the values."""
    return re.sub(r" \(step \d+\)", "", note[note.find("diverged") :])
