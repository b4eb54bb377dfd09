"""The discrete Fourier transform of a layer over space, at the frequencies that two layers share.

A vector (n, d) is a map of one pixel, which has the constant frequency (0, 0) alone.
"""

import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

Frequency = tuple[int, int]  # signed, in periods over the height and over the width
Side = tuple[int, int]  # height and width, in pixels

ROUNDING = 1e-6
"""What float32 leaves uncertain in an activation, relative to it: eight units in the last place."""


@functools.cache
def frequencies(side_a: Side, side_b: Side) -> Counter[Frequency]:
    """The frequencies that maps of two sizes share, each with the number of times it counts.

    Shared are -m/2 <= f < m/2 along each axis, m the smaller side, as in the code published with Raghu et al. (2017,
    arXiv:1706.05806). Activations are real, so the coefficients at -f are the conjugates of those at f and the layers
    are as similar there: only one of the two is listed and counts twice. Where both maps have the same even side m,
    m/2 and -m/2 are one frequency, which merges more.
    """
    common = [min(sides) for sides in zip(side_a, side_b, strict=True)]
    # The frequency of alternating pixels has no sign, if both maps have it.
    unsigned = [m / 2 if a == b else None for a, b, m in zip(side_a, side_b, common, strict=True)]
    counts: Counter[Frequency] = Counter()
    for u, v in itertools.product(*(range(-(m // 2), m - m // 2) for m in common)):
        same = {(u, v), (-u, -v)}
        if abs(u) == unsigned[0]:
            same |= {(-p, q) for p, q in same}
        if abs(v) == unsigned[1]:
            same |= {(p, -q) for p, q in same}
        counts[max(same)] += 1
    return counts


def is_real(frequency: Frequency, side: Side) -> bool:
    """Whether the wave is real on such a map: it is constant or alternates along each axis."""
    return all(2 * f % length == 0 for f, length in zip(frequency, side, strict=True))


def side_of(shape: Sequence[int]) -> Side:
    """Height and width of activations of shape (d,) or (c, h, w) an image."""
    return tuple(shape[1:]) or (1, 1)


class Spectrum:
    """The coefficients of one layer at some frequencies for n images, gathered batch by batch in float64.

    The transform is a matrix product with the chosen waves alone: faster than an FFT for maps up to 8 x 8, and for
    larger ones when few of their frequencies are asked for at a time.

    Parameters
    ----------
    count : n.
    shape : (d,) or (c, h, w), the shape of one image's activations.
    frequencies : which to keep.
    """

    def __init__(self, count: int, shape: Sequence[int], frequencies: Sequence[Frequency], device: torch.device):
        self._energy = 0.0
        self._parts = []
        side = side_of(shape)
        for real in (True, False):
            chosen = [frequency for frequency in frequencies if is_real(frequency, side) == real]
            waves = _waves(chosen, side, real).to(device)
            dtype = torch.float64 if real else torch.complex128
            coefficients = torch.empty((len(chosen), count, shape[0]), dtype=dtype, device=device)
            if chosen:
                self._parts.append((chosen, waves, coefficients))

    def add(self, rows: slice, activations: Tensor) -> None:
        """Take the activations (b, d) or (b, c, h, w) of the images `rows`."""
        maps = activations.reshape(*activations.shape[:2], -1)
        pixels = maps.permute(2, 0, 1).double().flatten(1)  # (h w, b c): one product for the whole batch
        self._energy += torch.dot(pixels.flatten(), pixels.flatten()).item()
        for _, waves, coefficients in self._parts:
            values = (waves @ pixels).unflatten(1, maps.shape[:2])
            coefficients[:, rows] = torch.complex(*values.chunk(2)) if coefficients.is_complex() else values

    @property
    def noise(self) -> float:
        """Sum of squares, over images and channels, that float32 rounding may leave at one frequency (Parseval)."""
        return ROUNDING**2 * self._energy

    def __iter__(self) -> Iterator[tuple[Frequency, Tensor]]:
        """Each frequency with its coefficients (n, c): float64 where its wave is real, else complex128."""
        for chosen, _, coefficients in self._parts:
            yield from zip(chosen, coefficients, strict=True)


def _waves(chosen: Sequence[Frequency], side: Side, real: bool) -> Tensor:
    """exp(-2 pi i (u y / h + v x / w)), float64: (F, h w) where real, else first all real, then all imaginary parts."""
    height, width = side
    u, v = torch.tensor(chosen, dtype=torch.float64).reshape(-1, 2).T
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    # Whole periods are taken off before multiplying by pi, which keeps the last digits.
    phase = torch.outer(u, y.flatten()) / height + torch.outer(v, x.flatten()) / width
    angle = -2 * math.pi * phase.remainder(1)
    return angle.cos() if real else torch.cat([angle.cos(), angle.sin()])
