"""A metric along curves and straight segments between two modes."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes

from workflow_scripts.evidence.sources import Sources
from workflow_scripts.plotting import style


def size(values: pd.DataFrame, panel: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches."""
    return 3.4, 2.5


def values(panel: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """Columns series, path, epoch, t, arc_length, value, note: every point that is drawn."""
    return pd.concat([_series(series, panel, tables) for series in panel["series"]], ignore_index=True)


def _series(series: Mapping[str, Any], panel: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    path = series.get("path", "curve")
    where = {"path": path, "metric": panel["metric"], "split": panel.get("split", "test")}
    if "epoch" in series:
        where["epoch"] = series["epoch"]
    rows = tables.rows(series["table"], "path", **where)
    if "epoch" in rows:
        rows = rows[rows["epoch"].isna() | (rows["epoch"] == rows["epoch"].max())]
    columns = ["series", "path", "epoch", "t", "arc_length", "value", "note"]
    return rows.assign(series=series["label"]).reindex(columns=columns)


def draw(ax: Axes, values: pd.DataFrame, panel: Mapping[str, Any]) -> None:
    """One line a series: curves solid, segments dashed; series of a group share their colour."""
    x = panel.get("x", "t")
    drawn = list(zip(panel["series"], colours(panel), strict=True))
    if panel.get("palette") != "sequential":  # first all curves, then all segments: so the legend has a column for each
        drawn.sort(key=lambda one: one[0].get("path") == "segment")
    for series, colour in drawn:
        rows = values[values["series"] == series["label"]].dropna(subset=x)
        if not rows.empty:
            dashes = (0, (4, 1.6)) if series.get("path") == "segment" else "-"
            ax.plot(rows[x], rows["value"], color=colour, linestyle=dashes, label=series["label"])
    ax.set(xlabel="t" if x == "t" else "Arc length (weight-space distance)")
    ax.margins(x=0.01)
    if x == "t":
        start, end = (f"\n{style.weights_label(name)}" for name in panel["ends"]) if "ends" in panel else ("", "")
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], [f"0{start}", "0.25", "0.5", "0.75", f"1{end}"])
        # The names of the ends make room below the other ticks: the axis label goes between them.
        ax.xaxis.labelpad = -8 if "ends" in panel else 4
    style.metric_axis(ax, panel)


def colours(panel: Mapping[str, Any]) -> list[Any]:
    """A colour for each series: by its number, by its group, or, for epochs of one curve, light to dark."""
    series = panel["series"]
    if panel.get("palette") == "sequential":
        curves = [number for number, one in enumerate(series) if one.get("path") != "segment"]
        shades = mpl.colormaps[style.SEQUENTIAL]
        places = {number: place / max(1, len(curves) - 1) for place, number in enumerate(curves)}
        return [
            shades(0.85 - 0.75 * places[number]) if number in places else style.FAINT for number in range(len(series))
        ]
    groups = list(dict.fromkeys(one.get("group", one["label"]) for one in series))
    numbers = [one.get("colour", groups.index(one.get("group", one["label"]))) for one in series]
    return [style.COLOURS[number % len(style.COLOURS)] for number in numbers]
