"""What is killed goes on to the same bits, what is done is not done again, and nothing half-written is used."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.shared.jobs import ENVIRONMENT, finish, job_arguments, kill_at_random, leftovers, same_run, start
from tests.shared.recipes import CURVE, small_recipe
from tests.shared.stages import call_stage
from workflow_scripts.base.checksums import checksum
from workflow_scripts.datasets.images.arrays import ARRAYS
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.recipes.canonical import canonical, fingerprint
from workflow_scripts.training.job import Job, Trainer
from workflow_scripts.training.settings import Settings

ROOT = Path(__file__).parents[2]


# --- killed trainings ------------------------------------------------------------------------------------------------


def test_a_training_that_is_killed_again_and_again_ends_in_the_same_bits(tiny, tmp_path):
    """Through a divergence, its fallback, batch norm, dropout and a part that is released half way."""
    recipe = small_recipe(
        model={"name": "vgg9_bn", "width": 0.0625, "dropout": 0.3, "smallest_side": 2},
        initialisation={"variance": 1e34},
        fallback={"initialisation": {"variance": 1.0}},
        freeze={"part": "classifier", "steps": 150},
        epochs=60,
        samples_per_epoch=80,
        batch_size=8,
        schedule={"name": "step", "lr": 0.01, "factor": 0.2, "milestones": [25]},
    )
    job = Job(recipe, {"iteration-3": 3, "epoch-10": 100, "epoch-11": 110, "epoch-20": 200, "epoch-60": 600})
    arguments = job_arguments(job, tiny, tmp_path / "runs" / "killed", tmp_path)
    printed = kill_at_random("train", arguments, kills=3, epochs=9, chance=random.Random(1))
    assert not (tmp_path / "runs" / "killed" / "metrics.parquet").exists()
    last = start("train", *arguments)
    printed += last.communicate()[0].splitlines()
    assert last.returncode == 0, printed[-5:]
    seen = [int(line.split(" epoch ")[1].split("/")[0]) for line in printed if " epoch " in line]
    assert set(seen) == set(range(1, 61))
    assert len(seen) <= 60 + 1 + 3  # the first attempt, and at each kill no more than the epoch that it hit
    whole = finish(job, tiny, tmp_path / "whole")
    assert read_table(whole / "metrics.parquet", "metrics").status["attempts"]
    same_run(tmp_path / "runs" / "killed", whole)
    assert not leftovers(tmp_path)


@pytest.fixture(scope="module")
def ends(tiny, tmp_path_factory):
    """Three checkpoints with descriptions."""
    folder, found = tmp_path_factory.mktemp("ends"), []
    for seed in (1, 2, 3):
        out = finish(Job(small_recipe(seed=seed), {"epoch-4": 12}), tiny, folder)
        found.append(out / "checkpoints" / "epoch-4.safetensors")
    return found


def test_a_curve_that_is_killed_again_and_again_ends_in_the_same_bits(tiny, ends, tmp_path):
    recipe = {**CURVE, "epochs": 40, "save": [5, 20, 40], "samples_per_epoch": 120, "batch_size": 8}

    def arguments(folder):
        return ["--recipe", canonical(recipe), "--start", ends[0], "--end", ends[1], "--data", tiny,
                "--out", folder / "curve" / "x", "--device", "cpu", "--snapshot-seconds", 0]  # fmt: skip

    printed = kill_at_random("curve", arguments(tmp_path / "a"), kills=2, epochs=12, chance=random.Random(2))
    assert call_stage("curve", *arguments(tmp_path / "a"))[0] == 0
    assert call_stage("curve", *arguments(tmp_path / "b"))[0] == 0
    assert max(int(line.split(" epoch ")[1].split("/")[0]) for line in printed if " epoch " in line) < 40
    a, b = (tmp_path / name / "curve" / "x" for name in "ab")
    tables = [read_table(folder / "curve.parquet", "path").frame for folder in (a, b)]
    assert tables[0].equals(tables[1]) and set(tables[0].epoch) == {0, 5, 20, 40}
    bends = [load_file(folder / "bends.safetensors") for folder in (a, b)]
    assert bends[0].keys() == bends[1].keys() == {"epoch-5", "epoch-20", "epoch-40"}
    assert all(torch.equal(bends[0][name], bends[1][name]) for name in bends[0])
    assert not leftovers(tmp_path)


def test_other_ends_begin_another_curve(tiny, ends, tmp_path):
    """The recipe names the ends, and a user's own may change behind their names."""
    end, results = tmp_path / "end.safetensors", []
    for source in (ends[1], ends[2]):
        shutil.copy(source, end)
        out = tmp_path / "curve" / "x"
        arguments = ["--recipe", canonical(CURVE), "--start", ends[0], "--end", end, "--data", tiny, "--out", out]
        assert call_stage("curve", *arguments)[0] == 0
        results.append(load_file(out / "bends.safetensors")["epoch-4"])
    assert not torch.equal(*results)
    assert call_stage("curve", *arguments, "--results", tmp_path / "fresh")[0] == 0
    assert torch.equal(results[1], load_file(out / "bends.safetensors")["epoch-4"])


# --- the store -------------------------------------------------------------------------------------------------------

JOB = Job(small_recipe(), {"epoch-2": 6, "epoch-4": 12})


@pytest.fixture
def done(tiny, tmp_path):
    """A finished run: results folder, outputs, folder in the store."""
    out = finish(JOB, tiny, tmp_path / "results")
    return tmp_path / "results", out, tmp_path / "results" / "store" / JOB.id


def moments(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file()}


def test_finished_work_is_handed_out_and_not_done_again(tiny, done):
    results, out, store = done
    before = moments(store)
    shutil.rmtree(out)  # as Snakemake does before it runs a job again
    assert finish(JOB, tiny, results) == out
    assert moments(store) == before
    same_run(out, finish(JOB, tiny, results.parent / "fresh"))


def test_handing_out_imports_no_torch(tiny, done):
    results, out, _ = done
    arguments = ["train", *map(str, job_arguments(JOB, tiny, out, results))]
    script = (
        f"import runpy, sys; sys.argv = {arguments!r}; "
        "runpy.run_module('workflow_scripts.stages.train', run_name='__main__');"
        "print('torch' in sys.modules, 'pandas' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert answer.stdout == "False False\n"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_damaged_snapshot_is_no_snapshot(tiny, done, share, capsys):
    results, out, store = done
    (store / "finished.json").unlink()
    snapshot = store / "snapshot.safetensors"
    os.truncate(snapshot, int(share * snapshot.stat().st_size))
    finish(JOB, tiny, results)
    assert "damaged; beginning anew" in capsys.readouterr().out
    same_run(out, finish(JOB, tiny, results.parent / "fresh"))


def test_a_training_that_was_only_not_concluded_is_concluded(tiny, done, capsys):
    results, out, store = done
    (store / "finished.json").unlink()
    (store / "metrics.parquet").unlink()
    capsys.readouterr()
    finish(JOB, tiny, results)
    assert " epoch " not in capsys.readouterr().out
    same_run(out, finish(JOB, tiny, results.parent / "fresh"))


def test_what_a_killed_process_was_writing_is_swept_away(tiny, done):
    results, _, store = done
    for half in (store / ".snapshot.safetensors.1-ab.part", store / "checkpoints" / ".epoch-2.safetensors.1-ab.part"):
        half.write_bytes(b"half")
    finish(JOB, tiny, results)
    assert not leftovers(store)


def test_other_data_under_the_same_name_begin_anew(tiny_source, done, tmp_path):
    results, out, _ = done
    source = tmp_path / "source"
    shutil.copytree(tiny_source, source)
    images = np.load(source / "x_train.npy")
    np.save(source / "x_train.npy", 255 - images)
    (source / "SHA256SUMS").write_text("".join(f"{checksum(source / name)}  {name}\n" for name in ARRAYS))
    prepare("tiny", tmp_path / "other" / "tiny", source)
    before = read_table(out / "metrics.parquet", "metrics").frame
    finish(JOB, tmp_path / "other" / "tiny", results)
    assert not before.equals(read_table(out / "metrics.parquet", "metrics").frame)
    same_run(out, finish(JOB, tmp_path / "other" / "tiny", tmp_path / "fresh"))


def test_a_checkpoint_that_is_asked_for_later_is_made(tiny, done):
    results, out, store = done
    before = read_table(out / "metrics.parquet", "metrics").frame
    more = Job(JOB.recipe, {**JOB.checkpoints, "iteration-0": 0, "iteration-5": 5})
    assert more.id == JOB.id
    finish(more, tiny, results)
    assert {path.stem for path in (out / "checkpoints").iterdir()} == {
        "epoch-2",
        "epoch-4",
        "iteration-0",
        "iteration-5",
    }
    assert before.equals(read_table(out / "metrics.parquet", "metrics").frame)
    same_run(out, finish(more, tiny, results.parent / "fresh"))
    moment = moments(store)
    finish(JOB, tiny, results)  # fewer are no work, and only those asked for are handed out
    assert moments(store) == moment
    assert {path.stem for path in (out / "checkpoints").iterdir()} == {"epoch-2", "epoch-4"}


def test_two_processes_train_a_run_once(tiny, tmp_path):
    job = Job(small_recipe(epochs=12), {"epoch-12": 36})
    both = [start("train", *job_arguments(job, tiny, tmp_path / "runs" / name, tmp_path)) for name in "ab"]
    printed = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    assert sum(text.count(" epoch ") for text in printed) == 12
    same_run(tmp_path / "runs" / "a", tmp_path / "runs" / "b")


def test_the_rest_of_a_pack_is_trained_unless_another_process_has_it(tiny, tmp_path):
    from workflow_scripts.datasets.images.arrays import read_description
    from workflow_scripts.runtime.store import Store

    others = [Job(small_recipe(seed=seed), {"epoch-4": 12}) for seed in (2, 3)]
    wrong = Job(small_recipe(model={"name": "nobody"}), {})
    trainer = Trainer(Settings(tiny, tmp_path / "store", "cpu"))
    trainer.finish(JOB)
    held = Store(tmp_path / "store", others[0].id, {"recipe": others[0].recipe, "data": read_description(tiny).sha256})
    with held.locked():
        trainer.finish_others([wrong, *others], tmp_path / "runs")
        assert held.finished() is None
    assert (tmp_path / "store" / others[1].id / "finished.json").exists()
    assert not (tmp_path / "store" / wrong.id / "finished.json").exists()
    same_run(finish(others[1], tiny, tmp_path), finish(others[1], tiny, tmp_path / "fresh"))


def test_the_snapshots_interval_changes_no_number(tiny, tmp_path):
    outs = [finish(JOB, tiny, tmp_path / str(seconds), snapshot_seconds=seconds) for seconds in (0.0, 1e9)]
    same_run(*outs)
    assert fingerprint(JOB.recipe) == JOB.id == outs[0].name


# --- older code ------------------------------------------------------------------------------------------------------


def as_interrupted(store, **progress):
    """Make of a finished training one that was killed after its last snapshot."""
    tensors, done = store.snapshot()
    store.save_snapshot(tensors, {key: value for key, value in {**done, **progress}.items() if value != "untold"})
    (store.folder / "finished.json").unlink()
    (store.folder / "metrics.parquet").unlink()


def test_what_an_older_engine_began_is_left_as_it_is(tiny, tmp_path, capsys):
    trainer = Trainer(Settings(tiny, tmp_path / "store", "cpu"))
    older, newer = (Job(small_recipe(engine=number), {"epoch-4": 12}) for number in (1, 2))
    store = trainer.finish(older)
    as_interrupted(store)
    before = {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    capsys.readouterr()
    trainer.finish(newer)
    told = capsys.readouterr().out
    assert f"{newer.id} epoch 1/4" in told and older.id not in told
    assert {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()} == before


def test_a_snapshot_of_another_engine_at_the_same_place_is_thrown_away(tiny, tmp_path, capsys):
    """As if somebody had renamed the folder: what it holds says what it is."""
    trainer = Trainer(Settings(tiny, tmp_path / "store", "cpu"))
    older, newer = (Job(small_recipe(engine=number), {"epoch-4": 12}) for number in (1, 2))
    store = trainer.finish(older)
    as_interrupted(store)
    store.folder.rename(tmp_path / "store" / newer.id)
    capsys.readouterr()
    trainer.finish(newer)
    assert f"{newer.id} epoch 1/4" in capsys.readouterr().out


@pytest.mark.parametrize(("before", "least", "most"), [(0.0, 0.0, 60.0), (1000.0, 1000.0, 1060.0)])
def test_seconds_are_those_of_all_processes(tiny, tmp_path, before, least, most):
    trainer, job = Trainer(Settings(tiny, tmp_path / "store", "cpu")), Job(small_recipe(), {})
    store = trainer.finish(job)
    as_interrupted(store, seconds=before)
    table = trainer.finish(job).folder / "metrics.parquet"
    assert least < read_table(table, "metrics").provenance["seconds"] < most


def test_seconds_are_not_told_where_an_older_snapshot_told_none(tiny, tmp_path):
    trainer, job = Trainer(Settings(tiny, tmp_path / "store", "cpu")), Job(small_recipe(), {})
    as_interrupted(trainer.finish(job), seconds="untold")
    table = trainer.finish(job).folder / "metrics.parquet"
    assert read_table(table, "metrics").provenance["seconds"] is None
