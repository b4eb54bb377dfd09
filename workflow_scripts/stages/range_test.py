"""Learning-rate range test: raise the rate exponentially over one pass and watch the loss (iyer2020, appendix A).

The output is range_test.parquet, a row for each update until the sweep's end or the loss' explosion.
"""

from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from workflow_scripts.base.arguments import parser, read_json
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import run_stage
from workflow_scripts.datasets.sampling import WHOLE
from workflow_scripts.evidence.tables import write_table
from workflow_scripts.recipes.recipe import of_initialisation
from workflow_scripts.recipes.schedules import rates
from workflow_scripts.stages.shared.workbench import Workbench
from workflow_scripts.tasks import task_of
from workflow_scripts.tasks.base import Update
from workflow_scripts.training import optimizers
from workflow_scripts.training.range_test import range_test

EXAMPLE = {
    "model": {"name": "resnet18"},
    "initialisation": {"rule": "default"},
    "optimizer": {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4},
    "schedule": {"name": "exponential_range", "lr_min": 1e-5, "lr_max": 10.0},
    "batch_size": 128,
    "samples_per_epoch": 50000,
    "augment": True,
    "window": 0.05,
    "seed": 1,
}


def main() -> None:
    arguments = parser("range_test", __doc__, EXAMPLE)
    arguments.add_argument(
        "--pretrained", type=Path, help="checkpoint that `pretrained` of the recipe names, a file or a folder"
    )
    given = arguments.parse_args()
    recipe = read_json(
        given.recipe, {key: EXAMPLE[key] for key in ("model", "optimizer", "schedule", "window", "seed")}
    )
    if "task" not in recipe:  # of images; on text a task says what else it needs
        recipe = read_json(given.recipe, EXAMPLE)
    if problems := list(of_initialisation(recipe.get("initialisation", {}))):
        raise InputError("; ".join(problems))
    bench = Workbench.of(given, recipe)
    task = task_of({"image_sides": None, **recipe}, bench.data, given.pretrained)
    model = task.model()

    def loss_of(network: nn.Module, update: Update) -> Tensor:
        return sum(task.loss(network, batch).sum for batch in update.batches) / update.total

    found = range_test(
        model,
        optimizers.build(recipe["optimizer"], model),
        task.updates(1, WHOLE),
        rates(recipe["schedule"], task.steps, task.steps),
        recipe["window"],
        loss_of,
    )
    columns = {"step": found.step, "rate": found.rate, "loss": found.loss, "smoothed_loss": found.smoothed}
    table = pd.DataFrame(columns).assign(minimum=found.minimum, suggestion=found.suggestion)
    write_table(given.out / "range_test.parquet", table, "range_test", None, bench.provenance(sweep=found.status))


if __name__ == "__main__":
    run_stage(main)
