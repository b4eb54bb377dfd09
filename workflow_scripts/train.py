"""Train one run, or take it from the store where it has been trained before.

The outputs are metrics.parquet (the tidy table), checkpoints/<label>.safetensors and recipe.json.
"""

import argparse
import json
from pathlib import Path

from workflow_scripts.base.arguments import add_resuming, add_running, results_folder
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import run
from workflow_scripts.training.job import Job, Settings, Trainer, export


def read_job(text: str) -> Job:
    """A job from its canonical JSON, or from a file that holds it."""
    try:
        document = json.loads(Path(text).read_text() if text.endswith(".json") else text)
        return Job(document["recipe"], document["checkpoints"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"--job is not the JSON of a training job with recipe and checkpoints: {error!r}") from None


def settings(given: argparse.Namespace, output: Path) -> Settings:
    """How to train, from the arguments that `add_running` and `add_resuming` made."""
    store = results_folder(given, output) / "store"
    return Settings(given.data, store, given.device, given.snapshot_seconds, given.scale, given.threads)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workflow_scripts.train", description=__doc__)
    parser.add_argument("--job", required=True, help="JSON {recipe, checkpoints}, or a .json file that holds it")
    parser.add_argument("--out", type=Path, required=True, help="folder for the outputs")
    parser.add_argument("--teacher", type=Path, help="checkpoint of the teacher, if it is not in runs/ of the results")
    add_running(parser)
    add_resuming(parser)
    given = parser.parse_args()
    job = read_job(given.job)
    teacher = given.teacher or job.teacher(results_folder(given, given.out) / "runs")
    export(Trainer(settings(given, given.out)).finish(job, teacher), job, given.out)


if __name__ == "__main__":
    run(main)
