"""The table of verdicts: every claim once, the papers' own numbers beside ours, nothing where nothing ran."""

import pytest

from tests.shared.declarations import Declarations
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.tables import read_table, write_table
from workflow_scripts.publishing import claims
from workflow_scripts.stages.judge import judged


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    declared = Declarations(tmp_path_factory.mktemp("declared"))
    return declared.plan("reduced", papers=["gotmare2019", "iyer2020"], results=str(declared.root / "results"))


@pytest.fixture(scope="module")
def verdicts(plan):
    return judged(plan, Sources()).set_index(["whose", "claim"])


def test_without_tables_every_claim_is_not_run(plan, verdicts):
    ours = verdicts.loc["ours"]
    assert list(ours.index) == list(plan.claims) and set(ours["verdict"]) == {"not run"}
    assert ours[["effect", "p", "p_corrected"]].isna().all(axis=None) and (ours["n"] == 0).all()


def test_it_is_a_tidy_table(verdicts, tmp_path):
    write_table(tmp_path / "verdicts.parquet", verdicts.reset_index(), "verdicts")
    assert len(read_table(tmp_path / "verdicts.parquet", "verdicts").frame) == len(verdicts)


def test_the_papers_own_numbers_are_judged(verdicts):
    """The digitised histograms hold what the text says of them, but for the spread of the accuracies."""
    papers = verdicts.loc["paper"]
    found = papers["verdict"].to_dict()
    for name in ("accuracy_rises_with_explore", "sharpness_falls_with_explore", "sharpness_tightens", "lucky_run"):
        assert found[f"iyer2020/{name}"] == "supported", name
    assert found["iyer2020/accuracy_tightens"] == "undecided" and papers.loc["iyer2020/accuracy_tightens", "effect"] > 1
    assert papers.loc["iyer2020/accuracy_rises_with_explore", "n"] == 50
    assert papers.loc["gotmare2019/distillation_helps_the_best", "effect"] == pytest.approx(85.18 - 83.01)


def test_only_tests_are_corrected(verdicts):
    papers = verdicts.loc["paper"]
    tested = papers["p"].notna()
    assert tested.any() and not tested.all()
    assert (papers["p_corrected"][tested] >= papers["p"][tested]).all() and papers["p_corrected"][~tested].isna().all()


def test_at_demo_nothing_is_evidence(tmp_path):
    declared = Declarations(tmp_path)
    assert not declared.plan("demo").scale.evidence and declared.plan("reduced").scale.evidence


def test_a_paper_that_states_no_claims_has_an_empty_table(tmp_path):
    declared = Declarations(tmp_path)
    declared.path("claims").unlink()
    plan = declared.plan()
    frame = judged(plan, Sources())
    assert frame.groupby(["whose", "verdict"]).size().empty
    write_table(tmp_path / "verdicts.parquet", frame, "verdicts")
    assert claims.read(plan, tmp_path / "verdicts.parquet") == []
