"""Train several small runs one after the other in one process, into the store; `train` then only names their outputs.

One process start, one import of torch and one copy of the data serve all of them. Each run keeps its own identity,
snapshots and outputs.
"""

import argparse
from pathlib import Path

from workflow_scripts.base.arguments import add_resuming, add_running, results_folder
from workflow_scripts.base.files import write_text
from workflow_scripts.base.stage import run
from workflow_scripts.train import read_job, settings
from workflow_scripts.training.job import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workflow_scripts.train_together", description=__doc__)
    parser.add_argument("--jobs", nargs="+", required=True, help="as --job of train, one for each run")
    parser.add_argument("--receipt", type=Path, required=True, help="file that says which runs are finished")
    add_running(parser)
    add_resuming(parser)
    given = parser.parse_args()
    jobs = [read_job(text) for text in given.jobs]
    trainer = Trainer(settings(given, given.receipt))
    for job in jobs:
        trainer.finish(job, job.teacher(results_folder(given, given.receipt) / "runs"))
    write_text(given.receipt, "".join(f"{job.id}\n" for job in jobs))


if __name__ == "__main__":
    run(main)
