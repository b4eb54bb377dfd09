"""Modes and the bends of the curves between them, placed in two dimensions by t-SNE."""

from collections.abc import Mapping, Sequence
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
    for one, bend, other in panel.get("lines", []):
        rows.loc[rows["name"] == bend, ["from_mode", "to_mode"]] = one, other
    return rows


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
    ax.margins(0.12)
    lines = [pair for bend in joined.itertuples() for pair in ((bend.from_mode, bend.name), (bend.name, bend.to_mode))]
    for row in points.itertuples():
        name, mode = panel.get("labels", {}).get(row.name, row.name), row.series == "mode"
        angle = _free_direction(row.name, places, lines)
        ax.annotate(
            name, (row.x, row.y), 12 * np.array([np.cos(angle), np.sin(angle)]), textcoords="offset points",
            ha="center", va="center", fontsize=10 if mode else 7.5, fontweight="bold" if mode else "normal",
        )  # fmt: skip
    ax.set(xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")


def _free_direction(name: str, places: pd.DataFrame, lines: Sequence[tuple[str, str]]) -> float:
    """The angle, as seen from a point, in the middle of the widest gap between the lines that end there."""
    others = [other for line in lines for other in line if name in line and other != name]
    if not others:
        return np.pi / 2
    away = places.loc[others] - places.loc[name]
    angles = np.sort(np.arctan2(away["y"], away["x"]).to_numpy())
    gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
    return float(angles[gaps.argmax()] + gaps.max() / 2)
