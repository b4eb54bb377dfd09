"""The least budget, among those that were trained, with which each schedule reaches a target.

As the paper counts: a schedule's budget is the least of its trained ones whose mean is no worse than the target's. That
is an upper bound of what it needs, since no budget between two trained ones has been tried.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.evidence.quantities import QUANTITIES, trials
from workflow_scripts.evidence.reported import read_reported
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.statistics import summarise
from workflow_scripts.plotting import cells


def values(spec: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """The numbers of a table, one row per cell.

    Columns: row, column; target (our mean, which is to be reached); value (the target, or the least budget that reaches
    it; nan where none does, or where there are no runs), trained (the budgets, a comma between them), missing_note
    (which of ours have no number), printed (as the paper prints it), paper (a number), unit, source.
    """
    table, printed = spec["table"], read_reported(tables.root / spec["reported"])
    return pd.DataFrame([line for row in table["rows"] for line in _row(row, table, printed, tables)])


def _row(row: Mapping[str, Any], table: Mapping[str, Any], printed: pd.DataFrame, tables: Sources) -> list[dict]:
    better = QUANTITIES[table["quantity"]].better

    def mean(source: Mapping[str, Any]) -> tuple[float, str]:
        found = trials(table["quantity"], source, tables)
        return summarise(list(found.values.values()), better).mean, found.missing_note

    target, note = mean(row["target"])
    first, *others = table["columns"]
    lines = [{"row": row["label"], "column": first["label"], "target": target, "value": target, "trained": ""}]
    lines[0] |= {"missing_note": note, **_printed(table, row, first, printed)}
    for column in others:
        trained = row["schedules"].get(column["key"], [])
        means = [(each["budget"], *mean(each)) for each in trained]
        reaching = [budget for budget, found, _ in means if (found >= target if better == "max" else found <= target)]
        notes = dict.fromkeys(note for *_, note in means if note)
        line = {"row": row["label"], "column": column["label"], "target": target}
        line |= {"value": min(reaching, default=np.nan), "trained": ", ".join(f"{b:g}" for b, *_ in means)}
        lines.append(line | {"missing_note": "; ".join(notes), **_printed(table, row, column, printed)})
    return lines


def _printed(table: Mapping, row: Mapping, column: Mapping, printed: pd.DataFrame) -> dict[str, Any]:
    key = (table["reported"], row["key"], column["key"])
    if key not in printed.index:
        return {"printed": "", "paper": np.nan, "unit": "", "source": ""}
    found = printed.loc[key]
    return {"printed": found["printed"], "paper": found["value"], "unit": found["unit"], "source": found["source"]}


def draw(spec: Mapping[str, Any], numbers: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read: text, the paper's budgets beside ours."""
    table, places = spec["table"], QUANTITIES[spec["table"]["quantity"]].decimals
    columns = {("", table["heading"]): [row["label"] for row in table["rows"]]}
    for number, column in enumerate(table["columns"]):
        shown = numbers[numbers["column"] == column["label"]]
        columns[column["label"], "paper"] = [text or cells.NOTHING for text in shown["printed"]]
        columns[column["label"], "ours"] = [
            _target(cell, places) if number == 0 else _budget(cell) for _, cell in shown.iterrows()
        ]
    return pd.DataFrame(columns)


def _target(cell: pd.Series, places: int) -> str:
    return cell["missing_note"] or cells.NOTHING if np.isnan(cell["value"]) else cells.number(cell["value"], places)


def _budget(cell: pd.Series) -> str:
    if not np.isnan(cell["value"]):
        return f"{cell['value']:g}"
    if cell["missing_note"] or np.isnan(cell["target"]):
        return cell["missing_note"] or cells.NOTHING
    return f"none of {cell['trained']}"


def caption(spec: Mapping[str, Any], tables: Sources) -> list[str]:
    """How budgets are counted, and where the paper has them."""
    numbers = values(spec, tables)
    trained = [
        f"{row}: {column} {budgets}"
        for row, column, budgets in zip(numbers["row"], numbers["column"], numbers["trained"], strict=True)
        if budgets
    ]
    units = ", ".join(dict.fromkeys(unit for unit in numbers["unit"] if unit and unit != "BLEU"))
    in_units = f"Budgets in {units}. " if units else ""
    sources = "; ".join(dict.fromkeys(source for source in numbers["source"] if source))
    return [
        f"{in_units}The least that was trained and whose mean reaches the target; trained were {'; '.join(trained)}. "
        f"Reported: {sources}."
    ]
