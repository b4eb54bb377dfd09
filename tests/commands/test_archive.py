"""The archive: what is added and refused, what a changed byte does, and what is drawn from it without training."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.shared.declarations import Declarations
from tests.shared.stages import call_stage
from workflow_scripts.base.errors import InputError
from workflow_scripts.bookkeeping import archive
from workflow_scripts.commands import archive as command
from workflow_scripts.evidence import provenance
from workflow_scripts.evidence.sources import NOT_RUN, Sources
from workflow_scripts.evidence.tables import read_facts, write_table
from workflow_scripts.models.language.bert_config import checkpoint_digests
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.plotting import figure
from workflow_scripts.plotting import table as tables
from workflow_scripts.recipes.canonical import fingerprint

GAPS = {"digits": "none known"}
ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.parent for path in (ROOT / "archive").glob("*/manifest.json"))


@pytest.fixture
def declared(tmp_path):
    return Declarations(tmp_path)


def table(plan, results, name, accuracy=50.0, recipe=None, seconds=2.25, **said):
    """Write the metrics of the run that the declarations call `name`, as if it had been trained."""
    run = next(run for run in plan.runs.values() if any(each.endswith(f"/{name}") for each in run.names))
    frame = pd.DataFrame({"run": [run.id], "step": [1], "epoch": [1.0], "split": ["test"], "metric": ["accuracy"],
                          "value": [accuracy]})  # fmt: skip
    made = provenance.collect(scale="demo", data="digits", device="cpu", seeds=[1], fingerprints=[run.id])
    made |= {"recipe": recipe or dict(run.recipe), "seconds": seconds, **said}
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


BERT = {
    "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, 
    "pad_token_id": 0,
    "type_vocab_size": 2, "vocab_size": 30522, "num_hidden_layers": 3, "hidden_size": 48, "num_attention_heads": 2,
    "intermediate_size": 96, "max_position_embeddings": 512, "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}  # fmt: skip


def test_a_checkpoint_that_trainings_begin_with_need_not_be_named_again(declared, tmp_path, monkeypatch):
    """The archive has the kind of its network, without which nobody could say which trainings it has."""
    monkeypatch.chdir(tmp_path)
    declared.config["papers"] = ["iyer2020"]
    bert = tmp_path / "bert"
    bert.mkdir()
    (bert / "config.json").write_text(json.dumps(BERT))
    (bert / "vocab.txt").write_text("")
    named = {"source": "archive", "data": {"sources": {"bert_base": str(bert)}}}
    plan, results, gaps = declared.plan("reduced", **named), tmp_path / "results", {"digits": "none known"}
    folder = plan.paths.archive
    file = table(plan, results, "squad_knee/1", pretrained=checkpoint_digests(bert))
    with pytest.raises(InputError, match="--gaps bert_base="):
        archive.add(plan, results, folder, gaps)
    assert archive.add(plan, results, folder, gaps | {"bert_base": "a small one"}).added == [file]
    assert archive.verify(folder)["data"]["bert_base"] == {"gaps": "a small one", "sha256": checkpoint_digests(bert)}
    assert (folder / "checkpoints" / "bert_base" / "config.json").read_bytes() == (bert / "config.json").read_bytes()
    unnamed = declared.plan("reduced", source="archive")
    assert file in {each.file for each in archive.wanted(unnamed)} and not unnamed.not_named() & {"squad"}
    assert archive.add(unnamed, results, folder, {}).same == [file]
    assert file not in {each.file for each in archive.wanted(declared.plan("reduced"))}

    (bert / "model.safetensors").write_bytes(b"other weights")
    table(plan, results, "squad_linear/1", pretrained=checkpoint_digests(bert))
    with pytest.raises(InputError, match=r"another bert_base than config\.yaml names now"):
        archive.add(plan, results, folder, {})
    (folder / "checkpoints" / "bert_base" / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"config.json is not what was archived"):
        archive.verify(folder)
    (folder / "checkpoints" / "bert_base" / "config.json").unlink()
    with pytest.raises(InputError, match=r"config.json is missing"):
        archive.verify(folder)


def test_the_command_adds_checks_and_prunes(declared, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "ROOT", declared.root)
    monkeypatch.chdir(tmp_path)

    def told(*arguments):
        status, printed = call_stage("commands.archive", *arguments, "--config", "scale=demo", "papers=[gotmare2019]")
        return printed.strip() or status

    file = table(declared.plan(), tmp_path / "results", "mode_G")
    assert told().splitlines() == [
        "error: Nothing was added to archive/demo:",
        "  - nobody has said what is known to differ of digits from its publisher's: "
        '--gaps digits="none known", or what it is',
    ]
    assert told("--gaps", "digits") == ("error: --gaps 'digits' is not DATA=TEXT, such as cifar10=\"none known\"")
    asked = len(archive.wanted(declared.plan()))
    assert told("--gaps", "digits=none known").splitlines() == [
        "archive/demo: 1 tables added, 0 as they were",
        f"{asked - 1} tables that the declarations ask for are not there yet: they are not run",
        "0.0 MB in all",
    ]
    table(declared.plan(), tmp_path / "results", "mode_G", 51.0)
    assert f"{file} stays, though the results have other numbers; --replace takes them" in told()
    assert told("--check") == "archive/demo: 1 tables, each as it was archived"
    declared.replace("runs", "seed: 1", "seed: 99")
    assert f"{file} is asked for by no declaration; --prune removes it" in told()
    assert told("--prune") == "archive/demo: removed 1 tables that no declaration asks for"
    assert told("--check") == "archive/demo: 0 tables, each as it was archived"


@pytest.mark.parametrize("folder", SHIPPED)
def test_what_ships_is_whole_and_asked_for(folder):
    """Every table of the repository's archives is as it was archived, and of a recipe that is declared today."""
    manifest = archive.verify(folder)
    plan = make_plan(read_config(ROOT, {"scale": folder.name, "source": "archive"}), ROOT)
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
    assert whole
