"""Train one run, or take it from the store where it has been trained before.

The outputs are metrics.parquet (the tidy table), checkpoints/<label>.safetensors and recipe.json. Several GPUs train
one run together when torchrun starts this: `torchrun --standalone --nproc-per-node 4 -m workflow_scripts.stages.train`.
"""

import argparse
import json
from pathlib import Path

from workflow_scripts.base.arguments import add_resuming, add_running, results_folder
from workflow_scripts.base.stage import command_line, run_stage
from workflow_scripts.recipes import places
from workflow_scripts.recipes.job import Job
from workflow_scripts.recipes.needs import needed_folder
from workflow_scripts.runtime.processes import joined
from workflow_scripts.training.job import Trainer
from workflow_scripts.training.settings import Settings

EXAMPLE = {
    "recipe": {
        "data": "cifar10",
        "model": {"name": "vgg16"},
        "initialisation": {"variance": 1.0},
        "optimizer": {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4},
        "schedule": {"name": "step", "lr": 0.05, "factor": 0.2, "milestones": [60, 120, 160]},
        "batch_size": 100,
        "samples_per_epoch": 50000,
        "epochs": 200,
        "augment": True,
        "image_sides": None,
        "evaluate_every": 1,
        "seed": 1,
        "freeze": None,
        "distillation": None,
        "fallback": None,
    },
    "checkpoints": {"epoch-200": 100000},
}


def settings(given: argparse.Namespace, output: Path) -> Settings:
    """How to train, from the arguments that `add_running` and `add_resuming` made."""
    store = places.store(results_folder(given, output))
    return Settings(given.data, store, given.device, given.snapshot_seconds, given.scale, given.threads, given.workers)


def others_in_group(job: Job, groups: Path) -> list[Job]:
    """The other jobs of the group that holds this one, by the file that the workflow writes as it starts."""
    for group in json.loads(groups.read_text()) if groups.exists() else []:
        if job.document in group:
            return [Job.read(other) for other in group if other != job.document]
    return []


def main() -> None:
    parser = command_line("stages.train", __doc__, f"example of a job: {json.dumps(EXAMPLE)}")
    parser.add_argument("--job", required=True, help="JSON {recipe, checkpoints}, or a .json file that holds it")
    parser.add_argument("--out", type=Path, required=True, help="folder for the outputs")
    parser.add_argument("--teacher", type=Path, help="checkpoint of the teacher, if it is not in runs/ of the results")
    parser.add_argument(
        "--pretrained",
        type=Path,
        help="checkpoint that the recipe's `pretrained` names: a BERT "
        "folder, or the file of a run, if that is not in runs/ of the results",
    )
    add_running(parser)
    add_resuming(parser)
    given = parser.parse_args()
    job, results = Job.parse(given.job), results_folder(given, given.out)
    folders = {needed_folder(job.recipe): given.pretrained}
    with joined(given.device) as processes:
        trainer = Trainer(settings(given, given.out), processes)
        trainer.finish(job, given.teacher or given.pretrained or job.source(places.runs(results)), given.out)
    if trainer.has_trained and processes.alone:
        groups = places.run_groups(results, given.scale)
        trainer.finish_others(others_in_group(job, groups), places.runs(results), folders)


if __name__ == "__main__":
    run_stage(main)
