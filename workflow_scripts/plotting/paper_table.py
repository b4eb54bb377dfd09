"""A table of a paper, with its own rows and columns: what it prints, what we find, and the difference.

The description of a table (schemas/panel.schema.yaml, kind `paper_table`):

reported        id of the paper's table in its reported.csv (the path `reported` of the specification)
heading         what its rows are, such as "Explore epochs"
compare         columns (default): paper, ours and difference side by side; rows: one below the other, for wide tables
interval        whether to show the 95 % bootstrap interval of our mean; default: no
columns         list of {label, key, optionally quantity, statistic, above, decimals, reported}. `key` is the column of
                reported.csv; `reported: false` where the paper has none. `quantity` is one of quantities.QUANTITIES;
                a column without one, such as a budget, shows what the paper prints. `statistic` is mean (default, with
                the standard deviation), best, or above: how many runs are better than the mean of the row `above`
rows            list of {label, key} with the row's trials: {tables}, {sharpness}, {fisher} as told in quantities.py,
                or with `cells`, the same for each column by its key. A row without any has no runs of ours: its numbers
                are the paper's alone, and none of them stands in for ours.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.evidence.quantities import QUANTITIES, Trials, trials
from workflow_scripts.evidence.reported import read_reported
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.statistics import summarise
from workflow_scripts.plotting.table import NOTHING, above

SETTING = "a setting, not a result"  # the note of reported values that nobody measured


def values(spec: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """The numbers of a table, one row per cell.

    Columns: row, column, quantity, statistic; n, diverged, missing (runs that finished, diverged, have not been made);
    value (of the statistic), std, low, high (95 % bootstrap interval of the mean); paper, paper_std, paper_n,
    difference (ours minus the paper's); source and note of the paper's number; lacking, what to say in place of ours.
    nan where there is no number.
    """
    table, printed = spec["table"], read_reported(tables.root / spec["reported"])
    found = {
        (row["key"], column["key"]): trials(column["quantity"], _source(row, column), tables)
        for row in table["rows"]
        for column in table["columns"]
        if "quantity" in column
    }
    return pd.DataFrame(
        [_cell(row, column, table, found, printed) for row in table["rows"] for column in table["columns"]]
    )


def _source(row: Mapping[str, Any], column: Mapping[str, Any]) -> Mapping[str, Any]:
    return row["cells"].get(column["key"], {}) if "cells" in row else row


def _cell(row: Mapping, column: Mapping, table: Mapping, found: Mapping[tuple, Trials], printed: pd.DataFrame) -> dict:
    paper = _printed(row, column, table, printed)
    cell = {"row": row["label"], "column": column["label"], "quantity": column.get("quantity", "")}
    cell |= _ours(column, found, row["key"]) if "quantity" in column else _no_quantity()
    cell |= {
        "paper": np.nan if paper is None else paper["value"],
        "paper_std": np.nan if paper is None else paper["std"],
        "paper_n": np.nan if paper is None else paper["n"],
        "source": "" if paper is None else paper["source"],
        "note": "" if paper is None else paper["note"],
    }
    return {**cell, "difference": cell["value"] - cell["paper"]}


def _printed(row: Mapping, column: Mapping, table: Mapping, printed: pd.DataFrame) -> pd.Series | None:
    """What the paper prints in a cell, if it prints something."""
    key = (table["reported"], row["key"], column["key"])
    return printed.loc[key] if column.get("reported", True) and key in printed.index else None


def _ours(column: Mapping, found: Mapping[tuple, Trials], row: str) -> dict[str, Any]:
    ours, better = found[row, column["key"]], QUANTITIES[column["quantity"]].better
    results = list(ours.values.values())
    summary, statistic = summarise(results, better), column.get("statistic", "mean")
    value = {"mean": summary.mean, "best": summary.best}.get(statistic, np.nan)
    if statistic == "above" and results:
        bar = summarise(list(found[column["above"], column["key"]].values.values())).mean
        value = float(sum(result > bar if better == "max" else result < bar for result in results))
    mean = statistic == "mean"
    return {
        "statistic": statistic,
        "n": summary.n,
        "diverged": ours.diverged,
        "missing": ours.missing,
        "value": value,
        "std": summary.std if mean else np.nan,
        "low": summary.low if mean else np.nan,
        "high": summary.high if mean else np.nan,
        "lacking": ours.lacking,
    }


def _no_quantity() -> dict[str, Any]:
    numbers = dict.fromkeys(("value", "std", "low", "high"), np.nan)
    return {"statistic": "", "n": 0, "diverged": 0, "missing": 0, **numbers, "lacking": ""}


def draw(spec: Mapping[str, Any], numbers: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read: text, under two lines of column headings, or one where ours stand below the paper's."""
    table = spec["table"]
    shown = numbers.assign(places=[_places(column) for _ in table["rows"] for column in table["columns"]])
    return _below(table, shown) if table.get("compare") == "rows" else _beside(table, shown)


def _places(column: Mapping[str, Any]) -> int:
    usual = (
        0
        if column.get("statistic") == "above"
        else QUANTITIES[column["quantity"]].decimals
        if "quantity" in column
        else -1
    )
    return column.get("decimals", usual)


def _beside(table: Mapping[str, Any], numbers: pd.DataFrame) -> pd.DataFrame:
    labels = [row["label"] for row in table["rows"]]
    columns = {("", table["heading"]): labels}
    for column in table["columns"]:
        cells = numbers[numbers["column"] == column["label"]]
        name = column["label"]
        if column.get("reported", True):
            columns[name, "paper"] = cells.apply(_paper, axis=1).tolist()
        if "quantity" not in column:
            continue
        columns[name, "ours"] = cells.apply(_mean, axis=1).tolist()
        statistic = column.get("statistic", "mean")
        if table.get("interval") and statistic == "mean":
            columns[name, "95 % interval"] = cells.apply(_interval, axis=1).tolist()
        if column.get("reported", True) and statistic != "above":
            columns[name, "difference"] = cells.apply(_difference, axis=1).tolist()
    measured = numbers[numbers["quantity"] != ""]
    by_row = [measured[measured["row"] == label] for label in labels]
    columns["runs", "ours"] = [_counts(cells["n"]) for cells in by_row]
    columns["runs", "paper"] = [_counts(cells["paper_n"].dropna()) for cells in by_row]
    for what in ("diverged", "missing"):
        if measured[what].any():
            columns["runs", what] = [_counts(cells[what]) for cells in by_row]
    return pd.DataFrame(columns)


def _below(table: Mapping[str, Any], numbers: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for row in table["rows"]:
        cells = [cell for _, cell in numbers[numbers["row"] == row["label"]].iterrows()]
        lines.append([row["label"], "paper", *map(_paper, cells)])
        measured = [cell["quantity"] != "" for cell in cells]
        lines.append(
            ["", "ours", *(_counted(cell) if ours else "" for cell, ours in zip(cells, measured, strict=True))]
        )
        if any(cell["n"] for cell in cells):
            lines.append(["", "difference", *(_difference(cell) if cell["n"] else "" for cell in cells)])
    return pd.DataFrame(lines, columns=[table["heading"], "", *(column["label"] for column in table["columns"])])


def _paper(cell: pd.Series) -> str:
    if np.isnan(cell["paper"]):
        return NOTHING
    return _number(cell["paper"], cell["places"]) + _deviation(cell["paper_std"])


def _mean(cell: pd.Series) -> str:
    if cell["n"] == 0:
        return cell["lacking"]
    return NOTHING if np.isnan(cell["value"]) else _number(cell["value"], cell["places"]) + _deviation(cell["std"])


def _counted(cell: pd.Series) -> str:
    if cell["n"] == 0:
        return cell["lacking"]
    spread = f"{cell['std']:.2g}; " if not np.isnan(cell["std"]) else ""
    return f"{_number(cell['value'], cell['places'])} ({spread}{cell['n']})"


def _interval(cell: pd.Series) -> str:
    if np.isnan(cell["low"]):
        return NOTHING
    return f"{_number(cell['low'], cell['places'])} to {_number(cell['high'], cell['places'])}"


def _difference(cell: pd.Series) -> str:
    return NOTHING if np.isnan(cell["difference"]) else format(cell["difference"], f"+.{max(cell['places'], 0)}f")


def _number(number: float, places: int) -> str:
    return f"{number:g}" if places < 0 else f"{number:.{places}f}"


def _deviation(std: float) -> str:
    return "" if np.isnan(std) else f" ({std:.2g})"


def _counts(numbers: pd.Series) -> str:
    """The number of runs behind a row, or all of them where its columns differ."""
    return ", ".join(f"{number:.0f}" for number in dict.fromkeys(numbers)) or NOTHING


def caption(spec: Mapping[str, Any], tables: Sources) -> str:
    """What stands above the table: what it is, of which scale, how to read it, and what the paper says elsewhere."""
    table, printed = spec["table"], read_reported(tables.root / spec["reported"])
    cells = [
        (row, column, _printed(row, column, table, printed)) for row in table["rows"] for column in table["columns"]
    ]
    notes = dict.fromkeys(
        f"{row['label']}, {column['label']}: {paper['note']}"
        for row, column, paper in cells
        if paper is not None and paper["note"] not in ("", SETTING)
    )
    sources = dict.fromkeys(paper["source"] for *_, paper in cells if paper is not None)
    counted = " and their number" if table.get("compare") == "rows" else ""
    return above(
        spec,
        f"In brackets the standard deviation of the runs{counted}.",
        f"Reported: {'; '.join(sources)}." if sources else "",
    ) + "".join(f"\n{note}." for note in notes)
