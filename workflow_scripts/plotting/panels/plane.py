"""A metric over the plane through two modes and their bend, with the projections of a training's iterates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import patheffects, ticker
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from workflow_scripts.evidence.sources import Sources
from workflow_scripts.plotting import style

LEVELS = 16


def size(values: pd.DataFrame, panel: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches, so that both axes have the same unit and little room is lost."""
    cells = values[values["series"] == "map"]
    extent = np.nan_to_num([np.ptp(cells["x"]), np.ptp(cells["y"])]) if len(cells) else np.zeros(2)
    return 4.6, float(np.clip(3.4 * extent[1] / extent[0], 1.4, 5) + 1.25 if extent.all() else 3.4)


def values(panel: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """Columns series (map, vertex, iterate), label, epoch, x, y, value, residual, note."""
    where = {"metric": panel["metric"], "split": panel.get("split", "test")}
    frames = [tables.rows(panel["table"], "plane", **where).assign(series="map")]
    if "points" in panel:
        points = tables.rows(panel["points"], "plane_points", method=panel.get("method", "affine"))
        kinds = points["kind"] if "kind" in points else pd.Series(index=points.index, dtype=object)
        frames.append(points.assign(series=kinds.fillna("projections")))
    columns = ["series", "label", "epoch", "x", "y", "value", "residual", "note"]
    return pd.concat([frame.reindex(columns=columns) for frame in frames if len(frame)], ignore_index=True)


def draw(ax: Axes, values: pd.DataFrame, panel: Mapping[str, Any]) -> None:
    """Filled contours and contour lines, vertices with their names, iterates coloured by epoch."""
    cells = values[(values["series"] == "map") & values["x"].notna()]
    if not cells.empty:
        _contours(ax, cells, panel)
        ax.set(xlim=(cells["x"].min(), cells["x"].max()), ylim=(cells["y"].min(), cells["y"].max()))
    iterates, vertices = (values[values["series"] == kind] for kind in ("iterate", "vertex"))
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    seen = iterates[iterates["x"].between(left, right) & iterates["y"].between(bottom, top)]
    if not iterates.empty:
        _iterates(ax, iterates, seen)
    _path(ax, vertices)
    _vertices(ax, vertices, panel.get("labels", {}))
    below = ["Weight-space distance", *_facts_about(iterates, len(iterates) - len(seen))]
    ax.set(xlabel="\n".join(below), ylabel="Weight-space distance", aspect="equal")
    ax.spines[:].set_visible(True)


def _facts_about(iterates: pd.DataFrame, outside: int) -> list[str]:
    """How many iterates are not seen, and how far all are from the plane that they are projected on."""
    if iterates.empty:
        return []
    far = iterates["residual"]
    facts = [f"distance of the iterates from the plane: {far.min():.2g} to {far.max():.2g}, median {far.median():.2g}"]
    return [*facts, f"{outside} of {len(iterates)} iterates are outside of the part shown"] if outside else facts


def _path(ax: Axes, vertices: pd.DataFrame) -> None:
    """The curve between the modes: from the first mode to the bend to the second."""
    modes, bends = vertices[vertices["epoch"] >= 0], vertices[vertices["epoch"] < 0]
    if len(modes) == 2 and len(bends) == 1:
        corners = pd.concat([modes.iloc[:1], bends, modes.iloc[1:]])
        (line,) = ax.plot(corners["x"], corners["y"], color="white", linewidth=1.6, zorder=4.5, gid="path")
        line.set_path_effects([patheffects.withStroke(linewidth=3, foreground=style.TEXT_COLOUR)])


def _contours(ax: Axes, cells: pd.DataFrame, panel: Mapping[str, Any]) -> None:
    ax.set_facecolor("#DDDDDD")
    grid = cells.pivot(index="y", columns="x", values="value")
    height = np.ma.masked_invalid(grid.to_numpy())
    if not height.count():
        return
    levels, norm = scale(height.compressed(), panel)
    low_is_good = panel["metric"] == "loss"
    surface = ax.contourf(
        grid.columns, grid.index, np.ma.clip(height, *((levels[0], None) if low_is_good else (None, levels[-1]))),
        levels=levels, norm=norm, cmap=style.SURFACE[panel["metric"]], extend="max" if low_is_good else "min",
    )  # fmt: skip
    ax.contour(
        grid.columns, grid.index, height, levels=levels[1:-1], colors=style.TEXT_COLOUR, linewidths=0.4, alpha=0.4
    )
    label = style.metric_label(panel["metric"], panel.get("split", "test"))
    place = ax.inset_axes((1.025, 0, 0.035, 1))
    bar = ax.figure.colorbar(surface, cax=place, label=label, format=f"%.{digits(levels[::4])}g", ticks=levels[::4])
    bar.ax.yaxis.set_minor_locator(ticker.NullLocator())
    bar.outline.set_linewidth(0.5)


def digits(ticks: np.ndarray) -> int:
    """Significant digits that numbers need so that they are where their labels say; two at least."""
    near = np.abs(np.diff(ticks)).min() / 10
    return next((n for n in range(2, 6) if all(abs(float(f"{tick:.{n}g}") - tick) <= near for tick in ticks)), 6)


def scale(heights: np.ndarray, panel: Mapping[str, Any]) -> tuple[np.ndarray, Normalize]:
    """Contour levels, and their colour scale, between the best value and the worst that keeps its own colour.

    heights : the finite values on the plane, in any order.
    """
    if panel["metric"] == "loss":
        low, high = heights.min(), panel.get("worst", np.quantile(heights, 0.95))
    else:
        low, high = panel.get("worst", np.quantile(heights, 0.05)), heights.max()
    if panel.get("log", panel["metric"] == "loss"):
        high = max(high, 1e-12)
        low = np.clip(heights[heights > 0].min(initial=high), max(low, high * 1e-8), high / 1.001)
        return np.geomspace(low, high, LEVELS + 1), LogNorm(low, high)
    low = min(low, high - 1e-6)
    return np.linspace(low, high, LEVELS + 1), Normalize(low, high)


def _iterates(ax: Axes, rows: pd.DataFrame, seen: pd.DataFrame) -> None:
    """Points coloured by epoch, the colours spanning the epochs of those that are seen."""
    epochs = (seen if len(seen) else rows)["epoch"]
    ax.plot(rows["x"], rows["y"], color=style.TEXT_COLOUR, linewidth=0.4, alpha=0.5, zorder=3)
    ax.scatter(
        rows["x"], rows["y"], c=rows["epoch"], cmap=style.TIME, s=14, linewidths=0.35, edgecolors="#444444", zorder=4,
        vmin=epochs.min(), vmax=epochs.max(), gid="iterates",
    )  # fmt: skip


def _vertices(ax: Axes, rows: pd.DataFrame, labels: Mapping[str, str]) -> None:
    looks = {"color": "white", "markersize": 6.5, "markeredgecolor": "black", "markeredgewidth": 1.1}
    for row in rows.itertuples():
        ax.plot(row.x, row.y, "D", zorder=5, **looks)
        bend = row.epoch < 0
        name = style.weights_label(row.label)
        default = ("θ" if name == "bend" else f"θ = {name}") if bend else name
        text = ax.annotate(
            labels.get(row.label, default), (row.x, row.y), (0, 7 if bend else -7), textcoords="offset points",
            ha="center", va="bottom" if bend else "top", color="black", fontsize=9.5, zorder=6,
        )  # fmt: skip
        text.set_path_effects([patheffects.withStroke(linewidth=2.4, foreground="white")])


def share(figure: Figure, axes: Sequence[Axes], panels: Sequence[Mapping[str, Any]]) -> None:
    """One colour bar for the epochs of all iterates."""
    dots = {ax: dots for ax in axes for dots in ax.collections if dots.get_gid() == "iterates"}
    if not dots:
        return
    ranges = [one.get_clim() for one in dots.values()]
    for one in dots.values():
        one.set_clim(min(low for low, _ in ranges), max(high for _, high in ranges))
    figure.set_figheight(figure.get_figheight() + 0.6)
    bar = figure.colorbar(one, ax=list(dots), location="bottom", shrink=0.5, aspect=40, label="Epoch of the iterate")
    bar.outline.set_linewidth(0.5)
