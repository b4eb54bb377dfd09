"""One style across all figures: colours for every eye, readable sizes, text that stays text."""

import contextlib
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from workflow_scripts.evidence.metrics import METRICS

# Seaborn's colours for every eye, in an order in which neighbours differ most; its yellow is too light for a line.
_PALETTE = sns.color_palette("colorblind").as_hex()
COLOURS = (*(_PALETTE[number] for number in (0, 3, 2, 4, 1, 9)), "#444444")
TEXT_COLOUR, FAINT, WARNING = "#222222", "#8A8A8A", "#B03A2E"
SEQUENTIAL, SIMILARITY, DIFFERENCE = "viridis", "viridis", "cividis"
# Good is light, so that the iterates, which gather there, stand out in a hue that the map has not.
SURFACE = {"loss": "viridis_r", "accuracy": "viridis"}
TIME = LinearSegmentedColormap.from_list("epochs", ["#FDE0DD", "#F768A1", "#AE017E", "#2B0030"])

# What differs from seaborn's theme "ticks".
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
    "text.color": TEXT_COLOUR,
    "axes.labelcolor": TEXT_COLOUR,
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
    "xtick.labelcolor": TEXT_COLOUR,
    "ytick.labelcolor": TEXT_COLOUR,
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


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Draw within this style, whatever the reader's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        sns.set_theme("paper", "ticks", rc=RC)
        yield


def metric_label(metric: str, split: str) -> str:
    """How an axis names a metric, with its unit: "Test accuracy (%)"."""
    return METRICS[metric].on(split)


def metric_axis(ax: Axes, panel: Mapping[str, Any]) -> None:
    """Set up the vertical axis of a panel that plots a metric, by the keys that such panels share."""
    ax.set_ylabel(panel.get("y_label", metric_label(panel["metric"], panel.get("split", "test"))))
    if panel.get("log_y"):
        ax.set_yscale("log")
        plain_numbers(ax.yaxis)
    if "x_limits" in panel:
        ax.set_xlim(panel["x_limits"])
    if "y_limits" in panel:
        ax.set_ylim(panel["y_limits"])
    ax.grid(axis="y")


def plain_numbers(axis: Axis) -> None:
    """Mark a logarithmic axis with numbers as one writes them: 0.02, not 2 × 10⁻²."""
    low, high = sorted(axis.get_view_interval())
    for subs in (1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0):
        locator = ticker.LogLocator(subs=subs)
        if sum(low <= tick <= high for tick in locator.tick_values(low, high)) >= 3:
            break
    else:
        locator = ticker.MaxNLocator(4)
        axis.set_minor_locator(ticker.NullLocator())  # powers of ten and their multiples mean nothing between these
    axis.set_major_locator(locator)
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.12f}".rstrip("0").rstrip(".")))
    axis.set_minor_formatter(ticker.NullFormatter())


def layer_ticks(axis: Axis, labels: Sequence[str], first: float = 0) -> None:
    """One tick a layer, the first at `first`, with its number and its operation's name."""
    names = [f"{number} {label}" for number, label in enumerate(labels)]
    axis.set_ticks([first + number for number in range(len(names))], names)
    axis.set_tick_params(length=1.5, pad=1.5, labelsize=min(7.5, max(4, 150 / len(labels))))
    axis.set_tick_params(rotation=90 if axis.axis_name == "x" else 0)


def fc_stack(labels: Sequence[str]) -> int | None:
    """Where the fully connected layers at the end begin, with the dropout before them; None where there are none."""
    if "FC" not in labels:
        return None
    first = list(labels).index("FC")
    return first - (first > 0 and labels[first - 1] == "drop")


def weights_label(label: str) -> str:
    """The label of a point of weight space as the paper sets it: w70 as $w_{70}$; other labels as they are."""
    return re.sub(r"^w(\d+(?:-\d+)?)$", r"$w_{\1}$", label)


def mark_scale(figure: Figure, mark: str) -> None:
    """Say of a figure that is not of the paper's scale what it is, above its panels."""
    if not mark:
        return
    box = {"boxstyle": "round,pad=0.35", "facecolor": "#FBEEEC", "edgecolor": WARNING, "linewidth": 0.6}
    text = mark if figure.get_figwidth() > 4.8 else textwrap.fill(mark, 34)
    figure.set_figheight(figure.get_figheight() + 0.12 * (2 + text.count("\n")))
    place = 1 - 0.07 / figure.get_figwidth()
    figure.suptitle(text, x=place, ha="right", fontsize=7, fontweight="bold", color=WARNING, bbox=box)
