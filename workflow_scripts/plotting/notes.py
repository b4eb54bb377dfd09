"""What a panel says about what it cannot show: a run that diverged, a table that nobody has made."""

import textwrap

import pandas as pd
from matplotlib.axes import Axes

from workflow_scripts.plotting import style

NOT_DATA = ["panel", "series", "note"]


def is_note(values: pd.DataFrame) -> pd.Series:
    """Which rows hold a note and nothing else."""
    data = values.drop(columns=NOT_DATA, errors="ignore")
    return values["note"].ne("") & data.isna().all(axis=1)


def sentences(values: pd.DataFrame) -> list[str]:
    """The notes of rows that hold nothing else, each once; with their series where they do not name a run."""
    rows = values[is_note(values)]
    if rows["note"].nunique() == 1 and len(rows) == len(values):
        return rows["note"].unique().tolist()
    series = rows["series"] if "series" in rows else pd.Series("", rows.index)
    messages = [
        note if "diverged" in note or not label else f"{label}: {note}"
        for label, note in zip(series, rows["note"], strict=True)
    ]
    return list(dict.fromkeys(messages))


def fill_panel(ax: Axes, messages: list[str]) -> None:
    """Write the notes in the middle of a panel that has nothing else to show."""
    ax.set(xticks=[], yticks=[], facecolor="#F7F7F7")
    ax.spines[:].set(visible=True, linestyle=(0, (4, 3)), color=style.FAINT)
    text = "\n\n".join(textwrap.fill(note, 30) for note in messages)
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=9, color=style.WARNING)


def write_above(ax: Axes, messages: list[str], title: str) -> None:
    """Write the notes between a panel and its title."""
    lines = [line for note in messages for line in textwrap.wrap(note, 58)]
    text = ax.annotate(
        "\n".join(lines), (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
        va="bottom", fontsize=6.5, linespacing=1.25, color=style.WARNING,
    )  # fmt: skip
    ax.set_title(title, pad=6 + 6.5 * 1.3 * len(lines))
    text.set_in_layout(True)
