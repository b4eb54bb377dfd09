"""Histograms of the trials of several settings, one above the other on a common axis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.evidence.quantities import QUANTITIES, trials
from workflow_scripts.evidence.reported import read_histograms
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.plotting import style

COLUMNS = ["series", "run", "value", "left", "right", "count", "note"]
HEIGHT = 0.82  # of the highest bar, where 1 is the distance from one histogram to the next


def size(values: pd.DataFrame, panel: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches."""
    return 4.2, 0.7 + 0.75 * values["series"].nunique()


def values(panel: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """Columns series, run, value, left, right, count, note: every trial, and every bar that is drawn.

    A trial has a run and its value, a bar its edges and how many trials it counts; of a digitised histogram there are
    the bars alone.
    """
    if "digitised" in panel:
        bins = read_histograms(tables.root / panel["digitised"]["file"], panel["digitised"]["figure"])
        bars = bins.rename(columns={"bin_left": "left", "bin_right": "right"})
        return bars.assign(series=bars["setting"].map("{:g}".format), note="").reindex(columns=COLUMNS)
    found = {series["label"]: trials(panel["quantity"], series, tables) for series in panel["series"]}
    points = [
        {"series": label, "run": run, "value": value, "note": ""}
        for label, of in found.items()
        for run, value in of.values.items()
    ]
    edges = _edges([point["value"] for point in points])
    bars = [
        {"series": label, "left": left, "right": right, "count": float(count), "note": ""}
        for label, of in found.items()
        for left, right, count in zip(
            edges[:-1], edges[1:], np.histogram(list(of.values.values()), edges)[0], strict=True
        )
        if count
    ]
    lacking = [{"series": label, "note": note} for label, of in found.items() for note in of.notes]
    return pd.DataFrame([*points, *bars, *lacking]).reindex(columns=COLUMNS)


def _edges(found: Sequence[float]) -> np.ndarray:
    """Edges of the bins that all settings share: ten to forty of them."""
    if not found:
        return np.array([0.0, 1.0])
    bins = len(np.histogram_bin_edges(found, "auto")) - 1
    return np.histogram_bin_edges(found, min(max(bins, 10), 40))


def draw(ax: Axes, values: pd.DataFrame, panel: Mapping[str, Any]) -> None:
    """A row a setting, the first at the bottom: bars, a tick for every trial, and the mean with its deviation."""
    bars, labels = values.dropna(subset="count"), list(dict.fromkeys(values["series"]))
    for place, label in enumerate(labels):
        own, colour = bars[bars["series"] == label], style.COLOURS[place % len(style.COLOURS)]
        ax.axhline(place, color=style.FAINT, linewidth=0.5, zorder=0)
        if own.empty:
            continue
        height = HEIGHT * own["count"] / bars["count"].max()
        ax.bar(
            own["left"], height, own["right"] - own["left"], place, align="edge", color=colour, alpha=0.55,
            edgecolor=colour, linewidth=0.5,
        )  # fmt: skip
        trials = values.loc[values["series"] == label, "value"].dropna()
        ax.plot(trials, np.full(len(trials), place - 0.06), "|", color=colour, markersize=4, markeredgewidth=0.8)
        _mark_mean(ax, place, own, trials, QUANTITIES[panel["quantity"]].decimals)
    ax.set_yticks(range(len(labels)), labels)
    ax.set(xlabel=QUANTITIES[panel["quantity"]].label, ylabel=panel.get("heading", ""), ylim=(-0.2, len(labels)))
    ax.tick_params(axis="y", length=0)


def _mark_mean(ax: Axes, place: int, bars: pd.DataFrame, trials: pd.Series, decimals: int) -> None:
    """The mean as a line through the row, and beside it in words; of a digitised histogram by its bars' centres."""
    if trials.empty:
        trials = pd.Series(np.repeat((bars["left"] + bars["right"]) / 2, bars["count"].astype(int)))
    mean, deviation = trials.mean(), trials.std()
    ax.vlines(mean, place, place + HEIGHT, color=style.INK, linewidth=1)
    spread = "" if np.isnan(deviation) else f" ± {deviation:.{decimals}f}"
    ax.annotate(
        f"{mean:.{decimals}f}{spread}\nn = {len(trials)}", (1, place + 0.35), (4, 0), fontsize=6.5,
        xycoords=("axes fraction", "data"), textcoords="offset points", va="center", annotation_clip=False,
    )  # fmt: skip


def share(figure: Figure, axes: Sequence[Axes], panels: Sequence[Mapping[str, Any]]) -> None:
    """Give panels of one quantity whose extents are alike the same one, so that they can be compared by eye."""
    for quantity in dict.fromkeys(panel["quantity"] for panel in panels):
        own = [ax for ax, panel in zip(axes, panels, strict=True) if panel["quantity"] == quantity]
        limits = np.array([ax.get_xlim() for ax in own])
        common, each = (limits[:, 0].min(), limits[:, 1].max()), np.ptp(limits, axis=1)
        if np.ptp(common) < 2 * each.min():
            for ax in own:
                ax.set_xlim(common)
