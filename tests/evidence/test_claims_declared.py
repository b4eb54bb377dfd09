"""What a paper's claims may say: every mistake is reported before anything runs, and no recipe depends on a claim."""

import pytest

from tests.shared.declarations import Declarations
from workflow_scripts.planning.declarations import read
from workflow_scripts.recipes.schema import read_yaml

# What stands in claims.yaml, what a user writes in its place, what the refusal must tell
MISTAKES = {
    "unknown run": (
        "of: {runs: large_batch_warmup, quantity: accuracy}", "of: {runs: large_warmup, quantity: accuracy}",
        ["claims.yaml: warmup_helps.of", "'large_warmup'", "large_batch_warmup"],
    ),
    "unknown quantity": (
        "of: {runs: large_batch_warmup, quantity: accuracy}", "of: {runs: large_batch_warmup, quantity: acuracy}",
        ["warmup_helps.of", "'acuracy'", "train_loss"],
    ),
    "unknown curve": ("{curve: GA, path: curve, epoch: 80", "{curve: AG, path: curve, epoch: 80", ["'AG'", "GA, GB"]),
    "an epoch that is not saved": (
        "{curve: GA, path: curve, epoch: 80", "{curve: GA, path: curve, epoch: 81", ["epoch 81", "20, 40, 60, 80"],
    ),
    "unknown artifact": ("shown_in: [figure_15]", "shown_in: [figure_51]", ["'figure_51'", "figure_15"]),
    "unknown kind": ("kind: equivalence", "kind: sameness", ['"sameness"', "equivalence"]),
    "unknown key": ("against: The final", "contra: The final", ["unknown key 'contra'", "against"]),
    "a threshold on the wrong side": (
        "expected: above, threshold: 1.5, contradicted: 1}", "expected: below, threshold: 1.5, contradicted: 1}",
        ["distillation_changes_deep_layers", "contradicted is 1", "other side"],
    ),
    "a value that the paper does not print": (
        "student_distilled, best_validation_accuracy]", "student_distilled, worst]", ["worst", "reported.csv"],
    ),
    "epochs after the end": ("epochs: [16, 20]", "epochs: [16, 21]", ["[16, 21]", "ends after 20"]),
    "no source of numbers": ("minus: {value: 0}", "minus: {number: 0}", ["sgdr_restart_changes_little", "minus"]),
}  # fmt: skip


@pytest.fixture
def declared(tmp_path):
    return Declarations(tmp_path)


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_told(declared, mistake):
    old, new, told = mistake
    declared.replace("claims", old, new)
    refusal = declared.refusal()
    assert "papers/gotmare2019/claims.yaml" in refusal
    assert all(word in refusal for word in told), refusal


def test_problems_are_told_together(declared):
    declared.replace("claims", "{curve: GA, path: curve, epoch: 80", "{curve: AG, path: curve, epoch: 80")
    declared.replace("claims", "shown_in: [figure_15]", "shown_in: [figure_51]")
    assert all(word in declared.refusal() for word in ("'AG'", "'figure_51'"))


def test_a_claim_may_wait_for_its_runs(declared):
    with declared.document("claims") as claims:
        claim = claims["claims"]["warmup_helps"]
        claim["judge"]["of"]["runs"] = "later"
        claim["shown_in"], claim["when_declared"] = ["figure_99"], True
    claim = declared.plan().claims["gotmare2019/warmup_helps"]
    assert claim.spec["judge"] is None and not claim.runs
    declared.run("later", {"seed": 77})
    with declared.document("claims") as claims:
        claims["claims"]["warmup_helps"]["shown_in"] = ["figure_4"]
    claim = declared.plan().claims["gotmare2019/warmup_helps"]
    assert len(claim.spec["judge"]["of"]["tables"]) == 1 and len(claim.runs) == 2


def test_claims_change_no_recipe(declared):
    before = declared.plan()
    declared.path("claims").unlink()
    after = declared.plan()
    assert before.runs.keys() == after.runs.keys() and before.analyses.keys() == after.analyses.keys()
    assert all(run.checkpoints == after.runs[id].checkpoints for id, run in before.runs.items())
    assert before.claims and not after.claims


def test_what_the_papers_claim_is_stated(declared):
    """Claims are sentences, and one on single runs says where support begins and where contradiction does."""
    for paper in read(read_yaml(declared.root / "config.yaml"), declared.root).papers:
        for name, claim in paper.claims["claims"].items():
            assert claim["says"].endswith(".") and claim["against"].endswith("."), name
            single = claim.get("needs", 1) == 1 and claim["judge"]["expected"] != "within"
            tested = claim["judge"]["kind"] == "count" or "contradicted" in claim["judge"]
            if single and not tested:  # one run is judged by two thresholds
                operands = [claim["judge"].get(key, {}) for key in ("of", "minus")]
                assert claim.get("when_declared") or any("explore" in str(each) for each in operands), name
