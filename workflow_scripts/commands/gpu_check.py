"""Measure a GPU that may be there for minutes alone, in stages that each end whole and print a table.

    1  versions, the rate of a matrix product, and that of memory
    2  training: ours against the usual loop and the floor, and several runs that share the GPU
    3  the tests that need a GPU
    4  figures through Snakemake: figure 2 of gotmare2019 from the paper's own trainings, then scale reduced

    python -m workflow_scripts.commands.gpu_check --stages 1,2,3
    python -m workflow_scripts.commands.gpu_check --stages 4 --figures sampled=gotmare2019_figure_2:400
    python -m workflow_scripts.commands.gpu_check --tiny          # on a CPU, to see that everything runs

A stage that reaches its time limit is ended; what it has measured or trained by then is kept, and trainings go on from
there when it is called again.
"""

import argparse
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import command_line, run

ROOT = Path(__file__).parents[2]
LIMITS = {1: 60, 2: 240, 3: 120, 4: 600}  # seconds
FIGURES = ("sampled=gotmare2019_figure_2", "reduced=all")
TINY_FIGURES = ("demo=iyer2020_figure_4a",)
GRACE = 15  # seconds from asking a stage to end to ending it


def main() -> None:
    parser = command_line("commands.gpu_check", __doc__)
    parser.add_argument("--stages", default="1,2,3,4", help="default: %(default)s")
    parser.add_argument("--limit", action="append", default=[], metavar="STAGE=SECONDS", help=f"default: {LIMITS}")
    parser.add_argument("--out", type=Path, default=Path("results/gpu-check"), help="default: %(default)s")
    parser.add_argument(
        "--figures", action="append", metavar="SCALE=TARGET,TARGET[:SECONDS]", help=f"default: {FIGURES}"
    )
    parser.add_argument("--runs-per-gpu", type=int, default=8, help="jobs that share the GPU (default: %(default)s)")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="for Snakemake, in stage 4")
    parser.add_argument("--tiny", action="store_true", help="a little of everything, as on a CPU")
    given = parser.parse_args()
    limits = LIMITS | dict(numbers(given.limit))
    given.out.mkdir(parents=True, exist_ok=True)
    ended = [(stage, *work(stage, given, limits[stage])) for stage in stages(given.stages)]
    print("\nstage  seconds  outcome")
    for stage, seconds, outcome in ended:
        print(f"{stage:5}  {seconds:7.0f}  {outcome}")
    print(f"The tables stand in {given.out}.")


def stages(text: str) -> list[int]:
    """The numbers of the stages, from words.

    Raises
    ------
    InputError : there is no such stage.
    """
    found = [int(word) if word.isdecimal() else 0 for word in text.split(",")]
    if not set(found) <= set(LIMITS):
        raise InputError(f"--stages {text!r} is not a list of the stages 1 to 4, such as 1,2")
    return found


def numbers(given: list[str]) -> list[tuple[int, int]]:
    """Time limits by stage.

    Raises
    ------
    InputError : one is not STAGE=SECONDS.
    """
    parts = [each.split("=") for each in given]
    if wrong := [text for text, part in zip(given, parts, strict=True) if not is_limit(part)]:
        raise InputError(f"--limit {wrong[0]!r} is not STAGE=SECONDS, such as 4=500")
    return [(int(stage), int(seconds)) for stage, seconds in parts]


def is_limit(part: list[str]) -> bool:
    return len(part) == 2 and all(word.isdecimal() for word in part) and int(part[0]) in LIMITS


def work(stage: int, given: argparse.Namespace, limit: float) -> tuple[float, str]:
    """Do a stage's commands one after the other within its limit; the seconds that it took, and how it ended."""
    begin, outcomes = time.monotonic(), []
    for number, (command, most) in enumerate(commands(stage, given)):
        print(f"\nStage {stage}: {' '.join(command)}", flush=True)
        left = min(most, limit - (time.monotonic() - begin))
        outcomes.append(limited(command, left, given.out / f"stage_{stage}_{number}.log"))
    if stage == 4:
        print(jobs_done(Path("results") / "logs"))
    return time.monotonic() - begin, ", ".join(outcomes)


def commands(stage: int, given: argparse.Namespace) -> list[tuple[list[str], float]]:
    """The commands of a stage, each with a limit of its own in seconds."""
    tiny = ["--tiny"] if given.tiny else []
    if stage in (1, 2):
        name = {1: "rate", 2: "training"}[stage]
        return [([sys.executable, "-m", "benchmarks.bench_gpu", name, "--out", str(given.out), *tiny], math.inf)]
    if stage == 3:
        return [([sys.executable, "-m", "pytest", "-q", "-k", "cuda", "-p", "no:cacheprovider", "tests"], math.inf)]
    figures = given.figures or (TINY_FIGURES if given.tiny else FIGURES)
    return [figure_command(figure, given) for figure in figures]


def figure_command(figure: str, given: argparse.Namespace) -> tuple[list[str], float]:
    """Snakemake's command for SCALE=TARGET,TARGET[:SECONDS], and its limit.

    Raises
    ------
    InputError : it is not of that form.
    """
    match = re.fullmatch(r"(\w+)=([\w,]+)(?::(\d+))?", figure)
    if not match:
        raise InputError(f"--figures {figure!r} is not SCALE=TARGET,TARGET[:SECONDS], such as reduced=all:300")
    return snakemake(match[1], match[2], given), float(match[3] or math.inf)


def snakemake(scale: str, targets: str, given: argparse.Namespace) -> list[str]:
    """Snakemake's command for targets at a scale, with all cores and jobs that share the GPU."""
    config = [f"scale={scale}", f"training={{runs_per_gpu: {given.runs_per_gpu}}}", *given.config]
    command = [sys.executable, "-m", "snakemake", "--cores", str(os.cpu_count()), "--keep-going", "--rerun-incomplete"]
    return [*command, "--resources", "gpu=1", "--config", *config, "--", *targets.split(",")]


def limited(command: list[str], seconds: float, log: Path) -> str:
    """Run a command, seen here and in a log, until its time is over; how it ended."""
    if seconds <= 0:
        return "no time left"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    tee = subprocess.Popen(["tee", "-i", str(log)], stdin=subprocess.PIPE)
    process = subprocess.Popen(
        command, stdout=tee.stdin, stderr=subprocess.STDOUT, env=environment, start_new_session=True
    )
    try:
        status = process.wait(seconds)
        return "done" if status == 0 else f"ended with status {status}"
    except subprocess.TimeoutExpired:
        end(process)
        return f"ended at its limit of {seconds:.0f} s; what it had is kept"
    finally:
        tee.stdin.close()
        tee.wait(GRACE)


def end(process: subprocess.Popen) -> None:
    """Ask a command and all that it started to end, then end them."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE)
        except (subprocess.TimeoutExpired, ProcessLookupError):
            continue


def jobs_done(logs: Path) -> str:
    """How many jobs of each kind have ended so far, and their seconds, from what Snakemake measured."""
    lines = ["", "| jobs | done | seconds of all | longest |", "|:--|--:|--:|--:|"]
    for folder in sorted(logs.glob("*/")):
        seconds = [float(path.read_text().split("\n")[1].split("\t")[0]) for path in folder.glob("*.benchmark.tsv")]
        if seconds:
            lines.append(f"| {folder.name} | {len(seconds)} | {sum(seconds):.0f} | {max(seconds):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
