"""SVCCA similarity of every layer of one model with every layer of another, or the difference of two such maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.base.errors import InputError
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.plotting import style

LAYERS = ["layer_a", "label_a", "layer_b", "label_b"]


def size(values: pd.DataFrame, panel: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches: enough for the names of the layers."""
    layers = values[["layer_a", "layer_b"]].nunique().max()
    return (3.9, 4.2) if layers > 12 else (3.1, 3.4)


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
    image = ax.imshow(
        grid.to_numpy(), cmap=style.DIFFERENCE if difference else style.SIMILARITY, vmin=0,
        vmax=panel.get("highest", grid.to_numpy().max() if difference else 1.0),
        aspect="equal" if grid.shape[0] == grid.shape[1] else "auto",
    )  # fmt: skip
    image.set_gid("difference" if difference else "similarity")
    style.layer_ticks(ax.yaxis, _labels(cells, "a"), True)
    style.layer_ticks(ax.xaxis, _labels(cells, "b"), True)
    ax.spines[:].set_visible(False)
    mean, floor = cells["similarity"].mean(), cells["floor"].mean()
    judged = (
        f"mean |difference| {mean:.2f}" if difference else f"mean {mean:.2f}, floor for independent data {floor:.2f}"
    )
    ax.set_ylabel(panel.get("rows", "Layer of the first model"))
    ax.set_xlabel(f"{panel.get('columns', 'Layer of the second model')}\n{judged}", linespacing=1.6)


def share(figure: Figure, axes: Sequence[Axes], panels: Sequence[Mapping[str, Any]]) -> None:
    """One colour bar for all maps of similarities, and one for all of differences."""
    names = {"similarity": "SVCCA similarity", "difference": "|difference of similarities|"}
    for what, name in names.items():
        images = [image for ax in axes for image in ax.images if image.get_gid() == what]
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
