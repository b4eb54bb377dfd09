"""Train several small runs one after the other in one process, into the store; `train` then only names their outputs.

One process start, one import of torch and one copy of the data serve all of them. Each run keeps its own identity,
snapshots and outputs.
"""

import argparse
from pathlib import Path

from workflow_scripts.base.files import write_text
from workflow_scripts.base.stage import run
from workflow_scripts.train import add_settings, read_job, settings
from workflow_scripts.training.job import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workflow_scripts.train_together", description=__doc__)
    parser.add_argument("--jobs", nargs="+", required=True, help="as --job of train, one for each run")
    parser.add_argument("--receipt", type=Path, required=True, help="file that says which runs are finished")
    add_settings(parser)
    arguments = parser.parse_args()
    jobs = [read_job(text) for text in arguments.jobs]
    trainer = Trainer(settings(arguments))
    for job in jobs:
        trainer.finish(job, job.teacher(arguments.runs))
    write_text(arguments.receipt, "".join(f"{job.id}\n" for job in jobs))


if __name__ == "__main__":
    run(main)
