"""A learning-rate range test: the loss against the learning rate."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from workflow_scripts.evidence.reported import read_reported, reported_row
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.plotting import style


def size(values: pd.DataFrame, panel: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches."""
    return 4.6, 3.0


def values(panel: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """Columns step, rate, loss, smoothed_loss, minimum, suggestion, papers_minimum, note: the sweep and its marks."""
    columns = ["step", "rate", "loss", "smoothed_loss", "minimum", "suggestion", "papers_minimum", "note"]
    rows = tables.rows(panel["table"], "range_test")
    if "papers_minimum" in panel and "rate" in rows:
        path = tables.root / panel["papers_minimum"]["file"]
        printed = reported_row(read_reported(path), panel["papers_minimum"]["key"], path)
        rows["papers_minimum"] = float(printed["value"])
    return rows.reindex(columns=columns)


def draw(ax: Axes, values: pd.DataFrame, panel: Mapping[str, Any]) -> None:
    """Each minibatch's loss, faint, and its average; the rate of its least value, and a tenth of it to train with."""
    ax.plot(values["rate"], values["loss"], color=style.COLOURS[5], linewidth=0.7, alpha=0.7, label="minibatch")
    ax.plot(values["rate"], values["smoothed_loss"], color=style.COLOURS[0], label="moving average")
    marks = {"minimum": ("minimum", "--"), "suggestion": ("a tenth of it", ":")}
    for name, (label, dashes) in marks.items():
        rate = values[name].iloc[0]
        ax.axvline(rate, color=style.COLOURS[1], linewidth=1, linestyle=dashes, label=f"{label}: {rate:.2g}")
    paper = values["papers_minimum"].iloc[0]
    if np.isfinite(paper):
        for rate, label, dashes in ((paper, "the paper's minimum", "--"), (paper / 10, "a tenth of the paper's", ":")):
            ax.axvline(rate, color=style.COLOURS[2], linewidth=1, linestyle=dashes, label=f"{label}: {rate:.3g}")
    ax.set(xscale="log", xlabel="Learning rate", ylabel="Training loss")
    style.plain_numbers(ax.xaxis)
    low, high = values["smoothed_loss"].min(), values["smoothed_loss"].max()
    ax.set_ylim(low - 0.2 * (high - low), high + 0.2 * (high - low))  # single minibatches may lie beyond
    ax.grid(axis="y")
