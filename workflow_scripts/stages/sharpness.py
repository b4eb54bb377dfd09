"""Measure Keskar's sharpness of the minima that the trials of a setting ended in (iyer2020, section 3.2.1).

The output is sharpness.parquet, a row for each trial. An interrupted job goes on with the trials that are left.
"""

from torch import nn

from workflow_scripts.base.stage import run_stage
from workflow_scripts.landscape.sharpness import keskar_sharpness
from workflow_scripts.runtime.kernels import small_batches
from workflow_scripts.stages.shared.trials import measure_trials
from workflow_scripts.stages.shared.workbench import Workbench

EXAMPLE = {
    "epsilon": 1e-4,
    "steps": 1000,
    "learning_rate": 1e-3,
    "momentum": 0.9,
    "frozen_batch_norm": False,
    "batch_size": 128,
    "seed": 1,
}


def main() -> None:
    measure_trials("sharpness", __doc__, EXAMPLE, measured)


def measured(bench: Workbench, network: nn.Module) -> dict:
    """One row of a table of kind "sharpness", less the run."""
    recipe, data = bench.recipe, bench.data
    images = data.count("train")

    def batches(epoch: int):
        return data.epoch_batches(recipe["seed"], epoch, recipe["batch_size"], images, augment=False)

    settings = ("epsilon", "steps", "learning_rate", "momentum", "frozen_batch_norm")
    with small_batches(recipe["batch_size"] * data.info.image_size**2, bench.device):
        found = keskar_sharpness(network, data, batches, **{name: recipe[name] for name in settings})
    batch_norm = "frozen" if recipe["frozen_batch_norm"] else "moving"
    return {
        "sharpness": found.sharpness,
        "loss": found.loss,
        "ascended_loss": found.ascended_loss,
        "on_faces": found.on_faces,
        "steps": found.steps,
        "variant": f"momentum {recipe['momentum']:g}, batch norm {batch_norm}",
    }


if __name__ == "__main__":
    run_stage(main)
