"""Trials of one setting as the workflow trains them, a group of them in each process, against a process for each run.

The runs are those of iyer2020's setting without explore epochs at the demo scale, with as many seeds as the paper has.
Both sides start the same commands, two at a time; the usual side has no file that names the groups. Every side leaves
the same tables, byte for byte.
"""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.pairs import Comparison, timed
from workflow_scripts.base.files import write_text
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.canonical import canonical, fingerprint
from workflow_scripts.recipes.schema import read_yaml

ROOT = Path(__file__).parents[1]
SETTING, TRIALS, CORES = "iyer2020/explore_0/1", 50, 2


def jobs(trials: int) -> tuple[list[dict], int]:
    """So many trials of the setting, and how many of them the demo scale puts into a group."""
    plan = make_plan({**read_yaml(ROOT / "config.yaml"), "scale": "demo", "papers": ["iyer2020"]}, ROOT)
    first = next(run for run in plan.runs.values() if SETTING in run.names)
    made = [{**first.recipe, "seed": first.recipe["seed"] + trial} for trial in range(trials)]
    return [{"recipe": recipe, "checkpoints": {}} for recipe in made], plan.scale.declared["runs_per_job"]


def train(jobs: list[dict], group: int | None, folder: Path) -> Path:
    """Train all below a new folder of results, which is returned."""
    results = Path(tempfile.mkdtemp(dir=folder))
    if group:
        write_text(
            results / "run_groups" / "demo.json",
            canonical([jobs[start : start + group] for start in range(0, len(jobs), group)]),
        )

    def run(job: dict) -> None:
        out = results / "runs" / fingerprint(job["recipe"])
        command = [sys.executable, "-m", "workflow_scripts.stages.train", "--job", canonical(job), "--out", str(out)]
        command += ["--data", str(folder / "digits"), "--scale", "demo", "--device", "cpu"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(run, jobs))
    return results


def sweep(folder: Path, trials: int) -> Comparison:
    """So many trials both ways."""
    made, group = jobs(trials)

    def agree() -> None:
        some = made[: group + 1]
        sides = train(some, group, folder), train(some, None, folder)
        for job in some:
            ours, usual = (
                read_table(side / "runs" / fingerprint(job["recipe"]) / "metrics.parquet", "metrics").frame
                for side in sides
            )
            assert ours.equals(usual)

    return Comparison(
        f"a sweep of {trials} trials at demo scale, {group} in a process",
        lambda: train(made, group, folder),
        lambda: train(made, None, folder),
        agree,
        repeats=1,
        warm_up=False,
    )


@contextlib.contextmanager
def prepared() -> Iterator[Path]:
    """A folder with the prepared digits."""
    with tempfile.TemporaryDirectory(prefix="sweep-") as name:
        command = [sys.executable, "-m", "workflow_scripts.stages.prepare_data", "digits", "--out", f"{name}/digits"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        yield Path(name)


def rows(quick: bool = False) -> list[dict]:
    with prepared() as folder:
        return timed([sweep(folder, 12 if quick else TRIALS)])
