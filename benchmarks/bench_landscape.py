"""Points of a curve and of a plane, against one model at a time: build it, load its state, go through the usual loader.

Digits at 8x8 and narrow VGGs, as the demo scale has them, without and with batch normalisation. Both ways evaluate both
splits and must agree on every loss to 1e-5 (relative) before they are timed.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from benchmarks.images import Pictures, digits, usual_transform
from benchmarks.pairs import Comparison, timed
from workflow_scripts.datasets.images.arrays import ImageData
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.landscape.curves import GRID, evaluate_curve, point
from workflow_scripts.landscape.flat import FlatModel
from workflow_scripts.landscape.planes import Plane, evaluate_plane
from workflow_scripts.models import build
from workflow_scripts.models.vision.initialise import initialise

SIDE = 7
SPEC = {"width": 0.125, "dropout": 0.0, "smallest_side": 2}  # as the demo has them


def usual_losses(spec: dict, data: ImageData, states: list[dict[str, Tensor]], batch_size: int) -> list[float]:
    """Both splits' losses of one model after another."""
    losses = []
    for state in states:
        model = build(spec, data.info)
        model.load_state_dict(state)
        transform = usual_transform(data.info, augment=False)
        train = DataLoader(Pictures(data.x_train, data.y_train, transform), batch_size)
        test = DataLoader(Pictures(data.x_test, data.y_test, transform), batch_size)
        usual_refresh(model, train)
        model.eval()
        for loader in (train, test):
            total = 0.0
            with torch.no_grad():
                for images, labels in loader:
                    total += F.cross_entropy(model(images), labels, reduction="sum").item()
            losses.append(total / len(loader.dataset))
    return losses


def usual_refresh(model: nn.Module, loader: DataLoader) -> None:
    """Cumulative batch-norm statistics, with dropout at rest."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    if not layers:
        return
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
    seen = 0
    with torch.no_grad():
        for images, _ in loader:
            seen += len(images)
            for layer in layers:
                layer.momentum = len(images) / seen
            model(images)


def states(flat: FlatModel, points: Iterable[Tensor]) -> list[dict[str, Tensor]]:
    """The `state_dict` at each point: what one model at a time would be loaded from."""
    found = []
    for vector in points:
        flat.set(vector)
        found.append(flat.to_state())
    return found


def comparison(what: str, ours: Callable[[], pd.DataFrame], usual: Callable[[], list[float]]) -> Comparison:
    """Both give the same losses."""
    return Comparison(
        what, ours, usual, lambda: np.testing.assert_allclose(ours()["loss"], usual(), rtol=1e-5), repeats=3
    )


def comparisons(
    name: str, data: ImageData, batch_size: int, usual_batch_size: int, points: np.ndarray = GRID, side: int = SIDE
) -> Iterator[Comparison]:
    """A curve and a plane of one network."""
    in_memory = InMemoryData(data)
    spec = {"name": name, **SPEC}
    flat = FlatModel(initialise(build(spec, data.info), seed=0))
    modes = [flat.from_state(initialise(build(spec, data.info), seed=seed).state_dict()) for seed in range(3)]
    control_points = torch.stack([modes[0], modes[2], modes[1]])
    on_curve = states(flat, (point(control_points, t) for t in points))
    yield comparison(
        f"{name} on digits, a curve of {len(points)} points",
        lambda: evaluate_curve(flat, control_points, in_memory, points, batch_size=batch_size),
        lambda: usual_losses(spec, data, on_curve, usual_batch_size),
    )
    plane = Plane.through(*modes)
    x, y = plane.grid(side)
    on_plane = states(flat, (plane.point(a, b) for a in x for b in y))
    yield comparison(
        f"{name} on digits, a plane of {side} x {side} points",
        lambda: evaluate_plane(flat, plane, in_memory, side, batch_size=batch_size),
        lambda: usual_losses(spec, data, on_plane, usual_batch_size),
    )


def rows(quick: bool = False) -> list[dict]:
    data = digits()
    points = GRID[::4] if quick else GRID
    found = timed(comparisons("vgg9", data, 1000, 128, points))
    if not quick:  # the statistics of batch normalisation depend on the batches, so they must be the same
        found += timed(comparisons("vgg9_bn", data, 500, 500, points))
    return found
