"""One style across all figures: colours for every eye, readable sizes, text that stays text."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from workflow_scripts.plotting.spec import scale_stamp

# Okabe & Ito's palette, which seaborn calls "colorblind" in its own shades; its yellow is too light for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
INK, FAINT, ALARM = "#222222", "#8A8A8A", "#B03A2E"
SEQUENTIAL, SIMILARITY, DIFFERENCE = "viridis", "viridis", "cividis"
# Good is light, so that the iterates, which gather there, stand out in a hue that the map has not.
SURFACE = {"loss": "viridis_r", "accuracy": "viridis"}
TIME = LinearSegmentedColormap.from_list("epochs", ["#FDE0DD", "#F768A1", "#AE017E", "#2B0030"])

RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "mathtext.fontset": "dejavusans",
    "image.interpolation": "nearest",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "svg.fonttype": "none",
    "svg.hashsalt": "closer-look",
}

METRICS = {"loss": "loss", "accuracy": "accuracy (%)", "top5_accuracy": "top-5 accuracy (%)"}
SPLITS = {"train": "Training", "test": "Test"}


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Draw within this style, whatever the reader's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def metric_label(metric: str, split: str) -> str:
    """How an axis names a metric, with its unit: "Test accuracy (%)"."""
    return "Learning rate" if metric == "learning_rate" else f"{SPLITS[split]} {METRICS[metric]}"


def metric_axis(ax: Axes, panel: Mapping[str, Any]) -> None:
    """Set up the vertical axis of a panel that plots a metric, by the keys that such panels share."""
    ax.set_ylabel(metric_label(panel["metric"], panel.get("split", "test")))
    if panel.get("log_y"):
        ax.set_yscale("log")
    if "x_limits" in panel:
        ax.set_xlim(panel["x_limits"])
    if "y_limits" in panel:
        ax.set_ylim(panel["y_limits"])
    ax.grid(axis="y")


def layer_ticks(axis: Axis, labels: Sequence[str], named: bool) -> None:
    """One tick a layer with its operation's name, or, where `named` is false, a number on every fifth."""
    if not named:
        axis.set_ticks(range(0, len(labels), 5))
        return
    axis.set_ticks(range(len(labels)), labels, fontsize=min(7.5, max(4, 150 / len(labels))))
    axis.set_tick_params(length=1.5, pad=1.5, **({"rotation": 90} if axis.axis_name == "x" else {}))


def weights_label(label: str) -> str:
    """The label of a point of weight space as the paper sets it: w70 as $w_{70}$; other labels as they are."""
    return re.sub(r"^w(\d+(?:-\d+)?)$", r"$w_{\1}$", label)


def demo_stamp(figure: Figure, scale: str, data: str | None = None) -> None:
    """Stamp a figure that is not of the paper's scale, above its panels."""
    if text := scale_stamp(scale, data):
        tint = {"boxstyle": "round,pad=0.35", "facecolor": "#FBEEEC", "edgecolor": ALARM, "linewidth": 0.6}
        text = text if figure.get_figwidth() > 4.8 else text.replace(": ", ":\n")
        figure.set_figheight(figure.get_figheight() + 0.12 * (2 + text.count("\n")))
        figure.suptitle(
            text, x=1 - 0.07 / figure.get_figwidth(), ha="right", fontsize=7, fontweight="bold", color=ALARM, bbox=tint
        )
