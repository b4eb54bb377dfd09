"""Train one run, or take it from the store where it has been trained before.

The outputs are metrics.parquet (the tidy table), checkpoints/<label>.safetensors and recipe.json.
"""

import argparse
import json
from pathlib import Path

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


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The arguments that say how to train and change no result."""
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument("--runs", type=Path, help="folder of finished runs, where a teacher's checkpoint is looked up")
    parser.add_argument("--store", type=Path, required=True, help="folder of snapshots and finished runs")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: %(default)s)")
    parser.add_argument("--snapshot-seconds", type=float, default=60.0, help="default: %(default)s")
    parser.add_argument("--scale", default="", help="name of the scale, for the provenance")


def settings(arguments: argparse.Namespace) -> Settings:
    """What `add_settings` asked for."""
    return Settings(
        arguments.data,
        arguments.store,
        arguments.device,
        arguments.snapshot_seconds,
        arguments.scale,
        arguments.threads,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workflow_scripts.train", description=__doc__)
    parser.add_argument("--job", required=True, help="JSON {recipe, checkpoints}, or a .json file that holds it")
    parser.add_argument("--out", type=Path, required=True, help="folder for the outputs")
    parser.add_argument("--teacher", type=Path, help="checkpoint of the teacher, if it is not among the runs")
    add_settings(parser)
    arguments = parser.parse_args()
    job = read_job(arguments.job)
    store = Trainer(settings(arguments)).finish(job, arguments.teacher or job.teacher(arguments.runs))
    export(store, job, arguments.out)


if __name__ == "__main__":
    run(main)
