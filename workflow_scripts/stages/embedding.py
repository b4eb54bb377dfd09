"""Place modes and the bends of their curves in the plane by t-SNE (gotmare2019, section 7.3).

The output is embedding.parquet. A mode or curve whose training diverged is left out, and the table's status says so.
"""

import functools
from pathlib import Path

import pandas as pd
import torch

from workflow_scripts.base.arguments import parser, read_json
from workflow_scripts.base.stage import run_stage
from workflow_scripts.datasets.images.arrays import read_description
from workflow_scripts.evidence.dependencies import divergence, with_fallbacks
from workflow_scripts.evidence.tables import write_table
from workflow_scripts.landscape.flat import FlatModel
from workflow_scripts.models import checkpoints
from workflow_scripts.representation.embedding import embed
from workflow_scripts.stages.shared.workbench import describe, middle_bend, weights

EXAMPLE = {"perplexity": 5.0, "seed": 0}


def main() -> None:
    arguments = parser("embedding", __doc__, EXAMPLE)
    arguments.add_argument("--mode", nargs=2, action="append", required=True, metavar=("NAME", "CHECKPOINT"))
    arguments.add_argument("--curve", nargs=2, action="append", default=[], metavar=("NAME", "FOLDER"))
    given = arguments.parse_args()
    recipe = read_json(given.recipe, EXAMPLE)
    torch.set_num_threads(given.threads)
    out, provenance = given.out / "embedding.parquet", describe(recipe, given.scale, "cpu")
    modes = {name: Path(path) for name, path in given.mode}
    lost = {name: divergence([path]) for name, path in modes.items()}
    trained = {name: path for name, path in modes.items() if not lost[name]}
    bends = {name: middle_bend(Path(folder)) for name, folder in given.curve}
    status = next(filter(None, [*lost.values(), *(diverged for _, diverged in bends.values())]), None)
    if not trained:
        write_table(out, pd.DataFrame(), "embedding", status, provenance)
        return
    first = checkpoints.load(next(iter(trained.values())))
    flat = FlatModel(checkpoints.restore(first, read_description(given.data), recipe.get("model")))
    vectors = {name: functools.partial(weights, flat, path) for name, path in trained.items()}
    vectors |= {name: bend for name, (bend, _) in bends.items() if bend is not None}
    table = embed(list(vectors.values()), list(vectors), recipe["perplexity"], recipe["seed"])
    table["kind"] = ["mode" if name in trained else "bend" for name in vectors]
    write_table(out, table, "embedding", with_fallbacks(status, trained.values()), provenance)


if __name__ == "__main__":
    run_stage(main)
