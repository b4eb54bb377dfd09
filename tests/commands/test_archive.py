"""The archive: what is added and refused, what a changed byte does, and what is drawn from it without training."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.shared.declarations import Declarations
from workflow_scripts.base.errors import InputError
from workflow_scripts.bookkeeping import archive
from workflow_scripts.evidence import provenance
from workflow_scripts.evidence.sources import NOT_RUN, Sources
from workflow_scripts.evidence.tables import read_facts, write_table
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.plotting import figure
from workflow_scripts.plotting import table as tables
from workflow_scripts.recipes.canonical import fingerprint
from workflow_scripts.recipes.schema import read_yaml

GAPS = {"digits": "none known"}
ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.parent for path in (ROOT / "archive").glob("*/manifest.json"))


@pytest.fixture
def declared(tmp_path):
    return Declarations(tmp_path)


def table(plan, results, name, accuracy=50.0, recipe=None, seconds=2.25):
    """Write the metrics of the run that the declarations call `name`, as if it had been trained."""
    run = next(run for run in plan.runs.values() if f"gotmare2019/{name}" in run.names)
    frame = pd.DataFrame({"run": [run.id], "step": [1], "epoch": [1.0], "split": ["test"], "metric": ["accuracy"],
                          "value": [accuracy]})  # fmt: skip
    made = provenance.collect(scale="demo", data="digits", device="cpu", seeds=[1], fingerprints=[run.id])
    made |= {"recipe": recipe or dict(run.recipe), "seconds": seconds}
    write_table(results / "runs" / run.id / "metrics.parquet", frame, "metrics", provenance=made)
    return f"runs/{run.id}/metrics.parquet"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_run_is_added_once(declared, tmp_path):
    plan, results, folder = declared.plan(), tmp_path / "results", tmp_path / "archive"
    file = table(plan, results, "mode_G")
    change = archive.add(plan, results, folder, GAPS)
    assert change.added == [file] and len(change.missing) == len(archive.wanted(plan)) - 1
    entry = archive.verify(folder)["tables"][file]
    assert entry["names"] == ["gotmare2019/mode_G"] and entry["id"] == file.split("/")[1]
    assert (entry["data"], entry["device"], entry["seconds"]) == ("digits", "cpu", 2.2)
    assert len(entry["commit"]) == 40 or entry["commit"] == "unknown"
    before = contents(folder)
    assert archive.add(plan, results, folder, {}).same == [file]  # nobody need repeat what is known of the data
    assert contents(folder) == before
    other = table(plan, results, "mode_A")
    assert archive.add(plan, results, folder, {}).added == [other]
    assert len(archive.verify(folder)["tables"]) == 2


def test_gone_results_leave_the_archive_as_it_is(declared, tmp_path):
    plan, results, folder = declared.plan(), tmp_path / "results", tmp_path / "archive"
    file = table(plan, results, "mode_G")
    archive.add(plan, results, folder, GAPS)
    shutil.rmtree(results)
    assert archive.add(plan, results, folder, {}).same == [file] and archive.verify(folder)


def test_other_numbers_of_the_same_recipe_need_a_word(declared, tmp_path):
    plan, results, folder = declared.plan(), tmp_path / "results", tmp_path / "archive"
    file = table(plan, results, "mode_G", 50.0)
    archive.add(plan, results, folder, GAPS)
    before = contents(folder)
    table(plan, results, "mode_G", 51.0)
    assert archive.add(plan, results, folder, {}).left == [file] and contents(folder) == before
    assert archive.add(plan, results, folder, {}, replace=True).added == [file] and contents(folder) != before


def test_equal_numbers_of_another_time_are_the_same(declared, tmp_path):
    plan, results, folder = declared.plan(), tmp_path / "results", tmp_path / "archive"
    file = table(plan, results, "mode_G")
    archive.add(plan, results, folder, GAPS)
    before = contents(folder)
    table(plan, results, "mode_G", seconds=3.5)
    assert archive.add(plan, results, folder, {}).same == [file] and contents(folder) == before


@pytest.mark.parametrize(
    ("prepare", "gaps", "told"),
    [
        (lambda plan, results: table(plan, results, "mode_G", recipe={"seed": 7}), GAPS, "was made from"),
        (lambda plan, results: table(plan, results, "mode_G"), {}, '--gaps digits="none known"'),
    ],
    ids=["another recipe", "data that nobody described"],
)
def test_what_is_refused_changes_nothing(declared, tmp_path, prepare, gaps, told):
    plan, results, folder = declared.plan(), tmp_path / "results", tmp_path / "archive"
    table(plan, results, "mode_A")
    prepare(plan, results)
    with pytest.raises(InputError) as caught:
        archive.add(plan, results, folder, gaps)
    assert told in str(caught.value) and not folder.exists()


def test_it_stays_small_enough_for_git(declared, tmp_path, monkeypatch):
    plan, results, folder = declared.plan(), tmp_path / "results", tmp_path / "archive"
    table(plan, results, "mode_G")
    monkeypatch.setattr(archive, "MOST", 100)
    with pytest.raises(InputError, match="too much for git"):
        archive.add(plan, results, folder, GAPS)
    assert not folder.exists()


def test_every_changed_byte_is_found(declared, tmp_path):
    plan, results, folder = declared.plan(), tmp_path / "results", tmp_path / "archive"
    files = [table(plan, results, name) for name in ("mode_G", "mode_A", "mode_B")]
    archive.add(plan, results, folder, GAPS)
    changed, gone, strange = folder / files[0], folder / files[1], folder / "runs" / "stranger.parquet"
    raw = bytearray(changed.read_bytes())
    raw[len(raw) // 2] ^= 1
    changed.write_bytes(raw)
    gone.unlink()
    shutil.copy(folder / files[2], strange)
    with pytest.raises(InputError) as caught:
        archive.verify(folder)
    told = str(caught.value)
    assert f"{changed} is not what was archived" in told and f"{gone} is missing" in told
    assert f"{strange} is not in manifest.json" in told and str(folder / files[2]) not in told
    with pytest.raises(InputError, match="is damaged"):
        archive.add(plan, results, folder, {})


def test_what_is_asked_for_no_more_is_told_and_pruned(declared, tmp_path):
    plan, results, folder = declared.plan(), tmp_path / "results", tmp_path / "archive"
    stays, goes = table(plan, results, "mode_G"), table(plan, results, "mode_A")
    archive.add(plan, results, folder, GAPS)
    declared.replace("runs", "mode_A: {batch_size: 4000, seed: 2}", "mode_A: {batch_size: 4000, seed: 22}")
    plan = declared.plan()
    assert archive.add(plan, results, folder, {}).unasked == [goes]
    assert archive.prune(plan, folder) == [goes] and list(archive.verify(folder)["tables"]) == [stays]
    assert not (folder / goes).parent.exists()


@pytest.mark.parametrize("folder", SHIPPED)
def test_what_ships_is_whole_and_asked_for(folder):
    """Every table of the repository's archives is as it was archived, and of a recipe that is declared today."""
    manifest = archive.verify(folder)
    plan = make_plan({**read_yaml(ROOT / "config.yaml"), "scale": folder.name}, ROOT)
    asked = {wanted.file: wanted for wanted in archive.wanted(plan)}
    assert manifest["tables"].keys() <= asked.keys()
    assert sum(entry["bytes"] for entry in manifest["tables"].values()) < archive.MOST
    for file, entry in manifest["tables"].items():
        made = read_facts(folder / file)[1]["recipe"]
        assert entry["id"] == asked[file].id == fingerprint(made) and entry["data"].partition("-")[0] in {
            name.partition("-")[0] for name in manifest["data"]
        }


@pytest.mark.parametrize("folder", SHIPPED)
def test_what_ships_is_drawn_without_training(folder, monkeypatch):
    """Every figure and table of what was run; one that has all of its tables says of nothing that it was not run."""
    monkeypatch.chdir(ROOT)
    plan = make_plan(read_config(ROOT, {"scale": folder.name, "source": "archive"}), ROOT)
    whole = 0
    for artifact in plan.artifacts.values():
        spec = artifact.spec
        needed = [plan.paths.metrics(run.id) for run in artifact.runs]
        needed += [Path(plan.paths.tables(each.kind, each.id)["table"]) for each in artifact.analyses]
        if not any(path.exists() for path in needed):
            continue
        sources = Sources(names=spec["names"], runs=spec["runs"])
        if artifact.template == "figure":
            _, values = figure.draw(spec, sources)
            missing = values["note"].str.contains(NOT_RUN).any()
        else:
            shown, *_ = tables.draw(spec, sources)
            missing = shown.astype(str).apply(lambda column: column.str.contains(NOT_RUN)).any(axis=None)
        is_whole = all(path.exists() for path in needed)
        assert not (is_whole and missing), artifact.id
        whole += is_whole
    assert whole >= 5
