"""Lay out the panels of an artifact as the paper does, draw them, and save the figure with its values."""

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, Transform

from workflow_scripts.base.files import whole_file
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.trained import differences
from workflow_scripts.plotting import notes, panels, style

Panel = Mapping[str, Any]
PNG_DPI = 144


def draw(spec: Panel, tables: Sources) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure that `spec` describes (see plotting/spec.py).

    Returns the figure and exactly the values in it, one row a point: column `panel` says in which panel it is (counted
    from 1) and `note` what could not be shown. Raises InputError for tables that are damaged or hold other things.
    """
    described = spec["panels"]
    modules = [panels.module(panel["kind"]) for panel in described]
    values = [module.values(panel, tables) for module, panel in zip(modules, described, strict=True)]
    sizes = [module.size(shown, panel) for module, shown, panel in zip(modules, values, described, strict=True)]
    with style.applied():
        figure, axes = _lay_out(spec, sizes)
        style.mark_scale(figure, spec.get("mark", ""))
        drawn = [
            _draw_panel(ax, module, shown, panel, _title(panel, size[0]))
            for ax, module, shown, panel, size in zip(axes, modules, values, described, sizes, strict=True)
        ]
        for module in dict.fromkeys(modules):
            same = [place for place, other in enumerate(modules) if other is module and drawn[place]]
            if same and hasattr(module, "share"):
                module.share(figure, [axes[place] for place in same], [described[place] for place in same])
        _add_legends(figure, axes)
        # Fix the layout now, so that SVG and PNG need not find it again, each for itself.
        figure.draw_without_rendering()
        figure.set_layout_engine(None)
        _write_below(figure, differences(tables))
    numbered = [shown.assign(panel=number) for number, shown in enumerate(values, 1)]
    together = pd.concat(numbered, ignore_index=True)
    return figure, together[["panel", *together.columns.drop(["panel", "note"]), "note"]]


def save(figure: Figure, values: pd.DataFrame, title: str, provenance: Mapping[str, Any], folder: str | Path) -> None:
    """Write figure.svg, figure.png (title and provenance inside both) and values.csv.

    The same figure gives the same bytes: the time of drawing stays out, and SVG identifiers do not depend on chance.
    """
    description = json.dumps({key: value for key, value in provenance.items() if key != "time"}, sort_keys=True)
    forms = {"svg": {"Date": None}, "png": {"Software": None}}
    with style.applied():
        for form, metadata in forms.items():
            with whole_file(Path(folder) / f"figure.{form}") as temporary:
                metadata = {"Title": title, "Description": description, **metadata}
                figure.savefig(temporary, format=form, dpi=PNG_DPI, metadata=metadata)
    with whole_file(Path(folder) / "values.csv") as temporary:
        values.to_csv(temporary, index=False)


def _lay_out(spec: Panel, sizes: Sequence[tuple[float, float]]) -> tuple[Figure, list[Axes]]:
    layout = spec.get("layout", {})
    columns = min(layout.get("columns", min(3, len(sizes))), len(sizes))
    rows = math.ceil(len(sizes) / columns)
    if "panel_size" in layout:
        sizes = [tuple(layout["panel_size"])] * len(sizes)
    width = max(width for width, _ in sizes) * columns
    height = sum(max(height for _, height in sizes[row * columns : (row + 1) * columns]) for row in range(rows))
    figure = Figure((width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for unused in axes[len(sizes) :]:
        unused.remove()
    return figure, list(axes[: len(sizes)])


def _title(panel: Panel, width: float) -> str:
    """A panel's title, broken into lines that fit `width` inches."""
    return textwrap.fill(panel.get("title", ""), int(width * 12.5))


def _draw_panel(ax: Axes, module: Any, values: pd.DataFrame, panel: Panel, title: str) -> bool:
    """Draw a panel, or say why it is empty; tell whether anything was drawn."""
    messages = notes.sentences(values)
    ax.set_title(title)
    if notes.is_note(values).all():
        notes.fill_panel(ax, messages)
        return False
    module.draw(ax, values, panel)
    if messages:
        notes.write_above(ax, messages, title)
    return True


def _add_legends(figure: Figure, axes: Sequence[Axes]) -> None:
    """Panels with the same entries share a legend: below their column, or, if they fill several, below the figure."""
    entries = {ax: dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True)) for ax in axes}
    entries = {ax: handles for ax, handles in entries.items() if handles}
    lines: dict[int, int] = {}  # of legends, by the row of panels that they stand below
    free = True
    while entries:
        handles = max(entries.values(), key=len)
        sharing = [ax for ax, others in entries.items() if _looks(others).items() <= _looks(handles).items()]
        lowest = {ax.get_subplotspec().colspan.start: ax for ax in sharing}
        if len(lowest) > 1 and free:
            lines[-1] = _legend_below_all(figure, handles)
            free = False
        else:
            for ax in lowest.values():
                row = ax.get_subplotspec().rowspan.start
                count = _legend_below(ax, handles if len(lowest) == 1 else entries[ax])
                lines[row] = max(lines.get(row, 0), count)
        entries = {ax: others for ax, others in entries.items() if ax not in sharing}
    figure.set_figheight(figure.get_figheight() + 0.17 * sum(lines.values()))


def _legend_below_all(figure: Figure, handles: Mapping[str, Artist]) -> int:
    inches = 0.65 + 0.065 * max(map(len, handles))
    columns = min(len(handles), max(1, int(figure.get_figwidth() / inches)))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns)
    return math.ceil(len(handles) / columns)


def _legend_below(ax: Axes, handles: Mapping[str, Artist]) -> int:
    long = max(map(len, handles)) > 34
    columns = 1 if long else 2
    labels = [textwrap.fill(label, 46) for label in handles]  # a wider one would push the panels together
    ax.legend(
        handles.values(), labels, ncols=columns, columnspacing=1.2, borderaxespad=0.4,
        loc="upper left" if long else "upper center", bbox_to_anchor=(0 if long else 0.5, 0), bbox_transform=_below(ax),
    )  # fmt: skip
    return math.ceil(len(labels) / columns) + sum(label.count("\n") for label in labels)


def _write_below(figure: Figure, text: str) -> None:
    """Write small print at the foot of a figure that is laid out, and move everything else up."""
    if not text:
        return
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(text, int(width * 19))
    room = 0.14 * len(lines) + 0.1
    places = {ax: ax.get_position(original=True) for ax in figure.axes}
    figure.set_size_inches(width, height + room)

    def moved(y: float) -> float:
        return (y * height + room) / (height + room)

    for ax, place in places.items():
        ax.set_position((place.x0, moved(place.y0), place.width, moved(place.y1) - moved(place.y0)))
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, moved(0), 1, moved(1) - moved(0)), figure.transFigure)
    if figure.get_suptitle():
        figure._suptitle.set_y(moved(figure._suptitle.get_position()[1]))
    foot = (0.07 / width, 0.07 / (height + room))
    figure.text(*foot, "\n".join(lines), fontsize=6.5, va="bottom", color=style.FAINT)


def _looks(handles: Mapping[str, Artist]) -> dict[str, tuple[Any, ...]]:
    """What tells one legend entry from another: its label and how its line looks."""
    return {
        label: tuple(str(getattr(handle, f"get_{what}", str)()) for what in ("color", "linestyle"))
        for label, handle in handles.items()
    }


def _below(ax: Axes) -> Transform:
    """The coordinates of an Axes, moved down past its tick labels and axis label."""
    inches = (ax.bbox.y0 - ax.xaxis.get_tightbbox().y0) / ax.figure.dpi
    return ax.transAxes + ScaledTranslation(0, -inches, ax.figure.dpi_scale_trans)
