"""The claims that bear on a figure or table, judged from its own tables for its notebook.

Nothing is drawn later for it: an artifact's tables are what it waits for anyway. So a verdict that takes more than them
is not given here: that of a claim which rests on other tables too, and that of a test, since tests are corrected for
the number of all claims. Both are in results/<scale>/verdicts.parquet and on the site.
"""

import math
from collections.abc import Mapping
from typing import Any

from workflow_scripts.evidence.predicates import find
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.verdicts import decide
from workflow_scripts.evidence.wording import expectation, number

TESTED = "tested with all claims"
NONE = "No claim is judged from it."


def as_markdown(artifact: Mapping[str, Any], tables: Sources) -> str:
    """A list of the claims in a specification (plotting/spec.py), each with its verdict and what that rests on."""
    return "\n".join(_line(claim, artifact["evidence"], tables) for claim in artifact.get("claims", [])) or NONE


def _line(claim: Mapping[str, Any], evidence: bool, tables: Sources) -> str:
    verdict, facts = verdict_here(claim, evidence, tables)
    return f"- **{verdict}**: {claim['says']} (section {claim['section']}) *{'; '.join(facts)}*"


def verdict_here(claim: Mapping[str, Any], evidence: bool, tables: Sources) -> tuple[str, list[str]]:
    """The verdict on a claim, or where it is to be found, and what the tables say of it, in words."""
    expected = f"expected {expectation(claim['rule'])}"
    if claim["elsewhere"]:
        return claim["elsewhere"], [expected]
    finding = find(claim["judge"], claim["needs"], tables)
    ((verdict, _),) = decide([finding], evidence)
    effect, facts = finding.effect, [expected]
    if effect is not None and not math.isnan(effect.value):
        facts.insert(0, f"{claim['rule']['effect']} {number(effect.value)}, n = {effect.n}")
    if evidence and not finding.verdict:
        return TESTED, facts
    return verdict, [*facts, finding.note] if finding.note else facts
