"""SVCCA similarity of layer i with layer i of another model, for several pairs of models."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from workflow_scripts.evidence.sources import Sources
from workflow_scripts.plotting import style


def size(values: pd.DataFrame, panel: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches."""
    return 3.7, 2.9


def values(panel: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """Columns series, layer, label, similarity, floor, note: the diagonal of each table."""
    frames = []
    for series in panel["series"]:
        rows = tables.rows(series["table"], "similarity").assign(series=series["label"])
        if "layer_a" in rows:
            rows = rows[rows["layer_a"].isna() | (rows["layer_a"] == rows["layer_b"])]
        rows = rows.rename(columns={"layer_a": "layer", "label_a": "label"})
        frames.append(rows.reindex(columns=["series", "layer", "label", "similarity", "floor", "note"]))
    return pd.concat(frames, ignore_index=True)


def draw(ax: Axes, values: pd.DataFrame, panel: Mapping[str, Any]) -> None:
    """One line a series with its floor, the similarity of independent data, dashed in the same colour."""
    drawn = values.dropna(subset="layer")
    for number, series in enumerate(panel["series"]):
        rows = drawn[drawn["series"] == series["label"]]
        if rows.empty:
            continue
        colour = style.COLOURS[series.get("colour", number) % len(style.COLOURS)]
        ax.plot(rows["layer"], rows["similarity"], color=colour, marker="o", markersize=2.6, label=series["label"])
        ax.plot(rows["layer"], rows["floor"], color=colour, linestyle=(0, (3, 2)), linewidth=0.9, alpha=0.8)
    layers = drawn.drop_duplicates("layer").sort_values("layer")
    labels = layers["label"].tolist()
    style.layer_ticks(ax.xaxis, labels)
    ax.set(xlabel="Layer (dashed: floor for independent data)", ylabel="SVCCA similarity", ylim=(0, 1.02))
    ax.grid(axis="y")
    if panel.get("fc_stack") and (first := style.fc_stack(labels)) is not None:
        ax.axvspan(first - 0.5, len(labels) - 0.5, color="#EEEEEE", linewidth=0, zorder=0)
        ax.annotate(
            "FC stack", ((first + len(labels) - 1) / 2, 1), (0, -3), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="top", fontsize=7,
        )  # fmt: skip
