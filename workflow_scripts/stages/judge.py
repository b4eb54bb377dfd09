"""Judge every claim of the papers from tidy tables, all in one, since the tests are corrected for their number.

python -m workflow_scripts.stages.judge --config scale=reduced --out results/reduced/verdicts.parquet
"""

import argparse
from pathlib import Path

import pandas as pd

from workflow_scripts.base.arguments import add_config, changes
from workflow_scripts.base.stage import run_stage
from workflow_scripts.evidence import provenance
from workflow_scripts.evidence.predicates import find
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.tables import KINDS, write_table
from workflow_scripts.evidence.verdicts import Finding, decide
from workflow_scripts.planning.claims import Claim
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import Plan, make_plan

ROOT = Path(__file__).parents[2]
NAN = float("nan")


def main() -> None:
    """Plan, judge, write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m workflow_scripts.stages.judge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config(parser)
    parser.add_argument("--out", type=Path, required=True, help="the table, a .parquet file")
    given = parser.parse_args()
    plan = make_plan(read_config(ROOT, changes(given), given.configfile), ROOT)
    tables = Sources()
    frame = judged(plan, tables)
    made = provenance.collect(
        scale=plan.scale.name, seeds=tables.seeds(), fingerprints=tables.fingerprints(), claims=len(plan.claims)
    )
    write_table(given.out, frame, "verdicts", provenance=made)
    print(frame.groupby(["whose", "verdict"]).size().to_string())


def judged(plan: Plan, tables: Sources) -> pd.DataFrame:
    """The verdicts on all claims, by our tables and by the papers' own numbers; a table of kind `verdicts`."""
    claims = list(plan.claims.values())
    own = [claim for claim in claims if claim.spec["paper_judge"] is not None]
    ours = _decided(claims, [_finding(claim, "judge", tables) for claim in claims], plan.scale.evidence)
    papers = _decided(own, [_finding(claim, "paper_judge", tables) for claim in own], True)
    rows = [{**row, "whose": "ours", **_where(claim, plan, tables)} for claim, row in zip(claims, ours, strict=True)]
    rows += [{**row, "whose": "paper", **dict.fromkeys(("scale", "data", "device"), "")} for row in papers]
    return pd.DataFrame(rows, columns=list(KINDS["verdicts"].columns))


def _finding(claim: Claim, key: str, tables: Sources) -> Finding:
    tables.names.update(claim.spec["names"])
    # The paper's means are of as many trials as it made.
    return find(claim.spec[key], claim.spec["needs"] if key == "judge" else 1, tables)


def _decided(claims: list[Claim], findings: list[Finding], evidence: bool) -> list[dict]:
    rows = []
    for claim, finding, (verdict, p) in zip(claims, findings, decide(findings, evidence), strict=True):
        effect, rule = finding.effect, claim.rule
        rows.append(
            {
                "claim": claim.id,
                "verdict": verdict,
                **{key: rule[key] for key in ("kind", "expected")},
                **{key: float(rule[key]) for key in ("threshold", "contradicted")},
                "effect": effect.value if effect else NAN,
                "low": effect.low if effect else NAN,
                "high": effect.high if effect else NAN,
                "p": finding.p,
                "p_corrected": p,
                "n": effect.n if effect else 0,
                "figure": ", ".join(claim.spec["shown_in"]),
                "note": finding.note,
            }
        )
    return rows


def _where(claim: Claim, plan: Plan, tables: Sources) -> dict[str, str]:
    """Scale, data and devices of the tables that a claim was judged from."""
    read = [plan.paths.metrics(run.id) for run in claim.runs]
    read += [plan.paths.tables(each.kind, each.id)["table"] for each in claim.analyses]
    devices = {made.get("device") or "unknown" for path in read if (made := tables.provenance(str(path)))}
    return {"scale": plan.scale.name, "data": claim.spec["data"], "device": ", ".join(sorted(devices))}


if __name__ == "__main__":
    run_stage(main)
