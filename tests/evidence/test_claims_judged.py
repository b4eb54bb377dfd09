"""Claims judged from tables whose answer is known: what is read, what is missing, what diverged."""

import math

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.evidence import operands
from workflow_scripts.evidence.predicates import find
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.tables import write_table
from workflow_scripts.evidence.verdicts import CONTRADICTED, NOT_RUN, SUPPORTED, UNDECIDED, decide

DIVERGED = {"state": "diverged", "run": "0123456789ab", "step": 4, "epoch": 0.5, "reason": "loss is nan"}


@pytest.fixture
def tables(tmp_path):
    return Sources(tmp_path)


def run(root, name, accuracies, status=None):
    """A run's metrics: test accuracy after epochs 1, 2, ...; its path."""
    rows = [(name, epoch, float(epoch), "test", "accuracy", value) for epoch, value in enumerate(accuracies, 1)]
    frame = pd.DataFrame(rows, columns=["run", "step", "epoch", "split", "metric", "value"])
    write_table(root / f"{name}.parquet", frame, "metrics", status)
    return f"{name}.parquet"


def runs(root, prefix, finals):
    return {"tables": [run(root, f"{prefix}{n}", [10.0, final]) for n, final in enumerate(finals)],
            "quantity": "accuracy"}  # fmt: skip


def curve(root, name, segment, trained, status=None):
    """A path table with a loss of the training set along the segment and along the curve after 20 epochs."""
    rows = [
        (path, epoch, point, point / 2, float(point), "train", "loss", value)
        for path, epoch, values in (("segment", 0, segment), ("curve", 20, trained))
        for point, value in enumerate(values)
    ]
    columns = ["path", "epoch", "point", "t", "arc_length", "split", "metric", "value"]
    write_table(root / f"{name}.parquet", pd.DataFrame(rows, columns=columns), "path", status)
    return f"{name}.parquet"


def similarity(root, name, values, labels, columns=None):
    """A table of similarities, rows the first network's layers."""
    columns = columns or labels
    rows = [
        (a, labels[a], b, columns[b], float(values[a][b]), 0.05, 3.0, 3.0, 100)
        for a in range(len(labels))
        for b in range(len(columns))
    ]
    names = ["layer_a", "label_a", "layer_b", "label_b", "similarity", "floor", "rank_a", "rank_b", "n"]
    write_table(root / f"{name}.parquet", pd.DataFrame(rows, columns=names), "similarity")
    return f"{name}.parquet"


def verdict(judge, tables, needs=1):
    finding = find(judge, needs, tables)
    return decide([finding])[0][0], finding


ABOVE = {"expected": "above", "threshold": 0}


def test_a_difference_of_trials(tables):
    of, minus = runs(tables.root, "a", [61.0, 62.0, 63.0, 62.5]), runs(tables.root, "b", [50.0, 51.0, 49.5, 50.5])
    found, finding = verdict({"kind": "difference", "of": of, "minus": minus, **ABOVE}, tables)
    assert found == SUPPORTED and finding.effect.value == pytest.approx(62.125 - 50.25) and finding.effect.n == 4
    assert verdict({"kind": "difference", "of": minus, "minus": of, **ABOVE}, tables)[0] == CONTRADICTED


def test_best_and_mean_over_epochs(tables):
    best = runs(tables.root, "a", [61.0, 64.0, 63.0]) | {"statistic": "best"}
    assert operands.read(best, tables).sample.values == (64.0,)
    best["tables"].append("gone.parquet")  # which might be the best
    assert operands.read(best, tables).not_run
    path = run(tables.root, "long", [1.0, 2.0, 4.0, 100.0])
    window = {"tables": [path], "quantity": "accuracy", "epochs": [2, 3]}
    assert operands.read(window, tables).sample.values == (3.0,)


def test_missing_is_not_run_and_diverged_is_undecided(tables):
    there, gone = runs(tables.root, "a", [61.0, 62.0]), {"tables": ["gone.parquet"], "quantity": "accuracy"}
    found, finding = verdict({"kind": "difference", "of": there, "minus": gone, **ABOVE}, tables)
    assert found == NOT_RUN and finding.effect is None
    lost = {"tables": [run(tables.root, "lost", [10.0, math.nan], DIVERGED)], "quantity": "accuracy"}
    found, finding = verdict({"kind": "difference", "of": there, "minus": lost, **ABOVE}, tables)
    assert found == UNDECIDED and "diverged at epoch 0.5" in finding.note


def test_some_trials_missing_are_told_and_count(tables):
    of, minus = runs(tables.root, "a", [61.0, 62.0, 63.0]), runs(tables.root, "b", [50.0, 51.0, 52.0])
    of["tables"].append("gone.parquet")
    found, finding = verdict({"kind": "difference", "of": of, "minus": minus, **ABOVE}, tables, needs=3)
    assert found == SUPPORTED and finding.note == "1 not run"
    found, finding = verdict({"kind": "difference", "of": of, "minus": minus, **ABOVE}, tables, needs=4)
    assert found == UNDECIDED and "3 of at least 4 trials; 1 not run" in finding.note


def test_nothing_is_declared(tables):
    found, finding = verdict(None, tables)
    assert found == NOT_RUN and finding.note == "not declared"


def test_barriers_on_the_right_path_at_the_right_epoch(tables):
    path = curve(tables.root, "c", [1.0, 4.0, 2.0], [1.0, 1.5, 2.0])
    along = {"curve": path, "metric": "loss", "split": "train", "epoch": 20}
    limits = {"kind": "barrier", "expected": "above", "threshold": 0.05, "contradicted": 0.01}
    found, finding = verdict({**limits, "along": {**along, "path": "segment"}}, tables)
    assert found == SUPPORTED and finding.effect.value == 2.0
    found, finding = verdict({**limits, "along": {**along, "path": "curve"}}, tables)
    assert found == CONTRADICTED and finding.effect.value == 0.0
    missing = {**limits, "along": {**along, "path": "curve", "curve": "gone.parquet"}}
    assert verdict(missing, tables)[0] == NOT_RUN


def test_points_of_a_path(tables):
    path = curve(tables.root, "c", [1.0, 4.0, 3.0], [1.0, 1.5, 3.0])
    point = {"curve": path, "path": "segment", "metric": "loss", "split": "train", "epoch": 0}
    values = {at: operands.read({**point, "point": at}, tables).sample.mean for at in
              ("start", "middle", "end", "ends", "lower_end", "higher_end")}  # fmt: skip
    assert values == {"start": 1, "middle": 4, "end": 3, "ends": 2, "lower_end": 1, "higher_end": 3}


def test_a_curve_of_a_network_that_diverged_is_undecided(tables):
    write_table(tables.root / "d.parquet", pd.DataFrame(), "path", DIVERGED)
    along = {"curve": "d.parquet", "path": "curve", "metric": "loss", "split": "train", "epoch": 20}
    found, finding = verdict({"kind": "barrier", "along": along, "expected": "below", "threshold": 0.1}, tables)
    assert found == UNDECIDED and "diverged" in finding.note


def test_similarity_of_layers_with_themselves(tables):
    labels = ["conv", "ReLU", "FC", "FC"]
    path = similarity(tables.root, "s", np.diag([0.9, 0.8, 0.4, 0.2]), labels)
    means = {layers: operands.read({"similarity": path, "layers": layers}, tables).sample.mean for layers in
             ("all", "shallow", "deep")}  # fmt: skip
    assert means == pytest.approx({"all": 0.575, "shallow": 0.85, "deep": 0.3})
    limits = {"expected": "decrease", "threshold": -0.3, "contradicted": 0}
    found, finding = verdict({"kind": "trend", "along": {"similarity": path}, **limits}, tables)
    assert found == SUPPORTED and finding.effect.value == -1


def test_similarity_of_different_networks_goes_by_the_seconds_layers(tables):
    rows, columns = ["conv", "FC", "FC"], ["conv", "FC"]
    one = similarity(tables.root, "one", [[0.5, 0.3], [0.5, 0.3], [0.5, 0.9]], rows, columns)
    other = similarity(tables.root, "other", [[0.5, 0.1], [0.4, 0.5], [0.6, 0.9]], rows, columns)
    change = {"similarity": one, "minus": other, "absolute": True}
    deep, shallow = ({**change, "layers": layers} for layers in ("deep", "shallow"))
    assert operands.read(deep, tables).sample.mean == pytest.approx((0.2 + 0.2 + 0) / 3)
    assert operands.read(shallow, tables).sample.mean == pytest.approx((0 + 0.1 + 0.1) / 3)
    signed = operands.read({**deep, "absolute": False}, tables).sample.mean
    assert signed == pytest.approx(0)
    convolutions = similarity(tables.root, "conv", np.eye(2), ["conv", "ReLU"])
    assert math.isnan(operands.read({"similarity": convolutions, "layers": "deep"}, tables).sample.mean)


def test_a_count_of_judgements_holds_only_if_the_unknown_cannot_change_it(tables):
    low = curve(tables.root, "low", [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    high = curve(tables.root, "high", [1.0, 9.0, 1.0], [1.0, 9.0, 1.0])

    def among(*paths):
        along = {"path": "segment", "metric": "loss", "split": "train", "epoch": 0}
        return [{"kind": "barrier", "along": {**along, "curve": path}, "expected": "below", "threshold": 0.1}
                for path in paths]  # fmt: skip

    judge = {"kind": "count", "expected": "above", "threshold": 2, "contradicted": 1}
    assert verdict({**judge, "among": among(low, low, high)}, tables)[0] == SUPPORTED
    assert verdict({**judge, "among": among(low, high, high)}, tables)[0] == CONTRADICTED
    assert verdict({**judge, "among": among(low, low, "gone.parquet")}, tables)[0] == SUPPORTED
    found, finding = verdict({**judge, "among": among(low, high, "gone.parquet")}, tables)
    assert found == UNDECIDED and "1 of 3 unknown" in finding.note
    assert verdict({**judge, "among": among("gone.parquet", "gone.parquet")}, tables)[0] == NOT_RUN


def test_a_lucky_run(tables):
    short = runs(tables.root, "short", [50.0] * 19 + [63.0])
    long = runs(tables.root, "long", [60.0, 61.0, 62.0])
    judge = {"kind": "count", "of": short, "beyond": long, "least": 1, "expected": "below", "threshold": 0.5}
    found, finding = verdict(judge, tables)
    assert found == SUPPORTED and finding.effect.value == 0.05
    none = runs(tables.root, "none", [50.0] * 20)
    found, finding = verdict({**judge, "of": none}, tables)
    assert found == UNDECIDED and "0 of 20 found, 1 needed" in finding.note
    assert verdict({**judge, "of": runs(tables.root, "all", [70.0] * 20)}, tables)[0] == CONTRADICTED


def test_the_papers_own_numbers(tmp_path):
    """Means with deviations, means alone, and trials read off a histogram."""
    (tmp_path / "reported.csv").write_text(
        "id,row,column,value,std,n,unit,source,note\n"
        "t,a,x,95.3,0.1,7,percent,here,\nt,b,x,95.0,0.1,7,percent,here,\nt,c,x,95.0,,,percent,here,\n"
    )
    header = "figure,quantity,setting,bin_left,bin_right,bin_centre,count,note\n"
    (tmp_path / "h.csv").write_text(header + "f,x,0,0,1,0.5,2,\nf,x,0,1,2,1.5,1,\nf,x,30,0,1,0.5,9,\n")
    tables = Sources(tmp_path)

    def printed(row):
        return {"reported": {"file": "reported.csv", "key": ["t", row, "x"]}}

    judge = {"kind": "difference", **ABOVE}
    found, finding = verdict({**judge, "of": printed("a"), "minus": printed("b")}, tables)
    assert found == SUPPORTED and finding.effect.n == 7
    found, finding = verdict({**judge, "of": printed("c"), "minus": printed("c")}, tables)
    assert found == SUPPORTED and math.isnan(finding.p) and finding.effect.n == 1
    histogram = {"digitised": {"file": "h.csv", "figure": "f", "setting": 0}}
    assert operands.read(histogram, tables).sample.values == (0.5, 0.5, 1.5)
