"""A table of a paper, with its own rows and columns: what it prints, what we find, and the difference."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.evidence.quantities import QUANTITIES, Trials, trials
from workflow_scripts.evidence.reported import read_reported
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.statistics import summarise
from workflow_scripts.plotting import cells

SETTING = "a setting, not a result"  # the note of reported values that nobody measured
BY_ROW = "by_row"  # the quantity of a column in which each row has its own


def values(spec: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """The numbers of a table, one row per cell.

    Columns: row, column, quantity, statistic; n, diverged, missing (runs that finished, diverged, have not been made)
    and missing_note, which of ours have no number; value (of the statistic), std, low, high (95 % interval of the
    mean); paper, paper_std, paper_n, difference (ours minus the paper's); printed (as the paper prints it), unit,
    source and note of the paper's number. nan where there is no number.
    """
    table, printed = spec["table"], read_reported(tables.root / spec["reported"])
    found = {
        (row["key"], column["key"]): trials(quantity, _source(row, column), tables)
        for row in table["rows"]
        for column in table["columns"]
        if (quantity := _quantity(row, column))
    }
    return pd.DataFrame(
        [_cell(row, column, table, found, printed) for row in table["rows"] for column in table["columns"]]
    )


def _quantity(row: Mapping[str, Any], column: Mapping[str, Any]) -> str:
    """What a cell measures; nothing for a setting, such as a budget."""
    quantity = column.get("quantity", "")
    return row["quantity"] if quantity == BY_ROW else quantity


def _source(row: Mapping[str, Any], column: Mapping[str, Any]) -> Mapping[str, Any]:
    return row["cells"].get(column["key"], {}) if "cells" in row else row


def _cell(row: Mapping, column: Mapping, table: Mapping, found: Mapping[tuple, Trials], printed: pd.DataFrame) -> dict:
    paper = _printed(row, column, table, printed)
    quantity = _quantity(row, column)
    cell = {"row": row["label"], "column": column["label"], "quantity": quantity}
    cell |= _ours(column, found, row["key"], quantity) if quantity else _no_quantity()
    cell |= {
        "paper": np.nan if paper is None else paper["value"],
        "paper_std": np.nan if paper is None else paper["std"],
        "paper_n": np.nan if paper is None else paper["n"],
        "printed": "" if paper is None else cells.with_deviation(paper["printed"], paper["printed_std"]),
        "unit": "" if paper is None else paper["unit"],
        "source": "" if paper is None else paper["source"],
        "note": "" if paper is None else paper["note"],
    }
    return {**cell, "difference": cell["value"] - cell["paper"]}


def _printed(row: Mapping, column: Mapping, table: Mapping, printed: pd.DataFrame) -> pd.Series | None:
    """What the paper prints in a cell, if it prints something."""
    key = (table["reported"], row["key"], column["key"])
    return printed.loc[key] if column.get("reported", True) and key in printed.index else None


def _ours(column: Mapping, found: Mapping[tuple, Trials], row: str, quantity: str) -> dict[str, Any]:
    ours, better = found[row, column["key"]], QUANTITIES[quantity].better
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
        "missing_note": ours.missing_note,
        "value": value,
        "std": summary.std if mean else np.nan,
        "low": summary.low if mean else np.nan,
        "high": summary.high if mean else np.nan,
    }


def _no_quantity() -> dict[str, Any]:
    numbers = dict.fromkeys(("value", "std", "low", "high"), np.nan)
    return {"statistic": "", "n": 0, "diverged": 0, "missing": 0, "missing_note": "", **numbers}


def draw(spec: Mapping[str, Any], numbers: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read: text, under two lines of column headings, or one where ours stand below the paper's."""
    table = spec["table"]
    described = [(row, column) for row in table["rows"] for column in table["columns"]]
    shown = numbers.assign(
        places=[_places(row, column) for row, column in described],
        paper=_paper(numbers),
    )
    return _below(table, shown) if table.get("compare") == "rows" else _beside(table, shown)


def _places(row: Mapping[str, Any], column: Mapping[str, Any]) -> int:
    quantity = _quantity(row, column)
    usual = QUANTITIES[quantity].decimals if quantity and column.get("statistic") != "above" else 0
    return column.get("decimals", usual)


def _paper(numbers: pd.DataFrame) -> pd.Series:
    """What the paper prints, digit for digit; with its unit where the settings of a column have several."""
    units = numbers["unit"].replace("", np.nan).groupby(numbers["column"]).transform("nunique")
    several = numbers["quantity"].eq("") & units.gt(1)
    with_unit = numbers["printed"].where(~several, numbers["printed"] + " " + numbers["unit"])
    return with_unit.where(numbers["printed"] != "", cells.NOTHING)


def _beside(table: Mapping[str, Any], numbers: pd.DataFrame) -> pd.DataFrame:
    labels = [_heading(row, table) for row in table["rows"]]
    columns = {("", table["heading"]): labels}
    for column in table["columns"]:
        name = column["label"]
        shown = numbers[numbers["column"] == name]
        if column.get("reported", True):
            columns[name, "paper"] = shown["paper"].tolist()
        if "quantity" not in column:
            continue
        columns[name, "ours"] = shown.apply(_mean, axis=1).tolist()
        statistic = column.get("statistic", "mean")
        if table.get("interval") and statistic == "mean":
            columns[name, "95 % interval"] = shown.apply(_interval, axis=1).tolist()
        if column.get("reported", True) and statistic != "above":
            columns[name, "difference"] = shown.apply(_difference, axis=1).tolist()
    measured = numbers[numbers["quantity"] != ""]
    by_row = [measured[measured["row"] == row["label"]] for row in table["rows"]]
    columns["runs", "ours"] = [_counts(of_row["n"]) for of_row in by_row]
    columns["runs", "paper"] = [_counts(of_row["paper_n"].dropna()) for of_row in by_row]
    for what in ("diverged", "missing"):
        if measured[what].any():
            columns["runs", what] = [_counts(of_row[what]) for of_row in by_row]
    return pd.DataFrame(columns)


def _below(table: Mapping[str, Any], numbers: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for row in table["rows"]:
        of_row = [cell for _, cell in numbers[numbers["row"] == row["label"]].iterrows()]
        lines.append([_heading(row, table), "paper", *(cell["paper"] for cell in of_row)])
        lines.append(["", "ours", *(_counted(cell) if cell["quantity"] else "" for cell in of_row)])
        if any(cell["n"] for cell in of_row):
            lines.append(["", "difference", *(_difference(cell) if cell["n"] else "" for cell in of_row)])
    return pd.DataFrame(lines, columns=[table["heading"], "", *(column["label"] for column in table["columns"])])


def _heading(row: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """What a row is called; with its quantity where rows have different ones."""
    by_row = any(column.get("quantity") == BY_ROW for column in table["columns"])
    return f"{row['label']}: {QUANTITIES[row['quantity']].label}" if by_row else row["label"]


def _absent(cell: pd.Series) -> str:
    """Why a cell has no number of ours; nothing where the paper has none either and no runs are declared."""
    declared = cell["missing"] or cell["diverged"]
    return cell["missing_note"] if declared or cell["printed"] else cells.NOTHING


def _mean(cell: pd.Series) -> str:
    if cell["n"] == 0:
        return _absent(cell)
    deviation = "" if np.isnan(cell["std"]) else cells.two_digits(cell["std"])
    return cells.with_deviation(cells.number(cell["value"], cell["places"]), deviation)


def _counted(cell: pd.Series) -> str:
    if cell["n"] == 0:
        return _absent(cell)
    deviation = "" if np.isnan(cell["std"]) else f"{cells.two_digits(cell['std'])}; "
    return f"{cells.number(cell['value'], cell['places'])} ({deviation}{cell['n']})"


def _interval(cell: pd.Series) -> str:
    return cells.interval(cell["low"], cell["high"], cell["places"])


def _difference(cell: pd.Series) -> str:
    """With as many decimals as the paper prints, where that is fewer than ours have."""
    if np.isnan(cell["difference"]):
        return cells.NOTHING
    printed = -Decimal(cell["printed"].split(" ")[0]).as_tuple().exponent
    return cells.difference(cell["difference"], min(cell["places"], max(printed, 0)))


def _counts(numbers: pd.Series) -> str:
    """The number of runs behind a row, or all of them where its columns differ."""
    return ", ".join(f"{number:.0f}" for number in dict.fromkeys(numbers)) or cells.NOTHING


def caption(spec: Mapping[str, Any], tables: Sources) -> list[str]:
    """How to read the table, where the paper has it, and what the paper says elsewhere of its numbers."""
    table, printed = spec["table"], read_reported(tables.root / spec["reported"])
    found = [
        (row, column, _printed(row, column, table, printed)) for row in table["rows"] for column in table["columns"]
    ]
    notes = dict.fromkeys(
        f"{row['label']}, {column['label']}: {paper['note']}."
        for row, column, paper in found
        if paper is not None and paper["note"] not in ("", SETTING)
    )
    sources = dict.fromkeys(paper["source"] for *_, paper in found if paper is not None)
    counted = " and their number" if table.get("compare") == "rows" else ""
    sentences = [f"In brackets the standard deviation of several runs{counted}."]
    if table.get("interval"):
        sentences.append(cells.INTERVAL)
    if sources:
        sentences.append(f"Reported: {'; '.join(sources)}.")
    return [" ".join(sentences), *notes]
