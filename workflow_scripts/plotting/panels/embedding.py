"""Modes and the bends of the curves between them, placed in two dimensions by t-SNE."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from workflow_scripts.evidence.sources import Sources
from workflow_scripts.plotting import style

LOOKS = {
    "mode": {"marker": "o", "s": 62, "label": "mode"},
    "bend": {"marker": "D", "s": 34, "label": "bend of a curve"},
}


def size(values: pd.DataFrame, panel: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches."""
    return 4.6, 4.2


def values(panel: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """Columns series (mode, bend), name, x, y, from_mode, to_mode, note; a bend is joined to its two modes."""
    rows = tables.rows(panel["table"], "embedding").rename(columns={"kind": "series"})
    rows = rows.reindex(columns=["series", "name", "x", "y", "from_mode", "to_mode", "note"])
    rows = rows.astype({"from_mode": object, "to_mode": object})
    for one, bend, other in panel.get("lines", _lines(rows)):
        rows.loc[rows["name"] == bend, ["from_mode", "to_mode"]] = one, other
    return rows


def _lines(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Bend GA joins modes G and A."""
    modes, bends = ([*rows.loc[rows["series"] == kind, "name"]] for kind in ("mode", "bend"))
    return [(one, bend, other) for bend in bends for one in modes for other in modes if one + other == bend]


def draw(ax: Axes, values: pd.DataFrame, panel: Mapping[str, Any]) -> None:
    """Points with their names, and lines from mode to bend to mode."""
    points = values.dropna(subset="x")
    places = points.set_index("name")[["x", "y"]]
    joined = points[points["from_mode"].isin(places.index) & points["to_mode"].isin(places.index)]
    for bend in joined.itertuples():
        corners = places.loc[[bend.from_mode, bend.name, bend.to_mode]]
        ax.plot(corners["x"], corners["y"], color=style.FAINT, linewidth=1, zorder=1)
    for number, (kind, look) in enumerate(LOOKS.items()):
        rows = points[points["series"] == kind]
        ax.scatter(
            rows["x"], rows["y"], color=style.COLOURS[number], edgecolors="white", linewidths=0.7, zorder=2, **look
        )
    outward = places - places.mean()
    outward = outward.div(np.hypot(outward["x"], outward["y"]).replace(0, 1), axis=0) * 11
    for row in points.itertuples():
        name = panel.get("labels", {}).get(row.name, row.name)
        ax.annotate(
            name, (row.x, row.y), tuple(outward.loc[row.name]), textcoords="offset points", ha="center", va="center",
            fontsize=10 if row.series == "mode" else 7.5, fontweight="bold" if row.series == "mode" else "normal",
        )  # fmt: skip
    ax.margins(0.12)
    ax.set(xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
