"""SVCCA similarity of every layer of one model with every layer of another, or the difference of two such maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.base.errors import InputError
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.plotting import style

LAYERS = ["layer_a", "label_a", "layer_b", "label_b"]


def size(values: pd.DataFrame, panel: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches: enough for the names of the layers."""
    layers = values[["layer_a", "layer_b"]].nunique().max()
    return (4.1, 4.4) if layers > 12 else (3.2, 3.5)


def values(panel: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """Columns layer_a, label_a, layer_b, label_b, similarity, floor, note; with `minus`, similarity is |difference|."""
    columns = [*LAYERS, "similarity", "floor", "note"]
    rows = tables.rows(panel["table"], "similarity").reindex(columns=columns)
    if "minus" not in panel:
        return rows
    other = tables.rows(panel["minus"], "similarity").reindex(columns=columns)
    if rows["similarity"].isna().all() or other["similarity"].isna().all():
        return pd.concat([rows, other])[lambda both: both["note"] != ""].drop_duplicates("note", ignore_index=True)
    both = rows.merge(other, on=LAYERS, suffixes=("", "_minus"))
    if len(both) != len(rows) or len(both) != len(other):
        raise InputError(
            f"{panel['table']} and {panel['minus']} are of different layers: subtract maps of the same models"
        )
    difference = (both["similarity"] - both["similarity_minus"]).abs()
    return both.assign(similarity=difference, floor=both[["floor", "floor_minus"]].max(axis=1))[columns]


def draw(ax: Axes, values: pd.DataFrame, panel: Mapping[str, Any]) -> None:
    """A heat map, first layer on top; below it the mean and the floor, so that a reader can judge the colours."""
    cells = values.dropna(subset="similarity")
    grid = cells.pivot(index="layer_a", columns="layer_b", values="similarity")
    difference = "minus" in panel
    highest = panel.get("highest", grid.to_numpy().max() if difference else 1.0)
    sns.heatmap(
        grid, ax=ax, cmap=style.DIFFERENCE if difference else style.SIMILARITY, vmin=0, vmax=highest, cbar=False,
        square=grid.shape[0] == grid.shape[1], xticklabels=False, yticklabels=False, rasterized=True,
        gid="difference" if difference else "similarity",
    )  # fmt: skip
    for axis, side in ((ax.yaxis, "a"), (ax.xaxis, "b")):
        labels = _labels(cells, side)
        style.layer_ticks(axis, labels, first=0.5)
        if panel.get("fc_stack") and (start := style.fc_stack(labels)) is not None:
            line = ax.axhline if side == "a" else ax.axvline
            line(start, color="white", linewidth=1.1)
            line(start, color=style.TEXT_COLOUR, linewidth=1.1, linestyle=(0, (3, 3)))
    mean, floor = cells["similarity"].mean(), cells["floor"].mean()
    judged = (
        f"mean |difference| {mean:.2f}" if difference else f"mean {mean:.2f}, floor for independent data {floor:.2f}"
    )
    judged += "\ndashed: where the FC stack begins" if panel.get("fc_stack") else ""
    ax.set_ylabel(panel.get("rows", "Layer of the first model"))
    ax.set_xlabel(f"{panel.get('columns', 'Layer of the second model')}\n{judged}", linespacing=1.4)


def share(figure: Figure, axes: Sequence[Axes], panels: Sequence[Mapping[str, Any]]) -> None:
    """One colour bar for all maps of similarities, and one for all of differences."""
    names = {"similarity": "SVCCA similarity", "difference": "|difference of similarities|"}
    for what, name in names.items():
        images = [image for ax in axes for image in ax.collections if image.get_gid() == what]
        if not images:
            continue
        highest = max(image.get_clim()[1] for image in images)
        for image in images:
            image.set_clim(0, highest)
        bar = figure.colorbar(
            images[0], ax=[image.axes for image in images], location="right", shrink=0.7, aspect=28, label=name
        )
        bar.ax.tick_params(length=2)
        bar.outline.set_visible(False)


def _labels(cells: pd.DataFrame, side: str) -> Sequence[str]:
    layers = cells.drop_duplicates(f"layer_{side}").sort_values(f"layer_{side}")
    return np.asarray(layers[f"label_{side}"]).tolist()
