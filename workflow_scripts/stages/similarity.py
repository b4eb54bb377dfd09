"""Compare the layers of two checkpoints by SVCCA (gotmare2019, section 2.2).

The output is similarity.parquet: a row for each pair of layers, with the similarity and its floor for independent data.
An optional variance_kept in the recipe sets the share of the variance that SVCCA keeps: .99 otherwise, 1 for plain CCA.
"""

from pathlib import Path

import pandas as pd
from torch import nn

from workflow_scripts.base.arguments import parser, read_json
from workflow_scripts.base.stage import run_stage
from workflow_scripts.evidence.dependencies import divergence
from workflow_scripts.evidence.tables import write_table
from workflow_scripts.models.vision.layers import left_out
from workflow_scripts.representation.similarity import compare
from workflow_scripts.runtime.log import say
from workflow_scripts.stages.shared.workbench import Workbench, describe

EXAMPLE = {"images": 10000, "diagonal_only": False}


def main() -> None:
    arguments = parser("similarity", __doc__, EXAMPLE)
    arguments.add_argument("--first", type=Path, required=True, help="checkpoint whose layers are the rows")
    arguments.add_argument("--second", type=Path, required=True, help="checkpoint whose layers are the columns")
    given = arguments.parse_args()
    recipe = read_json(given.recipe, EXAMPLE)
    out = given.out / "similarity.parquet"
    if status := divergence([given.first, given.second]):
        write_table(out, pd.DataFrame(), "similarity", status, describe(recipe, given.scale))
        return
    bench = Workbench.of(given, recipe).of_images()
    models = recipe.get("models", {})
    networks = [
        bench.network(path, models.get(which, recipe.get("model")))
        for which, path in (("first", given.first), ("second", given.second))
    ]
    for network in networks:
        say_left_out(network)
    options = {name: recipe[name] for name in ("variance_kept",) if name in recipe}
    table = compare(*networks, bench.data, recipe["images"], recipe["diagonal_only"], **options)
    write_table(out, table, "similarity", None, bench.provenance())


def say_left_out(network: nn.Module) -> None:
    """Say which layers of a network are not compared, if there are some."""
    if kinds := left_out(network):
        listed = ", ".join(f"{kind} ({number})" for kind, number in kinds.items())
        say(f"layers of {type(network).__name__} that are of no kind to be compared: {listed}")


if __name__ == "__main__":
    run_stage(main)
