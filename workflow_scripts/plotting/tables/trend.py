"""How the trials of a series of settings move and spread from one setting to the next, ours beside the paper's."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.evidence.quantities import QUANTITIES, trials
from workflow_scripts.evidence.reported import as_trials, read_histograms
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.statistics import BOOTSTRAP_TRIALS, shift, trend
from workflow_scripts.plotting import cells

STATISTICS = ("tau", "low", "high", "p", "superiority", "shift_p", "spread", "spread_p")


def values(spec: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """The numbers of a table, one row per quantity and whose trials they are.

    Columns: quantity, whose; n (all runs); mean_<setting>; and of evidence.statistics tau, low, high, p over
    all settings, superiority, shift_p, spread, spread_p from the first setting to the last. nan where some are missing.
    """
    lines = []
    for row in spec["table"]["rows"]:
        ours = {group["at"]: list(trials(row["quantity"], group, tables).values.values()) for group in row["groups"]}
        lines.append(_line(row, "ours", ours))
        if "digitised" in row:
            lines.append(_line(row, "paper, digitised", _digitised(row["digitised"], tables)))
    return pd.DataFrame(lines)


def _digitised(source: Mapping[str, str], tables: Sources) -> dict[float, list[float]]:
    bins = read_histograms(tables.root / source["file"], source["figure"])
    return {float(at): as_trials(group) for at, group in bins.groupby("setting")}


def _line(row: Mapping[str, Any], whose: str, groups: Mapping[float, list[float]]) -> dict[str, Any]:
    means = {f"mean_{at:g}": np.mean(found) if found else np.nan for at, found in groups.items()}
    line = {"quantity": row["label"], "whose": whose, "n": sum(map(len, groups.values())), **means}
    if all(groups.values()):
        over, ends = trend(groups, row["expected"]), [groups[at] for at in (min(groups), max(groups))]
        across = shift(*ends, row["expected"])
        found = over.tau, over.low, over.high, over.p, across.superiority, across.p, across.spread, across.spread_p
        line |= dict(zip(STATISTICS, found, strict=True))
    else:
        line |= dict.fromkeys(STATISTICS, np.nan)
    return {**line, "expected": row["expected"]}


def draw(spec: Mapping[str, Any], numbers: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read: text, with two lines of column headings."""
    rows = spec["table"]["rows"]
    places = numbers["quantity"].map({row["label"]: QUANTITIES[row["quantity"]].decimals for row in rows})
    at = sorted(group["at"] for group in rows[0]["groups"])
    claims = numbers["quantity"] + numbers["expected"].map({"increase": " rises", "decrease": " falls"})
    claims = claims.where(~numbers.duplicated("quantity"), "")
    columns = {("", "claim"): claims, ("", "runs"): numbers["whose"], ("", "n"): numbers["n"].astype(str)}
    for setting in at:
        means = zip(numbers[f"mean_{setting:g}"], places, strict=True)
        columns[f"mean at {spec['table']['heading']}", f"{setting:g}"] = [cells.number(*mean) for mean in means]
    columns["trend", "τ"] = [cells.difference(tau, 2) for tau in numbers["tau"]]
    intervals = zip(numbers["low"], numbers["high"], strict=True)
    columns["trend", "95 % interval"] = [
        cells.NOTHING if np.isnan(low) else f"{low:+.2f} to {high:+.2f}" for low, high in intervals
    ]
    columns["trend", "p"] = numbers["p"].map(cells.probability)
    ends = f"from {at[0]:g} to {at[-1]:g}"
    columns[ends, "superiority"] = [cells.number(value, 2) for value in numbers["superiority"]]
    columns[ends, "p of it"] = numbers["shift_p"].map(cells.probability)
    columns[ends, "ratio of deviations"] = [cells.number(value, 2) for value in numbers["spread"]]
    columns[ends, "p of that"] = numbers["spread_p"].map(cells.probability)
    return pd.DataFrame({key: list(column) for key, column in columns.items()})


def caption(spec: Mapping[str, Any], tables: Sources) -> list[str]:
    """Which statistics the table shows."""
    return [
        f"τ: Kendall's tau-b between setting and result, with its bootstrap interval where each setting has "
        f"{BOOTSTRAP_TRIALS} runs or more, and the one-sided p of the Jonckheere–Terpstra test; superiority: the "
        "chance that a trial of the last setting is beyond one of the first in the expected direction, with the "
        "one-sided p of the Mann–Whitney test; ratio of deviations: the last setting's over the first's, with the "
        "two-sided p of the Brown–Forsythe test."
    ]
