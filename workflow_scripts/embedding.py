"""Place modes and the bends of their curves in the plane by t-SNE (gotmare2019, section 7.3).

The output is embedding.parquet. A mode or curve whose training diverged is left out, and the table's status says so.
"""

import functools
from pathlib import Path

import torch
from safetensors.torch import load_file

from workflow_scripts.base.arguments import parser, read_json
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import run
from workflow_scripts.datasets.arrays import read_description
from workflow_scripts.evidence.dependencies import divergence
from workflow_scripts.evidence.tables import write_table
from workflow_scripts.landscape.flat import FlatModel
from workflow_scripts.models import checkpoints
from workflow_scripts.representation.embedding import embed
from workflow_scripts.workbench import describe

EXAMPLE = {"perplexity": 5, "seed": 0}


def main() -> None:
    arguments = parser("embedding", __doc__, EXAMPLE)
    arguments.add_argument("--mode", nargs=2, action="append", required=True, metavar=("NAME", "CHECKPOINT"))
    arguments.add_argument("--curve", nargs=2, action="append", default=[], metavar=("NAME", "FOLDER"))
    given = arguments.parse_args()
    recipe = read_json(given.recipe, tuple(EXAMPLE))
    torch.set_num_threads(given.threads)
    vectors, kinds = {}, {}
    status = divergence([Path(path) for _, path in given.mode])
    flat = flat_model(given.data, [Path(path) for _, path in given.mode])
    for name, path in given.mode:
        if Path(path).exists() or status is None:
            vectors[name], kinds[name] = functools.partial(mode, flat, Path(path)), "mode"
    for name, folder in given.curve:
        bends = load_file(Path(folder) / "bends.safetensors")
        if bends:
            last = max(bends, key=lambda label: int(label.removeprefix("epoch-")))
            vectors[name], kinds[name] = functools.partial(middle, bends[last]), "bend"
    table = embed(list(vectors.values()), list(vectors), recipe["perplexity"], recipe["seed"])
    table["kind"] = table["name"].map(kinds)
    write_table(given.out / "embedding.parquet", table, "embedding", status, describe(recipe, given.scale, "cpu"))


def flat_model(data: Path, paths: list[Path]) -> FlatModel:
    """The modes' model as a point of weight space, which says in which order their tensors are flattened."""
    for path in paths:
        if path.exists():
            return FlatModel(checkpoints.restore(checkpoints.load(path), read_description(data)))
    raise InputError(f"none of the checkpoints {', '.join(map(str, paths))} exists; train them first")


def mode(flat: FlatModel, path: Path) -> torch.Tensor:
    """A mode as a vector (D,)."""
    return flat.from_state(checkpoints.load(path).state)


def middle(bends: torch.Tensor) -> torch.Tensor:
    """The middle bend (D,)."""
    return bends[len(bends) // 2]


if __name__ == "__main__":
    run(main)
