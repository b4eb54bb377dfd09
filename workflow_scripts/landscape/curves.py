"""Curves in weight space through k control points: polygonal chains and Bezier curves (Garipov et al. 2018).

A curve is phi(t) = sum_i c_i(t) w_i for t in [0, 1]; w_0 and w_(k-1) are the two modes, those between are the bends.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from scipy.special import comb
from torch import Tensor

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
    InputError : no curve is called `kind`.
    """
    if kind not in CURVES:
        raise InputError(f"there is no curve called {kind!r}; choose one of {', '.join(CURVES)}")
    return CURVES[kind](t, k)


def straight(start: Tensor, end: Tensor, bends: int) -> Tensor:
    """Control points (bends + 2, D) in equal steps from `start` to `end` (D,): either curve is the segment then."""
    return torch.stack([torch.lerp(start, end, i / (bends + 1)) for i in range(bends + 2)])


def point(control_points: Tensor, t: float, kind: str = "polygonal", out: Tensor | None = None) -> Tensor:
    """The curve's point phi(t), (D,), from control points (k, D); exactly an end point at t = 0 and t = 1."""
    weights = coefficients(kind, t, len(control_points))
    first, *others = np.flatnonzero(weights)
    out = torch.mul(control_points[first], float(weights[first]), out=out)
    for i in others:
        out.add_(control_points[i], alpha=float(weights[i]))
    return out


def arc_length(control_points: Tensor, t: np.ndarray = GRID, kind: str = "polygonal") -> np.ndarray:
    """Length (len(t),), in weight space, of the polyline through the curve's points up to each t; the last is all.

    Lengths come from inner products of the control points in float64: no point of the curve is formed.
    """
    sides = control_points[1:].double() - control_points[0].double()
    gram = (sides @ sides.T).cpu().numpy()
    steps = np.diff(coefficients(kind, t, len(control_points))[:, 1:], axis=0)
    squares = np.einsum("ti,ij,tj->t", steps, gram, steps)
    return np.concatenate([[0.0], np.cumsum(np.sqrt(np.maximum(squares, 0.0)))])


def statistics(values: np.ndarray, arc: np.ndarray) -> dict[str, float]:
    """Summary of a quantity along a curve (`eval_curve.py` of Garipov et al. 2018).

    Parameters
    ----------
    values : (n,) loss or accuracy at the values of t.
    arc : (n,) from `arc_length`.

    Returns
    -------
    min, max, mean : over the values of t.
    integral : the trapezoidal integral over arc length, divided by the length: the mean of a uniform walk.
    length : the length in weight space.
    """
    if not arc[-1] > 0.0:
        raise InputError("the curve has no length: its end points are the same weights; give two different modes")
    return {
        "min": float(np.min(values)),
        "max": float(np.max(values)),
        "mean": float(np.mean(values)),
        "integral": float(np.trapezoid(values, arc) / arc[-1]),
        "length": float(arc[-1]),
    }


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
    points = (point(control_points, value, kind) for value in t)
    table = evaluate_points(flat, points, data, splits, limits, batch_size)
    number = table.pop("point").to_numpy()
    table.insert(0, "t", np.asarray(t)[number])
    table.insert(1, "arc", arc_length(control_points, t, kind)[number])
    return table
