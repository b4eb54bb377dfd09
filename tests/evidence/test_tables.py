"""Tidy tables come back as they were written, or not at all; statistics agree with their definitions."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.base.errors import InputError
from workflow_scripts.evidence.reported import read_reported, reported_row
from workflow_scripts.evidence.statistics import shift, summarise, trend
from workflow_scripts.evidence.tables import KINDS, read_table, write_table

DIVERGED = {"state": "diverged", "run": "abc", "step": 63, "epoch": 3.2, "reason": "the loss is nan"}


def example(kind, rows=3):
    """A table of `kind` with distinct rows, its columns in reverse order."""
    made = {
        "text": lambda column: [column.values[0] if column.values else f"name {row}" for row in range(rows)],
        "integer": lambda column: list(range(rows)),
        "real": lambda column: [math.pi * row for row in range(rows)],
    }
    columns = KINDS[kind].columns
    return pd.DataFrame({name: made[column.dtype](column) for name, column in reversed(columns.items())})


def metrics(**changed):
    return example("metrics").assign(**changed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_comes_back_with_documented_columns_in_order(kind, tmp_path):
    frame = example(kind)
    write_table(tmp_path / "t.parquet", frame, kind, None, {"scale": "demo"})
    table = read_table(tmp_path / "t.parquet", kind)
    assert list(table.frame.columns) == list(KINDS[kind].columns)
    pd.testing.assert_frame_equal(table.frame, frame[list(KINDS[kind].columns)])
    assert table.provenance == {"scale": "demo"} and table.status == {"state": "finished"} and not table.diverged


@pytest.mark.parametrize("kind", KINDS)
def test_every_column_is_told_and_every_key_is_a_column(kind):
    assert set(KINDS[kind].key) <= set(KINDS[kind].columns)
    assert all(column.meaning for column in KINDS[kind].columns.values())


def test_a_diverged_dependency_gives_an_empty_table_with_columns_and_status(tmp_path):
    attempts = [{"run": "first", "step": 1, "epoch": 0.5, "reason": "inf"}]
    write_table(tmp_path / "t.parquet", pd.DataFrame(), "path", {**DIVERGED, "attempts": attempts})
    table = read_table(tmp_path / "t.parquet", "path")
    assert table.diverged and table.status == {**DIVERGED, "attempts": attempts}
    assert table.frame.empty and list(table.frame.columns) == list(KINDS["path"].columns)
    assert table.frame["epoch"].dtype == "int64"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=8))
def test_values_come_back_bit_for_bit(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    frame = example("metrics", len(values)).assign(value=values)
    write_table(path, frame, "metrics")
    assert np.array_equal(read_table(path, "metrics").frame["value"].to_numpy(), np.array(values), equal_nan=True)


@pytest.mark.parametrize(
    ("frame", "status", "sentence"),
    [
        (metrics().drop(columns="step"), None, "column step is missing"),
        (metrics(extra=1), None, "column extra is unknown"),
        (metrics(step=0.5), None, "column step must hold integer values, not float64"),
        (metrics(value="high"), None, "column value must hold real values, not object"),
        (metrics(run=[1, 2, 3]), None, "column run must hold text values, not int64"),
        (metrics(split="dev"), None, "column split holds ['dev']: take one of train, validation, test"),
        (metrics(run="a", step=1), None, "two rows share the key"),
        (metrics(), {"state": "crashed"}, 'status must have state "finished" or "diverged"'),
        (metrics(), {"state": "diverged", "run": "abc"}, "status: step is missing or of a wrong type"),
        (metrics(), {"state": "finished", "attempts": [{"run": 3}]}, "attempt 1: run is missing or of a wrong type"),
        (metrics(), {"state": "finished", "attempts": "none"}, "status: attempts must be a list of mappings"),
    ],
)
def test_what_is_not_as_documented_is_refused_and_writes_nothing(frame, status, sentence, tmp_path):
    with pytest.raises(InputError) as error:
        write_table(tmp_path / "t.parquet", frame, "metrics", status)
    assert sentence in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_problems_are_told_together(tmp_path):
    with pytest.raises(InputError) as error:
        write_table(tmp_path / "t.parquet", metrics(step=0.5, split="dev"), "metrics", {"state": "x"})
    assert str(error.value).count("\n  - ") == 3


def test_unknown_kind(tmp_path):
    with pytest.raises(InputError, match="'pie' is no kind of table: take one of metrics, path"):
        write_table(tmp_path / "t.parquet", metrics(), "pie")


def test_absent_table(tmp_path):
    with pytest.raises(InputError, match="there is no metrics table at"):
        read_table(tmp_path / "t.parquet", "metrics")


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"PK" + data])
def test_damaged_table(damage, tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, metrics(), "metrics")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match="is damaged or no Parquet file: delete it and make it again"):
        read_table(path, "metrics")


def test_damage_in_the_middle_never_passes_unseen(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, example("metrics", 2000), "metrics")
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_table(path, "metrics")


def test_foreign_parquet(tmp_path):
    metrics().to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="was not written by this project"):
        read_table(tmp_path / "t.parquet", "metrics")


def test_another_kind_and_changed_columns(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, metrics(), "metrics")
    with pytest.raises(InputError, match="is a metrics table where a path table is needed"):
        read_table(path, "path")
    stored = pq.read_table(path)
    changed = stored.drop_columns("epoch").append_column("epoch", pa.array(["one", "two", "three"]))
    pq.write_table(changed.replace_schema_metadata(stored.schema.metadata), path)
    with pytest.raises(InputError, match="column epoch holds string in place of real values"):
        read_table(path, "metrics")


finite = st.floats(-1e3, 1e3)


@settings(max_examples=40, deadline=None)
@given(st.lists(finite, min_size=2, max_size=6), st.sampled_from(["max", "min"]))
def test_summary_against_its_definitions(trials, better):
    summary = summarise(trials, better)
    mean = math.fsum(trials) / len(trials)
    assert summary.n == len(trials)
    assert summary.best == (max if better == "max" else min)(trials)
    assert summary.mean == pytest.approx(mean, abs=1e-9)
    assert summary.std == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in trials) / (len(trials) - 1)), abs=1e-6)
    assert math.isnan(summary.low) or summary.low <= summary.mean <= summary.high


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.7062), (3, 4.3027), (5, 2.7764), (50, 2.0096)])
def test_the_interval_is_students(n, quantile):
    """Against the quantiles that textbooks print: an interval of two runs is far wider than the runs are apart."""
    trials = np.random.default_rng(n).normal(95, 0.2, n)
    summary, half = summarise(trials), quantile * trials.std(ddof=1) / n**0.5
    assert (summary.low, summary.high) == pytest.approx((trials.mean() - half, trials.mean() + half), rel=1e-5)


def test_the_interval_holds_its_promise_for_three_runs():
    runs = np.random.default_rng(0).normal(10, 2, (2000, 3))
    found = [summarise(three) for three in runs]
    assert np.mean([one.low <= 10 <= one.high for one in found]) == pytest.approx(0.95, abs=0.015)


def test_trials_that_are_all_equal_have_no_interval():
    equal = summarise([4.0, 4.0, 4.0])
    assert equal.std == 0 and math.isnan(equal.low) and math.isnan(equal.high)


def test_reported_numbers_keep_the_papers_digits(tmp_path):
    (tmp_path / "reported.csv").write_text(HEAD + "t,a,b,0.74,0.10,3,nats,x,\nt,a,c,90,,,epochs,x,\n")
    found = read_reported(tmp_path / "reported.csv")
    assert found.loc[("t", "a", "b"), ["printed", "printed_std", "value", "std"]].tolist() == [
        "0.74",
        "0.10",
        0.74,
        0.1,
    ]
    assert found.loc[("t", "a", "c"), ["printed", "printed_std"]].tolist() == ["90", ""]


def test_too_few_trials_for_a_statistic_give_nan_not_zero():
    none, one = summarise([]), summarise([3.0])
    assert none.n == 0 and all(map(math.isnan, (none.best, none.mean, none.std, none.low, none.high)))
    assert (one.best, one.mean) == (3.0, 3.0) and all(map(math.isnan, (one.std, one.low, one.high)))


@pytest.mark.parametrize("trials", [[1.0, math.nan], [[1.0]], ["best"], 1.0])
def test_statistics_refuse_what_is_no_row_of_numbers(trials):
    for asked in (
        lambda: summarise(trials),
        lambda: trend({0: [1.0, 2.0], 30: trials}, "increase"),
        lambda: shift([1.0, 2.0], trials, "increase"),
    ):
        with pytest.raises(InputError, match="trials must be one row of finite numbers"):
            asked()


def test_statistics_know_two_directions():
    with pytest.raises(InputError, match="'most'; choose max or min"):
        summarise([1.0], "most")
    for asked in (lambda: trend({0: [1.0], 1: [2.0]}, "rise"), lambda: shift([1.0], [2.0], "rise")):
        with pytest.raises(InputError, match="'rise'; choose increase or decrease"):
            asked()


HEAD = "id,row,column,value,std,n,unit,source,note\n"


def test_reported_values_by_key(tmp_path):
    path = tmp_path / "reported.csv"
    path.write_text(
        HEAD + 't,a,best,85.18,,5,percent,section 5,\nt,30,best,94.81,0.15,4,percent,"table 1, page 3",why\n'
    )
    values = read_reported(path)
    assert reported_row(values, ["t", "a", "best"], path)["value"] == 85.18
    row = reported_row(values, ["t", "30", "best"], path)
    assert (row["std"], row["source"], row["note"]) == (0.15, "table 1, page 3", "why")
    with pytest.raises(InputError, match="has no row t/a/mean"):
        reported_row(values, ["t", "a", "mean"], path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there are no reported values at"),
        ("id,value\na,1\n", "has the columns id, value; needed are id, row"),
        (HEAD + "t,a,b,many,,5,percent,x,\n", "column value: could not convert string to float: 'many'; give numbers"),
        (HEAD + "t,a,b,1,,5,percent,x,\nt,a,b,2,,5,percent,y,\n", "has two rows t/a/b"),
    ],
)
def test_bad_reported_values(text, sentence, tmp_path):
    if text is not None:
        (tmp_path / "reported.csv").write_text(text)
    with pytest.raises(InputError) as error:
        read_reported(tmp_path / "reported.csv")
    assert sentence in str(error.value)
