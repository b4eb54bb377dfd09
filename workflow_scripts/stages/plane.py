"""Evaluate the loss on the plane through two checkpoints and the bend of their curve (gotmare2019, section 3).

The outputs are plane.parquet (loss and accuracy on a grid) and points.parquet (the three points and the projections of
a run's iterates, by affine least squares and by the unconstrained combination of appendix 8.2).
"""

from pathlib import Path

import pandas as pd

from workflow_scripts.base.arguments import parser, read_json
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import run_stage
from workflow_scripts.evidence.tables import write_table
from workflow_scripts.landscape.flat import FlatModel
from workflow_scripts.landscape.planes import Plane, evaluate_plane
from workflow_scripts.landscape.tidy import tidy
from workflow_scripts.recipes.labels import Label
from workflow_scripts.stages.shared.workbench import Workbench, describe, middle_bend, weights

EXAMPLE = {"side": 21, "margin": 0.2, "images": None}
METHODS = ("affine", "linear")


def main() -> None:
    arguments = parser("plane", __doc__, EXAMPLE)
    arguments.add_argument("--start", type=Path, required=True, help="checkpoint at the plane's origin")
    arguments.add_argument("--end", type=Path, required=True, help="checkpoint on the plane's x axis")
    arguments.add_argument("--curve", type=Path, required=True, help="folder of the curve between them")
    arguments.add_argument("--iterates", type=Path, help="folder of checkpoints epoch-<n>.safetensors to project")
    given = arguments.parse_args()
    recipe = read_json(given.recipe, EXAMPLE)
    bend, status = middle_bend(given.curve)
    if bend is None:
        for name, kind in (("plane", "plane"), ("points", "plane_points")):
            write_table(given.out / f"{name}.parquet", pd.DataFrame(), kind, status, describe(recipe, given.scale))
        return
    bench = Workbench.of(given, recipe).of_images()
    flat = FlatModel(bench.network(given.start, recipe.get("model")))
    ends = [weights(flat, path) for path in (given.start, given.end)]
    plane = Plane.through(*ends, bend.to(bench.device))
    names, epochs = labels_of(given.start, given.end), [epoch_of(path) for path in (given.start, given.end)]
    iterates = epochs_below(given.iterates) if given.iterates else {}
    points = projected(plane, flat, dict(zip(names, epochs, strict=True)), iterates)
    limits = dict.fromkeys(("train", "test"), recipe["images"])
    grid = tidy(evaluate_plane(flat, plane, bench.data, recipe["side"], recipe["margin"], limits=limits))
    write_table(given.out / "plane.parquet", grid, "plane", None, bench.provenance())
    write_table(given.out / "points.parquet", points, "plane_points", None, bench.provenance())


def projected(plane: Plane, flat: FlatModel, ends: dict[str, int], iterates: dict[int, Path]) -> pd.DataFrame:
    """The plane's three points and the projections of the iterates: a table of kind "plane_points".

    ends : epochs of the first two points by their labels; -1 where it is not known.
    """
    vertices = zip([*ends, "bend"], [*ends.values(), -1], plane.corners, strict=True)
    rows = [
        {"kind": "vertex", "label": label, "epoch": epoch, "x": x, "y": y, "residual": 0.0, "method": method}
        for label, epoch, (x, y) in vertices
        for method in METHODS
    ]
    for epoch, path in iterates.items():
        iterate = weights(flat, path)
        for method in METHODS:
            place = plane.project(iterate, method)._asdict()
            rows.append({"kind": "iterate", "label": f"w{epoch}", "epoch": epoch, **place, "method": method})
    return pd.DataFrame(rows)


def epochs_below(folder: Path) -> dict[int, Path]:
    """The checkpoints epoch-<n>.safetensors of a folder, by n."""
    labels = {path: Label.found(path.stem) for path in folder.glob("*.safetensors")}
    found = {label.number: path for path, label in labels.items() if label is not None and label.kind == "epoch"}
    if not found:
        raise InputError(f"{folder} holds no checkpoints epoch-<n>.safetensors; give the folder of a run's checkpoints")
    return dict(sorted(found.items()))


def labels_of(*ends: Path) -> list[str]:
    """ "w70" for epoch-70.safetensors, otherwise the file's name; with their place where two ends share it."""
    labels = [f"w{epoch_of(end)}" if epoch_of(end) >= 0 else end.stem for end in ends]
    if len({*labels, "bend"}) > len(labels):
        return labels
    return [f"{label} ({place})" for label, place in zip(labels, ("start", "end"), strict=True)]


def epoch_of(checkpoint: Path) -> int:
    """70 for epoch-70.safetensors, otherwise -1."""
    label = Label.found(checkpoint.stem)
    return label.number if label is not None and label.kind == "epoch" else -1


if __name__ == "__main__":
    run_stage(main)
