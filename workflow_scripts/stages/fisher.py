"""Measure the Fisher score of the minima that the trials of a setting ended in (iyer2020, section 3.2.2).

The output is fisher.parquet, a row for each trial. An interrupted job goes on with the trials that are left.
An optional "labels": "given" in the recipe takes the labels of the data: the empirical Fisher matrix, another one.
"""

import functools

from torch import nn

from workflow_scripts.base.stage import run_stage
from workflow_scripts.landscape.fisher import fisher_score
from workflow_scripts.stages.shared.trials import measure_trials
from workflow_scripts.stages.shared.workbench import Workbench

EXAMPLE = {"images": None, "draws": 10, "tolerance": 1e-3, "max_iterations": 100, "seed": 1}
BATCH = 500


def main() -> None:
    measure_trials("fisher", __doc__, EXAMPLE, measured)


def measured(bench: Workbench, network: nn.Module) -> dict:
    """One row of a table of kind "fisher", less the run."""
    recipe = bench.recipe
    batches = functools.partial(bench.data.batches, "train", BATCH, recipe["images"])
    settings = ("draws", "seed", "tolerance", "max_iterations", "labels")
    found = fisher_score(network, batches, **{name: recipe[name] for name in settings if name in recipe})
    return {
        "fisher_score": found.value,
        "iterations": found.iterations,
        "converged": "yes" if found.converged else "no",
        "residual": found.residual,
    }


if __name__ == "__main__":
    run_stage(main)
