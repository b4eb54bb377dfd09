"""The numbers printed in the papers: well-formed, consistent, and flagged exactly where they are not."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PAPERS = Path(__file__).parents[2] / "papers"
COLUMNS = ["id", "row", "column", "value", "std", "n", "unit", "source", "note"]
KEY = ["id", "row", "column"]
FLAG = "Contradiction: "

# Cells that print the same quantity of the same runs: (table, row or rows, column) and its counterpart.
SUMMARY = {"imagenet": "test_top_1", "cifar10": "test_accuracy", "iwslt": "test_bleu", "wmt": "test_bleu"}
FULL_BUDGET = {"imagenet": "table_19", "cifar10": "table_17", "iwslt": "table_23", "wmt": "table_21"}
SHORT_BUDGET = {"imagenet": "table_20", "cifar10": "table_18", "iwslt": "table_24", "wmt": "table_22"}
DETAILED = {"imagenet": "table_8", "cifar10": "table_9", "iwslt": "table_12", "wmt": "table_11"}
DECAYS = ("knee", "one_cycle", "cosine", "linear")


def read(paper):
    return pd.read_csv(PAPERS / paper / "reported.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def cells():
    """The cells of iyer2020 as {(id, row, column): row of the file}."""
    return {(cell.id, cell.row, cell.column): cell for cell in read("iyer2020").itertuples()}


@pytest.fixture(scope="module")
def histograms():
    return pd.read_csv(PAPERS / "iyer2020" / "reported_histograms.csv")


def agree(a, b):
    """Whether two printed numbers are one number, rounded to the decimals of the coarser."""
    a, b = Decimal(a), Decimal(b)
    return abs(a - b) <= Decimal(5).scaleb(max(a.as_tuple().exponent, b.as_tuple().exponent) - 1)


def same_quantities():
    for name, column in SUMMARY.items():
        for decay in DECAYS:
            yield ("table_5", name, decay), (FULL_BUDGET[name], decay, column)
            yield ("table_6", name, decay), (SHORT_BUDGET[name], decay, column)
        yield ("table_5", name, "baseline"), (DETAILED[name], "baseline", column)
    for name, column in [("iwslt", "test_bleu"), ("wmt", "test_bleu")]:
        yield ("table_7", name, "target_bleu"), ("table_6", name, "knee")
        yield ("table_5", name, "baseline"), (FULL_BUDGET[name], "linear", column)
    for name, columns in {
        "imagenet": ["test_top_1", "test_top_5", "train_loss"],
        "cifar10": ["test_accuracy", "train_loss"],
        "iwslt": ["test_bleu", "train_perplexity", "validation_perplexity"],
        "wmt": ["test_bleu", "train_perplexity", "validation_perplexity"],
    }.items():
        for column in columns:
            yield (DETAILED[name], "knee", column), (FULL_BUDGET[name], "knee", column)
            yield (DETAILED[name], "knee_short", column), (SHORT_BUDGET[name], "knee", column)
            if name in ("iwslt", "wmt"):  # their baseline is linear decay
                yield (DETAILED[name], "baseline", column), (FULL_BUDGET[name], "linear", column)
    for column in ("em", "f1", "train_loss"):
        yield ("table_13", "baseline", column), ("table_25", "linear", column)
        yield ("table_13", "knee", column), ("table_25", "knee", column)
    yield ("table_5", "bert_large", "baseline"), ("table_10", "baseline", "f1")
    for cell in [
        ("table_5", "bert_large", "knee"),
        ("table_5", "bert_large", "knee_half_explore"),
        ("table_10", "knee", "f1"),
    ]:
        yield cell, ("table_26", "knee", "f1_average")
    for cell in [("table_6", "bert_large", "knee"), ("table_10", "knee_short", "f1")]:
        yield cell, ("table_26", "knee_short", "f1_average")
    for cell in [("table_6", "bert_large", "linear"), ("table_10", "baseline_short", "f1")]:
        yield cell, ("table_26", "baseline_short", "f1_average")
    for column in ("test_accuracy", "train_loss"):
        yield ("table_1", "100", column), ("table_2", "50", column)
        yield ("table_1", "100", column), ("table_9", "baseline", column)
    yield ("table_3", "100", "sharpness"), ("table_2", "50", "sharpness")
    yield ("table_5", "cifar10", "knee_half_explore"), ("table_17", "knee", "test_accuracy")
    yield ("table_5", "iwslt", "knee_half_explore"), ("table_15", "25", "test_bleu")
    for column in ("test_bleu", "train_perplexity"):
        yield ("table_15", "40", column), ("table_23", "knee", column)
    yield ("table_16", "0.1", "test_accuracy"), ("table_18", "knee", "test_accuracy")
    yield ("text_lucky_run", "explore_30", "test_accuracy"), ("table_1", "30", "test_accuracy")
    yield ("text_lucky_run", "explore_100", "test_accuracy"), ("table_1", "100", "test_accuracy")
    yield ("text_squad", "knee", "em"), ("table_13", "knee", "em")
    yield ("text_squad", "baseline", "em"), ("table_13", "baseline", "em")
    for run in ("inverse_sqrt", "knee", "inverse_sqrt_short", "knee_short"):
        yield ("text_cutoff", run, "test_bleu"), ("table_14", run, "test_bleu")
    yield ("text_rate_sensitivity", "0.075", "test_accuracy"), ("table_16", "0.075", "test_accuracy")
    yield ("text_saving", "imagenet", "training_time"), ("text_saving", "imagenet", "training_time_summary")
    for name in ("wmt", "bert_large"):
        yield ("text_saving", name, "gpu_hours"), ("table_6", name, "saving")


@pytest.mark.parametrize("paper", ["gotmare2019", "iyer2020"])
def test_long_form(paper):
    table = read(paper)
    assert list(table.columns) == COLUMNS
    assert not table.duplicated(KEY).any()
    assert (table[[*KEY, "value", "unit", "source"]] != "").all(axis=None)
    assert np.isfinite(table["value"].astype(float)).all()
    assert (table.loc[table["std"] != "", "std"].astype(float) > 0).all()
    assert (table.loc[table["n"] != "", "n"].astype(int) > 0).all()
    percent = table.loc[table["unit"] == "percent", "value"].astype(float)
    assert percent.between(0, 100).all()


def test_every_table_is_there_whole(cells):
    rows = {n: {cell.row for cell in cells.values() if cell.id == f"table_{n}"} for n in range(1, 27)}
    expected = [6, 5, 4, 4, 5, 5, 2, 3, 3, 4, 3, 3, 2, 4, 7, 9, 4, 4, 4, 4, 4, 4, 4, 4, 4, 3]
    assert [len(rows[n]) for n in range(1, 27)] == expected
    gaps = {"table_5": 2, "table_6": 2, "table_10": 1}  # printed as "-"
    for n, length in enumerate(expected, 1):
        columns = {cell.column for cell in cells.values() if cell.id == f"table_{n}"}
        printed = sum(cell.id == f"table_{n}" for cell in cells.values())
        assert printed == length * len(columns) - gaps.get(f"table_{n}", 0)


def test_contradictions_are_flagged_and_nothing_else_is(cells, histograms):
    found = set()
    for pair in same_quantities():
        first, second = (cells[key] for key in pair)
        if not agree(first.value, second.value) or (first.std and second.std and not agree(first.std, second.std)):
            found.update(pair)
    for explore, drawn in moments(histograms, "sharpness").items():
        printed = float(cells["table_3", str(explore), "sharpness"].value)
        if abs(drawn["mean"] - printed) > 0.05:
            found.add(("table_3", str(explore), "sharpness"))
    assert found == {key for key, cell in cells.items() if cell.note.startswith(FLAG)}


@pytest.mark.parametrize(
    "gain,better,worse",
    [
        (
            ("imagenet", "largest_accuracy_gain"),
            ("table_8", "knee", "test_top_1"),
            ("table_8", "baseline", "test_top_1"),
        ),
        (("imagenet", "test_top_1"), ("table_8", "knee", "test_top_1"), ("table_8", "baseline", "test_top_1")),
        (("imagenet", "test_top_5"), ("table_8", "knee", "test_top_5"), ("table_8", "baseline", "test_top_5")),
        (("bert_large", "f1"), ("table_10", "knee", "f1"), ("table_10", "baseline", "f1")),
        (("wmt", "test_bleu"), ("table_11", "knee", "test_bleu"), ("table_11", "baseline", "test_bleu")),
        (("iwslt", "test_bleu"), ("table_12", "knee", "test_bleu"), ("table_12", "baseline", "test_bleu")),
        (("squad", "em"), ("table_13", "knee", "em"), ("table_13", "baseline", "em")),
        (("cutoff", "test_bleu"), ("table_14", "knee", "test_bleu"), ("table_14", "inverse_sqrt", "test_bleu")),
    ],
)
def test_gains_in_the_text_are_the_tables_differences(cells, gain, better, worse):
    assert agree(cells["text_gain", *gain].value, Decimal(cells[better].value) - Decimal(cells[worse].value))


@pytest.mark.parametrize("experiment", ["imagenet", "cifar10", "iwslt", "wmt", "bert_large"])
def test_savings_in_the_text_are_the_budgets(cells, experiment):
    full, short = (Decimal(cells[table, experiment, "budget"].value) for table in ("table_5", "table_6"))
    assert agree(cells["text_saving", experiment, "training_time"].value, 100 * (1 - short / full))


@pytest.mark.parametrize("run", ["baseline_short", "knee_short", "knee"])
def test_table_26_summarises_its_trials(cells, run):
    trials = [Decimal(cells["table_26", run, f"f1_trial_{trial}"].value) for trial in (1, 2, 3)]
    assert agree(cells["table_26", run, "f1_average"].value, sum(trials) / 3)
    assert Decimal(cells["table_26", run, "f1_maximum"].value) == max(trials)


def moments(histograms, quantity):
    """{explore epochs: mean, std and runs of what figure 2 or 3 draws}, from the centres of the bins."""
    found = {}
    for explore, bins in histograms[histograms["quantity"] == quantity].groupby("setting"):
        values = np.repeat(bins["bin_centre"], bins["count"])
        found[explore] = {"mean": values.mean(), "std": values.std(ddof=1), "runs": len(values)}
    return found


def test_histograms_are_of_50_runs_in_bins_of_one_grid(histograms):
    for _, panel in histograms.groupby(["figure", "setting"]):
        assert panel["count"].sum() == 50
        assert (panel["bin_left"].diff().dropna() > 0).all()
        assert ((panel["bin_left"] < panel["bin_centre"]) & (panel["bin_centre"] < panel["bin_right"])).all()
    for _, figure in histograms.groupby("figure"):
        width = (figure["bin_right"] - figure["bin_left"]).mean()
        places = (figure["bin_left"] - figure["bin_left"].min()) / width
        assert (places - places.round()).abs().max() < 0.05


def test_figure_3_has_the_moments_of_table_1(cells, histograms):
    for explore, drawn in moments(histograms, "test_accuracy").items():
        printed = cells["table_1", str(explore), "test_accuracy"]
        assert drawn["mean"] == pytest.approx(float(printed.value), abs=0.03)
        assert drawn["std"] == pytest.approx(float(printed.std), abs=0.01)


def test_the_lucky_run_is_alone_in_the_last_bin_of_figure_3(cells, histograms):
    best = float(cells["text_lucky_run", "explore_30", "best_test_accuracy"].value)
    last = histograms.query("quantity == 'test_accuracy' and setting == 30").iloc[-1]
    assert last["bin_left"] <= best < last["bin_right"] and last["count"] == 1


def test_best_students_of_gotmare2019():
    table = read("gotmare2019").set_index(KEY)["value"]
    assert table.to_dict() == {
        ("text_distillation", "student_distilled", "best_validation_accuracy"): "85.18",
        ("text_distillation", "student_independent", "best_validation_accuracy"): "83.01",
    }
