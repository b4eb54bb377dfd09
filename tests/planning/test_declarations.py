"""Every mistake in a declaration is reported before anything runs: where it is, what is there, what may be."""

import shutil

import numpy as np
import pytest

from workflow_scripts.base.errors import InputError
from workflow_scripts.recipes.schema import read_yaml

# document, what stands there, what a user writes in its place, what the refusal must tell
MISTAKES = {
    "unknown key of a run": (
        "runs", "mode_A: {batch_size: 4000", "mode_A: {batchsize: 4000",
        ["papers/gotmare2019/runs.yaml: experiments.modes.runs.mode_A", "unknown key 'batchsize'", "batch_size"],
    ),
    "unknown key of an optimizer": (
        "runs", "optimizer: {weight_decay: 5e-6}", "optimizer: {weightdecay: 5e-6}",
        ["mode_D.optimizer", "unknown key 'weightdecay'", "weight_decay"],
    ),
    "wrong type": ("runs", "batch_size: 4000", "batch_size: many", ["mode_A.batch_size", '"many"', "integer"]),
    "a half epoch": ("runs", "  epochs: 200", "  epochs: 199.5", ["defaults.epochs", "199.5", "integer"]),
    "below the least": ("runs", "batch_size: 4000", "batch_size: 0", ["mode_A.batch_size", "is 0", "at least 1"]),
    "not above zero": ("runs", "{variance: 3.0}", "{variance: 0}", ["mode_E.initialisation.variance", "above 0"]),
    "null in place of a run": ("runs", "mode_G: {}", "mode_G:", ["runs.mode_G", "null", "object"]),
    "a name with a minus": (
        "runs", "mode_G: {}", "mode-G: {}",
        ["experiments.modes.runs", '"mode-G"', "[A-Za-z0-9_]+"],
    ),
    "unknown optimizer": (
        "runs", "optimizer: {name: adam", "optimizer: {name: adan", ["mode_B.optimizer.name", '"adan"', "sgd, adam"],
    ),
    "an option of another optimizer": (
        "runs", "optimizer: {name: adam, weight_decay: 5e-4}", "optimizer: {name: adam, momentum: 0.9}",
        ["runs.yaml: mode_B", "adam has no 'momentum'", "betas"],
    ),
    "unknown model": (
        "runs", "model: vgg16_bn", "model: vgg61", ["runs.yaml: sgdr_bn", "no model 'vgg61'", "vgg11", "resnet18"],
    ),
    "unknown option of a model": (
        "runs", "model: vgg16_bn", "model: {name: vgg16_bn, widht: 2}",
        ["runs.yaml: sgdr_bn", "no option 'widht'", "width, dropout"],
    ),
    "an option out of its range": (
        "runs", "model: vgg16_bn", "model: {name: student, c1: 2.5}", ["sgdr_bn", "c1", "2.5", "whole number from 1"],
    ),
    "unknown schedule": (
        "runs", "schedule: {name: linear, lr: 0.05}", "schedule: {name: linaer, lr: 0.05}",
        ["runs.yaml: mode_C", "'linaer' is unknown", "linear, cosine"],
    ),
    "unknown option of a schedule": (
        "runs", "schedule: {name: linear, lr: 0.05}", "schedule: {name: linear, lr: 0.05, gamma: 2}",
        ["mode_C", "gamma: unknown option", "lr, final, warmup"],
    ),
    "a milestone that is never reached": (
        "runs", "milestones: [60, 150]}", "milestones: [60, 250]}", ["runs.yaml: step", "250 is never reached", "200"],
    ),
    "a warmup longer than the training": (
        "runs", "resnet18_warmup: {model: resnet18, schedule: {warmup: {iterations: 200}}}",
        "resnet18_warmup: {model: resnet18, schedule: {warmup: {iterations: 400}}}",
        ["runs.yaml: resnet18_warmup", "40 epochs do not fit", "20"],
    ),
    "unknown data": (
        "runs", "data: cifar10", "data: cifar11", ["data is 'cifar11'", "neither built in", "data.sources"],
    ),
    "unknown data for a scale": (
        "demo", "cifar10: digits", "cifar10: digis", ["data is 'digis'", "neither built in", "data.sources"],
    ),
    "a batch larger than the set": (
        "runs", "batch_size: 4000", "batch_size: 40000", ["mode_A", "a batch of ", "1437 training images of digits"],
    ),
    "unknown teacher": (
        "runs", "teacher: mode_G@epoch-200, temperature: 5, scale_by_temperature_squared: true",
        "teacher: mode_H@epoch-200, temperature: 5, scale_by_temperature_squared: true",
        ["runs.yaml: student_distilled: distillation.teacher", "'mode_H'", "mode_G, mode_A"],
    ),
    "a teacher after its end": (
        "runs", "teacher: mode_G@epoch-200, temperature: 5, scale_by_temperature_squared: true",
        "teacher: mode_G@epoch-201, temperature: 5, scale_by_temperature_squared: true",
        ["student_distilled: distillation.teacher", "epoch-201 of 'mode_G'", "ends after epoch 200"],
    ),
    "not a checkpoint": (
        "analyses", "end: sgdr@epoch-70}", "end: sgdr@70}", ["sgdr_30_70.end", '"sgdr@70"', "run@epoch-30"],
    ),
    "a curve to an unknown run": (
        "analyses", "end: mode_A@epoch-200}", "end: mode_X@epoch-200}",
        ["analyses.yaml: curves.GA.end", "'mode_X'", "mode_G, mode_A"],
    ),
    "a curve to an epoch that is never reached": (
        "analyses", "end: sgdr@epoch-70}", "end: sgdr@epoch-270}",
        ["curves.sgdr_30_70.end", "epoch-270 of 'sgdr'", "ends after epoch 200"],
    ),
    "an iteration that is never reached": (
        "analyses", "second: large_batch_warmup@iteration-2990", "second: large_batch_warmup@iteration-3001",
        ["similarities.large_batch_warmup_200_2990.second", "iteration-3001", "iteration 3000"],
    ),
    "a trial that is not run": (
        "analyses", "second: student_distilled/1@epoch-200", "second: student_distilled/9@epoch-200",
        ["similarities.distilled_teacher.second", "trial '9'", "student_distilled", "1 to 5"],
    ),
    "a curve between different models": (
        "analyses", "end: mode_A@epoch-200}", "end: small_batch@iteration-0}",
        ["analyses.yaml: curves.GA", "different model", "vgg9", "vgg11_bn"],
    ),
    "a plane with another model's iterates": (
        "analyses", "iterates: sgdr_bn", "iterates: sgdr",
        ["analyses.yaml: planes.sgdr_bn_70_150.iterates", "vgg9_bn", "vgg9"],
    ),
    "bends saved after the curve's end": (
        "analyses", "save: [20, 40, 60, 80, 100]", "save: [20, 40, 60, 80, 120]",
        ["analyses.yaml: curves.GA", "save names epoch 120", "trained for 100"],
    ),
    "a curve's schedule": (
        "analyses", "name: hold_then_linear, lr: 0.015", "name: hold_then_linear, lr: -1",
        ["analyses.yaml: curves.GA", "lr: -", "at least 0"],
    ),
    "unknown key of a curve": (
        "analyses", "points: 61", "point: 61",
        ["defaults.curve", "unknown key 'point'", "points"],
    ),
    "a setting without a value": (
        "analyses", "    points: 61\n", "",
        ["analyses.yaml: defaults.curve", "lacks the key 'points'"],
    ),
    "unknown form of curve": (
        "analyses", "form: polygonal", "form: spline", ["defaults.curve.form", '"spline"', "polygonal, bezier"],
    ),
    "a plane of an unknown curve": (
        "analyses", "{curve: sgdr_70_150, iterates: sgdr}", "{curve: sgdr_70_160, iterates: sgdr}",
        ["planes.sgdr_70_150", "curve 'sgdr_70_160'", "sgdr_70_150"],
    ),
    "an embedding of an unknown curve": (
        "analyses", "curves: [GA, GB", "curves: [GA, GX", ["embeddings.modes", "curve 'GX'", "GA, GB"],
    ),
    "a figure of an unknown run": (
        "artifacts", "{label: SGDR, run: sgdr}", "{label: SGDR, run: sgrd}",
        ["artifacts.yaml: figure_2", "run 'sgrd'", "sgdr"],
    ),
    "a figure of an unknown curve": (
        "artifacts", "{label: epoch 20, curve: GA, epoch: 20}", "{label: epoch 20, curve: AG, epoch: 20}",
        ["artifacts.yaml: figure_1", "curve 'AG'", "GA, GB"],
    ),
    "a figure of an unknown plane": (
        "artifacts", "plane: sgdr_30_70", "plane: sgdr_30_71", ["figure_12", "plane 'sgdr_30_71'", "sgdr_30_70"],
    ),
    "a figure of an unknown difference": (
        "artifacts", "minus: independent_teacher", "minus: nobody",
        ["figure_6", "similarity 'nobody'", "distilled_teacher"],
    ),
    "a figure of bends that are not saved": (
        "artifacts", "{label: epoch 20, curve: GA, epoch: 20}", "{label: epoch 20, curve: GA, epoch: 25}",
        ["artifacts.yaml: figure_1", "epoch 25", "GA", "20, 40, 60, 80, 100"],
    ),
    "a list in place of a run": (
        "artifacts", "{label: SGDR, run: sgdr}", "{label: SGDR, run: [sgdr, step]}",
        ["figure_2", "run", "['sgdr', 'step']"],
    ),
    "unknown kind of panel": (
        "artifacts", "kind: plane", "kind: surface", ["figure_3", "panel 1", "'surface'", "path_metric", "plane"],
    ),
    "unknown key of a panel": (
        "artifacts", "palette: sequential", "pallete: sequential", ["figure_1", "panel 1 (path_metric)", "'pallete'"],
    ),
    "unknown template": (
        "artifacts", "template: figure", "template: figrue",
        ["figure_1", "figrue", "figure", "table"],
    ),
    "a figure without panels": (
        "artifacts", "    template: table\n", "    template: figure\n",
        ["artifacts.text_distillation", "lacks the key 'panels'"],
    ),
    "a value that the paper does not print": (
        "artifacts", "best: [text_distillation, student_distilled, best_validation_accuracy]",
        "best: [text_distillation, student_distilled, accuracy]",
        ["text_distillation", "reported.csv has no", "text_distillation, student_distilled, accuracy"],
    ),
    "unknown key of a scale": (
        "demo", "batch_factor", "batchfactor",
        ["scales/demo.yaml", "'batchfactor'", "batch_factor"],
    ),
    "a scale for an unknown model": (
        "demo", "  vgg11_bn: {", "  vgg11bn: {",
        ["scales/demo.yaml", "vgg11bn", "vgg11_bn"],
    ),
    "a scale with an unknown option": (
        "demo", "student: {width: 0.125,", "student: {with: 0.125,", ["student", "no option 'with'", "width"],
    ),
    "a scale for an unknown experiment": (
        "demo", "gotmare2019/warmup_resnet", "gotmare2019/warmup_restne",
        ["scales/demo.yaml", "warmup_restne", "gotmare2019/warmup_resnet"],
    ),
    "a key that stands twice": (
        "runs", "mode_A: {batch_size: 4000,", "mode_A: {seed: 3, batch_size: 4000,",
        ["runs.yaml, line {line}", "'seed' stands twice"],
    ),
    "a bracket that is not closed": (
        "demo", "stagnation: {samples_per_epoch: 160}", "stagnation: {samples_per_epoch: 160",
        ["demo.yaml, line ", "not valid YAML"],
    ),
    "a tab": ("paper", "venue:", "\tvenue:", ["paper.yaml, line {line}", "not valid YAML"]),
    "a list as a key": ("paper", "venue:", "[1, 2]: 3\nvenue:", ["paper.yaml, line {line}", "not valid YAML"]),
    "an infinite number": (
        "runs", "weight_decay: 5e-6", "weight_decay: .inf", ["runs.yaml, line {line}", "not valid YAML", "inf"],
    ),
    "a number beyond all numbers": (
        "runs", "weight_decay: 5e-6", "weight_decay: 5e600", ["runs.yaml, line {line}", "not valid YAML", "5e600"],
    ),
}  # fmt: skip


def told(message, expected):
    """Whether one of a refusal's sentences tells all that is expected."""
    return any(all(part in sentence for part in expected) for sentence in message.split("\n  - "))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told(declared, mistake):
    document, old, new, expected = MISTAKES[mistake]
    line = declared.replace(document, old, new)
    message = declared.refusal()
    assert told(message, [part.replace("{line}", str(line)) for part in expected]), message
    assert "Traceback" not in message


def test_all_mistakes_are_told_together(declared):
    chosen = ["unknown model", "unknown schedule", "a milestone that is never reached", "a batch larger than the set",
              "a curve to an unknown run", "a figure of an unknown plane", "unknown kind of panel",
              "a value that the paper does not print", "a scale for an unknown model"]  # fmt: skip
    for mistake in chosen:
        declared.replace(*MISTAKES[mistake][:3])
    message = declared.refusal()
    missing = [mistake for mistake in chosen if not told(message, MISTAKES[mistake][3])]
    assert not missing, message
    assert len(set(message.split("\n"))) == len(message.split("\n"))


def test_all_breaches_of_the_schemas_are_told_together(declared):
    chosen = ["unknown key of a run", "not above zero", "not a checkpoint", "unknown form of curve", "unknown template",
              "unknown key of a scale"]  # fmt: skip
    for mistake in chosen:
        declared.replace(*MISTAKES[mistake][:3])
    message = declared.refusal()
    assert all(told(message, MISTAKES[mistake][3]) for mistake in chosen), message


def test_a_circle_of_teachers_is_told(declared):
    teacher = {"temperature": 5, "scale_by_temperature_squared": True}
    with declared.document("runs") as runs:
        modes = runs["experiments"]["modes"]["runs"]
        for student, its_teacher in (("mode_G", "mode_A"), ("mode_A", "mode_B"), ("mode_B", "mode_G")):
            modes[student] = {"distillation": {**teacher, "teacher": f"{its_teacher}@epoch-1"}}
    assert told(declared.refusal(), ["runs.yaml: mode_", "its own teacher", "mode_G → mode_A → mode_B → mode_G"])


def test_a_run_that_two_experiments_declare_is_told(declared):
    with declared.document("runs") as runs:
        runs["experiments"]["sgdr"]["runs"]["mode_G"] = {"seed": 77}
    assert told(declared.refusal(), ["runs.yaml", "mode_G", "modes", "sgdr"])


@pytest.mark.parametrize("rows", ["none", [5], [{"label": "x", "runs": "student_distilled", "reported": 5}]])
def test_rows_of_a_table_that_are_no_rows_are_told(declared, rows):
    with declared.document("artifacts") as artifacts:
        artifacts["artifacts"]["text_distillation"]["table"]["rows"] = rows
    assert told(declared.refusal(), ["text_distillation", "rows"])


def test_an_artifact_without_its_contents_is_told(declared):
    with declared.document("artifacts") as artifacts:
        del artifacts["artifacts"]["figure_3"]["panels"]
        del artifacts["artifacts"]["text_distillation"]["table"]
    message = declared.refusal()
    assert told(message, ["figure_3", "panels"]) and told(message, ["text_distillation", "table"])


def test_defaults_that_are_missing_are_told(declared):
    with declared.document("analyses") as analyses:
        del analyses["defaults"]["similarity"], analyses["defaults"]["plane"]["margin"]
    message = declared.refusal()
    assert told(message, ["analyses.yaml: defaults lacks the key 'similarity'"])
    assert told(message, ["analyses.yaml: defaults.plane lacks the key 'margin'"])


def test_a_run_that_lacks_something_is_told_once(declared):
    with declared.document("runs") as runs:
        del runs["defaults"]["batch_size"], runs["defaults"]["seed"]
        runs["experiments"] = {"one": {"about": "One", "runs": {"alone": {"seed": 3}}}}
    for document in ("analyses", "artifacts", "claims"):
        with declared.document(document) as rest:
            rest.update({key: {} for key in rest if key != "defaults"})
    assert told(
        declared.refusal(), ["runs.yaml: alone: batch_size is missing; say it there, or in the paper's defaults"]
    )
    with declared.document("runs") as runs:
        runs["experiments"]["one"]["runs"]["alone"]["batch_size"] = 100
    assert len(declared.plan("paper").runs) == 1


def test_a_paper_of_text_says_nothing_of_images(declared):
    """Its defaults are those of its trainings, or it has none."""
    with declared.document("runs") as runs:
        texts = {"task": "translation", "data": "grammar_de_en", "model": "transformer", "optimizer": {"name": "adam"},
                 "schedule": {"name": "constant", "lr": 0.001}, "batch_tokens": 400, "updates_per_epoch": 5,
                 "epochs": 2, "evaluate_every": 1, "seed": 1}  # fmt: skip
        del runs["defaults"]
        runs["experiments"] = {"one": {"about": "One", "runs": {"alone": texts}}}
    for document in ("analyses", "artifacts", "claims"):
        with declared.document(document) as rest:
            rest.update({key: {} for key in rest if key != "defaults"})
    (run,) = declared.plan("paper").runs.values()
    assert run.recipe["batch_tokens"] == 400


@pytest.mark.parametrize("mistake", ["a trial that is not run", "unknown model", "a curve to an unknown run"])
def test_no_figure_complains_of_a_mistake_that_is_told_elsewhere(declared, mistake):
    declared.replace(*MISTAKES[mistake][:3])
    sentences = declared.refusal().split("\n  - ")[1:]
    assert len(sentences) == 1, sentences


@pytest.mark.parametrize("key", ["optimizer", "initialisation", "schedule"])
def test_empty_defaults_of_runs_are_told(declared, key):
    with declared.document("runs") as runs:
        runs["defaults"][key] = {}
    assert told(declared.refusal(), ["runs.yaml", key])


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"scale": "huge"}, ["config.yaml: scale is 'huge'", "demo, paper, reduced"]),
        ({"scale": 3}, ["config.yaml: scale is 3", "a file of scales/"]),
        ({"papers": ["gotmare"]}, ["config.yaml: papers names 'gotmare'", "gotmare2019"]),
        ({"papers": "gotmare2019"}, ["config.yaml: papers", '"gotmare2019"', "list"]),
        ({"papers": []}, ["config.yaml: papers", "a list of one or more folders"]),
        ({"paper": "gotmare2019"}, ["config.yaml", "unknown key 'paper'", "papers"]),
        ({"training": {"device": "gpu"}}, ["config.yaml: training.device", '"gpu"', "auto, cpu, cuda"]),
        ({"training": {"runs_per_gpu": 0}}, ["config.yaml: training.runs_per_gpu is 0", "at least 1"]),
        ({"training": {"runs_per_gpu": 1.5}}, ["config.yaml: training.runs_per_gpu is 1.5", "a whole number of jobs"]),
        ({"training": {"gpu": 2}}, ["config.yaml: training", "unknown key 'gpu'", "device"]),
        ({"training": {"gpus": 2}}, ["config.yaml: training.gpus is 2", "a mapping from data sets to numbers of GPUs"]),
        ({"training": {"workers": "many"}}, ["config.yaml: training.workers", '"many"', "a number of processes"]),
        ({"data": {"sources": {"birds": "/nowhere"}}}, ["config.yaml: data.sources.birds", "/nowhere"]),
        ({"data": {"sources": {"b/rds": "/nowhere"}}}, ["config.yaml: data.sources", "b/rds"]),
        ({"results": ""}, ["config.yaml: results", '""', "folder"]),
    ],
)
def test_a_mistake_in_the_configuration_is_told(declared, config, expected):
    scale = config.pop("scale", "demo")
    assert told(declared.refusal(scale, **config), expected)


def test_a_missing_file_is_told(declared):
    declared.path("runs").unlink()
    assert told(declared.refusal(), ["runs.yaml is missing", "restore it"])


def test_a_file_in_another_encoding_is_told(declared):
    declared.path("paper").write_bytes("title: Müller".encode("latin-1"))
    assert told(declared.refusal(), ["paper.yaml is not UTF-8", "save it as UTF-8"])


def test_an_empty_document_is_told(declared):
    declared.path("analyses").write_text("# nothing yet\n")
    assert told(declared.refusal(), ["papers/gotmare2019/analyses.yaml: the document is null"])


@pytest.mark.parametrize(
    ("text", "value"),
    [("5e-4", 5e-4), ("1E3", 1000.0), ("-2e+2", -200.0), ("5.0e-4", 5e-4), ("12", 12), ("0.05", 0.05), ("e5", "e5")],
)
def test_numbers_are_read_as_users_write_them(tmp_path, text, value):
    (tmp_path / "numbers.yaml").write_text(f"value: {text}\n")
    read = read_yaml(tmp_path / "numbers.yaml")["value"]
    assert read == value and type(read) is type(value)


def test_no_python_object_is_made_from_yaml(tmp_path):
    (tmp_path / "evil.yaml").write_text("!!python/object/apply:os.system ['true']\n")
    with pytest.raises(InputError, match="line 1 is not valid YAML"):
        read_yaml(tmp_path / "evil.yaml")


def test_data_of_ones_own_can_be_declared(declared, tiny_source):
    with declared.document("demo") as scale:
        scale.update(data={"cifar10": "birds"}, batch_factor=0.05)
    message = declared.refusal(data={"sources": {"birds": str(tiny_source)}})
    assert told(message, ["batch of 200", "120 training images of birds"])
    with declared.document("demo") as scale:
        scale.update(batch_factor=0.02)
    plan = declared.plan(data={"sources": {"birds": str(tiny_source)}})
    assert {run.recipe["data"] for run in plan.runs.values()} == {"birds"}


def test_a_mirror_of_a_known_data_set_keeps_its_facts(declared, tmp_path):
    """Its arrays are checked as they are prepared, perhaps on another machine, and not while planning."""
    plan = declared.plan("paper", data={"sources": {"cifar10": str(tmp_path / "mirror")}})
    assert all(run.recipe["samples_per_epoch"] == 50_000 for run in plan.runs.values())


def test_a_folder_of_another_shape_is_not_planned_as_the_data_set_that_it_is_named_as(declared, tiny_source):
    message = declared.refusal("paper", data={"sources": {"cifar10": str(tiny_source)}})
    assert told(
        message, ["data.sources.cifar10", "120 + 40 images of 8 × 8 × 1", "50,000 + 10,000 images of 32 × 32 × 3"]
    )


def test_a_scale_makes_a_data_set_smaller(declared, tiny_source):
    """What stands for a data set is derived from it, under a name that recipes carry, custom data too."""
    with declared.document("reduced") as scale:
        scale.update(images={"cifar10": {"side": 16, "train": 10_000}})
    plan = declared.plan("reduced")
    assert {run.recipe["data"] for run in plan.runs.values()} == {"cifar10-16px-10000"}
    info = plan.scale.info("cifar10-16px-10000")
    assert (info.image_size, info.train, info.test, info.crop_padding, info.flip) == (16, 10_000, 10_000, 2, True)
    with declared.document("reduced") as scale:
        scale.update(images={"birds": {"side": 4}}, data={"cifar10": "birds"}, batch_factor=0.01)
    plan = declared.plan("reduced", data={"sources": {"birds": str(tiny_source)}})
    assert {run.recipe["data"] for run in plan.runs.values()} == {"birds-4px-120"}


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ({"cifar10": {"side": 15}}, ["scales/reduced.yaml: images.cifar10", "15 pixels", "the 32 of cifar10"]),
        ({"cifar10": {"train": 50_001}}, ["50001 training images", "50000 of 10 classes"]),
        ({"cifar10": {"train": 9}}, ["9 training images", "each of which needs one"]),
        ({"cifar11": {"side": 16}}, ["images.cifar11", "no known data set"]),
        ({"imagenet": {"side": 112}}, ["images.imagenet", "pictures"]),
        ({"cifar10": {}}, ["scales/reduced.yaml: images.cifar10"]),
    ],
)
def test_a_data_set_that_cannot_be_made_smaller_so(declared, images, words):
    with declared.document("reduced") as scale:
        scale.update(images=images)
    assert told(declared.refusal("reduced"), words)


def test_a_paper_is_a_folder(declared):
    """A second paper adds a folder and shares the runs that are the same."""
    shutil.copytree(declared.root / "papers" / "gotmare2019", declared.root / "papers" / "again")
    one, both = declared.plan("paper"), declared.plan("paper", papers=["gotmare2019", "again"])
    assert set(one.runs) == set(both.runs) and set(one.analyses) == set(both.analyses)
    assert len(both.artifacts) == 2 * len(one.artifacts)
    assert all(len(run.names) == 2 for run in both.runs.values())


def test_own_arrays_that_are_no_images_are_told(declared, tiny_source, tmp_path):
    shutil.copytree(tiny_source, tmp_path / "birds")
    np.save(tmp_path / "birds" / "x_train.npy", np.zeros((5, 8, 7), np.uint8))
    message = declared.refusal(data={"sources": {"birds": str(tmp_path / "birds")}})
    assert told(message, ["config.yaml: data.sources.birds", "8 × 7 pixels"])
