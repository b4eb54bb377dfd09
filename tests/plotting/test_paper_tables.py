"""A paper's tables beside ours, trends over settings, histograms and range tests, checked against plain numpy."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from workflow_scripts.base.errors import InputError
from workflow_scripts.evidence.quantities import QUANTITIES, trials
from workflow_scripts.evidence.reported import read_histograms
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.statistics import shift, trend
from workflow_scripts.evidence.tables import KINDS, write_table
from workflow_scripts.plotting import figure, table, tables
from workflow_scripts.plotting.spec import read_spec
from workflow_scripts.plotting.tables import paper_table
from workflow_scripts.plotting.tables import trend as trend_table

DIVERGED = {"state": "diverged", "run": "f" * 12, "step": 63, "epoch": 3.2, "reason": "the loss is nan"}
REPORTED = """id,row,column,value,std,n,unit,source,note
table_1,0,test_accuracy,94.34,0.13,4,percent,"table 1, section 3",
table_1,0,train_loss,0.0017,8e-5,4,nats,"table 1, section 3",
table_1,0,budget,200,,,epochs,"table 1, section 3","a setting, not a result"
table_1,30,test_accuracy,94.81,0.15,4,percent,"table 1, section 3",section 3 has 50 runs
"""
HISTOGRAMS = """figure,quantity,setting,bin_left,bin_right,bin_centre,count,note
figure_3,test_accuracy,0,94,94.5,94.25,2,
figure_3,test_accuracy,0,94.5,95,94.75,1,
figure_3,test_accuracy,30,95,95.5,95.25,3,
"""
COLUMNS = [
    {"label": "Budget", "key": "budget"},
    {"label": "Test accuracy (%)", "key": "test_accuracy", "quantity": "accuracy"},
    {"label": "Training loss", "key": "train_loss", "quantity": "train_loss"},
]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "reported.csv").write_text(REPORTED)
    (tmp_path / "reported_histograms.csv").write_text(HISTOGRAMS)
    return tmp_path


def metrics(root, run, accuracy, loss=0.5, status=None):
    """The table of a run of two epochs; the last counts, whatever the first was. Returns its path."""
    rows = [(run, 10, 1.0, "test", "accuracy", 99.9), (run, 10, 1.0, "train", "loss", 0.0)]
    rows += [(run, 20, 2.0, "test", "accuracy", accuracy), (run, 20, 2.0, "train", "loss", loss)]
    frame = pd.DataFrame(rows if status is None else rows[:2], columns=list(KINDS["metrics"].columns))
    write_table(root / f"{run}.parquet", frame, "metrics", status)
    return f"{run}.parquet"


def measured(root, name, values, status=None):
    """A table of sharpness by run, as a source."""
    rows = [(run, value, 0.1, 0.2, 0.5, 10, "as declared") for run, value in values.items()]
    frame = pd.DataFrame(rows, columns=list(KINDS["sharpness"].columns))
    write_table(root / f"{name}.parquet", frame, "sharpness", status)
    return {"table": f"{name}.parquet", "runs": list(values)}


def spec_of(*rows, columns=COLUMNS, **more):
    contents = {
        "kind": "paper_table",
        "reported": "table_1",
        "heading": "Epochs",
        "columns": columns,
        "rows": list(rows),
    }
    return {"id": "p_table_1", "paper": "p", "number": "Table 1", "title": "A title",
            "scale": "demo", "mark": "DEMO: no evidence", "data": "digits",
            "reported": "reported.csv", "table": {**contents, **more}}  # fmt: skip


def row(key, *paths, **more):
    return {"label": key, "key": key, **({"tables": list(paths)} if paths else {}), **more}


def cell(numbers, of_row, column):
    return numbers[(numbers["row"] == of_row) & (numbers["column"] == column)].iloc[0]


# --- a paper's table -------------------------------------------------------------------------------------------------


def test_a_cell_holds_the_papers_number_ours_and_the_difference(root):
    found = [93.0, 94.5, 96.0]
    paths = [metrics(root, f"run{n}", accuracy, loss=0.01 * n) for n, accuracy in enumerate(found)]
    numbers = paper_table.values(spec_of(row("0", *paths)), Sources(root))
    accuracy, loss = cell(numbers, "0", "Test accuracy (%)"), cell(numbers, "0", "Training loss")
    assert (accuracy["n"], accuracy["value"], accuracy["std"]) == (3, np.mean(found), np.std(found, ddof=1))
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert accuracy["difference"] == pytest.approx(np.mean(found) - 94.34)
    assert (accuracy["paper"], accuracy["paper_std"], accuracy["paper_n"]) == (94.34, 0.13, 4)
    assert loss["value"] == pytest.approx(0.01) and loss["difference"] == pytest.approx(0.01 - 0.0017)
    assert cell(numbers, "0", "Budget")["paper"] == 200 and np.isnan(cell(numbers, "0", "Budget")["value"])


def test_the_table_as_it_is_read(root):
    paths = [metrics(root, "a", 93.0, 0.02), metrics(root, "b", 94.0, 0.02)]
    spec = spec_of(row("0", *paths), interval=True)
    shown = paper_table.draw(spec, paper_table.values(spec, Sources(root))).iloc[0].to_dict()
    assert shown == {
        ("", "Epochs"): "0",
        ("Budget", "paper"): "200",
        ("Test accuracy (%)", "paper"): "94.34 (0.13)",
        ("Test accuracy (%)", "ours"): "93.50 (0.71)",
        ("Test accuracy (%)", "95 % interval"): "87.15 to 99.85",
        ("Test accuracy (%)", "difference"): "-0.84",
        ("Training loss", "paper"): "0.0017 (8e-5)",
        ("Training loss", "ours"): "0.0200 (0)",
        ("Training loss", "95 % interval"): "–",
        ("Training loss", "difference"): "+0.0183",
        ("runs", "ours"): "2",
        ("runs", "paper"): "4",
    }


def test_a_reported_number_never_stands_in_for_ours(root):
    lost = metrics(root, "lost", 0, status=DIVERGED)
    spec = spec_of(row("0", lost), row("30", "nowhere.parquet"), {"label": "other", "key": "none"})
    numbers = paper_table.values(spec, Sources(root))
    assert numbers["value"].isna().all() and numbers["difference"].isna().all()
    shown = paper_table.draw(spec, numbers)
    assert shown["Test accuracy (%)", "ours"].tolist() == ["diverged", "not run", "–"]  # nobody has the last
    assert shown["Test accuracy (%)", "difference"].tolist() == ["–"] * 3
    assert shown["runs", "diverged"].tolist() == ["1", "0", "0"]
    assert shown["runs", "missing"].tolist() == ["0", "1", "0"]


def test_what_the_paper_leaves_out_is_a_dash(root):
    spec = spec_of(row("30", metrics(root, "a", 94.0)))
    shown = paper_table.draw(spec, paper_table.values(spec, Sources(root))).iloc[0]
    assert (shown["Budget", "paper"], shown["Training loss", "paper"], shown["Training loss", "difference"]) == (
        "–",
    ) * 3
    assert shown["Training loss", "ours"] == "0.5000"


def test_trials_that_diverged_are_counted_and_not_averaged(root):
    paths = [metrics(root, "a", 93.0), metrics(root, "b", 0, status=DIVERGED), metrics(root, "c", 95.0), "none.parquet"]
    accuracy = cell(paper_table.values(spec_of(row("0", *paths)), Sources(root)), "0", "Test accuracy (%)")
    assert accuracy[["n", "diverged", "missing", "value"]].tolist() == [2, 1, 1, 94.0]
    assert accuracy["missing_note"] == "1 diverged, 1 not run"
    whole = paper_table.values(spec_of(row("0", *paths[:1]), row("30", *paths[1:2])), Sources(root))
    assert whole["missing_note"].tolist() == ["", "", "", "", "diverged", "diverged"]  # a budget lacks no run


def test_the_best_run_and_the_runs_above_another_settings_mean(root):
    low = [metrics(root, f"low{n}", value) for n, value in enumerate((90.0, 91.0, 95.5))]
    high = [metrics(root, f"high{n}", value) for n, value in enumerate((94.0, 96.0))]
    columns = [
        {"label": "best", "key": "test_accuracy", "quantity": "accuracy", "statistic": "best"},
        {"label": "above", "key": "test_accuracy", "quantity": "accuracy", "statistic": "above", "above": "30"},
    ]
    numbers = paper_table.values(spec_of(row("0", *low), row("30", *high), columns=columns), Sources(root))
    assert cell(numbers, "0", "best")["value"] == 95.5 and cell(numbers, "30", "best")["value"] == 96.0
    assert [cell(numbers, key, "above")["value"] for key in ("0", "30")] == [1, 1]
    assert (
        paper_table.draw(spec_of(row("0", *low), row("30", *high), columns=columns), numbers).iloc[0]["above", "ours"]
        == "1"
    )


def test_of_a_measured_table_the_runs_that_are_asked_for_count(root):
    source = measured(root, "s", {"a": 1.0, "b": 2.0, "c": 6.0, "d": np.nan})
    assert trials("sharpness", {"sharpness": {**source, "runs": ["a", "b"]}}, Sources(root)).values == {
        "a": 1.0,
        "b": 2.0,
    }
    every = trials("sharpness", {"sharpness": source}, Sources(root))
    assert (len(every.values), every.diverged, every.notes) == (3, 1, ["1 not finite"])
    lost = {**measured(root, "t", {"a": 1.0}, DIVERGED), "runs": ["a", "f" * 12]}
    told = trials("sharpness", {"sharpness": lost}, Sources(root, {"f" * 12: "explore 0/2"}))
    assert told.notes == ["explore 0/2 diverged at epoch 3.2 (step 63)"] and told.diverged == 1
    absent = trials("sharpness", {"sharpness": {"table": "none.parquet", "runs": ["a"]}}, Sources(root))
    assert (absent.missing, absent.missing_note) == (1, "not run")
    assert trials("fisher_score", {"sharpness": source}, Sources(root)).missing_note == "no runs"


def test_a_wide_table_has_ours_below_the_papers(root):
    columns = [COLUMNS[0], *({**COLUMNS[1], "label": key, "key": key} for key in ("test_accuracy", "train_loss"))]
    cells = {"test_accuracy": {"tables": [metrics(root, "a", 95.0), metrics(root, "b", 96.0)]}}
    rows = [{"label": "CIFAR-10", "key": "0", "cells": cells}, {"label": "other", "key": "30"}]
    spec = spec_of(*rows, columns=columns, compare="rows")
    shown = paper_table.draw(spec, paper_table.values(spec, Sources(root)))
    assert list(shown.columns) == ["Epochs", "", "Budget", "test_accuracy", "train_loss"]
    assert shown.to_numpy().tolist() == [
        ["CIFAR-10", "paper", "200", "94.34 (0.13)", "0.0017 (8e-5)"],
        ["", "ours", "", "95.50 (0.71; 2)", "no runs"],
        ["", "difference", "", "+1.16", ""],
        ["other", "paper", "–", "94.81 (0.15)", "–"],
        ["", "ours", "", "no runs", "–"],  # the paper has none either
    ]


def test_the_caption_has_the_papers_notes_and_no_word_on_settings(root):
    *_, told = table.draw(spec_of(row("0"), row("30")), Sources(root))
    assert "DEMO" in told and "Reported: table 1, section 3." in told
    assert told.endswith("\n30, Test accuracy (%): section 3 has 50 runs.") and "a setting" not in told


@pytest.mark.parametrize("compare", ["columns", "rows"])
def test_all_four_files_hold_the_table(root, compare):
    spec = spec_of(row("0", metrics(root, "a", 95.0)), row("30"), compare=compare)
    table.save(*table.draw(spec, Sources(root)), spec, root / "out")
    texts = {end: (root / "out" / f"table.{end}").read_text() for end in ("html", "tex", "md", "csv")}
    assert all("94.34" in text and ("95.0" in text) for text in texts.values())
    assert "<br>30, Test accuracy (%): section 3 has 50 runs." in texts["html"]
    assert r"Test accuracy (\%)" in texts["tex"] and r"\begin{tabular}" in texts["tex"]
    kept = pd.read_csv(root / "out" / "table.csv")
    assert kept.loc[kept["quantity"] == "accuracy", "value"].tolist()[0] == 95.0
    # Two lines that belong together have a rule above the first of them, a line on its own has none.
    assert ("border-top" in texts["html"]) == (compare == "rows")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"quantity": "width"}, "'width' is not one of"),
        ({"statistic": "above"}, "'above' is a required property"),
        ({"unheard": 1}, "'unheard' was unexpected"),
    ],
)
def test_a_wrong_description_is_told(root, change, sentence):
    spec = spec_of(row("0"), columns=[{**COLUMNS[1], **change}])
    path = root / "spec.json"
    path.write_text(pd.io.json.ujson_dumps(spec))
    with pytest.raises(InputError, match=sentence):
        read_spec(path)


def test_every_kind_of_table_has_its_module():
    for kind in tables.KINDS:
        assert all(hasattr(tables.module(kind), name) for name in ("values", "draw", "caption"))


# --- trends ----------------------------------------------------------------------------------------------------------


def jonckheere(groups):
    """The one-sided p of the Jonckheere-Terpstra test for an increase, without ties (Lehmann 1975, section 5.4)."""
    count = sum(
        (a < b).sum() for one, other in itertools.combinations(groups, 2) for a in one for b in [np.array(other)]
    )
    sizes = np.array([len(group) for group in groups])
    n = sizes.sum()
    mean = (n**2 - (sizes**2).sum()) / 4
    variance = (n**2 * (2 * n + 3) - (sizes**2 * (2 * sizes + 3)).sum()) / 72
    return norm.sf((count - mean) / variance**0.5)


GROUPS = st.lists(st.lists(st.integers(0, 10**9), min_size=2, max_size=7, unique=True), min_size=2, max_size=5)


@settings(max_examples=40, deadline=None)
@given(GROUPS.filter(lambda groups: len({x for group in groups for x in group}) == sum(map(len, groups))))
def test_the_trend_is_the_jonckheere_terpstra_test(groups):
    increase = trend(dict(zip(range(len(groups)), groups, strict=True)), "increase", resamples=9)
    decrease = trend(dict(zip(range(len(groups)), groups, strict=True)), "decrease", resamples=9)
    assert increase.p == pytest.approx(jonckheere(groups), abs=1e-9)
    assert increase.p + decrease.p == pytest.approx(1) and increase.tau == decrease.tau
    assert np.isnan([increase.low, increase.high]).all()  # of so few trials resampling knows no interval


def test_a_perfect_trend_and_its_reverse():
    rising = trend({0: [1, 2], 30: [3, 4], 60: [5, 6]}, "increase")
    falling = trend({0: [5, 6], 30: [3, 4], 60: [1, 2]}, "increase")
    assert rising.tau == -falling.tau > 0.85 and rising.p < 0.01 < 0.99 < falling.p
    many = trend({0: np.arange(10), 1: np.arange(5, 15), 2: np.arange(10, 20)}, "increase")
    assert -1 <= many.low < many.tau < many.high <= 1 and many.low > 0


def test_the_interval_covers_no_trend_where_there_is_none():
    generator = np.random.default_rng(0)
    flat = trend({at: generator.normal(size=30) for at in range(4)}, "increase")
    assert flat.low < 0 < flat.high and flat.p > 0.05


@pytest.mark.parametrize("groups", [{0: [], 1: []}, {0: [1.0], 1: []}, {0: [2.0, 2.0], 1: [2.0, 2.0]}])
def test_where_nothing_varies_there_is_no_trend(groups):
    assert np.isnan([*vars(trend(groups, "increase")).values()]).all()


def test_single_trials_have_a_trend_and_no_interval():
    found = trend({0: [1.0], 1: [2.0], 2: [3.0]}, "increase")
    assert found.tau == 1 and np.isnan([found.low, found.high]).all()


@settings(max_examples=40, deadline=None)
@given(*[st.lists(st.integers(0, 20), min_size=2, max_size=8)] * 2)
def test_superiority_counts_pairs(first, second):
    pairs = [(b > a) + 0.5 * (a == b) for a in first for b in second]
    up, down = shift(first, second, "increase"), shift(first, second, "decrease")
    assert up.superiority == pytest.approx(np.mean(pairs)) and down.superiority == pytest.approx(1 - np.mean(pairs))
    if np.std(first) > 0:
        assert up.spread == pytest.approx(np.std(second) / np.std(first) * 1.0 * _sample(second) / _sample(first))


def _sample(values):
    return (len(values) / (len(values) - 1)) ** 0.5


def test_a_tighter_distribution_is_seen():
    generator = np.random.default_rng(1)
    found = shift(generator.normal(0, 3, 50), generator.normal(0, 1, 50), "increase")
    assert found.spread < 0.5 and found.spread_p < 0.001 and 0.3 < found.superiority < 0.7
    assert np.isnan([*vars(shift([1.0], [2.0, 3.0], "increase")).values()]).all()


def trend_spec(groups, **more):
    one = {"label": "Test accuracy", "quantity": "accuracy", "expected": "increase", "groups": groups, **more}
    return {**spec_of(), "table": {"kind": "trend", "heading": "explore epochs", "rows": [one]}}


def test_a_trend_table_sets_the_digitised_trials_beside_ours(root):
    groups = [
        {"at": at, "tables": [metrics(root, f"{at}-{n}", at + n) for n in range(3)]} for at in (0, 30)
    ]  # fmt: skip
    spec = trend_spec(groups, digitised={"file": "reported_histograms.csv", "figure": "figure_3"})
    numbers = trend_table.values(spec, Sources(root))
    assert numbers["whose"].tolist() == ["ours", "paper, digitised"] and numbers["n"].tolist() == [6, 6]
    assert numbers["mean_0"].tolist() == [1, pytest.approx((2 * 94.25 + 94.75) / 3)]
    assert numbers["mean_30"].tolist() == [31, 95.25] and numbers["superiority"].tolist() == [1, 1]
    shown = trend_table.draw(spec, numbers)
    assert shown["", "claim"].tolist() == ["Test accuracy rises", ""]
    assert shown["mean at explore epochs", "30"].tolist() == ["31.00", "95.25"]
    assert re.fullmatch(r"\+0\.\d\d", shown["trend", "τ"][0])


def test_a_trend_with_a_setting_that_lacks_is_not_tested(root):
    groups = [
        {"at": 0, "tables": [metrics(root, "a", 1.0), metrics(root, "b", 2.0)]},
        {"at": 30, "tables": ["none.parquet"]},
    ]
    numbers = trend_table.values(trend_spec(groups), Sources(root))
    assert numbers.loc[0, ["tau", "p", "superiority", "mean_30"]].isna().all() and numbers.loc[0, "mean_0"] == 1.5
    assert trend_table.draw(trend_spec(groups), numbers)["trend", "p"].tolist() == ["–"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "no digitised histograms"),
        ("a,b\n1,2\n", "has the columns a, b"),
        (HISTOGRAMS, "no histograms of 'figure_9'"),
    ],
)
def test_histograms_that_are_not_there_are_told(tmp_path, text, sentence):
    if text is not None:
        (tmp_path / "h.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_histograms(tmp_path / "h.csv", "figure_9")


# --- panels ----------------------------------------------------------------------------------------------------------


def drawn(root, *panels):
    spec = {"id": "p_f", "paper": "p", "number": "Figure 1", "title": "t", "scale": "demo", "panels": list(panels)}
    made, values = figure.draw(spec, Sources(root, {"f" * 12: "explore 0/2"}))
    return made.axes[: len(panels)], values


def histogram(*series, **more):
    return {"kind": "histogram", "quantity": "accuracy", "heading": "Explore epochs", "series": list(series), **more}


def rows_of(ax):
    """The histograms of a panel, the first setting's first."""
    return ax.child_axes


def bars_of(row):
    return [bar for bar in row.patches if bar.get_height()]


def test_a_histogram_counts_every_trial_in_its_row(root):
    found = {"0": [90.0, 90.5, 94.0], "30": [93.0, 94.0, 94.1, 96.0]}
    series = [
        {"label": label, "tables": [metrics(root, f"{label}-{n}", value) for n, value in enumerate(values)]}
        for label, values in found.items()
    ]
    (ax,), values = drawn(root, histogram(*series))
    assert len(rows_of(ax)) == 2 and ax.get_ylabel() == "Explore epochs"
    for row, (label, trials_) in zip(rows_of(ax), found.items(), strict=True):
        own = values[values["series"] == label]
        assert own["value"].dropna().tolist() == trials_
        bars = own.dropna(subset="count")
        shown = [(bar.get_x(), bar.get_x() + bar.get_width(), bar.get_height()) for bar in bars_of(row)]
        assert np.allclose(shown, bars[["left", "right", "count"]]) and bars["count"].sum() == len(trials_)
        (ticks,) = row.collections
        assert [tick[0, 0] for tick in ticks.get_segments()] == trials_
        assert label in texts_of(row) and row.get_ylabel() == "trials"
        assert all(tick == int(tick) for tick in row.get_yticks())  # a scale of counts
    assert len({row.get_ylim() for row in rows_of(ax)}) == 1
    assert "91.50 ± 2.18\nn = 3" in texts_of(rows_of(ax)[0])


def texts_of(row):
    return [text.get_text() for text in row.texts]


def test_a_digitised_histogram_has_the_papers_bars_and_the_mean_of_its_bins_centres(root):
    text = HISTOGRAMS.replace("94,94.5,94.25,2", "94,94.5,94.21,2")  # as read: not in the middle of its bin
    (root / "reported_histograms.csv").write_text(text)
    digitised = {"file": "reported_histograms.csv", "figure": "figure_3"}
    panel = {"kind": "histogram", "quantity": "accuracy", "digitised": digitised}
    (ax,), values = drawn(root, panel)
    rows = rows_of(ax)
    assert [(bar.get_x(), bar.get_width()) for row in rows for bar in bars_of(row)] == [
        (94, 0.5),
        (94.5, 0.5),
        (95, 0.5),
    ]
    assert [bar.get_height() for row in rows for bar in bars_of(row)] == [2, 1, 3] and values["value"].isna().all()
    assert "94.39 ± 0.31\nn = 3" in texts_of(rows[0])
    spec = trend_spec([{"at": 0, "tables": []}, {"at": 30, "tables": []}])
    spec["table"]["rows"][0]["digitised"] = digitised
    numbers = trend_table.values(spec, Sources(root))
    assert numbers.loc[numbers["whose"] != "ours", "mean_0"].item() == pytest.approx(94.39)


def test_histograms_of_like_extent_share_it_and_others_do_not(root):
    def panel(*values):
        paths = [metrics(root, f"{values}{n}", value) for n, value in enumerate(values)]
        return histogram({"label": "0", "tables": paths})

    near, _ = drawn(root, panel(94.0, 95.0), panel(94.2, 95.2))
    far, _ = drawn(root, panel(94.0, 95.0), panel(20.0, 80.0))
    assert near[0].get_xlim() == near[1].get_xlim() and far[0].get_xlim() != far[1].get_xlim()


def test_a_histogram_tells_of_trials_that_it_lacks(root):
    paths = [metrics(root, "a", 94.0), metrics(root, "b", 0, status=DIVERGED), "none.parquet"]
    (ax,), values = drawn(root, histogram({"label": "0", "tables": paths}, {"label": "30", "tables": ["x.parquet"]}))
    told = " ".join(text.get_text() for text in ax.texts).replace("\n", " ")
    assert "explore 0/2 diverged at epoch 3.2" in told and "0: 1 not run" in told and "30: not run" in told
    assert values["count"].sum() == 1


def test_a_range_test_marks_its_minimum_and_a_tenth_of_it(root):
    rate, loss = np.logspace(-3, 0, 7), np.array([2.3, 2.2, 2.0, 1.5, 1.2, 1.9, 4.0])
    frame = pd.DataFrame({"step": range(1, 8), "rate": rate, "loss": loss + 0.1, "smoothed_loss": loss})
    write_table(root / "r.parquet", frame.assign(minimum=rate[4], suggestion=rate[4] / 10), "range_test")
    (root / "reported.csv").write_text(REPORTED + "text_range_test,cifar10,minimum,0.09,,,learning rate,A.1,\n")
    minimum = {"file": "reported.csv", "key": ["text_range_test", "cifar10", "minimum"]}
    (ax,), values = drawn(root, {"kind": "range_test", "table": "r.parquet", "papers_minimum": minimum})
    marked = {line.get_label(): line.get_xdata()[0] for line in ax.lines if "paper" in line.get_label()}
    assert marked == {"the paper's minimum: 0.09": 0.09, "a tenth of the paper's: 0.009": pytest.approx(0.009)}
    lines = {line.get_label(): line for line in ax.lines}
    assert np.array_equal(lines["moving average"].get_xydata(), values[["rate", "smoothed_loss"]])
    assert (
        lines["minimum: 0.1"].get_xdata()[0] == rate[4] and lines["a tenth of it: 0.01"].get_xdata()[0] == rate[4] / 10
    )
    assert ax.get_xscale() == "log" and ax.get_ylim()[0] < 1.2 and ax.get_ylim()[1] > 4


def test_a_zoomed_curve_shows_its_epochs_alone_and_fits_them(root):
    rows = [("a", 10 * epoch, float(epoch), "train", "learning_rate", 1.0 / epoch) for epoch in range(1, 11)]
    write_table(root / "a.parquet", pd.DataFrame(rows, columns=list(KINDS["metrics"].columns)), "metrics")
    series = [{"label": "one", "table": "a.parquet"}]
    (ax,), values = drawn(root, {"kind": "training_curve", "metric": "learning_rate", "zoom": [5, 8], "series": series})
    assert values["epoch"].tolist() == [5, 6, 7, 8] and ax.get_ylim()[0] == 0 and ax.get_ylim()[1] < 0.25


def test_quantities_are_columns_of_tidy_tables():
    for quantity in filter(lambda quantity: quantity.kind, QUANTITIES.values()):
        assert quantity.column in KINDS[quantity.kind].columns
        assert set(quantity.where) <= set(KINDS[quantity.kind].columns)
