"""The numbers printed in a paper, papers/<paper>/reported.csv, and its histograms, reported_histograms.csv."""

import os
from pathlib import Path

import pandas as pd

from workflow_scripts.base.errors import InputError

COLUMNS = ("id", "row", "column", "value", "std", "n", "unit", "source", "note")
KEY = ["id", "row", "column"]
HISTOGRAM = ("figure", "quantity", "setting", "bin_left", "bin_right", "bin_centre", "count", "note")


def read_reported(path: str | os.PathLike) -> pd.DataFrame:
    """Read a paper's reported values.

    Returns
    -------
    DataFrame indexed by (id, row, column), sorted, with columns value, std, n (numbers; nan where the paper has none),
    printed and printed_std (value and std digit for digit as the paper prints them), unit, source (where in the paper)
    and note. Raises InputError if the file is absent or not of this form.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise InputError(f"there are no reported values at {path}; give the path of a paper's reported.csv") from None
    except ValueError as error:
        raise InputError(f"{path} is not a CSV file of reported values: {error}") from None
    if tuple(frame.columns) != COLUMNS:
        raise InputError(f"{path} has the columns {', '.join(frame.columns)}; needed are {', '.join(COLUMNS)}")
    if frame.duplicated(KEY).any():
        twice = "/".join(frame.loc[frame.duplicated(KEY), KEY].iloc[0])
        raise InputError(f"{path} has two rows {twice}; give each reported value a row of its own")
    frame = frame.assign(printed=frame["value"], printed_std=frame["std"])
    for name in ("value", "std", "n"):
        try:
            frame[name] = frame[name].replace("", "nan").astype(float)
        except ValueError as error:
            raise InputError(f"{path}, column {name}: {error}; give numbers") from None
    return frame.set_index(KEY).sort_index()


def reported_row(values: pd.DataFrame, key: list[str], path: str | os.PathLike) -> pd.Series:
    """The row of `read_reported` with that (id, row, column). Raises InputError if there is none."""
    if tuple(key) not in values.index:
        raise InputError(f"{Path(path)} has no row {'/'.join(key)}; check the key against its first three columns")
    return values.loc[tuple(key)]


def read_histograms(path: str | os.PathLike, figure: str) -> pd.DataFrame:
    """The bins of a figure's histograms, read off its picture.

    Returns
    -------
    DataFrame with columns setting, bin_left, bin_right, bin_centre and count, in order; empty bins are left out.
    `bin_centre` is where the picture has the bar's centre, and what stands for the trials in it: the edges are of an
    even grid fitted to all centres, so the middle between them differs in the third decimal. Raises InputError if the
    file is absent or not of this form, or has no such figure.
    """
    try:
        frame = pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(
            f"there are no digitised histograms at {path}; give a paper's reported_histograms.csv"
        ) from None
    except ValueError as error:
        raise InputError(f"{path} is not a CSV file of histograms: {error}") from None
    if tuple(frame.columns) != HISTOGRAM:
        raise InputError(f"{path} has the columns {', '.join(frame.columns)}; needed are {', '.join(HISTOGRAM)}")
    found = frame[frame["figure"] == figure]
    if found.empty:
        raise InputError(f"{path} has no histograms of {figure!r}; it has {', '.join(frame['figure'].unique())}")
    wanted = ["setting", "bin_left", "bin_right", "bin_centre", "count"]
    return found[wanted].sort_values(["setting", "bin_left"], ignore_index=True)


def as_trials(bins: pd.DataFrame) -> list[float]:
    """The trials of a digitised histogram, each at the centre of its bin: of the bins of one setting."""
    return bins["bin_centre"].repeat(bins["count"]).tolist()
