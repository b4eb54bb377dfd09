"""What cannot be meant is refused while planning, and what is meant is understood."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_scripts.bookkeeping.operations import Operations
from workflow_scripts.recipes.merge import merge

ROOT = Path(__file__).parents[2]


def named(declared, folder):
    return {"papers": ["iyer2020"], "data": merge(declared.config["data"], {"sources": {"imagenet": str(folder)}})}


def test_a_root_of_imagenet_is_not_its_pictures(declared, tmp_path):
    (tmp_path / "ILSVRC" / "Data" / "train" / "n01440764").mkdir(parents=True)
    (tmp_path / "ILSVRC" / "Data" / "val").mkdir()
    told = declared.refusal("paper", **named(declared, tmp_path))
    assert f"{tmp_path} has no train/<class> and no val/<class>; name {tmp_path / 'ILSVRC' / 'Data'}" in told


def test_half_a_folder_of_pictures_is_told(declared, tmp_path):
    (tmp_path / "train" / "n01440764").mkdir(parents=True)
    told = declared.refusal("paper", **named(declared, tmp_path))
    assert f"{tmp_path} has no val/<class>; name the folder that holds both" in told


def test_pictures_without_folders_of_classes_are_told(declared, tmp_path):
    """ImageNet's validation set is unpacked so: 50,000 pictures in one folder."""
    (tmp_path / "train" / "n01440764").mkdir(parents=True)
    (tmp_path / "val" / ".hidden").mkdir(parents=True)
    (tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG").touch()
    told = declared.refusal("paper", **named(declared, tmp_path))
    assert f"{tmp_path} has no val/<class>; make a folder for each class there" in told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("birds", "has no x_train.npy for arrays, no train/<class> and val/<class> for pictures"),
        ("cifar10", "has no x_train.npy; name a folder that holds the arrays of cifar10"),
        ("bert_base", "is no BERT checkpoint: it lacks config.json"),
        ("imagenet", "has no train/<class> and no val/<class>"),
        ("wikipedia", "has no .txt files"),
    ],
)
def test_a_folder_of_something_else_is_told(declared, tmp_path, name, told):
    (tmp_path / "notes.md").touch()
    data = merge(declared.config["data"], {"sources": {name: str(tmp_path)}})
    assert f"config.yaml: data.sources.{name}: {tmp_path} {told}" in declared.refusal("reduced", data=data)


def test_a_folder_of_another_machine_is_planned_with(declared, tmp_path):
    assert declared.plan("paper", **named(declared, tmp_path / "nowhere")).runs


def test_gpus_are_of_a_data_set_that_there_is(declared):
    training = merge(declared.config["training"], {"gpus": {"imagenet": 4, "imagnet": 4}})
    refusal = declared.refusal("paper", training=training)
    assert (
        "training.gpus names the data set 'imagnet', which is neither built in" in refusal
        and "'imagenet'" not in refusal
    )


def test_all_images_are_compared_where_none_are_named(declared):
    declared.replace("analyses", "similarity: {images: 10000,", "similarity: {images: null,")
    plan = declared.plan("paper")
    assert {each.recipe["images"] for each in plan.analyses.values() if each.kind == "similarity"} == {50_000}


def test_a_curve_from_a_network_to_itself_is_told(declared):
    declared.replace("analyses", "GA: {start: mode_G@epoch-200, end: mode_A@epoch-200}",
                     "GA: {start: mode_G@epoch-200, end: mode_G@epoch-200}")  # fmt: skip
    assert "GA: start and end are the same checkpoint, mode_G@epoch-200" in declared.refusal()


def test_a_price_counts_the_passes_that_measure_batch_norm(declared):
    plan = declared.plan("paper")
    operations = Operations(plan)
    of = {each.name.partition("/")[2]: each for each in plan.analyses.values() if each.kind == "plane"}
    ratio = operations.analysis(of["sgdr_bn_70_150"]).operations / operations.analysis(of["sgdr_70_150"]).operations
    assert ratio == pytest.approx((50_000 + 60_000) / 60_000, rel=0.01)


def test_who_reads_the_first_lines_of_a_price_is_told_nothing_wrong():
    command = f"{sys.executable} -m workflow_scripts.commands.price gotmare2019_figure_3 | head -n 1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.startswith("scale demo") and "Broken" not in done.stderr and "Traceback" not in done.stderr


def test_every_scale_can_be_planned(declared):
    """Prices and stale results ask for all of them."""
    for path in (ROOT / "scales").glob("*.yaml"):
        assert declared.plan(path.stem, papers=["gotmare2019", "iyer2020"]).runs
