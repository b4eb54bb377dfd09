"""Verdicts in words and numbers, as the site's pages show them."""

import math
from collections import Counter
from pathlib import Path

import pandas as pd

from workflow_scripts.evidence.tables import VERDICTS, read_table
from workflow_scripts.evidence.wording import expectation, number, p_value
from workflow_scripts.planning.claims import Claim
from workflow_scripts.planning.plan import Plan


def read(plan: Plan, verdicts: Path) -> list[dict]:
    """Every claim with its verdict, in the order of the papers; "not run" where nothing has been judged."""
    frame = read_table(verdicts, "verdicts").frame.set_index(["whose", "claim"]) if verdicts.exists() else None
    return [_claim(claim, frame) for claim in plan.claims.values()]


def _claim(claim: Claim, frame: pd.DataFrame | None) -> dict:
    ours, papers = (_row(frame, whose, claim.id) for whose in ("ours", "paper"))
    return {
        "id": claim.id,
        "name": claim.id.replace("/", "-"),
        "of": claim.spec["paper"],
        **{key: claim.spec[key] for key in ("says", "section", "against", "shown_in")},
        **_shown(ours, claim.rule),
        "data": "" if ours is None else ours["data"],
        "device": "" if ours is None else ours["device"],
        "paper": None if papers is None else _shown(papers, claim.rule),
    }


def counts(claims: list[dict]) -> dict[str, int]:
    """How many claims have each verdict, in the order of verdicts; those that none has are left out."""
    counted = Counter(claim["verdict"] for claim in claims)
    return {verdict: counted[verdict] for verdict in VERDICTS if counted[verdict]}


def _row(frame: pd.DataFrame | None, whose: str, id: str) -> pd.Series | None:
    return frame.loc[whose, id] if frame is not None and (whose, id) in frame.index else None


def _shown(row: pd.Series | None, rule: dict) -> dict:
    """What a row of the table of verdicts says, as text; empty where there is no number."""
    shown = dict.fromkeys(("what", "effect", "interval", "p", "n", "note"), "")
    shown |= {"rule": expectation(rule), "verdict": "not run" if row is None else row["verdict"]}
    if row is not None:
        shown["note"] = row["note"]
    if row is None or math.isnan(row["effect"]):
        return shown
    shown |= {"what": rule["effect"], "effect": number(row["effect"]), "n": str(row["n"])}
    if not math.isnan(row["low"]):
        shown["interval"] = f"{number(row['low'])} to {number(row['high'])}"
    if not math.isnan(row["p_corrected"]):
        shown["p"] = p_value(row["p_corrected"])
    return shown
