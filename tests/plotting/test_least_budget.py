"""The least trained budget that reaches a target, as iyer2020's table 7 counts it."""

import pandas as pd
import pytest

from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.tables import KINDS, write_table
from workflow_scripts.plotting.tables import least_budget

REPORTED = """id,row,column,value,std,n,unit,source,note
table_7,iwslt,target_bleu,35.08,,,BLEU,"table 7, section 5.2",
table_7,iwslt,cosine,45,,,epochs,"table 7, section 5.2",
table_7,iwslt,linear,60,,,epochs,"table 7, section 5.2",
"""


@pytest.fixture
def spec(tmp_path):
    """Our target is 30; cosine reaches it with 45 epochs, linear with none of its budgets."""
    (tmp_path / "reported.csv").write_text(REPORTED)

    def measured(name, *scores):
        rows = [(f"{name}{number}", score, 100, 1.0, "sacrebleu") for number, score in enumerate(scores)]
        frame = pd.DataFrame(rows, columns=list(KINDS["translation"].columns))
        write_table(tmp_path / f"{name}.parquet", frame, "translation", None)
        return {"table": f"{name}.parquet", "runs": [run for run, *_ in rows]}

    schedules = {
        "cosine": [(35, (29.0, 30.9)), (45, (29.5, 30.5)), (50, (31.0, 31.0))],
        "linear": [(35, (28.0,)), (50, (29.9,))],
    }
    row = {
        "label": "IWSLT",
        "key": "iwslt",
        "target": {"translation": measured("knee", 29.0, 31.0)},
        "schedules": {
            name: [
                {"budget": budget, "translation": measured(f"{name}_{budget}", *scores)} for budget, scores in all_of
            ]
            for name, all_of in schedules.items()
        },
    }
    columns = [
        {"label": "Target BLEU", "key": "target_bleu"},
        {"label": "Cosine", "key": "cosine"},
        {"label": "Linear", "key": "linear"},
    ]
    table = {"kind": "least_budget", "reported": "table_7", "quantity": "bleu", "heading": "Task", "columns": columns}
    return {"reported": "reported.csv", "table": {**table, "rows": [row]}}


def test_the_least_of_the_budgets_whose_mean_reaches_the_target(spec, tmp_path):
    numbers = least_budget.values(spec, Sources(tmp_path))
    assert numbers["value"].tolist()[:2] == [30.0, 45] and numbers["value"].isna().tolist() == [False, False, True]
    assert numbers["paper"].tolist() == [35.08, 45, 60] and numbers["trained"].tolist() == ["", "35, 45, 50", "35, 50"]
    shown = least_budget.draw(spec, numbers)
    assert shown.iloc[0].tolist() == ["IWSLT", "35.08", "30.00", "45", "45", "60", "none of 35, 50"]
    (caption,) = least_budget.caption(spec, Sources(tmp_path))
    assert caption.startswith("Budgets in epochs.") and "IWSLT: Linear 35, 50" in caption and "table 7" in caption


def test_without_runs_there_is_no_budget_of_ours(spec, tmp_path):
    for path in tmp_path.glob("*.parquet"):
        path.unlink()
    shown = least_budget.draw(spec, least_budget.values(spec, Sources(tmp_path)))
    assert shown.iloc[0].tolist() == ["IWSLT", "35.08", "not run", "45", "not run", "60", "not run"]
