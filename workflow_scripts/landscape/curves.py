"""Curves in weight space through k control points: polygonal chains and Bezier curves (Garipov et al. 2018).

A curve is phi(t) = sum_i c_i(t) w_i for t in [0, 1]; w_0 and w_(k-1) are the two modes, those between are the bends.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from scipy.special import comb
from torch import Tensor

from workflow_scripts.base.checks import described, tensor, vector, whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.landscape.flat import FlatModel, evaluate_points

GRID = np.linspace(0.0, 1.0, 61)  # as in Garipov's code; 0.5, the one bend's place, is on it


def polygonal(t: float | np.ndarray, k: int) -> np.ndarray:
    """Coefficients (..., k) of the polygonal chain: c_i(t) = max(0, 1 - |t (k - 1) - i|)."""
    return np.maximum(0.0, 1.0 - np.abs(np.asarray(t)[..., None] * (k - 1) - np.arange(k)))


def bezier(t: float | np.ndarray, k: int) -> np.ndarray:
    """Coefficients (..., k) of the Bezier curve, the Bernstein polynomials: c_i(t) = C(k-1, i) t^i (1-t)^(k-1-i)."""
    t, i = np.asarray(t)[..., None], np.arange(k)
    return comb(k - 1, i) * t**i * (1.0 - t) ** (k - 1 - i)


CURVES: dict[str, Callable[[float | np.ndarray, int], np.ndarray]] = {"polygonal": polygonal, "bezier": bezier}


def coefficients(kind: str, t: float | np.ndarray, k: int) -> np.ndarray:
    """Coefficients (..., k), which sum to 1, of the k control points at t (...).

    Raises
    ------
    InputError : no curve is called `kind`, t leaves [0, 1], or there are fewer than two control points.
    """
    if not isinstance(kind, str) or kind not in CURVES:
        raise InputError(f"there is no curve called {kind!r}; choose one of {', '.join(CURVES)}")
    whole_number("the number of control points", k, 2)
    if np.asarray(t).dtype.kind not in "iuf":
        raise InputError(f"t must be numbers from 0 to 1, not {described(t)}")
    outside = [value for value in np.ravel(t) if not 0 <= value <= 1]
    if outside:
        raise InputError(f"a curve has points for t from 0 to 1, not for {outside[0]}")
    return CURVES[kind](t, k)


def straight(start: Tensor, end: Tensor, bends: int) -> Tensor:
    """Control points (bends + 2, D) in equal steps from `start` to `end` (D,): either curve is the segment then.

    Raises
    ------
    InputError : the ends are no vectors of one length, or the number of bends is negative.
    """
    whole_number("the number of bends", bends, 0)
    for name, end_point in (("the start", start), ("the end", end)):
        tensor(f"{name} of a curve", end_point, "(D,)")
    if len(start) != len(end):
        raise InputError(f"the ends of a curve have {len(start)} and {len(end)} weights; give two modes of one network")
    return torch.stack([torch.lerp(start, end, i / (bends + 1)) for i in range(bends + 2)])


def point(control_points: Tensor, t: float, kind: str = "polygonal", out: Tensor | None = None) -> Tensor:
    """The curve's point phi(t), (D,), from control points (k, D); exactly an end point at t = 0 and t = 1.

    Raises
    ------
    InputError : the control points are no such tensor, or as `coefficients` does.
    """
    tensor("the control points", control_points, "(k, D)")
    weights = coefficients(kind, t, len(control_points))
    if np.ndim(t):
        raise InputError(f"t is {t!r}; a point of a curve has one number")
    first, *others = np.flatnonzero(weights)
    out = torch.mul(control_points[first], float(weights[first]), out=out)
    for i in others:
        out.add_(control_points[i], alpha=float(weights[i]))
    return out


def arc_length(control_points: Tensor, t: np.ndarray = GRID, kind: str = "polygonal") -> np.ndarray:
    """Length (len(t),), in weight space, of the polyline through the curve's points up to each t; the last is all.

    Lengths come from inner products of the control points in float64: no point of the curve is formed.

    Raises
    ------
    InputError : as `point` does.
    """
    tensor("the control points", control_points, "(k, D)")
    t = vector("t", t)
    sides = control_points[1:].double() - control_points[0].double()
    gram = (sides @ sides.T).cpu().numpy()
    steps = np.diff(coefficients(kind, t, len(control_points))[:, 1:], axis=0)
    squares = np.einsum("ti,ij,tj->t", steps, gram, steps)
    return np.concatenate([[0.0], np.cumsum(np.sqrt(np.maximum(squares, 0.0)))])


def evaluate_curve(
    flat: FlatModel,
    control_points: Tensor,
    data: TrainingData,
    t: np.ndarray = GRID,
    kind: str = "polygonal",
    splits: tuple[str, ...] = ("train", "test"),
    limits: Mapping[str, int | None] | None = None,
    batch_size: int = 1000,
) -> pd.DataFrame:
    """Loss and accuracy along a curve: the columns t, arc (length so far), split, loss, accuracy.

    Two control points give the segment. See `flat.evaluate_points` for how a point is evaluated.
    """
    points = (point(control_points, value, kind) for value in vector("t", t).tolist())
    table = evaluate_points(flat, points, data, splits, limits, batch_size)
    number = table.pop("point").to_numpy()
    table.insert(0, "t", np.asarray(t)[number])
    table.insert(1, "arc", arc_length(control_points, t, kind)[number])
    return table
