"""The second paper: what its declarations amount to, at every scale."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.bookkeeping.operations import Operations
from workflow_scripts.commands import price
from workflow_scripts.datasets.text.prepared import PreparedText
from workflow_scripts.datasets.text.settings import TEXT, as_fields
from workflow_scripts.evidence.reported import read_reported
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.tables import write_table
from workflow_scripts.evidence.trained import differences
from workflow_scripts.models import build
from workflow_scripts.models.vision.initialise import initialise
from workflow_scripts.recipes.merge import merge
from workflow_scripts.recipes.schedules import rates
from workflow_scripts.recipes.schema import read_yaml

EXPLORE = (0, 30, 40, 60, 80, 100)
FULL_SETTINGS = (0, 30, 60, 100)  # of 50 trials
STEPS = 391  # of 128 images in an epoch of 50,000


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    from tests.shared.declarations import Declarations

    return Declarations(tmp_path_factory.mktemp("iyer") / "declared")


@pytest.fixture(scope="module")
def plan(papers):
    return papers.plan("paper", papers=["iyer2020"])


@pytest.fixture(scope="module")
def printed(papers):
    return read_reported(papers.root / "papers" / "iyer2020" / "reported.csv")


def named(plan, name):
    """The runs of a declaration, in the order of their trials."""
    return [run for run in plan.runs.values() if run.names[0].split("/")[1] == name]


def drawn(plan, name):
    return plan.artifacts[f"iyer2020_{name}"]


def cell(plan, table, row):
    """The row of a table, as it is given to the notebook."""
    (found,) = [one for one in drawn(plan, table).spec["table"]["rows"] if one["key"] == row]
    return found


def in_tables(paths, plan):
    """The runs whose metrics these paths are."""
    by_path = {str(plan.paths.metrics(id)): run for id, run in plan.runs.items()}
    return [by_path[path] for path in paths]


def on(plan, data):
    """The runs on a data set."""
    return [run for run in plan.runs.values() if run.recipe["data"] == data]


def test_cifar10_takes_303_trainings_and_imagenet_30_and_each_a_range_test(plan):
    by_experiment = Counter(run.experiment.split("/")[1] for run in plan.runs.values())
    assert by_experiment == {
        "explore": 208, "finer_explore": 12, "stagnation": 2, "low_rate": 1, "schedules": 56, "seed_rates": 24,
        "imagenet": 30, "wmt": 30, "iwslt": 48, "cutoff": 4,
        "bert_pretraining": 1, "bert_pretraining_short": 2, "bert_squad": 9, "squad": 12,
    }  # fmt: skip
    assert len(on(plan, "cifar10")) == 303 and len(on(plan, "imagenet")) == 30
    tests = sorted(a.data for a in plan.analyses.values() if a.kind == "range_test")
    assert tests == ["cifar10", "imagenet", "iwslt14_de_en", "squad", "wmt14_en_de"]


def test_each_is_trained_once_and_trials_differ_in_their_seeds(plan):
    assert all(len(run.names) == 1 for run in plan.runs.values())
    settings = Counter(str({**run.recipe, "seed": None}) for run in plan.runs.values())
    assert sorted(settings.values()) == sorted([50] * 4 + [4] * 2 + [3] * (48 + 7) + [7] * 8 + [1] * (7 + 3))
    seeds = Counter(run.recipe["seed"] for run in plan.runs.values())
    # The two of figure 1 are one run until the rate of the second drops; all other trials are independent.
    assert [seed for seed, count in seeds.items() if count > 1] == [named(plan, "constant")[0].recipe["seed"]]


def test_every_part_of_the_paper_is_there(plan):
    expected = {f"table_{n}" for n in range(1, 27)}
    figures = ("1", "2", "3", "4a", "4b", "4c", "4d", *map(str, range(5, 13)))
    expected |= {f"figure_{n}" for n in figures} | {
        "text_lucky_run_iwslt",
        "text_lucky_run",
        "text_low_rate",
        "text_range_test_squad",
        "text_trend",
    }
    drawn_by_default = {artifact.name for artifact in plan.artifacts.values() if not artifact.sensitivity}
    assert drawn_by_default == expected
    needed = {run.id for artifact in plan.artifacts.values() for run in artifact.runs}
    needed |= {run.id for a in plan.artifacts.values() for analysis in a.analyses for run in analysis.runs}
    begun = {run.teacher for run in plan.runs.values()} - {None}
    assert needed | begun == set(plan.runs)


def test_imagenet_is_the_papers_network_and_training(plan, printed):
    settings = Counter()
    for run in on(plan, "imagenet"):
        recipe = run.recipe
        assert recipe["samples_per_epoch"] == 1_281_167 and recipe["batch_size"] == 256 and recipe["augment"]
        assert recipe["model"] == {"name": "resnet50", "width": 1.0} and recipe["image_sides"] is None
        assert recipe["optimizer"] == {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-4}
        lr = rates(recipe["schedule"], 10, recipe["epochs"] * 10)
        settings[recipe["epochs"], recipe["schedule"]["name"], recipe["schedule"].get("explore")] += 1
        assert lr.max() == pytest.approx(0.216 if recipe["schedule"]["name"] == "one_cycle" else 0.1, rel=1e-2)
    assert settings == Counter(dict.fromkeys([
        (90, "piecewise", None), (90, "knee", 30), (90, "knee", 45), (90, "one_cycle", None), (90, "cosine", None),
        (90, "linear", None), (50, "knee", 30), (50, "one_cycle", None), (50, "cosine", None), (50, "linear", None),
    ], 3))  # fmt: skip
    for row, name in (
        ("baseline", "imagenet_step_90"),
        ("knee", "imagenet_knee_90"),
        ("knee_short", "imagenet_knee_50"),
    ):
        budget = printed.loc[("table_8", row, "training_epochs"), "value"]
        assert {run.recipe["epochs"] for run in named(plan, name)} == {budget}


@pytest.mark.parametrize(("scale", "side"), [("paper", 224), ("reduced", 16), ("demo", 8)])
def test_phases_of_image_size_are_scaled_with_the_images(declared, scale, side):
    declare_phases(declared, [[30, 112], [60, 224]])
    plan = declared.plan(scale, papers=["iyer2020"])
    assert all(run.recipe["image_sides"] == [[30, side // 2], [60, side]] for run in named(plan, "imagenet_knee_90"))


def test_phases_of_image_size_fill_the_budget(declared):
    declare_phases(declared, [[30, 112], [30, 224]])
    told = declared.refusal(papers=["iyer2020"])
    assert "imagenet_knee_90: image_sides has 60 epochs, but the run has 90" in told


def declare_phases(declared, phases):
    """Give a run on ImageNet these phases of image size."""
    path = declared.root / "papers" / "iyer2020" / "runs.yaml"
    document = read_yaml(path)
    document["experiments"]["imagenet"]["runs"]["imagenet_knee_90"]["image_sides"] = phases
    path.write_text(yaml.safe_dump(document))


def test_every_run_on_cifar10_is_the_papers_network_and_training(plan):
    for run in on(plan, "cifar10"):
        recipe = run.recipe
        assert recipe["data"] == "cifar10" and recipe["samples_per_epoch"] == 50_000 and recipe["batch_size"] == 128
        assert recipe["model"] == {"name": "resnet18", "width": 1.0} and recipe["augment"]
        assert recipe["optimizer"] == {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4}
        assert recipe["initialisation"] == {"rule": "default"}


@pytest.mark.parametrize("explore", EXPLORE)
def test_explore_epochs_and_halves_of_the_rest(plan, explore):
    runs = named(plan, f"explore_{explore}")
    assert len(runs) == (50 if explore in FULL_SETTINGS else 4)
    lr = rates(runs[0].recipe["schedule"], STEPS, 200 * STEPS)[::STEPS]
    rest = (200 - explore) // 2
    assert Counter(lr.tolist()) == Counter({0.1: explore, 0.01: rest, 0.001: rest})
    assert (np.diff(lr) <= 0).all()


@pytest.mark.parametrize("finer", (10, 20, 30, 40))
def test_finer_explore(plan, finer):
    runs = named(plan, f"finer_{finer}")
    lr = rates(runs[0].recipe["schedule"], STEPS, 200 * STEPS)[::STEPS]
    assert len(runs) == 3 and Counter(lr.tolist()) == {0.1: 100, 0.01: finer, 0.001: 100 - finer}


def test_schedules_have_the_budgets_and_explore_epochs_that_the_paper_prints(plan, printed):
    for row, name in (("baseline", "explore_100"), ("knee", "knee_200"), ("knee_short", "knee_150")):
        budget = printed.loc[("table_9", row, "training_epochs"), "value"]
        assert {run.recipe["epochs"] for run in named(plan, name)} == {budget}
    rows = drawn(plan, "table_16").spec["table"]["rows"]
    assert len(rows) == 9
    for row in rows:
        (recipe,) = {str(run.recipe["schedule"]): run.recipe for run in in_tables(row["tables"], plan)}.values()
        explore = printed.loc[("table_16", row["key"], "optimal_explore_epochs"), "value"]
        assert recipe["schedule"] == {"name": "knee", "lr": float(row["key"]), "explore": explore}
        assert recipe["epochs"] == 150


def test_one_cycle_has_the_published_maximum(plan):
    for budget in (200, 150):
        (recipe,) = {str(run.recipe["schedule"]): run.recipe for run in named(plan, f"one_cycle_{budget}")}.values()
        lr = rates(recipe["schedule"], STEPS, budget * STEPS)
        assert lr.max() == pytest.approx(9e-3, rel=1e-3) and recipe["epochs"] == budget
        assert np.argmax(lr) == pytest.approx(0.45 * budget * STEPS, abs=1)


def test_fifty_times_as_long_at_a_low_rate(plan):
    (run,) = named(plan, "low_rate")
    assert run.recipe["epochs"] == 10_000 and run.recipe["schedule"] == {"name": "constant", "lr": 0.001}


def test_tables_share_the_first_trials_of_a_setting(plan):
    fifty = named(plan, "explore_100")
    assert in_tables(cell(plan, "table_1", "100")["tables"], plan) == fifty[:4]
    assert in_tables(cell(plan, "table_2", "50")["tables"], plan) == fifty[:3]
    assert cell(plan, "table_2", "50")["sharpness"]["runs"] == [run.id for run in fifty[:3]]
    assert cell(plan, "table_3", "100")["sharpness"]["runs"] == [run.id for run in fifty]
    assert cell(plan, "table_4", "100")["fisher"]["runs"] == [run.id for run in fifty[:10]]
    assert in_tables(cell(plan, "table_9", "baseline")["tables"], plan) == fifty[:7]
    assert in_tables(cell(plan, "text_lucky_run", "explore_100")["tables"], plan) == fifty
    assert in_tables(cell(plan, "table_5", "cifar10")["cells"]["baseline"]["tables"], plan) == fifty[:7]
    assert in_tables(cell(plan, "table_16", "0.1")["tables"], plan) == named(plan, "knee_150")[:3]


def test_sharpness_of_a_setting_is_one_job_for_figure_and_tables(plan):
    figure = drawn(plan, "figure_2").spec["panels"][1]["series"]
    for series, explore in zip(figure, FULL_SETTINGS, strict=True):
        table = cell(plan, "table_3", str(explore))["sharpness"]["table"]
        assert series["sharpness"]["table"] == table and len(series["sharpness"]["runs"]) == 50
    used = {a.id for artifact in plan.artifacts.values() if not artifact.sensitivity for a in artifact.analyses}
    assert Counter(plan.analyses[id].kind for id in used) == {
        "sharpness": 8, "fisher": 4, "range_test": 5, "translation": 30, "answers": 7,
    }  # fmt: skip


def test_sensitivities_differ_from_table_3_in_one_setting_and_are_drawn_on_demand(plan):
    for name, setting in (("no_momentum", "momentum"), ("frozen_batch_norm", "frozen_batch_norm")):
        artifact = drawn(plan, f"table_3_{name}")
        usual = {a.recipe["runs"][0]["run"]: a.recipe for a in drawn(plan, "table_3").analyses}
        assert artifact.sensitivity and len(artifact.analyses) == 4
        for analysis in artifact.analyses:
            other = usual[analysis.recipe["runs"][0]["run"]]
            assert [key for key in other if other[key] != analysis.recipe[key]] == [setting]


def test_bert_large_has_cells_where_the_paper_has_numbers_of_its_own(plan):
    """The full budget's baseline is quoted from another paper; one-cycle and cosine are empty."""
    for table, cells in (("table_5", {"knee", "knee_half_explore"}), ("table_6", {"knee", "linear"})):
        row = cell(plan, table, "bert_large")
        assert row["quantity"] == "f1" and set(row["cells"]) == cells


# --- BERT ------------------------------------------------------------------------------------------------------------


def of_task(plan, task):
    return [run for run in plan.runs.values() if run.recipe.get("task") == task]


def test_language_takes_106_trainings(plan):
    """82 of translation, 3 of pre-training, 21 of fine-tuning."""
    counts = {task: len(of_task(plan, task)) for task in ("translation", "masked_lm", "question_answering")}
    assert counts == {"translation": 82, "masked_lm": 3, "question_answering": 21}


def test_pre_training_is_the_papers(plan, printed):
    for run in of_task(plan, "masked_lm"):
        recipe = run.recipe
        steps = recipe["epochs"] * recipe["updates_per_epoch"]
        row = "knee" if run.name == "bert_large_knee" else "knee_short"
        assert steps == pytest.approx(printed.loc[("table_10", row, "training_updates"), "value"], rel=3e-4)
        model = recipe["model"]
        assert [model[key] for key in ("layers", "width", "heads", "ffn", "longest")] == [24, 1024, 16, 4096, 512]
        assert recipe["batch_size"] == 16384 and recipe["clip"] == 1 and recipe["lengths"] == [[45, 128], [5, 512]]
        lr = rates(recipe["schedule"], recipe["updates_per_epoch"], steps)
        for part in (lr[: steps * 9 // 10], lr[steps * 9 // 10 :]):  # warmup over a tenth, then Knee or a line to zero
            assert part.max() == pytest.approx(5 / (2**0.5 * 1000), rel=1e-4) and part[-1] < part.max() / 100
            assert part.argmax() == pytest.approx(len(part) / 10, abs=2)
            highest = np.isclose(part, part.max(), rtol=1e-9).sum() / len(part)
            assert highest == pytest.approx(0 if "linear" in run.name else 0.5, abs=0.01)
        assert run.checkpoints == {"epoch-50": steps}


def test_fine_tuning_is_the_papers(plan):
    begun = {}
    for run in of_task(plan, "question_answering"):
        recipe = run.recipe
        assert (recipe["batch_size"], recipe["length"], recipe["stride"]) == (12, 384, 128)
        assert recipe["optimizer"] == {"name": "adamw", "weight_decay": 0.0}
        assert recipe["epochs"] * recipe["updates_per_epoch"] * 12 == pytest.approx(2 * 88_641, rel=1e-3)  # two passes
        begun.setdefault(run.setting, set()).add(run.begins_with.run.name if run.begins_with else "bert_base")
        steps = recipe["epochs"] * recipe["updates_per_epoch"]
        peak = 1e-5 if recipe["schedule"]["name"] == "one_cycle" else 3e-5
        assert rates(recipe["schedule"], recipe["updates_per_epoch"], steps).max() == pytest.approx(peak, rel=1e-2)
    large = ("bert_large_knee", "bert_large_knee_short", "bert_large_linear_short")
    base = ("squad_knee", "squad_one_cycle", "squad_cosine", "squad_linear")
    assert begun == {f"{name}_squad": {name} for name in large} | {name: {"bert_base"} for name in base}
    assert all(len(named(plan, name)) == 3 for name in begun)
    answered = [a.recipe for a in plan.analyses.values() if a.kind == "answers"]
    assert all((a["length"], a["stride"], a["longest_answer"]) == (384, 128, 30) for a in answered)
    assert {end["at"] for a in answered for end in a["runs"]} == {"epoch-20"}


def test_table_10_takes_the_best_of_the_trials_that_table_26_shows(plan):
    shown = {row["key"]: row["cells"] for row in drawn(plan, "table_26").spec["table"]["rows"]}
    for row in drawn(plan, "table_10").spec["table"]["rows"]:
        if row["key"] == "baseline":  # quoted from another paper
            assert "cells" not in row
            continue
        trials = [shown[row["key"]][f"f1_trial_{number}"]["answers"]["runs"] for number in (1, 2, 3)]
        assert row["cells"]["f1"]["answers"]["runs"] == [run for one in trials for run in one]
        assert len({run for one in trials for run in one}) == 3
    best = [column.get("statistic") for column in drawn(plan, "table_10").spec["table"]["columns"]]
    assert best[0] == "best"


@pytest.mark.parametrize("scale", ("demo", "reduced", "paper"))
def test_no_run_shares_a_process_with_what_it_begins_with(papers, scale):
    plan = papers.plan(scale, papers=["iyer2020"])
    for group in plan.run_groups():
        assert not {plan.runs[id].teacher for id in group} & set(group)
    assert any(run.teacher for run in plan.runs.values())


def test_what_has_to_be_named_is_told_at_the_papers_scale_and_stood_in_for_elsewhere(papers):
    plan = papers.plan("paper", papers=["iyer2020"])
    assert plan.not_named() == {"imagenet", "wikipedia", "squad"}
    assert plan.to_be_named("squad") == {"bert_base"} and plan.to_be_named("wikipedia") == {"wikipedia", "bert_base"}
    of_squad = Operations(plan).needed(["iyer2020_table_13", "iyer2020_table_11"])
    assert price.to_be_named(plan, of_squad).startswith("What rests on bert_base can be priced but not run")
    assert price.to_be_named(plan, Operations(plan).needed(["iyer2020_table_11"])) == ""
    for scale in ("demo", "reduced"):
        plan = papers.plan(scale, papers=["iyer2020"])
        assert not plan.not_named()
        (pretrained,) = named(plan, "bert_large_knee")
        for run in of_task(plan, "question_answering"):
            assert (
                run.recipe["data"] == "grammar_questions" and run.begins_with.run.recipe["data"] == "grammar_documents"
            )
            if run.setting.startswith("squad_"):
                assert run.teacher == pretrained.id
        (test,) = [a for a in plan.analyses.values() if a.kind == "range_test" and a.data == "grammar_questions"]
        assert test.recipe["pretrained"]["run"] == pretrained.id and [run.id for run in test.runs] == [pretrained.id]


def test_a_figure_of_squad_names_the_pre_training_that_stands_in(papers):
    """What was trained in place of bert_base is said below the figure; a range test is not of the pre-training."""
    plan = papers.plan("reduced", papers=["iyer2020"])
    described = drawn(plan, "figure_12").spec["runs"]
    assert {run["declared"]["pretrained"] for run in described.values()} == {"bert_base"}
    assert {run["declared"]["model"]["width"] for run in described.values()} == {768}
    large = drawn(plan, "table_26").spec["runs"]
    assert {run["declared"]["model"]["width"] for run in large.values()} == {1024}
    assert not any("pretrained" in run["declared"] for run in large.values())
    swept = drawn(plan, "text_range_test_squad")
    assert swept.spec["runs"].keys() == {analysis.id for analysis in swept.analyses}
    assert {run["declared"]["pretrained"] for run in swept.spec["runs"].values()} == {"bert_base"}


def test_a_table_of_translation_rests_on_its_own_trainings(plan):
    """BLEU and perplexity of a row are of the same trials; table 7's budgets are those that were trained."""
    for name in ("table_11", "table_12", "table_14", "table_15", *(f"table_{n}" for n in range(21, 25))):
        for row in drawn(plan, name).spec["table"]["rows"]:
            assert [run.id for run in in_tables(row["tables"], plan)] == row["translation"]["runs"]
    for row in drawn(plan, "table_7").spec["table"]["rows"]:
        for trained in (each for schedule in row["schedules"].values() for each in schedule):
            assert {plan.runs[run].recipe["epochs"] for run in trained["translation"]["runs"]} == {trained["budget"]}
    cutoff = [a.recipe for a in plan.analyses.values() if a.kind == "translation" and a.data == "iwslt14_de_en_joined"]
    assert len(cutoff) == 4
    assert all(each["compound_splitting"] and each["runs"][0]["at"] == "average-5" for each in cutoff)


def test_translation_has_the_papers_settings(plan, printed):
    for name, row in (("wmt_linear_70", "baseline"), ("wmt_knee_70", "knee"), ("wmt_knee_30", "knee_short")):
        assert named(plan, name)[0].recipe["epochs"] == printed.loc[("table_11", row, "training_epochs"), "value"]
    for run in plan.runs.values():
        if run.recipe.get("task") != "translation":
            continue
        epochs, steps = run.recipe["epochs"], run.steps_per_epoch
        lr = rates(run.recipe["schedule"], steps, epochs * steps)
        if run.recipe["cutoff"]:
            assert lr.max() == pytest.approx(7e-4) and lr.argmax() + 1 == 6000  # the warmup's end
        else:
            peak = 2.5e-4 if run.recipe["schedule"]["name"] == "one_cycle" else 3e-4
            assert lr.max() == pytest.approx(peak, rel=1e-3) and run.recipe["clip"] == 25


# Vocabulary of the published dictionaries or word pieces, and trainable parameters, by the data that a run trains on.
PUBLISHED = {
    "wmt14_en_de": ({"source": 40_360, "target": 42_720}, 86_675_456),
    "iwslt14_de_en": ({"source": 8_848, "target": 6_632}, 39_469_056),
    "wikipedia": ({"text": 30_522}, 336_226_108),
}


@pytest.mark.parametrize(("data", "vocabulary", "parameters"), [(name, *each) for name, each in PUBLISHED.items()])
def test_networks_of_text_have_the_published_numbers_of_parameters(plan, data, vocabulary, parameters):
    specs = [run.recipe["model"] for run in plan.runs.values() if run.recipe["data"] == data]
    assert len(specs) > 2 and all(spec == specs[0] for spec in specs)
    text = PreparedText(data, TEXT[data].form, as_fields(TEXT[data]), "", {}, {}, vocabulary)
    with torch.device("meta"):
        network = build(specs[0], text)
    assert sum(each.numel() for each in network.parameters() if each.requires_grad) == parameters


@pytest.mark.parametrize("scale", ("demo", "reduced", "paper"))
def test_every_scale_plans_both_papers_and_neither_disturbs_the_other(papers, scale):
    first, second, both = (papers.plan(scale, papers=names) for names in (
        ["gotmare2019"], ["iyer2020"], ["gotmare2019", "iyer2020"]))  # fmt: skip
    for what in ("runs", "analyses", "artifacts"):
        assert set(getattr(both, what)) == set(getattr(first, what)) | set(getattr(second, what))
    assert not set(first.runs) & set(second.runs)
    assert {run.recipe["epochs"] for run in second.runs.values()} == {
        20, 30, 35, 45, 50, 60, 70, 90, 100, 150, 200, 10_000,
    }  # fmt: skip


def test_the_demo_is_short(papers):
    plan = papers.plan("demo", papers=["iyer2020"])
    updates = sum(run.recipe["epochs"] * run.steps_per_epoch for run in plan.runs.values())
    assert len(plan.runs) <= 160 and updates < 60_000
    assert len(named(plan, "explore_0")) == 4 and len(named(plan, "knee_200")) == 2
    assert {run.recipe["model"]["name"] for run in plan.runs.values()} == {"resnet10", "transformer", "bert"}


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "old", "new", "expected"),
    [
        ("artifacts", "sharpness: explore_100, trials: 3", "sharpness: explore_100, trials: 51",
         "artifacts.yaml: table_2 asks for 51 trials of 'explore_100', which has 50"),
        ("artifacts", "sharpness: finer_10}", "sharpness: finer_11}", "names the sharpness 'finer_11'; allowed are"),
        ("artifacts", 'key: "40", runs: explore_40', 'key: "45", runs: explore_40',
         "table_1: reported.csv has no row '45' of 'table_1'; it has 0, 100, 30, 40, 60, 80"),
        ("artifacts", "key: fisher_score,", "key: score,", "reported.csv has no column 'score' of 'table_4'"),
        ("artifacts", "range_test: cifar10", "range_test: cifar100", "names the range_test 'cifar100'"),
        ("artifacts", "quantity: sharpness, heading", "quantity: width, heading", "'width' is not one of"),
        ("analyses", "at: epoch-200\n    epsilon", "at: epoch-201\n    epsilon", "asks for epoch-201 of 'explore_0'"),
        ("analyses", "at: epoch-200\n    epsilon", "at: last\n    epsilon", "epoch-30 or iteration-200"),
        ("analyses", "{runs: explore_0, trials: 10}", "{runs: explore_40, trials: 10}",
         "asks for 10 trials of 'explore_40', which has 4"),
        ("analyses", "lr_min: 1e-5, lr_max: 10", "lr_min: 1e-5, lr_max: 1e-6", "range_tests.cifar10: schedule lr_max"),
        ("analyses", "like: explore_100", "like: explore", "names the run 'explore'"),
        ("analyses", "momentum: 0.9 #", "momentum: 1 #", "defaults.sharpness.momentum is 1; it must be below 1"),
        ("runs", "{rule: default}", "{rule: xavier}", 'initialisation.rule is "xavier"; allowed are he, default'),
        ("runs", "{rule: default}", "{rule: default, variance: 2}", "the rule 'default' has no variance"),
    ],
)  # fmt: skip
def test_a_mistake_is_told(declared, document, old, new, expected):
    path = declared.root / "papers" / "iyer2020" / f"{document}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert expected in declared.refusal("paper", papers=["iyer2020"])


def test_a_scale_may_name_a_paper_and_its_model_but_no_other(declared):
    declared.replace("demo", "iyer2020/resnet18:", "iyer2020/resnet81:")
    declared.replace("demo", "iyer2020/low_rate:", "iyer2020/lowrate:")
    message = declared.refusal(papers=["iyer2020"])
    assert "models names 'iyer2020/resnet81'" in message and "experiments names 'iyer2020/lowrate'" in message


# --- torch's own initialisation --------------------------------------------------------------------------------------


class Info:
    channels, classes, image_size = 3, 10, 32


def test_the_default_rule_is_torchs_own():
    torch.manual_seed(5)
    theirs = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 10))
    ours = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 10))
    initialise(ours, rule="default", seed=5)
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, msg=name)


def test_the_default_rule_is_a_function_of_the_seed_alone():
    networks = []
    for state in (1, 2):
        torch.manual_seed(state)
        network = build({"name": "resnet10", "width": 0.125}, Info).to(memory_format=torch.channels_last)
        networks.append(initialise(network, rule="default", seed=9).state_dict())
    other = initialise(build({"name": "resnet10", "width": 0.125}, Info), rule="default", seed=10).state_dict()
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in other)
    assert not torch.equal(networks[0]["classifier.weight"], other["classifier.weight"])
    bound = other["layer1.0.conv1.weight"][0].numel() ** -0.5
    assert 0.95 * bound < other["layer1.0.conv1.weight"].abs().max() <= bound


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rule": "xavier"}, "there is no initialisation 'xavier'; choose one of he, default"),
        ({"rule": "default", "variance": 2.0}, "the initialisation 'default' has no variance"),
    ],
)
def test_rules_that_mean_nothing_are_told(options, sentence):
    with pytest.raises(InputError, match=sentence):
        initialise(nn.Linear(2, 2), **options, seed=1)


def test_another_rule_inherits_nothing():
    assert merge({"initialisation": {"variance": 3.0}}, {"initialisation": {"rule": "default"}}) == {
        "initialisation": {"rule": "default"}
    }
    kept = merge({"initialisation": {"rule": "he", "variance": 3.0}}, {"initialisation": {"variance": 1.5}})
    assert kept == {"initialisation": {"rule": "he", "variance": 1.5}}


@pytest.mark.parametrize(
    ("figure", "data", "model"), [("figure_4a", "cifar10", "resnet18"), ("figure_4b", "iwslt14_de_en", "transformer")]
)
def test_a_range_test_tells_what_was_trained_in_place_of_the_papers(papers, tmp_path, figure, data, model):
    """It has no runs, but is a training itself, of other data and another network at a small scale."""
    plan = papers.plan("demo", papers=["iyer2020"])
    spec = drawn(plan, figure).spec
    (swept,) = drawn(plan, figure).analyses
    ((id, described),) = spec["runs"].items()
    assert id == swept.id and described["table"] == spec["panels"][0]["table"]
    declared = described["declared"]
    assert (declared["data"], declared["model"]["name"], declared["trials"]) == (data, model, 1)
    assert swept.recipe["schedule"]["lr_max"] != declared["schedule"]["lr_max"] == (10 if figure == "figure_4a" else 1)
    facts = {"recipe": swept.recipe, "seeds": [1], "device": "cpu", "fingerprints": [id]}
    write_table(tmp_path / "t.parquet", pd.DataFrame(), "range_test", {"state": "diverged", "run": id, "step": 1,
                "epoch": 0.1, "reason": "x"}, facts)  # fmt: skip
    told = differences(Sources(tmp_path, runs={id: {**described, "table": "t.parquet"}}))
    assert f"{swept.recipe['data']} for {data}" in told and f" for {model}" in told
