"""The plan: what gotmare2019 says at the paper's scale, the same science at every other, and identities that last."""

import json
import math
from collections import Counter

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.recipes.canonical import canonical, fingerprint
from workflow_scripts.recipes.schedules import learning_rate

SCALES = ("demo", "reduced", "paper")


def named(plan):
    """Runs by the names that they are declared by, without the paper's."""
    return {name.partition("/")[2]: run for run in plan.runs.values() for name in run.names}


def analyses(plan, kind):
    return {each.name.partition("/")[2]: each for each in plan.analyses.values() if each.kind == kind}


def needed(artifacts):
    """Runs and analyses that artifacts rest on, through planes and curves down to teachers."""
    runs, open_analyses, found = {}, [a for artifact in artifacts for a in artifact.analyses], {}
    runs.update({run.id: run for artifact in artifacts for run in artifact.runs})
    while open_analyses:
        analysis = open_analyses.pop()
        found[analysis.id] = analysis
        runs.update({run.id: run for run in analysis.runs})
        open_analyses += analysis.analyses
    return runs, found


def recipes(plan):
    return {name: run.recipe for name, run in named(plan).items()}


# --- the paper's scale -----------------------------------------------------------------------------------------------


def test_the_paper_takes_thirty_trainings_and_fifteen_curves(declared):
    plan = declared.plan("paper")
    main = [artifact for artifact in plan.artifacts.values() if not artifact.sensitivity]
    assert len(main) == 16  # fifteen figures, one number of the text
    runs, found = needed(main)
    runs.update({run.teacher: plan.runs[run.teacher] for run in list(runs.values()) if run.teacher})
    experiments = Counter(run.experiment.partition("/")[2] for run in runs.values())
    assert experiments == {
        "modes": 7, "sgdr": 2, "sgdr_batch_norm": 1, "warmup": 4, "warmup_resnet": 6, "distillation": 10,
    }  # fmt: skip
    kinds = Counter(analysis.kind for analysis in found.values())
    assert kinds == {"curve": 15, "plane": 3, "similarity": 10, "embedding": 1}
    others = {name for name, run in named(plan).items() if run.id not in runs}
    plain = {"plain_small_batch", "plain_large_batch", "plain_large_batch_warmup", "plain_large_batch_freeze"}
    assert others == plain | {f"student_distilled_unscaled/{trial}" for trial in range(1, 6)}
    assert {name for name, each in analyses(plan, "curve").items() if each.id not in found} == {
        "step_145_165", "step_55_165",
    }  # fmt: skip


@pytest.mark.parametrize("scale", SCALES)
def test_nothing_is_trained_twice(declared, scale):
    plan = declared.plan(scale)
    assert len({canonical(run.recipe) for run in plan.runs.values()}) == len(plan.runs)
    assert all(id == run.id == fingerprint(run.recipe) for id, run in plan.runs.items())
    assert len({canonical(each.recipe) for each in plan.analyses.values()}) == len(plan.analyses)


def test_every_recipe_is_as_the_paper_prints_it(declared):
    """Sections 2.1.1, 3, 4, 5 and appendices 7.1, 8.4, 10 of the paper, read and typed anew."""
    found = recipes(declared.plan("paper"))
    vgg16 = {"name": "vgg16", "width": 1.0, "dropout": 0.5, "smallest_side": 1}
    reference = {
        "data": "cifar10", "model": vgg16, "initialisation": {"variance": 1.0}, "batch_size": 100, "epochs": 200,
        "samples_per_epoch": 50_000, "optimizer": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.0005},
        "schedule": {"name": "step", "lr": 0.05, "factor": 0.2, "milestones": [60, 120, 160]}, "augment": True,
        "freeze": None, "distillation": None, "fallback": None,
    }  # fmt: skip
    warm_restarts = {
        "name": "cosine_restarts", "lr": 0.05, "final": 1e-6, "first_cycle": 10, "cycle_multiplier": 2, "per": "epoch",
    }  # fmt: skip
    bn16, bn11 = {**vgg16, "name": "vgg16_bn"}, {**vgg16, "name": "vgg11_bn"}
    adam = {"name": "adam", "weight_decay": 0.0005}
    adam_steps = {"name": "step", "lr": 0.001, "factor": 0.2, "milestones": [60, 120, 160]}
    tenths = {"name": "step", "factor": 0.1, "milestones": [60, 120, 150]}
    large = {"model": bn11, "epochs": 300, "batch_size": 5000, "schedule": {**tenths, "lr": 2.5}}
    warmup, freeze = {"epochs": 20.0}, {"part": "classifier", "steps": 200}
    expected = {
        "mode_G": {},
        "mode_A": {"batch_size": 4000},
        "mode_B": {"optimizer": adam, "schedule": adam_steps},
        "mode_C": {"schedule": {"name": "linear", "lr": 0.05}},
        "mode_D": {"optimizer": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.000005}},
        "mode_E": {"initialisation": {"variance": 3.0}, "fallback": {"initialisation": {"variance": 1.5}}},
        "mode_F": {"augment": False},
        "sgdr": {"schedule": warm_restarts},
        "step": {"schedule": {"name": "step", "lr": 0.05, "factor": 0.2, "milestones": [60, 150]}},
        "sgdr_bn": {"model": bn16, "schedule": warm_restarts},
        "small_batch": {**large, "batch_size": 100, "schedule": {**tenths, "lr": 0.05}},
        "large_batch": large,
        "large_batch_warmup": {**large, "schedule": {**tenths, "lr": 2.5, "warmup": warmup}},
        "large_batch_freeze": {**large, "freeze": freeze},
    }
    for model in ("resnet18", "resnet32"):
        twenty = {"model": {"name": model, "width": 1.0}, "epochs": 20, "batch_size": 5000}
        expected[model] = {**twenty, "schedule": {"name": "constant", "lr": 5.0}}
        expected[f"{model}_warmup"] = {**twenty, "schedule": {"name": "constant", "lr": 5.0, "warmup": warmup}}
        expected[f"{model}_freeze"] = {**expected[model], "freeze": freeze}
    for name, differences in expected.items():
        shown = {key: found[name][key] for key in reference}
        assert shown == {**reference, **differences}, name
    student = {"name": "student", "width": 1.0, "c1": 64, "c2": 128, "f1": 256, "f2": 128}
    teacher = {"run": fingerprint(found["mode_G"]), "at": "epoch-200", "model": vgg16}
    for name, squared in (
        ("student_distilled", True),
        ("student_distilled_unscaled", False),
        ("student_independent", None),
    ):
        for trial in range(1, 6):
            recipe = found[f"{name}/{trial}"]
            soft = {"teacher": teacher, "temperature": 5, "scale_by_temperature_squared": squared}
            shown = {key: recipe[key] for key in reference}
            assert shown == {**reference, "model": student, "distillation": None if squared is None else soft}
            assert recipe["seed"] == trial
    assert len({found[name]["seed"] for name in expected if "mode" in name or "sgdr" in name or name == "step"}) == 10


def test_every_curve_is_as_the_paper_prints_it(declared):
    plan = declared.plan("paper")
    runs, curves = named(plan), analyses(plan, "curve")
    pairs = {f"G{mode}": ("mode_G@epoch-200", f"mode_{mode}@epoch-200") for mode in "ABCDEF"}
    for run, prefix, all_epochs in (
        ("sgdr", "sgdr", ((30, 70), (70, 150), (30, 150))),
        ("sgdr_bn", "sgdr_bn", ((30, 70), (70, 150), (30, 150))),
        ("step", "step", ((55, 65), (145, 155), (55, 155), (145, 165), (55, 165))),
    ):
        pairs |= {f"{prefix}_{a}_{b}": (f"{run}@epoch-{a}", f"{run}@epoch-{b}") for a, b in all_epochs}
    assert set(curves) == set(pairs)
    for name, ends in pairs.items():
        recipe = curves[name].recipe
        for key, end in zip(("start", "end"), ends, strict=True):
            run, at = end.split("@")
            assert (recipe[key]["run"], recipe[key]["at"]) == (runs[run].id, at)
        assert {20, 40, 60, 80} <= set(recipe["save"])
        assert (recipe["epochs"], recipe["batch_size"], recipe["samples_per_epoch"]) == (100, 100, 50_000)
        assert recipe["optimizer"] == {"momentum": 0.9, "weight_decay": 0.0005}
        assert (recipe["form"], recipe["bends"], recipe["points"] % 2) == ("polygonal", 1, 1)


# --- every scale -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_labels_are_the_same_points_of_the_schedule(declared, scale):
    """Iteration 2,990 of batches of 5,000 ends epoch 299; iteration 200 ends the warmup; epoch n ends epoch n."""
    runs = named(declared.plan(scale))
    warm = runs["large_batch_warmup"]
    own = warm.steps_per_epoch
    assert warm.paper_steps_per_epoch == 10 and runs["small_batch"].paper_steps_per_epoch == 500
    assert warm.checkpoints == {"iteration-0": 0, "iteration-200": 20 * own, "iteration-2990": 299 * own}
    if scale == "paper":
        assert warm.checkpoints == {"iteration-0": 0, "iteration-200": 200, "iteration-2990": 2990}
        assert runs["small_batch"].checkpoints["iteration-200"] == 200
    small = runs["small_batch"]
    assert small.checkpoints["iteration-200"] == round(0.4 * small.steps_per_epoch)
    for run in runs.values():
        for label, step in run.checkpoints.items():
            if label.startswith("epoch-"):
                assert step == int(label.removeprefix("epoch-")) * run.steps_per_epoch


@pytest.mark.parametrize("scale", SCALES)
def test_warmup_ends_where_freezing_ends(declared, scale):
    runs = named(declared.plan(scale))
    for warm in ("large_batch_warmup", "resnet18_warmup", "resnet32_warmup", "plain_large_batch_warmup"):
        frozen = warm.replace("_warmup", "_freeze")
        run = runs[warm]
        schedule, steps, total = run.recipe["schedule"], run.steps_per_epoch, run.recipe["epochs"] * run.steps_per_epoch
        end = runs[frozen].recipe["freeze"]["steps"]
        assert end == 20 * runs[frozen].steps_per_epoch
        rate = [learning_rate(schedule, step, steps, total) for step in range(1, min(end + 2, total + 1))]
        peak = schedule["lr"]
        assert rate[:end] == pytest.approx([peak * step / end for step in range(1, end + 1)], rel=1e-12)
        assert all(value == peak for value in rate[end:])
        assert peak == pytest.approx(max(rate))


@pytest.mark.parametrize("scale", SCALES)
def test_restarts_come_after_epochs_10_30_70_150(declared, scale):
    for name in ("sgdr", "sgdr_bn"):
        run = named(declared.plan(scale))[name]
        steps, epochs = run.steps_per_epoch, run.recipe["epochs"]
        first = [learning_rate(run.recipe["schedule"], e * steps + 1, steps, epochs * steps) for e in range(epochs)]
        restarts = [epoch for epoch in range(1, epochs) if first[epoch] > first[epoch - 1]]
        assert restarts == [10, 30, 70, 150]
        top, low = run.recipe["schedule"]["lr"], run.recipe["schedule"]["final"]
        assert all(first[epoch] == pytest.approx(top) for epoch in [0, *restarts])
        for epoch in restarts:  # equation 1 in the last epoch of each cycle
            length = epoch - max([0, *(r for r in restarts if r < epoch)])
            expected = low + (top - low) * (1 + math.cos(math.pi * (length - 1) / length)) / 2
            assert first[epoch - 1] == pytest.approx(expected)


@pytest.mark.parametrize("scale", SCALES)
def test_ratios_of_the_paper_stay(declared, scale):
    found = recipes(declared.plan(scale))
    assert found["large_batch"]["batch_size"] == 50 * found["small_batch"]["batch_size"]
    assert found["mode_A"]["batch_size"] == 40 * found["mode_G"]["batch_size"]
    assert found["resnet18"]["batch_size"] == found["large_batch"]["batch_size"]
    assert found["large_batch"]["schedule"]["lr"] == pytest.approx(50 * found["small_batch"]["schedule"]["lr"])
    assert found["mode_A"]["schedule"]["lr"] == found["mode_G"]["schedule"]["lr"]
    assert found["mode_D"]["optimizer"]["weight_decay"] == pytest.approx(
        found["mode_G"]["optimizer"]["weight_decay"] / 100
    )
    comparisons = [("large_batch", "large_batch_warmup", "large_batch_freeze"),
                   ("resnet18", "resnet18_warmup", "resnet18_freeze"), ("sgdr", "step", "mode_G")]  # fmt: skip
    for names in comparisons:
        for key in ("data", "model", "batch_size", "samples_per_epoch", "epochs", "optimizer", "initialisation"):
            assert all(found[name][key] == found[names[0]][key] for name in names), (names, key)


@pytest.mark.parametrize("scale", SCALES)
def test_the_epochs_of_a_run_do_not_depend_on_the_scale(declared, scale):
    own, paper = recipes(declared.plan(scale)), recipes(declared.plan("paper"))
    assert set(own) <= set(paper)
    for name, recipe in own.items():
        for key in ("epochs", "initialisation", "optimizer", "augment", "seed", "fallback"):
            assert recipe[key] == paper[name][key], (name, key)
        assert recipe["evaluate_every"] >= paper[name]["evaluate_every"]
        untouched = {key: value for key, value in recipe["schedule"].items() if key not in ("lr", "final")}
        assert untouched == {k: value for k, value in paper[name]["schedule"].items() if k not in ("lr", "final")}


@pytest.mark.parametrize("scale", SCALES)
def test_what_the_figures_show_is_saved_and_nothing_else(declared, scale):
    plan = declared.plan(scale)
    every = {f"epoch-{epoch}" for epoch in range(1, 201)}
    expected = {f"mode_{mode}": {"epoch-200"} for mode in "GABCDEF"} | {
        "sgdr": every,
        "sgdr_bn": every,
        "step": {f"epoch-{epoch}" for epoch in (55, 65, 145, 155, 165)},
        "small_batch": {"iteration-0", "iteration-200"},
        "large_batch": {"iteration-0", "iteration-200"},
        "large_batch_warmup": {"iteration-0", "iteration-200", "iteration-2990"},
        "student_distilled/1": {"epoch-200"},
        "student_independent/1": {"epoch-200"},
    }
    assert {name: set(run.checkpoints) for name, run in named(plan).items() if run.checkpoints} == expected
    for analysis in plan.analyses.values():
        ends = [analysis.recipe[key] for key in ("start", "end", "first", "second") if key in analysis.recipe]
        for end in [*ends, *analysis.recipe.get("modes", [])]:
            assert end["at"] in plan.runs[end["run"]].checkpoints


@pytest.mark.parametrize("scale", SCALES)
def test_groups_hold_each_run_once_and_no_student_with_its_teacher(declared, scale):
    plan = declared.plan(scale)
    groups = plan.run_groups()
    assert sorted(id for group in groups for id in group) == sorted(plan.runs)
    for group in groups:
        assert 1 <= len(group) <= plan.scale.declared["runs_per_job"]
        assert not {plan.runs[id].teacher for id in group} & set(group)


def test_no_pack_waits_for_itself_or_mixes_data(declared, tiny_source):
    """Also where a student teaches, and where an experiment has two data sets."""
    soft = {"temperature": 2, "scale_by_temperature_squared": False}
    declared.run("student", {"model": "student", "distillation": {**soft, "teacher": "mode_G@epoch-3"}})
    declared.run("grandchild", {"model": "student", "distillation": {**soft, "teacher": "student@epoch-4"}})
    declared.run("elsewhere", {"data": "birds", "batch_size": 20})
    plan = declared.plan(data={"sources": {"birds": str(tiny_source)}})
    groups = plan.run_groups()
    group_of = {id: number for number, group in enumerate(groups) for id in group}
    assert set(group_of) == set(plan.runs)
    waits = [{group_of[plan.runs[id].teacher] for id in group if plan.runs[id].teacher} for group in groups]
    done = set()
    while len(done) < len(groups):
        ready = {number for number in group_of.values() if number not in done and waits[number] <= done}
        assert ready, "groups wait for each other"
        done |= ready
    assert all(len({plan.runs[id].recipe["data"] for id in group}) == 1 for group in groups)


# --- identity --------------------------------------------------------------------------------------------------------


def test_how_a_declaration_is_written_changes_no_identity(declared):
    before = declared.plan()
    for path in [*declared.root.rglob("papers/**/*.yaml"), *declared.root.rglob("scales/*.yaml")]:
        document = yaml.safe_load(path.read_text()) if path.name not in ("runs.yaml", "analyses.yaml") else None
        if document is not None and path.stem not in ("artifacts", "claims"):  # their order is that of what is shown
            path.write_text("# another comment\n" + yaml.safe_dump(document, sort_keys=True))
        else:  # yaml.safe_load takes 5e-4 for a word, so these keep their text
            path.write_text("# another comment\n\n" + path.read_text() + "\n# the end\n")
    declared.replace(
        "runs", "{name: sgd, momentum: 0.9, weight_decay: 5e-4}", "{weight_decay: 0.0005, name: sgd, momentum: .9}"
    )
    declared.replace(
        "runs",
        "schedule: {name: step, lr: 0.05, factor: 0.2, milestones: [60, 120, 160]}\n  batch_size: 100\n  epochs: 200",
        "epochs: 200\n  schedule:\n    milestones: [60, 120, 160]\n    factor: 2e-1\n    lr: 5.0e-2 # η\n"
        "    name: step\n  batch_size: 100",
    )
    after = declared.plan()
    assert set(before.runs) == set(after.runs)
    assert set(before.analyses) == set(after.analyses)
    assert all(before.runs[id].job == after.runs[id].job for id in before.runs)
    assert {name: canonical(each.spec) for name, each in before.artifacts.items()} == {
        name: canonical(each.spec) for name, each in after.artifacts.items()
    }


def changed(before, after):
    """Names of the runs and of the analyses that are others than before."""
    runs = {name for name, run in named(after).items() if run.id not in before.runs}
    return runs, {each.name.partition("/")[2] for each in after.analyses.values() if each.id not in before.analyses}


def test_swapping_rate_and_decay_touches_exactly_what_rests_on_it(declared):
    before = declared.plan()
    with declared.document("runs") as runs:
        mode = runs["experiments"]["modes"]["runs"]["mode_D"]
        mode.update(optimizer={"weight_decay": 0.05}, schedule={"lr": 5e-6})
    runs, analyses_ = changed(before, declared.plan())
    assert runs == {"mode_D"} and analyses_ == {"GD", "modes"}


def test_a_changed_seed_touches_exactly_what_rests_on_it(declared):
    before = declared.plan()
    declared.replace("runs", "mode_C: {schedule: {name: linear, lr: 0.05}, seed: 4}",
                     "mode_C: {schedule: {name: linear, lr: 0.05}, seed: 44}")  # fmt: skip
    runs, analyses_ = changed(before, declared.plan())
    assert runs == {"mode_C"} and analyses_ == {"GC", "modes"}


def test_a_changed_teacher_touches_its_students(declared):
    before = declared.plan()
    with declared.document("runs") as runs:
        runs["experiments"]["modes"]["runs"]["mode_G"] = {"seed": 101}
    runs, analyses_ = changed(before, declared.plan())
    students = {f"student_distilled{kind}/{trial}" for kind in ("", "_unscaled") for trial in range(1, 6)}
    assert runs == {"mode_G"} | students
    assert analyses_ == {"GA", "GB", "GC", "GD", "GE", "GF", "modes", "distilled_teacher", "independent_teacher"}


def test_another_checkpoint_changes_no_run(declared):
    before = declared.plan()
    with declared.document("analyses") as analyses_:
        analyses_["curves"]["early"] = {"start": "step@epoch-5", "end": "step@epoch-10"}
    after = declared.plan()
    assert changed(before, after) == (set(), {"early"})
    assert set(named(after)["step"].checkpoints) - set(named(before)["step"].checkpoints) == {"epoch-5", "epoch-10"}


def test_a_finer_plane_trains_nothing(declared):
    before = declared.plan()
    declared.replace("demo", "plane: {side: 21}", "plane: {side: 25}")
    assert changed(before, declared.plan()) == (set(), {"sgdr_30_70", "sgdr_70_150", "sgdr_bn_70_150"})


def test_the_same_run_under_two_names_is_trained_once_and_saves_for_both(declared):
    before = declared.plan()
    declared.run("twin", {"seed": 1})
    with declared.document("analyses") as analyses_:
        analyses_["curves"]["twins"] = {"start": "twin@epoch-7", "end": "mode_G@epoch-9"}
    after = declared.plan()
    assert set(before.runs) == set(after.runs)
    twin = named(after)["twin"]
    assert twin is named(after)["mode_G"]
    assert set(twin.checkpoints) == {"epoch-7", "epoch-9", "epoch-200"}


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
documents = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


def reordered(document):
    """The same document with the keys of every mapping in the opposite order."""
    if isinstance(document, dict):
        return {key: reordered(document[key]) for key in reversed(document)}
    return [reordered(item) for item in document] if isinstance(document, list) else document


@given(documents)
def test_the_order_of_keys_has_no_meaning(document):
    assert canonical(document) == canonical(reordered(document))


@settings(max_examples=40)
@given(st.dictionaries(st.text(), documents, max_size=3), st.dictionaries(st.text(), documents, max_size=3))
def test_distinct_recipes_have_distinct_identities(one, other):
    if repr(sorted_keys(one)) != repr(sorted_keys(other)):
        assert fingerprint(one) != fingerprint(other)
    else:
        assert fingerprint(one) == fingerprint(other)


def sorted_keys(document):
    """The document in the order of its keys, with numbers that are equal alike (truth values are no numbers)."""
    if isinstance(document, dict):
        return {key: sorted_keys(document[key]) for key in sorted(document)}
    if isinstance(document, list):
        return [sorted_keys(item) for item in document]
    return int(document) if isinstance(document, float) and document.is_integer() else document


@pytest.mark.parametrize(("one", "other"), [(5, 5.0), (0, -0.0), ({"a": [1.0]}, {"a": [1]})])
def test_a_number_is_the_same_however_it_is_written(one, other):
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize("other", [5.5, "5", True, [5]])
def test_what_is_another_number_is_told_apart(other):
    assert fingerprint({"a": other}) not in (fingerprint({"a": 5}), fingerprint({"a": 1}))


def test_a_declared_number_means_the_same_with_a_decimal_point(declared):
    before = declared.plan()
    declared.replace("runs", "variance: 1.0", "variance: 1")
    declared.replace(
        "runs", "lr: 2.5, factor: 0.1, milestones: [60, 120, 150]", "lr: 2.5, factor: 0.1, milestones: [60.0, 120, 150]"
    )
    after = declared.plan()
    assert set(before.runs) == set(after.runs) and set(before.analyses) == set(after.analyses)


@given(documents)
def test_a_recipe_is_read_back_as_it_was(document):
    assert json.loads(canonical(document)) == document
