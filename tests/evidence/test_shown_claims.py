"""The claims that a notebook shows: the verdicts of the whole table of verdicts, or none."""

from pathlib import Path

import pytest

from workflow_scripts.evidence.shown_claims import NONE, TESTED, as_markdown, verdict_here
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.schema import read_yaml
from workflow_scripts.stages.judge import judged

ROOT = Path(__file__).parents[2]
WITH_OTHERS = "judged with other tables"


@pytest.fixture(scope="module")
def plan():
    """The real plan on the real tables of the archive."""
    return make_plan({**read_yaml(ROOT / "config.yaml"), "scale": "reduced", "source": "archive"}, ROOT)


def test_a_notebook_gives_the_verdict_of_the_table_or_says_that_it_takes_more(plan, monkeypatch):
    monkeypatch.chdir(ROOT)
    tables = Sources()
    frame = judged(plan, tables)
    verdicts = frame[frame.whose == "ours"].set_index("claim").verdict
    given = {}
    for artifact in plan.artifacts.values():
        for claim in artifact.spec.get("claims", []):
            verdict, facts = verdict_here(claim, artifact.spec["evidence"], tables)
            assert verdict in (TESTED, WITH_OTHERS, verdicts[claim["id"]]), (artifact.id, claim["id"])
            assert facts
            given.setdefault(verdict, set()).add(claim["id"])
    assert len(given["supported"]) >= 15 and given["contradicted"] and given["not run"] and given[TESTED]


def test_an_artifact_shows_the_claims_that_name_it(plan):
    for artifact in plan.artifacts.values():
        named = [claim.id for claim in plan.claims.values() if artifact.id in claim.spec["shown_in"]]
        assert [claim["id"] for claim in artifact.spec.get("claims", [])] == named
    assert as_markdown(plan.artifacts["gotmare2019_figure_11"].spec, Sources()) == NONE


def test_a_claim_is_not_judged_from_a_part_of_its_tables(plan):
    (claim,) = (
        claim
        for claim in plan.artifacts["gotmare2019_figure_10"].spec["claims"]
        if claim["id"] == "gotmare2019/curve_GA_connects"
    )
    assert verdict_here(claim, True, Sources())[0] == WITH_OTHERS


def test_a_scale_that_is_no_evidence_supports_nothing(monkeypatch):
    demo = make_plan(read_yaml(ROOT / "config.yaml"), ROOT).artifacts["gotmare2019_figure_1"].spec
    archived = make_plan({**read_yaml(ROOT / "config.yaml"), "scale": "reduced", "source": "archive"}, ROOT)
    spec = archived.artifacts["gotmare2019_figure_1"].spec
    monkeypatch.chdir(ROOT)
    assert demo["evidence"] is False
    told = as_markdown({**spec, "evidence": False}, Sources())
    assert told.count("**not evidence**") == 13 and "supported" not in told
