"""Histograms of the trials of several settings, one above the other on a common axis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflow_scripts.evidence.quantities import QUANTITIES, trials
from workflow_scripts.evidence.reported import read_histograms
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.plotting import style

COLUMNS = ["series", "run", "value", "left", "right", "centre", "count", "note"]
HEIGHT = 0.8  # of a row's histogram, where 1 is the distance from one row to the next


def size(values: pd.DataFrame, panel: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches."""
    return 4.6, 0.7 + 0.8 * values["series"].nunique()


def values(panel: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """Columns series, run, value, left, right, centre, count, note: every trial, and every bar that is drawn.

    A trial has a run and its value, a bar its edges and how many trials it counts. Of a digitised histogram there are
    the bars alone, with the centres that stand for their trials.
    """
    if "digitised" in panel:
        bins = read_histograms(tables.root / panel["digitised"]["file"], panel["digitised"]["figure"])
        bars = bins.rename(columns={"bin_left": "left", "bin_right": "right", "bin_centre": "centre"})
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
    missing = [{"series": label, "note": note} for label, of in found.items() for note in of.notes]
    return pd.DataFrame([*points, *bars, *missing]).reindex(columns=COLUMNS)


def _edges(found: Sequence[float]) -> np.ndarray:
    """Edges of the bins that all settings share: ten to forty of them."""
    if not found:
        return np.array([0.0, 1.0])
    bins = len(np.histogram_bin_edges(found, "auto")) - 1
    return np.histogram_bin_edges(found, min(max(bins, 10), 40))


def draw(ax: Axes, values: pd.DataFrame, panel: Mapping[str, Any]) -> None:
    """A row a setting, the first at the bottom: bars, a tick for every trial, and the mean with its deviation."""
    bars, labels = values.dropna(subset="count"), list(dict.fromkeys(values["series"]))
    edges = np.unique(bars[["left", "right"]].to_numpy())
    for place, label in enumerate(labels):
        row = ax.inset_axes((0, place / len(labels), 1, HEIGHT / len(labels)), sharex=ax)
        own, trials = bars[bars["series"] == label], values.loc[values["series"] == label, "value"].dropna()
        colour = style.COLOURS[place % len(style.COLOURS)]
        _row(row, own, trials, edges, colour)
        row.set(xlabel="", ylabel="trials", ylim=(0, 1.05 * bars["count"].max()))
        row.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        row.yaxis.label.set_size(6.5)
        row.tick_params(axis="y", labelsize=6.5, length=2)
        row.tick_params(axis="x", labelbottom=False, length=0)
        row.annotate(
            label, (0, 0.5), (-34, 0), xycoords="axes fraction", textcoords="offset points", ha="right", va="center",
            fontweight="bold",
        )  # fmt: skip
        if not own.empty:
            _mark_mean(row, own, trials, QUANTITIES[panel["quantity"]].decimals)
    ax.spines[:].set_visible(False)
    ax.spines["bottom"].set_visible(True)
    ax.spines["bottom"].set_position(("outward", 8))
    ax.set(xlabel=QUANTITIES[panel["quantity"]].label, yticks=[], xlim=_extent(bars))
    ax.set_ylabel(panel.get("heading", ""), labelpad=62)


def _extent(bars: pd.DataFrame) -> tuple[float, float]:
    if bars.empty:
        return 0, 1
    room = 0.04 * (bars["right"].max() - bars["left"].min())
    return bars["left"].min() - room, bars["right"].max() + room


def _row(row: Axes, bars: pd.DataFrame, trials: pd.Series, edges: np.ndarray, colour: str) -> None:
    """The histogram of one setting, of its trials or, of a digitised one, of its bars' centres."""
    if bars.empty:
        return
    points = trials if len(trials) else bars["centre"].repeat(bars["count"].astype(int))
    sns.histplot(
        x=points.to_numpy(), bins=edges.tolist(), ax=row, color=colour, alpha=0.55, edgecolor=colour, linewidth=0.5
    )
    if len(trials):
        sns.rugplot(x=trials.to_numpy(), ax=row, height=-0.08, color=colour, linewidth=0.9, clip_on=False)


def _mark_mean(row: Axes, bars: pd.DataFrame, trials: pd.Series, decimals: int) -> None:
    """The mean as a line through the row, and beside it in words; of a digitised histogram by its bars' centres."""
    if trials.empty:
        trials = bars["centre"].repeat(bars["count"].astype(int))
    mean, deviation = trials.mean(), trials.std()
    row.axvline(mean, color=style.TEXT_COLOUR, linewidth=1)
    spread = "" if np.isnan(deviation) else f" ± {deviation:.{decimals}f}"
    row.annotate(
        f"{mean:.{decimals}f}{spread}\nn = {len(trials)}", (1, 0.5), (4, 0), fontsize=6.5, xycoords="axes fraction",
        textcoords="offset points", va="center", annotation_clip=False,
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
