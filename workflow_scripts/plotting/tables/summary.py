"""Statistics of the trials of a few settings, ours beside the paper's."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from workflow_scripts.evidence.quantities import QUANTITIES, trials
from workflow_scripts.evidence.reported import read_reported, reported_row
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.statistics import summarise
from workflow_scripts.plotting import cells

HEADS = {"interval": "95 % interval of the mean", "std": "deviation"}


def values(spec: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """The numbers of a table, one row per row of it.

    Columns: row; n, diverged, missing (runs that finished, diverged, have not been made), missing_note; then for each
    statistic ours and, where the paper has it, `<statistic>_reported` (a number), `<statistic>_printed` (as the paper
    prints it) and `<statistic>_difference` (ours minus reported); the interval has `interval_low` and `interval_high`.
    nan where there is no number: a reported one never stands in for ours.
    """
    return pd.DataFrame([_row(row, spec, tables) for row in spec["table"]["rows"]])


def _row(row: Mapping[str, Any], spec: Mapping[str, Any], tables: Sources) -> dict[str, Any]:
    table = spec["table"]
    ours = trials(table["quantity"], row, tables)
    summary = summarise(list(ours.values.values()), QUANTITIES[table["quantity"]].better)
    line = {"row": row["label"], "n": summary.n, "diverged": ours.diverged, "missing": ours.missing}
    line["missing_note"] = ours.missing_note
    for statistic in table["statistics"]:
        if statistic == "interval":
            line |= {"interval_low": summary.low, "interval_high": summary.high}
            continue
        line[statistic] = getattr(summary, statistic)
        if key := row.get("reported", {}).get(statistic):
            printed = _reported(spec, tables, key)
            number = float(printed["std" if statistic == "std" else "value"])
            text = printed["printed_std" if statistic == "std" else "printed"]
            line |= {
                f"{statistic}_reported": number,
                f"{statistic}_printed": text,
                f"{statistic}_difference": line[statistic] - number,
            }
    return line


def _reported(spec: Mapping[str, Any], tables: Sources, key: list[str]) -> pd.Series:
    path = tables.root / spec["reported"]
    return reported_row(read_reported(path), key, path)


def draw(spec: Mapping[str, Any], numbers: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read: text, with two lines of column headings (statistic; ours, paper, difference)."""
    table = spec["table"]
    places = table.get("decimals", QUANTITIES[table["quantity"]].decimals)

    def ours(name: str) -> pd.Series:
        text = numbers[name].map(lambda number: cells.number(number, places))
        return text.where(numbers["n"] > 0, numbers["missing_note"])

    columns: dict[tuple[str, str], pd.Series] = {("", ""): numbers["row"]}
    for statistic in table["statistics"]:
        head = HEADS.get(statistic, statistic)
        if statistic == "interval":
            low, high = ours("interval_low"), ours("interval_high")
            columns[head, "ours"] = low.where(numbers["interval_low"].isna(), low + " to " + high)
            continue
        columns[head, "ours"] = ours(statistic)
        if f"{statistic}_printed" in numbers:
            columns[head, "paper"] = numbers[f"{statistic}_printed"].fillna(cells.NOTHING)
            columns[head, "difference"] = numbers[f"{statistic}_difference"].map(
                lambda number: cells.difference(number, places)
            )
    columns["runs", "finished"] = numbers["n"].astype(str)
    for what in ("diverged", "missing"):
        if numbers[what].any():
            columns["runs", what] = numbers[what].astype(str)
    return pd.DataFrame(columns)


def caption(spec: Mapping[str, Any], tables: Sources) -> list[str]:
    """What is summarised, how, and where in the paper the reported numbers are."""
    table = spec["table"]
    rows = [_reported(spec, tables, key) for row in table["rows"] for key in row.get("reported", {}).values()]
    places = dict.fromkeys(f"{row['source']} ({row['note']})" if row["note"] else row["source"] for row in rows)
    sentences = [f"{QUANTITIES[table['quantity']].label}."]
    if "interval" in table["statistics"]:
        sentences.append(cells.INTERVAL)
    return [" ".join([*sentences, f"Reported: {'; '.join(places)}." if places else ""]).strip()]
