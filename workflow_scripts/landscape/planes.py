"""The loss on a plane through three points of weight space (Gotmare et al. 2019, section 3 and appendix 8.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workflow_scripts.base.checks import described, number, tensor, whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.landscape.flat import FlatModel, evaluate_points

RESOLUTION = 1e-6  # points closer than this share of their norm differ by little more than float32 rounding


class Projection(NamedTuple):
    """Coordinates in the plane, and the distance from the projected point; all in units of weight space."""

    x: float
    y: float
    residual: float


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane with an orthonormal frame, in float64.

    Attributes
    ----------
    origin, u, v : (D,) the point with coordinates (0, 0) and the directions of x and y.
    corners : (3, 2) coordinates of the three points it was laid through.
    """

    origin: Tensor
    u: Tensor
    v: Tensor
    corners: np.ndarray

    @classmethod
    def through(cls, a: Tensor, b: Tensor, c: Tensor) -> "Plane":
        """The plane through three points (D,): origin a, x along b - a, y by Gram–Schmidt towards c.

        Raises
        ------
        InputError : the points are no vectors, of different models or not finite, two coincide, or the three lie on one
            line.
        """
        for each in (a, b, c):
            tensor("a point of a plane", each, "(D,)")
        if len(sizes := {len(point) for point in (a, b, c)}) > 1:
            counts = " and ".join(map(str, sorted(sizes)))
            raise InputError(f"a plane needs points of one model, not {counts} weights; give the curve of these ends")
        points = torch.stack([a, b, c]).double()
        if not points.isfinite().all():
            raise InputError("a plane needs finite weights; leave out the point whose training diverged")
        blur = RESOLUTION * float(points.norm(dim=1).max())
        along, aside = points[1] - points[0], points[2] - points[0]
        if float(along.norm()) <= blur:
            raise InputError("the first two points of the plane are the same weights; give two different modes")
        u = along / along.norm()
        # twice, so that the frame stays orthonormal where c is almost on the line
        rest = aside - u * (u @ aside)
        rest = rest - u * (u @ rest)
        if float(rest.norm()) <= blur:
            raise InputError("the three points lie on one line and span no plane; give a bend that left the segment")
        v = rest / rest.norm()
        corners = np.array([[0.0, 0.0], [float(along.norm()), 0.0], [float(u @ aside), float(v @ aside)]])
        return cls(points[0], u, v, corners)

    def point(self, x: float, y: float) -> Tensor:
        """The point (D,) at coordinates (x, y).

        Raises
        ------
        InputError : one is no finite number.
        """
        number("a coordinate of the plane", x)
        number("a coordinate of the plane", y)
        return self.origin + x * self.u + y * self.v

    def grid(self, n: int = 21, margin: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates x (n,) and y (n,) around the three points, beyond them by `margin` of their larger extent.

        One margin for both axes: the plane of a bend near the segment is no thin strip that the iterates leave.

        Raises
        ------
        InputError : n is less than 2, or the margin negative.
        """
        whole_number("the number of points on a side of the grid", n, 2)
        number("the margin of the grid", margin, low=0)
        low, high = self.corners.min(axis=0), self.corners.max(axis=0)
        edge = margin * (high - low).max()
        x, y = np.linspace(low - edge, high + edge, n).T
        return x, y

    def project(self, w: Tensor, combination: str = "affine") -> Projection:
        """The nearest combination of the three points to w (D,), by least squares.

        Parameters
        ----------
        combination : "affine" takes combinations whose coefficients sum to 1, the plane itself (footnote 2).
            "linear" leaves the coefficients free (appendix 8.2): the nearest point is then off the plane, and (x, y) is
            where it falls on it. The span contains the plane's directions, so (x, y) is the affine one; the residual is
            the distance from the span and can only be smaller.

        Raises
        ------
        InputError : w is no vector of as many weights, or no combination is called so.
        """
        tensor("the point to project", w, "(D,)")
        if len(w) != len(self.origin):
            raise InputError(f"the point to project has {len(w)} weights, but those of the plane {len(self.origin)}")
        if combination not in ("affine", "linear"):
            raise InputError(f"there is no combination called {combination!r}; choose affine or linear")
        offset = w.double() - self.origin
        x, y = self.u @ offset, self.v @ offset
        rest = offset - x * self.u - y * self.v
        if combination == "linear":
            rest = rest - self.normal * (self.normal @ rest)
        return Projection(float(x), float(y), float(rest.norm()))

    @cached_property
    def normal(self) -> Tensor:
        """Unit vector (D,) that completes u and v to a basis of the span of the three points; 0 if it is the plane."""
        rest = self.origin - self.u * (self.u @ self.origin) - self.v * (self.v @ self.origin)
        rest = rest - self.u * (self.u @ rest) - self.v * (self.v @ rest)
        length = rest.norm()
        return rest / length if float(length) > RESOLUTION * float(self.origin.norm()) else torch.zeros_like(rest)


def evaluate_plane(
    flat: FlatModel,
    plane: Plane,
    data: TrainingData,
    n: int = 21,
    margin: float = 0.2,
    splits: tuple[str, ...] = ("train", "test"),
    limits: Mapping[str, int | None] | None = None,
    batch_size: int = 1000,
) -> pd.DataFrame:
    """Loss and accuracy on the n x n grid of a plane: the columns x, y, split, loss, accuracy; x varies slowest.

    See `flat.evaluate_points` for how a point is evaluated.
    """
    if not isinstance(plane, Plane):
        raise InputError(f"the plane must be a Plane, not {described(plane)}: Plane.through(a, b, c)")
    x, y = (axis.ravel() for axis in np.meshgrid(*plane.grid(n, margin), indexing="ij"))
    points = (plane.point(*place) for place in zip(x, y, strict=True))
    table = evaluate_points(flat, points, data, splits, limits, batch_size)
    number = table.pop("point").to_numpy()
    table.insert(0, "x", x[number])
    table.insert(1, "y", y[number])
    return table
