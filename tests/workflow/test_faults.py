"""What goes wrong is reported in one sentence or recorded, loses nothing, and is no way in; docs/faults.md lists it."""

import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.faults.harness import KINDS, Harness, undisturbed
from tests.faults.verdict import differences, problems
from tests.shared.checkout import NASTY, snakemake
from tests.shared.jobs import finish, job_arguments, leftovers, same_run
from tests.shared.recipes import CURVE, small_recipe
from tests.shared.stages import call_stage
from workflow_scripts.base.files import MACHINE, whole_directory, write_text
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.models import checkpoints
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.recipes.merge import merge
from workflow_scripts.recipes.schema import read_yaml
from workflow_scripts.runtime.store import Store
from workflow_scripts.training.job import Job

ROOT = Path(__file__).parents[2]
JOB = Job(small_recipe(), {"epoch-2": 6, "epoch-4": 12})
WIDE = Job(small_recipe(model={**JOB.recipe["model"], "width": 0.125}), {"epoch-4": 12})
OTHER = Job(small_recipe(seed=2), {"epoch-3": 9})
PLANE = {"side": 3, "margin": 0.2, "images": None}
SIMILARITY = {"images": 50, "diagonal_only": False}
SHARPNESS = {"epsilon": 1e-4, "steps": 2, "learning_rate": 1e-3, "momentum": 0.9, "frozen_batch_norm": False,
             "batch_size": 16, "seed": 1}  # fmt: skip
FISHER = {"images": 20, "draws": 2, "tolerance": 1e-2, "max_iterations": 3, "seed": 1}


# --- killed at random points -----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="the harness reads /proc")
def test_a_workflow_that_is_killed_again_and_again_makes_the_same_files(tmp_path_factory):
    """A kill of each kind that finds a victim in time; docs/faults.md tells how to have more of them, on everything."""
    tmp_path = tmp_path_factory.mktemp("k")  # a short path: the sockets of notebooks lie below it
    arguments = ["gotmare2019_figure_6", "--cores", "2"]
    undisturbed(tmp_path / "reference", arguments)
    killed = Harness(tmp_path / "killed", tmp_path / "reference", arguments, len(KINDS), random.Random(1))
    killed.finish()
    assert (found := killed.problems()) == [], "\n".join(found)
    assert sum(killed.done.values()) >= 3 and len({how for _, how in killed.done}) == 2


def test_the_verdict_sees_what_a_kill_could_do(tiny, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for directory in (whole, killed):
        for job in (JOB, OTHER):
            finish(job, tiny, directory / "results")
    assert problems(killed, whole) == []
    run, other = (killed / "results" / "runs" / job.id for job in (JOB, OTHER))
    shutil.copy(other / "metrics.parquet", run / "copy")
    (run / "copy").replace(run / "metrics.parquet")
    (other / "checkpoints" / "epoch-3.safetensors").unlink()
    (run / ".recipe.json.there.1-ab.part").touch()
    with Store(killed / "results" / "store", JOB.id, {}).locked():
        told = "\n".join(problems(killed, whole))
    assert f"runs/{JOB.id}/metrics.parquet differs" in told and "epoch-3.safetensors is missing" in told
    assert "recipe.json.there.1-ab.part is half a file" in told and f"store/{JOB.id}/lock is still locked" in told


# --- whole files -----------------------------------------------------------------------------------------------------


def test_what_a_killed_process_began_is_swept_away_and_what_a_living_one_writes_is_not(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    names = [f".table [1].csv.{machine}.{pid}-ab12.part"
             for machine, pid in ((MACHINE, ended.pid), (MACHINE, os.getppid()), ("elsewhere", ended.pid))]  # fmt: skip
    for name in names:
        (tmp_path / name).write_text("half")
    write_text(tmp_path / "table [1].csv", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"table [1].csv", *names[1:]}


def test_two_writers_of_a_directory_leave_one_of_theirs_whole(tmp_path):
    def write(text):
        for _ in range(100):
            with whole_directory(tmp_path / "folder") as folder:
                for name in "ab":
                    (folder / name).write_text(text)

    writers = [threading.Thread(target=write, args=(text,)) for text in ("one", "other")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert (tmp_path / "folder" / "a").read_text() == (tmp_path / "folder" / "b").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


# --- disks -----------------------------------------------------------------------------------------------------------


class Disk:
    """A small file system of its own."""

    def __init__(self, place: Path, options: str):
        self.place = place
        place.mkdir()
        self.mounted = self._run("mount", "-t", "tmpfs", "-o", options, "tmpfs", place)

    def change(self, options: str) -> None:
        assert self._run("mount", "-o", f"remount,{options}", self.place)

    def remove(self) -> None:
        if self.mounted:
            self._run("umount", "--lazy", self.place)

    @staticmethod
    def _run(*command) -> bool:
        return shutil.which(command[0]) and not subprocess.run(command, stderr=subprocess.DEVNULL).returncode


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path / "the disk", "size=100k")
    if not made.mounted:
        pytest.skip("only root may mount a file system that is small or read-only")
    yield made
    made.remove()


@pytest.mark.parametrize("size", ["32k", "100k", "200k"])  # the first checkpoint, the snapshot, a later checkpoint
def test_a_training_on_a_full_disk_says_so_and_goes_on_when_there_is_room(tiny, disk, tmp_path, size):
    disk.change(f"size={size}")
    out = disk.place / "runs" / JOB.id
    sentence, _ = call_stage("train", *job_arguments(JOB, tiny, out, disk.place))
    assert re.fullmatch(rf"error: No space left on device at {disk.place}/store/\S+; nothing half-written .*", sentence)
    assert not leftovers(disk.place) and not out.exists()
    disk.change("size=64M")
    assert call_stage("train", *job_arguments(JOB, tiny, out, disk.place))[0] == 0
    same_run(out, finish(JOB, tiny, tmp_path / "fresh"))


def test_other_stages_on_a_full_disk_say_so(tiny, ends, disk):
    for stage, arguments in {
        "curve": command("curve", CURVE, tiny, disk.place / "curve" / "x", "--start", ends[0], "--end", ends[1]),
        "prepare_data": ["digits", "--out", disk.place / "data" / "digits"],
    }.items():
        sentence, _ = call_stage(stage, *arguments)
        assert sentence.startswith(f"error: No space left on device at {disk.place}/")
        assert not leftovers(disk.place) and not list(disk.place.glob("data/*"))


def test_a_read_only_disk_is_told_and_loses_nothing(tiny, ends, disk, tmp_path):
    disk.change("size=64M")
    out = disk.place / "similarity" / "x"
    given = command("similarity", SIMILARITY, tiny, out, "--first", ends[0], "--second", ends[1])
    assert call_stage("similarity", *given)[0] == 0
    before = (out / "similarity.parquet").read_bytes()
    disk.change("ro")
    for stage, arguments in (("similarity", given), ("train", job_arguments(JOB, tiny, disk.place / "x", disk.place))):
        sentence, _ = call_stage(stage, *arguments)
        assert sentence.startswith(f"error: Read-only file system at {disk.place}")
    assert (out / "similarity.parquet").read_bytes() == before


def test_a_workflow_tells_of_read_only_results_before_it_starts_anything(disk, tmp_path):
    disk.change("ro")
    done = snakemake("gotmare2019_figure_6", "--cores", "1", "--config", f"results={disk.place}", directory=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{disk.place} cannot be written (Read-only file system); make room or get the right to" in done.stderr


# --- damaged and foreign files ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tiny, tmp_path_factory):
    """Three runs, as the workflow leaves them."""
    folder = tmp_path_factory.mktemp("results")
    for job in (JOB, OTHER, WIDE):
        finish(job, tiny, folder)
    return folder


@pytest.fixture(scope="module")
def ends(results):
    """Checkpoints of two runs of one model, and one of another."""
    names = ((JOB, "epoch-4"), (OTHER, "epoch-3"), (WIDE, "epoch-4"))
    return [results / "runs" / job.id / "checkpoints" / f"{label}.safetensors" for job, label in names]


@pytest.fixture(scope="module")
def curve(tiny, ends, tmp_path_factory):
    """The folder of a curve between the first two."""
    out = tmp_path_factory.mktemp("curves") / "curve" / "x"
    assert call_stage("curve", *command("curve", CURVE, tiny, out, "--start", ends[0], "--end", ends[1]))[0] == 0
    return out


def command(stage, recipe, data, out, *more):
    return ["--recipe", canonical(recipe), "--data", data, "--out", out, "--device", "cpu", *more]


def refusal(stage, *arguments):
    sentence, printed = call_stage(stage, *arguments)
    assert isinstance(sentence, str) and sentence.startswith("error: "), printed
    return sentence


@pytest.mark.parametrize("file", ["metrics.parquet", "checkpoints/epoch-2.safetensors"])
@pytest.mark.parametrize("change", [lambda data: data[:-9], lambda data: data[:-9] + bytes(9), lambda data: None])
def test_a_finished_file_that_was_damaged_is_made_again_when_its_run_is_asked_for(tiny, tmp_path, file, change, capsys):
    """The outputs are further names of the store's files, so that deleting the damaged ones would not be enough."""
    out = finish(JOB, tiny, tmp_path)
    damaged = change((out / file).read_bytes())
    stored = tmp_path / "store" / JOB.id / file
    stored.unlink() if damaged is None else stored.write_bytes(damaged)
    shutil.rmtree(out)  # as the sentence about the damaged file says
    assert finish(JOB, tiny, tmp_path) == out
    assert (
        f"{file} in {stored.parents[file.count('/')]} is damaged or missing; training anew" in capsys.readouterr().out
    )
    same_run(out, finish(JOB, tiny, tmp_path / "fresh"))


def test_a_curve_that_was_trained_before_has_its_rows_in_the_same_order(tiny, ends, tmp_path):
    recipe = {**CURVE, "epochs": 10, "save": [2, 10]}  # by name, 10 comes first
    given = command("curve", recipe, tiny, tmp_path / "curve" / "x", "--start", ends[0], "--end", ends[1])
    tables = []
    for _ in range(2):
        assert call_stage("curve", *given)[0] == 0
        tables.append(read_table(tmp_path / "curve" / "x" / "curve.parquet", "path").frame)
        shutil.rmtree(tmp_path / "curve")
    assert tables[0].equals(tables[1])


def damaged_bends(curve, folder, change):
    """A copy of a curve's folder with other bends."""
    shutil.copytree(curve, folder)
    bends = load_file(folder / "bends.safetensors")
    save_file(change(bends), folder / "bends.safetensors")
    return folder


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda bends: {name: bend * float("nan") for name, bend in bends.items()}, "a plane needs finite weights"),
        (lambda bends: {name: bend[:, 5:].clone() for name, bend in bends.items()}, "needs points of one model"),
        (lambda bends: {name: bend[0].clone() for name, bend in bends.items()}, "'epoch-2', which is no bends"),
        (lambda bends: {name: bend.long() for name, bend in bends.items()}, "'epoch-2', which is no bends"),
        (lambda bends: {"last": bends["epoch-4"]}, "holds 'last', which is no bends; find the curve again"),
    ],
    ids=["NaN", "another model", "shape", "type", "name"],
)
def test_bends_that_are_none_are_told(tiny, ends, curve, tmp_path, change, expected):
    folder = damaged_bends(curve, tmp_path / "curve", change)
    more = ["--start", ends[0], "--end", ends[1], "--curve", folder]
    assert expected in refusal("plane", *command("plane", PLANE, tiny, tmp_path / "out", *more))
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_model_is_named(tiny, ends, curve, tmp_path):
    more = ["--start", ends[0], "--end", ends[2]]
    for told in (
        refusal("curve", *command("curve", CURVE, tiny, tmp_path / "x" / "y", *more)),
        refusal("plane", *command("plane", PLANE, tiny, tmp_path / "x" / "y", *more, "--curve", curve)),
    ):
        assert f"the checkpoint {ends[2]}" in told and "is a checkpoint of another model" in told


@pytest.mark.parametrize(("stage", "recipe"), [("sharpness", SHARPNESS), ("fisher", FISHER)])
def test_measured_checkpoints_are_checked(tiny, ends, tmp_path, stage, recipe):
    loaded, bad = checkpoints.load(ends[0]), tmp_path / "bad.safetensors"

    def told():
        return refusal(stage, *command(stage, recipe, tiny, tmp_path / stage / "x", "--checkpoints", bad))

    checkpoints.save(bad, {name: tensor * float("nan") for name, tensor in loaded.state.items()}, loaded.description)
    assert "has NaN or infinite values" in told() and "that training diverged" in told()
    checkpoints.save(bad, loaded.state, {**loaded.description, "model": WIDE.recipe["model"]})
    assert "is a checkpoint of another model" in told()
    bad.write_bytes(ends[0].read_bytes()[:-100])
    assert "is cut short or not a safetensors file" in told()


@pytest.mark.parametrize(("split", "label"), [("train", 99), ("train", -7), ("test", 10)])
def test_a_prepared_label_out_of_range_is_told(tiny, tmp_path, split, label):
    data = tmp_path / "data"
    shutil.copytree(tiny, data)
    labels = np.load(data / f"y_{split}.npy")
    labels[3] = label
    np.save(data / f"y_{split}.npy", labels)
    told = refusal("train", *job_arguments(JOB, data, tmp_path / "runs" / "x", tmp_path))
    assert f"y_{split}.npy has the label {label}, but the classes are 0 to 9" in told


def test_a_class_without_images_is_told(tiny_source, tmp_path):
    shutil.copytree(tiny_source, tmp_path / "source")
    labels = np.load(tmp_path / "source" / "y_train.npy")
    np.save(tmp_path / "source" / "y_train.npy", np.where(labels == 3, 4, labels))
    told = refusal("prepare_data", "tiny", "--out", tmp_path / "out", "--source", tmp_path / "source")
    assert "y_train.npy has no image of class 3, though labels go up to 9" in told and not (tmp_path / "out").exists()


# --- settings --------------------------------------------------------------------------------------------------------


def test_a_batch_larger_than_the_set_is_one_batch(tiny, tmp_path):
    out = finish(Job(small_recipe(batch_size=5000), {"epoch-4": 4}), tiny, tmp_path)
    table = read_table(out / "metrics.parquet", "metrics")
    assert table.status == {"state": "finished"} and set(table.frame.step) >= {1, 2, 3, 4}
    assert (out / "checkpoints" / "epoch-4.safetensors").exists()


@pytest.mark.parametrize("key", ["epochs", "batch_size", "samples_per_epoch", "evaluate_every"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "two", True])
def test_zero_epochs_and_their_like_are_told(tiny, tmp_path, key, value):
    told = refusal("train", *job_arguments(Job(small_recipe(**{key: value}), {}), tiny, tmp_path / "r" / "x", tmp_path))
    assert f"{key} is {value!r}; it must be a whole number of at least 1" in told


@pytest.mark.parametrize(
    ("stage", "recipe"),
    [("curve", {**CURVE, "epochs": 0}), ("plane", {**PLANE, "side": 0}), ("sharpness", {**SHARPNESS, "batch_size": 0})],
)
def test_analyses_of_nothing_are_told(tiny, ends, curve, tmp_path, stage, recipe):
    more = {"sharpness": ["--checkpoints", ends[0]]}.get(stage, ["--start", ends[0], "--end", ends[1]])
    more += ["--curve", curve] if stage == "plane" else []
    assert "is 0 in the JSON" in refusal(stage, *command(stage, recipe, tiny, tmp_path / stage / "x", *more))


def test_a_huge_rate_is_a_recorded_divergence(tiny, tmp_path):
    job = Job(small_recipe(schedule={"name": "constant", "lr": 1e30}), {"epoch-4": 12})
    table = read_table(finish(job, tiny, tmp_path) / "metrics.parquet", "metrics")
    assert table.diverged and (table.status["run"], table.status["step"]) == (job.id, 2)
    assert table.status["reason"] == "the training loss became non-finite"


def test_unicode_spaces_quotes_and_semicolons_in_every_path(tiny_source, tmp_path):
    place = tmp_path / "dürer's “größe”; touch pwned $(touch pwned) 数字"
    shutil.copytree(tiny_source, place / "source")
    prepare("tiny", place / "data", place / "source")
    out = finish(JOB, place / "data", place / "results")
    end = out / "checkpoints" / "epoch-4.safetensors"
    more = ["--first", end, "--second", end]
    given = command("similarity", SIMILARITY, place / "data", place / "similarity" / "x", *more)
    assert call_stage("similarity", *given)[0] == 0
    assert not list(tmp_path.rglob("pwned"))


# --- two at once -----------------------------------------------------------------------------------------------------


def started(site, directory, results):
    """Snakemake at work in a directory, on results that need not lie there."""
    directory.mkdir(exist_ok=True)
    plan = make_plan(merge(read_yaml(site.root / "config.yaml"), {"results": str(results)}), site.root)
    curves = [path for each in plan.analyses.values() for path in plan.paths.tables(each.kind, each.id).values()]
    line = [sys.executable, "-m", "snakemake", "--snakefile", site.root / "Snakefile", "--directory", directory,
            *map(plan.paths.metrics, plan.runs), *curves, "--cores", "1", "--config", f"results={results}"]  # fmt: skip
    return subprocess.Popen(list(map(str, line)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_two_pipelines_in_one_directory(site, tmp_path):
    first = started(site, tmp_path / "here", tmp_path / "results")
    locks = tmp_path / "here" / ".snakemake" / "locks"
    while first.poll() is None and not list(locks.glob("*")):
        time.sleep(0.02)
    second = started(site, tmp_path / "here", tmp_path / "results")
    told = second.communicate()[0]
    assert second.returncode == 1 and "Directory cannot be locked." in told and "Traceback" not in told
    told = first.communicate()[0]
    assert first.returncode == 0, told
    assert not list(locks.glob("*")) and differences(tmp_path / "results", site.directory / NASTY) == []


def test_two_pipelines_that_share_results(site, tmp_path):
    """Each may come upon what the other is just replacing, and say so; nothing is lost, and both get to their end."""
    shared = tmp_path / "results"
    for _ in range(3):
        both = [started(site, tmp_path / name, shared) for name in ("one", "other")]
        told = [each.communicate()[0] for each in both]
        if not any(each.returncode for each in both):
            break
    assert not any(each.returncode for each in both), told
    assert differences(shared, site.directory / NASTY) == [] and not leftovers(shared)


# --- no way in -------------------------------------------------------------------------------------------------------

# What runs what a file says, or a shell; none of it is needed here.
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {
    "torch.load", "torch.save", "np.load", "numpy.load", "pd.read_pickle", "yaml.unsafe_load", "yaml.full_load",
    "os.system", "os.popen", "eval", "exec", "torch.hub.load", "subprocess.getoutput",
}  # fmt: skip
FORBIDDEN_ARGUMENTS = {"allow_pickle", "shell", "weights_only"}


def sources():
    """The text of every module of the package, of the workflow and of the notebooks, by file."""
    for path in sorted((ROOT / "workflow_scripts").rglob("*.py")):
        yield path, path.read_text()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        yield path, "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def dangers(text):
    """What a module does that could run what a stranger wrote."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from {alias.name.partition(".")[0] for alias in node.names} & FORBIDDEN_MODULES
        elif isinstance(node, ast.ImportFrom):
            yield from {(node.module or "").partition(".")[0]} & FORBIDDEN_MODULES
        elif isinstance(node, ast.Call):
            yield from {ast.unparse(node.func)} & FORBIDDEN_CALLS
            yield from {keyword.arg for keyword in node.keywords} & FORBIDDEN_ARGUMENTS
            if ast.unparse(node.func) == "yaml.load" and "Loader=_Loader" not in ast.unparse(node):
                yield "yaml.load"


def test_nothing_unpickles_and_nothing_hands_strings_to_a_shell():
    assert {path.name: found for path, text in sources() if (found := list(dangers(text)))} == {}
    for bad in (
        "import pickle",
        "torch.load(p)",
        "np.load(p, allow_pickle=True)",
        "run(c, shell=True)",
        "yaml.load(t)",
    ):
        assert list(dangers(bad)), bad


def test_every_value_in_a_shell_command_is_quoted():
    commands = [
        command
        for path in (ROOT / "rules").glob("*.smk")
        for command in re.findall(r"^    shell:\n((?:        .*\n)+)", path.read_text(), re.MULTILINE)
    ]
    known = ("{resources.gpu}", "{computing[@]}")  # a number, and options that resources.smk has quoted
    rules = sum(len(re.findall(r"^ *rule .*:$", path.read_text(), re.MULTILINE)) for path in ROOT.glob("rules/*.smk"))
    assert len(commands) == rules > 5
    for command in commands:
        values = re.findall(r"\{[^{}]*\}", command)
        assert values and all(value.endswith(":q}") or value in known for value in values), command
