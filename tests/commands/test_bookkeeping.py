"""What the folder of results holds is reported rightly, and only the stale is deleted; prices are of what is left."""

import copy
import fcntl
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tests.shared.checkout import Site
from tests.shared.stages import call_stage
from workflow_scripts.base.errors import InputError
from workflow_scripts.bookkeeping import inventory as inventories
from workflow_scripts.bookkeeping.differences import differences, nearest
from workflow_scripts.bookkeeping.inventory import Inventory, all_plans
from workflow_scripts.bookkeeping.operations import Operations
from workflow_scripts.bookkeeping.rates import Rates
from workflow_scripts.commands import price, stale
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.datasets.text.settings import TEXT
from workflow_scripts.evidence import provenance
from workflow_scripts.evidence.tables import read_facts, read_table, write_table
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes import engine
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.runtime.store import Store
from workflow_scripts.training.job import Trainer, export
from workflow_scripts.training.settings import Settings

ROOT = Path(__file__).parents[2]
FIGURE = {"number": "Figure 1", "section": "1", "title": "A figure", "caption": "It shows.", "template": "figure"}


class Done(Site):
    """The tiny paper with its runs and its curve in the folder of results, made without Snakemake."""

    def __init__(self, root, source):
        root.mkdir()
        super().__init__(root, source)
        prepare("birds", root / "d" / "birds", source)
        self.settle()
        self.finish("first", "second", "beside", "pupil")
        plan = self.plan()
        (curve,) = plan.analyses.values()
        ends = [plan.paths.checkpoints(curve.recipe[key]["run"]) / "epoch-2.safetensors" for key in ("start", "end")]
        arguments = {"recipe": canonical(curve.recipe), "start": ends[0], "end": ends[1], "device": "cpu"}
        arguments |= {"data": root / "d" / "birds", "out": plan.paths.analysis("curve", curve.id)}
        told = call_stage("curve", *(word for name, value in arguments.items() for word in (f"--{name}", value)))
        assert told[0] == 0, told

    def settle(self):
        """Write where data and results are."""
        config = read_config(self.root, {"results": str(self.results), "data": {"folder": str(self.root / "d")}})
        config["data"]["sources"] = {"birds": str(next(self.root.glob("birds*")))}
        self.write("config.yaml", config)

    def copy(self, root):
        """Another one at another place."""
        shutil.copytree(self.root, root, symlinks=True)
        other = copy.copy(self)
        other.root, other.directory = root, root / self.directory.name
        other.settle()
        return other

    @property
    def results(self):
        return self.root / "out"

    def finish(self, *names):
        """Train runs by their names."""
        plan, ids = self.plan(), self.ids()
        trainer = Trainer(Settings(self.root / "d" / "birds", self.results / "store", "cpu"))
        for name in names:
            job = plan.runs[ids[name]].job
            export(trainer.finish(job, job.source(self.results / "runs")), job, plan.paths.run(job.id))

    def inventory(self):
        return Inventory(all_plans(read_config(self.root, {}), self.root))

    def states(self):
        """Of runs and curves, by kind and identity."""
        return {(item.kind, item.id): item.state for item in self.inventory().items}

    def call(self, module, monkeypatch, *arguments):
        """A command in the folder where Snakemake runs."""
        monkeypatch.setattr(module, "ROOT", self.root)
        monkeypatch.chdir(self.directory)
        before = dict(os.environ), sys.path[:]
        try:
            return call_stage(module.__name__.partition(".")[2], *arguments)
        finally:
            os.environ.clear()
            os.environ.update(before[0])
            sys.path[:] = before[1]


@pytest.fixture(scope="module")
def done(tmp_path_factory, tiny_source):
    return Done(tmp_path_factory.mktemp("done") / "site", tiny_source)


@pytest.fixture
def site(done, tmp_path):
    return done.copy(tmp_path / "site")


# --- what is stale ---------------------------------------------------------------------------------------------------


def test_what_this_commit_made_is_current_and_what_another_made_is_reused(site, monkeypatch):
    states = site.states()
    assert set(states.values()) == {"current"}
    assert sorted(kind for kind, _ in states) == ["curve", *["run"] * 4, *["work"] * 5]
    monkeypatch.setattr(provenance, "git", lambda: {"commit": "f" * 40, "dirty": False})
    inventory = site.inventory()
    assert {item.state for item in inventory.items if item.kind != "work"} == {"reused"}
    (first,) = (item for item in inventory.of("reused") if item.id == site.ids()["first"])
    made = read_facts(first.folder / "metrics.parquet")[1]["git"]["commit"]
    assert first.commit == made and first.names == ["seconds: tiny/first"]
    assert made[:10] in stale.line(first) and f"reused of commits {made[:10]} (5)" in stale.summary(inventory)


def test_an_unknown_commit_is_not_current(site, monkeypatch):
    unknown = {"commit": "unknown", "dirty": "unknown", "reason": "git is not installed"}
    monkeypatch.setattr(provenance, "git", lambda: unknown)
    monkeypatch.setattr(inventories, "read_facts", lambda table: ({"state": "ok"}, {"git": unknown}))
    inventory = site.inventory()
    assert {item.state for item in inventory.items if item.kind != "work"} == {"reused"}
    assert "commit of this code is unknown (git is not installed)" in stale.summary(inventory)


def test_a_changed_recipe_leaves_its_results_and_what_rests_on_them_stale(site):
    before = site.ids()
    site.change("second: {seed: 2}", "second: {seed: 22}")
    found = {(item.kind, item.id): item for item in site.inventory().items}
    old = before["second"]
    assert {key for key, item in found.items() if item.state == "stale"} == {
        ("run", old), ("work", old), ("curve", before["between"]),
        *((kind, id) for kind, id in found if kind == "work" and id not in before.values()),  # the curve's training
    }  # fmt: skip
    assert found["run", old].why == "no declaration asks for it any more"
    assert found["curve", before["between"]].why == f"made from the run {old}, which is stale"


def test_a_recipe_that_another_scale_asks_for_is_not_stale(site):
    text = (site.root / "scales/seconds.yaml").read_text()
    site.write("scales/other.yaml", text)
    site.write("scales/seconds.yaml", text.replace("samples_per_epoch: 40", "samples_per_epoch: 60"))
    found = site.inventory()
    assert {item.state for item in found.items} == {"current"}
    assert all(name.startswith("other: ") for item in found.items for name in item.names)


def test_results_of_an_older_engine_are_stale_and_say_so(site, monkeypatch):
    monkeypatch.setattr(engine, "TRAINING", 2)
    found = site.inventory().items
    assert {item.state for item in found} == {"stale"}
    assert {item.why for item in found if item.kind == "run"} == {"made by engine 1 of run, which is 2 now"}
    (curve,) = (item for item in found if item.kind == "curve")
    assert "which is stale" in curve.why


def test_another_grid_makes_a_curve_stale_and_not_its_training(site):
    site.write(
        "papers/tiny/analyses.yaml",
        (site.root / "papers/tiny/analyses.yaml").read_text().replace("points: 3", "points: 5"),
    )
    assert {key for key, state in site.states().items() if state == "stale"} == {("curve", site_curve(site))}


def test_work_is_not_stale_where_its_data_or_its_checkpoints_are_not_here_to_compare(site, monkeypatch):
    (work,) = (item.folder for item in site.inventory().items if item.kind == "work" and "ends" in item.recipe)
    (site.root / "d").rename(site.root / "elsewhere")
    found = {item.folder: item for item in site.inventory().items}
    assert found[work].state == "unknown" and "may be of seconds: curve tiny/between" in found[work].why
    assert site.call(stale, monkeypatch, "--remove")[0] == 0 and work.exists()
    (site.root / "elsewhere").rename(site.root / "d")
    for folder in (site.results / "runs" / site.ids()["second"], site.results / "store" / site.ids()["second"]):
        shutil.rmtree(folder)
    assert next(item for item in site.inventory().items if item.folder == work).state == "unknown"


def site_curve(site):
    (folder,) = (site.results / "curve").iterdir()
    return folder.name


@pytest.mark.parametrize("harm", ["no table", "damaged table", "no identity"])
def test_what_is_half_made_or_foreign_is_unknown_and_stays(site, monkeypatch, harm):
    site.change("beside: {seed: 3}", "beside: {seed: 33}")
    (old,) = (item for item in site.inventory().of("stale") if item.kind == "run")
    work = site.results / "store" / old.id
    if harm == "no table":
        (old.folder / "metrics.parquet").unlink()
    elif harm == "damaged table":
        table = old.folder / "metrics.parquet"
        table.unlink()
        table.write_bytes(b"no table")
    else:
        (work / "identity.json").unlink()
    kept = work if harm == "no identity" else old.folder
    assert next(item for item in site.inventory().items if item.folder == kept).state == "unknown"
    assert site.call(stale, monkeypatch, "--remove")[0] == 0
    assert kept.exists() and work.exists() == (harm == "no identity")


def test_only_what_is_listed_as_stale_is_deleted_and_only_when_asked(site, monkeypatch):
    site.change("beside: {seed: 3}", "beside: {seed: 33}")
    before = {path for path in site.results.rglob("*")}
    status, told = site.call(stale, monkeypatch)
    assert status == 0 and "nothing was deleted" in told
    assert {path for path in site.results.rglob("*")} == before
    assert sum(line.startswith("stale") for line in told.splitlines()) == 2
    status, told = site.call(stale, monkeypatch, "--remove")
    assert status == 0 and "deleted 2 folders" in told
    gone = before - {path for path in site.results.rglob("*")}
    roots = {path for path in gone if path.parent not in gone}
    assert {path.parent.name for path in roots} == {"runs", "store"} and len({path.name for path in roots}) == 1
    assert "stale" not in site.states().values()


def test_a_file_of_two_names_is_weighed_once(site):
    items = site.inventory().items
    alone = {}
    for path in site.results.rglob("*"):
        facts = path.lstat()
        if path.parent not in (site.results, *(site.results / kind for kind in ("runs", "store", "curve"))):
            alone[facts.st_ino] = facts.st_blocks * 512
    assert sum(item.bytes for item in items) == sum(alone.values()) > 0


@pytest.mark.parametrize("gone", ["data", "checkpoints"])
def test_finished_work_is_not_stale_where_its_data_or_checkpoints_are_elsewhere(site, monkeypatch, gone):
    if gone == "data":
        file = site.directory / "elsewhere.yaml"
        file.write_text(yaml.safe_dump({"data": {"folder": str(site.root / "nowhere")}}))
        more = ["--configfile", file]
    else:
        more = []
        first = site.ids()["first"]
        for folder in (site.results / "runs" / first, site.results / "store" / first):
            shutil.rmtree(folder / "checkpoints")
    before = set((site.results / "store").iterdir())
    status, told = site.call(stale, monkeypatch, "--remove", *more)
    assert status == 0 and set((site.results / "store").iterdir()) == before, told
    assert "whose data or checkpoints are not here to compare" in told


def test_work_that_a_process_is_at_stays(site, monkeypatch):
    old = site.ids()["beside"]
    site.change("beside: {seed: 3}", "beside: {seed: 33}")
    with (site.results / "store" / old / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _, told = site.call(stale, monkeypatch, "--remove")
    assert f"{old} stays: a process is at work on it" in told and "deleted 1 folders" in told
    assert (site.results / "store" / old).exists() and not (site.results / "runs" / old).exists()


def test_nothing_is_deleted_while_snakemake_runs(site, monkeypatch):
    site.change("beside: {seed: 3}", "beside: {seed: 33}")
    (site.directory / ".snakemake" / "locks").mkdir(parents=True)
    (site.directory / ".snakemake" / "locks" / "0.input.lock").touch()
    before = set(site.results.rglob("*"))
    status, _ = site.call(stale, monkeypatch, "--remove")
    assert "Snakemake is at work in this folder" in status and set(site.results.rglob("*")) == before


def test_nothing_is_called_stale_where_a_declaration_cannot_be_read(site):
    site.write("scales/broken.yaml", "about: half a scale")
    with pytest.raises(InputError, match=r"scales/broken\.yaml"):
        site.inventory()


def test_a_picture_that_is_declared_otherwise_now_is_outdated_and_one_that_is_not_declared_is_stale(site):
    panel = {
        "kind": "path_metric",
        "metric": "loss",
        "split": "test",
        "series": [{"label": "curve", "curve": "between"}],
    }
    figure = {"number": "Figure 1", "section": "1", "title": "On the curve", "caption": "A curve.",
              "template": "figure", "panels": [panel]}  # fmt: skip
    site.write("papers/tiny/artifacts.yaml", {"artifacts": {"figure_1": figure}})
    (artifact,) = site.plan().artifacts.values()
    for name, spec in (("figure_1", artifact.spec), ("figure_2", artifact.spec)):
        folder = site.plan().paths.artifact("seconds", "tiny", name)
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(json.dumps(spec))
        (folder / "notebook.ipynb").write_text(f"| git | commit {'a' * 40}, dirty False |")
    assert {id: state for (kind, id), state in site.states().items() if kind == "artifact"} == {
        "figure_1": "reused", "figure_2": "stale",
    }  # fmt: skip
    site.write("papers/tiny/artifacts.yaml", {"artifacts": {"figure_1": {**figure, "title": "Anew"}}})
    assert site.states()["artifact", "figure_1"] == "outdated"


# --- prices ----------------------------------------------------------------------------------------------------------


def with_seconds(site, name, **facts):
    """Say in the metrics of a run how long it took, and on what."""
    path = site.results / "runs" / site.ids()[name] / "metrics.parquet"
    table = read_table(path, "metrics")
    write_table(path, table.frame, "metrics", facts.pop("status", None), {**table.provenance, **facts})


def test_bert_is_counted_by_its_matrix_products_in_each_phase():
    """Multiplications and additions of a pair of each length, three passes for each of a training."""
    width, ffn, layers, pieces = 16, 24, 3, TEXT["grammar_documents"].pieces
    model = {"name": "bert", "layers": layers, "width": width, "heads": 2, "ffn": ffn}

    def forward(length, heads):
        layer = length * (4 * width**2 + 2 * width * ffn) + 2 * length**2 * width
        return 2 * (layers * layer + heads)

    def pretraining(length, masked):
        return forward(length, width**2 + 2 * width + masked * (width**2 + width * pieces))

    operations = Operations(SimpleNamespace(scale=SimpleNamespace(info=TEXT.get)))
    common = {"model": model, "updates_per_epoch": 5, "batch_size": 7, "epochs": 4}
    recipe = {**common, "task": "masked_lm", "data": "grammar_documents", "lengths": [[3, 20], [1, 40]]}
    work = operations.training(recipe)
    assert work.operations == pytest.approx(3 * 35 * (3 * pretraining(20, 3) + pretraining(40, 6)))
    assert work.images == 35 * (3 * 20 + 40)
    recipe = {**common, "task": "question_answering", "data": "grammar_questions", "length": 30, "stride": 8}
    assert operations.training(recipe).operations == pytest.approx(3 * 4 * 35 * forward(30, 30 * 2 * width))


def test_a_rate_is_the_middle_one_of_the_networks_trainings_on_the_device(site):
    gpu = "cuda (NVIDIA H100)"
    with_seconds(site, "first", device=gpu, seconds=4.0)
    with_seconds(site, "second", device=gpu, seconds=8.0)
    with_seconds(site, "beside", device=f"2 x {gpu}", seconds=10.0)  # five seconds of each
    with_seconds(site, "pupil", device="cpu", seconds=1.0)
    operations, plan, ids = Operations(site.plan()), site.plan(), site.ids()
    training = {id: operations.training(run.recipe) for id, run in plan.runs.items()}
    rates = Rates(site.inventory().items, operations, "cuda", given=1e12)
    vgg, pupil = training[ids["second"]], training[ids["pupil"]]
    assert vgg.images == 80 and rates.hours(vgg) == pytest.approx(8.0 / 3600)
    assert rates.described(vgg.network) == "measured, 10 images/s in 3 trainings on cuda (NVIDIA H100)"
    assert rates.hours(pupil) == pytest.approx(pupil.operations / 1e12 / 3600)
    assert rates.described(pupil.network) == "given, 1e+12 operations a second"
    assert Rates(site.inventory().items, operations, "cpu").hours(pupil) == pytest.approx(1.0 / 3600)
    assert (
        Rates([], operations, "cuda").described(vgg.network).startswith("assumed")
    )  # of another width and size of images


def test_what_was_benchmarked_is_priced_so_and_told():
    """On an H100 VGG-16 and ResNet-18 on CIFAR-10 go as fast as in docs/benchmarks.md, nothing else does."""
    plan = make_plan(read_config(ROOT, {"scale": "paper"}), ROOT)
    operations = Operations(plan)
    rates, cpu = Rates([], operations, "cuda"), Rates([], operations, "cpu")
    table = (ROOT / "docs" / "benchmarks.md").read_text()
    known = {("vgg16", 100): "VGG-16, batch 100", ("vgg16", 5000): "VGG-16, batch 5,000"}
    known |= {("resnet18", 128): "ResNet-18, batch 128", ("resnet18", 5000): "ResNet-18, batch 5,000"}
    found = set()
    for run in plan.runs.values():
        work = operations.training(run.recipe)
        key = run.recipe["model"]["name"], work.batch
        if run.recipe["data"] == "cifar10" and key in known:
            (row,) = (line for line in table.splitlines() if line.startswith(f"| {known[key]} |"))
            images = float(row.split("|")[2].replace(",", ""))
            passes = 3 * operations.network(run.recipe["model"], "cifar10")[0]
            assert rates.hours(work) == pytest.approx(work.operations / (images * passes) / 3600, rel=0.01)
            assert rates.described(work.network).startswith("benchmarked")
            found.add(key)
        elif run.recipe["data"] != "cifar10":
            assert rates.described(work.network).startswith("assumed")
        assert cpu.described(work.network).startswith("assumed")
    assert {("vgg16", 100), ("resnet18", 128)} <= found


@pytest.mark.parametrize(
    "facts",
    [
        {"seconds": None},
        {"seconds": 1.0, "device": "cuda (NVIDIA H100)"},
        {"seconds": 1.0, "status": {"state": "diverged", "run": "x", "step": 2, "epoch": 1.0, "reason": "so"}},
    ],
)
def test_a_training_that_tells_no_rate_is_no_measure(site, facts):
    for name in ("first", "second", "beside"):
        with_seconds(site, name, **facts)
    rates = Rates(site.inventory().items, Operations(site.plan()), "cpu")
    assert [network for network in rates.measured if "vgg9" in network.model] == []


def test_a_price_knows_what_is_there_what_is_left_and_why(site, monkeypatch):
    series = [{"label": name, "run": name} for name in ("beside", "second")]
    panel = {"kind": "training_curve", "metric": "loss", "split": "train", "series": series}
    figure = FIGURE | {"panels": [panel]}
    site.write("papers/tiny/artifacts.yaml", {"artifacts": {"figure_1": figure}})

    def told():
        status, text = site.call(price, monkeypatch, "tiny_figure_1", "--device", "cpu")
        assert status == 0, text
        rows = {line.split("  ")[0]: line.split()[-7:] for line in text.splitlines() if line and line[0] != " "}
        return text, [*map(int, rows["tiny_figure_1"][:4])], [*map(int, rows["still to be done"][:4])]

    text, whole, left = told()
    assert whole == [4, 2, 0, 0] and left == [1, 0, 0, 0]  # two trainings, the data and the figure
    assert "1 figure: output files have to be generated" in text and "measured" in text
    before = site.ids()["beside"]
    site.change("beside: {seed: 3}", "beside: {seed: 3, schedule: {lr: 0.5}}")
    text, whole, left = told()
    assert whole == [4, 2, 0, 0] and left == [2, 1, 0, 0]
    assert f"tiny/beside is trained anew: unlike in {before}, schedule.lr was 0.02, is 0.5" in text
    site.finish("beside")
    (site.results / "runs" / site.ids()["beside"] / "metrics.parquet").unlink()
    text, _, left = told()
    assert left == [2, 0, 0, 0] and "1 of the trainings are finished in the store and not trained again." in text
    store = Store(site.results / "store", site.ids()["beside"], {})
    (store.folder / "finished.json").unlink()
    tensors, progress = store.snapshot()
    store.save_snapshot(tensors, {**progress, "epoch": 1})
    text, _, left = told()
    assert left == [2, 1, 0, 0] and "tiny/beside goes on after epoch 1 of 2" in text
    (store.folder / "snapshot.safetensors").write_bytes(b"damaged")
    text, _, left = told()
    assert left == [2, 1, 0, 0] and "tiny/beside is trained again: output files have to be generated" in text


def test_of_a_training_the_epochs_that_were_trained_are_not_priced(site):
    plan, id = site.plan(), site.ids()["beside"]
    work = Operations(plan).training(plan.runs[id].recipe)
    jobs = [price.Pending("train", id, "so")]
    (left,) = price.still(plan, {("train", id): work}, jobs, {id: 1})
    assert (left.operations, left.images, left.disk) == (work.operations / 2, 40, work.disk)
    assert price.still(plan, {("train", id): work}, jobs, {id: 0}) == []


def test_a_price_counts_the_teachers_of_teachers(declared):
    soft = {"temperature": 2, "scale_by_temperature_squared": False}
    declared.run("student", {"model": "student", "distillation": {**soft, "teacher": "mode_G@epoch-3"}})
    declared.run("grandchild", {"model": "student", "distillation": {**soft, "teacher": "student@epoch-4"}})
    plan = declared.plan()
    ids = {name.partition("/")[2]: run.id for run in plan.runs.values() for name in run.names}
    plan.artifacts["family"] = SimpleNamespace(runs=[plan.runs[ids["grandchild"]]], analyses=[])
    needed = Operations(plan).needed(["family"])
    assert set(needed) == {("train", ids[name]) for name in ("grandchild", "student", "mode_G")}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "there is no artifact nonsense"),
        (["--config", "scale"], "--config 'scale' is not KEY=VALUE"),
        (["--config", "scale=nonsense"], "config.yaml: scale is 'nonsense'"),
    ],
)
def test_a_mistake_is_told(arguments, sentence):
    assert sentence in call_stage("commands.price", *arguments)[0]


def test_differences_name_their_places():
    old = {"a": 1, "b": {"c": [1, 2], "d": None}, "e": 5}
    assert differences(old, {"a": 1.0, "b": {"c": [1, 3], "d": {"f": 2}}}) == [
        "b.c was [1,2], is [1,3]", "b.d.f was null, is 2", "e was 5, is null",
    ]  # fmt: skip
    assert nearest({"a": 1, "b": 2}, [("far", {"a": 0, "b": 0}), ("near", {"a": 1, "b": 0})]) == (
        "near",
        ["b was 0, is 2"],
    )
    assert nearest({name: 1 for name in "abcd"}, [("other", {})]) is None
