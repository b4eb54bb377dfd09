"""The workflow on top of the plan: what Snakemake means to run, and on a tiny paper what it does run."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    MaxJobsPerTimespan,
    OutputSettings,
    Quietness,
    ResourceSettings,
    SchedulingSettings,
)

from tests.shared.checkout import NASTY, SCALE, snakemake
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import make_plan

ROOT = Path(__file__).parents[2]
GOTMARE = {"papers": ["gotmare2019"]}


@pytest.fixture
def own_process():
    """Puts back what Snakemake changes of a process that it runs in."""
    before = dict(os.environ), sys.path[:]
    yield
    os.environ.clear()
    os.environ.update(before[0])
    sys.path[:] = before[1]


@pytest.fixture
def to_run(tmp_path, monkeypatch, own_process):
    """A function that says which jobs Snakemake would run: (rule, id or artifact) of each."""

    def jobs(*targets, root=ROOT, directory=tmp_path, jobs=False, **config):
        monkeypatch.chdir(directory)
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(config=config),
                snakefile=root / "Snakefile",
                workdir=directory,
            )
            workflow.dag(DAGSettings(targets=set(map(str, targets)))).execute_workflow(executor="dryrun")
            needed = list(workflow._workflow.dag.needrun_jobs(exclude_finished=False))
            if jobs:
                return needed
            return sorted((job.rule.name, *job.wildcards_dict.values()) for job in needed)

    return jobs


def count(jobs):
    return Counter(job[0] for job in jobs)


# --- what it means to run --------------------------------------------------------------------------------------------


def test_the_whole_demo(to_run):
    assert count(to_run(**GOTMARE)) == {
        "prepare_data": 1, "train": 30, "curve": 15, "plane": 3, "similarity": 10, "embedding": 1,
        "figure": 15, "table": 1, "verdicts": 1, "all": 1,
    }  # fmt: skip


def test_the_papers_scale_takes_the_same_jobs(to_run):
    assert count(to_run(scale="paper", **GOTMARE)) == count(to_run(**GOTMARE))


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        ("figure_3", {"train": 1, "curve": 1, "plane": 1, "figure": 1}),
        ("figure_6", {"train": 3, "similarity": 2, "figure": 1}),
        ("figure_10", {"train": 7, "curve": 6, "embedding": 1, "figure": 1}),
        ("figure_15", {"train": 6, "figure": 1}),
        ("text_distillation", {"train": 11, "table": 1}),
        ("figure_2_epoch_165", {"train": 1, "curve": 3, "figure": 1}),
    ],
)
def test_an_artifact_takes_what_it_needs_and_no_more(to_run, artifact, expected):
    name = f"gotmare2019_{artifact}"
    assert count(to_run(name, scale="paper", **GOTMARE)) == {**expected, "prepare_data": 1, name: 1}


def test_the_papers_scale_takes_106_trainings_on_language(to_run):
    """And those of BERT wait for the checkpoint that they begin with."""
    jobs = to_run(jobs=True, scale="paper", papers=["iyer2020"])
    plan = make_plan(read_config(ROOT, {"scale": "paper", "papers": ["iyer2020"]}), ROOT)
    trained = [plan.runs[job.wildcards_dict["id"]] for job in jobs if job.rule.name == "train"]
    tasks = Counter(run.recipe.get("task") for run in trained)
    assert tasks == {None: 333, "translation": 82, "masked_lm": 3, "question_answering": 21}
    inputs = {job.wildcards_dict["id"]: set(map(str, job.input)) for job in jobs if job.rule.name == "train"}
    begun = [run for run in trained if run.teacher]
    assert len(begun) == 9
    for run in begun:
        assert str(plan.paths.checkpoints(run.teacher)) in inputs[run.id]
    answered = Counter(job.rule.name for job in jobs)["answers"]
    assert answered == 7


def test_a_mirror_is_named_once_for_all_that_is_made_of_it(tmp_path, to_run):
    """The same text is prepared in two directions and with a joined dictionary, unless each has a folder of its own."""
    folders = {name: tmp_path / name for name in ("mirror", "other")}
    for folder in folders.values():
        folder.mkdir()
        for stem in ("train", "val", "test_2016_flickr"):
            for language in ("de", "en"):
                (folder / f"{stem}.{language}").touch()

    def read(**sources):
        named = {"folder": "data", "sources": {name: str(folders[folder]) for name, folder in sources.items()}}
        found = to_run("iyer2020_table_12", "iyer2020_table_11", jobs=True, scale="reduced", data=named)
        return {str(job.wildcards.data): {Path(file).parent.name for file in job.input.contents}
                for job in found if job.rule.name == "prepare_data"}  # fmt: skip

    assert read(multi30k_de_en="mirror") == {"multi30k_de_en": {"mirror"}, "multi30k_en_de": {"mirror"}}
    both = {"multi30k_de_en": "mirror", "multi30k_en_de": "other"}
    assert read(**both) == {name: {folder} for name, folder in both.items()}


def test_lint_is_content(tmp_path):
    done = snakemake("--lint", directory=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout


def test_the_graph_of_rules_is_all_that_is_printed(tmp_path):
    done = snakemake("gotmare2019_figure_3", "--rulegraph", directory=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"digraph snakemake_dag \{.*\}\s*", done.stdout, re.DOTALL)
    assert {"plane", "curve", "train", "prepare_data"} <= set(re.findall(r'label = "(\w+)', done.stdout))


def test_a_mistake_ends_in_one_sentence(tmp_path):
    done = snakemake("--cores", "1", "--config", "scale=nonsense", directory=tmp_path)
    assert done.returncode == 1 and not done.stdout
    assert "config.yaml: scale is 'nonsense'; allowed are the files of scales/: demo, paper, reduced" in done.stderr
    assert "Traceback" not in done.stderr and "InputError" not in done.stderr and "make_plan" not in done.stderr


@pytest.mark.parametrize(("limit", "stays"), [("100/1s", False), ("7/1m", True)])
def test_only_a_limit_of_the_users_own_holds_up_jobs_of_one_machine(limit, stays, tmp_path, monkeypatch, own_process):
    """By the usual one the scheduler wakes up once a second for each job that it has ever started."""
    monkeypatch.chdir(tmp_path)
    asked = SchedulingSettings(max_jobs_per_timespan=MaxJobsPerTimespan.parse_choice(limit))
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1), snakefile=ROOT / "Snakefile", workdir=tmp_path
        )
        targets = DAGSettings(targets={"data/digits/dataset.json"})
        workflow.dag(targets).execute_workflow(executor="local", scheduling_settings=asked)
        used = workflow._workflow.scheduler.job_rate_limiter
    assert (tmp_path / "data/digits/dataset.json").is_file()
    assert (used is not None) == stays


# --- a tiny paper, for real ------------------------------------------------------------------------------------------


def results(site):
    return site.directory / NASTY


def test_names_that_hurt_a_shell_hurt_nobody(site):
    ids = site.ids()
    assert not list(site.root.rglob("pwned"))
    assert {path.name for path in site.directory.iterdir()} == {NASTY, "the data; touch pwned", ".snakemake"}
    for name in ("first", "second", "beside", "pupil"):
        folder = results(site) / "runs" / ids[name]
        table = read_table(folder / "metrics.parquet", "metrics")
        assert table.status == {"state": "finished"} and set(table.frame.epoch) == {1.0, 2.0}
        assert json.loads((folder / "recipe.json").read_text()) == site.plan().runs[ids[name]].recipe
        saved = {path.name for path in (folder / "checkpoints").glob("*.safetensors")}
        assert saved == ({"epoch-2.safetensors"} if name in ("first", "second") else set())
    curve = read_table(results(site) / "curve" / ids["between"] / "curve.parquet", "path")
    assert set(curve.frame.path) == {"curve", "segment"} and curve.provenance["scale"] == "seconds"
    assert not list(site.directory.rglob("*.part"))


def test_what_is_done_is_done(site, to_run):
    """Comments, the order of keys, touched files and rewritten scales run nothing again."""
    assert to_run(*site.targets(), root=site.root, directory=site.directory) == []
    before = {
        path: path.read_text() for path in site.root.glob("*/**/*.yaml") if not path.is_relative_to(site.directory)
    }
    for path, text in before.items():
        path.write_text("# A comment.\n" + text + "\n# Another.\n")
    site.write("scales/seconds.yaml", dict(reversed(SCALE.items())))
    site.change("{name: sgd, momentum: 0.9, weight_decay: 5e-4}", "{weight_decay: 0.0005, momentum: 0.9, name: sgd}")
    try:
        assert to_run(*site.targets(), root=site.root, directory=site.directory) == []
    finally:
        for path, text in before.items():
            path.write_text(text)


def test_swapped_rate_and_decay_retrain_what_they_touch(site, to_run):
    before = site.ids()
    site.change("second: {seed: 2}", "second: {seed: 2, schedule: {lr: 5e-4}, optimizer: {weight_decay: 0.02}}")
    after = site.ids()
    try:
        jobs = to_run(*site.targets(), root=site.root, directory=site.directory)
    finally:
        site.change("second: {seed: 2, schedule: {lr: 5e-4}, optimizer: {weight_decay: 0.02}}", "second: {seed: 2}")
    assert {name for name in before if before[name] != after[name]} == {"second", "between"}
    assert jobs == [("curve", after["between"]), ("train", after["second"])]


def test_a_run_that_joins_the_others_retrains_none_of_them(site, to_run):
    site.change("      first: {}\n", "      before: {seed: 4}\n      first: {}\n")
    try:
        jobs = to_run(*site.targets(), root=site.root, directory=site.directory)
        expected = ("train", site.ids()["before"])
    finally:
        site.change("      before: {seed: 4}\n", "")
    assert jobs == [expected]


# --- other code than that which made the results ---------------------------------------------------------------------


@contextlib.contextmanager
def own_code(site, folder, file, old, new):
    """A checkout in which one file of the code is another."""
    link = site.root / folder
    link.unlink()
    shutil.copytree(ROOT / folder, link, ignore=shutil.ignore_patterns("__pycache__"))
    for path in link.rglob("*"):
        os.utime(path, (0, 0))  # as old as the results
    try:
        text = (link / file).read_text()
        assert old in text
        (link / file).write_text(text.replace(old, new))
        yield
    finally:
        shutil.rmtree(link)
        link.symlink_to(ROOT / folder)


def test_another_commits_way_to_start_a_training_trains_nothing_and_mixes_nothing(site, to_run):
    """The jobs that Snakemake takes for changed find in the store what their recipes ask for, and nothing else."""
    ids, store = site.ids(), results(site) / "store"
    tables = {path: read_table(path, "metrics") for path in (results(site) / "runs").rglob("metrics.parquet")}
    finished = {path: path.stat().st_mtime_ns for path in store.rglob("finished.json")}
    old, new = (f"PLAN.runs[wildcards.id].job.{what}" for what in ("text", "document"))
    new = f"canonical({{**{new}, 'format': 2}})"
    with own_code(site, "rules", "train.smk", old, new):
        jobs = to_run(*site.targets(), root=site.root, directory=site.directory)
        assert {job[1] for job in jobs if job[0] == "train"} == {ids[n] for n in ("first", "second", "beside", "pupil")}
        done = snakemake(*site.targets(), "--cores", "1", root=site.root, directory=site.directory)
        assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in store.rglob("finished.json")} == finished
    for path, before in tables.items():
        after = read_table(path, "metrics")
        assert after.frame.equals(before.frame) and after.provenance == before.provenance
    done = snakemake(*site.targets(), "--cores", "1", root=site.root, directory=site.directory)
    assert done.returncode == 0, done.stderr  # back at this commit, likewise
    assert {path: path.stat().st_mtime_ns for path in store.rglob("finished.json")} == finished


ASK = """
from pathlib import Path
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.schema import read_yaml

print(*make_plan(read_yaml(Path("config.yaml")), Path()).analyses)
"""


def test_results_of_an_older_engine_are_not_taken_for_new_ones(site, to_run):
    with own_code(site, "workflow_scripts", "planning/kinds/__init__.py", '"curve", 1', '"curve", 2'):
        environment = {**os.environ, "PYTHONPATH": str(site.root)}
        ask = [sys.executable, "-c", ASK]
        newer = subprocess.run(ask, cwd=site.root, env=environment, capture_output=True, text=True).stdout.strip()
        assert newer and newer != site.ids()["between"]  # this process has its own engine
        target = Path(NASTY) / "curve" / newer / "curve.parquet"
        done = snakemake(target, "--dry-run", root=site.root, directory=site.directory, env=environment)
        assert done.returncode == 0 and re.search(r"^curve +1$", done.stdout, re.MULTILINE), done.stdout + done.stderr
        assert not re.search(r"^train +", done.stdout, re.MULTILINE)


def test_a_figure_is_drawn_anew_by_changed_plotting_code_and_by_nothing_else(site, to_run):
    figure = {"number": "Figure 1", "section": "1", "title": "A figure", "caption": "It shows.", "template": "figure"}
    panel = {"kind": "path_metric", "metric": "loss", "split": "test", "series": [{"label": "x", "curve": "between"}]}
    site.write("papers/tiny/artifacts.yaml", {"artifacts": {"figure_1": {**figure, "panels": [panel]}}})
    folder = results(site) / "seconds" / "tiny" / "figure_1"
    try:
        folder.mkdir(parents=True)
        for name in ("figure.png", "figure.svg", "values.csv", "notebook.html", "notebook.ipynb"):
            (folder / name).touch()
        for file, drawn in (("plotting/style.py", True), ("landscape/curves.py", False)):
            with own_code(site, "workflow_scripts", file, '"""', '""" '):
                jobs = to_run("tiny_figure_1", root=site.root, directory=site.directory)
            assert [job[0] for job in jobs] == (["figure", "tiny_figure_1"] if drawn else [])
    finally:
        site.write("papers/tiny/artifacts.yaml", {"artifacts": {}})
        shutil.rmtree(folder)


def test_what_is_tried_again_has_more_memory_and_more_time_where_it_cannot_go_on(tmp_path, to_run):
    asked = {job.rule.name: job for job in to_run(jobs=True, **GOTMARE)}
    for name in ("train", "curve", "plane", "similarity", "embedding", "figure"):
        first, second = (asked[name].rule.expand_resources(asked[name].wildcards, asked[name].input, n) for n in (1, 2))
        assert second["mem_mb"] == 2 * first["mem_mb"], name
        longer = 1 if name in ("train", "curve") else 2
        assert second["runtime"] == longer * first["runtime"], name


def test_a_changed_seed_trains_one_run_for_real(site):
    before = site.ids()
    files = {path: path.stat().st_mtime_ns for path in results(site).rglob("*.parquet")}
    site.change("beside: {seed: 3}", "beside: {seed: 33}")
    after = site.ids()
    done = snakemake(*site.targets(), "--cores", "1", root=site.root, directory=site.directory)
    assert done.returncode == 0, done.stderr
    assert {name for name in before if before[name] != after[name]} == {"beside"}
    assert {path: path.stat().st_mtime_ns for path in files} == files
    new = {path for path in results(site).rglob("*.parquet")} - set(files)
    assert {path.parent.relative_to(results(site)).as_posix() for path in new} == {
        f"{folder}/{after['beside']}" for folder in ("runs", "store")
    }
