"""Singular vector canonical correlation analysis (Raghu et al. 2017, arXiv:1706.05806; gotmare2019, section 2.2).

Everything is float64: float32 misses the correlations by more than 1e-6.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from workflow_scripts.base.checks import number, tensor
from workflow_scripts.base.errors import InputError
from workflow_scripts.representation.activations import is_finite
from workflow_scripts.representation.floor import floor
from workflow_scripts.representation.spectrum import Spectrum, frequencies, side_of

VARIANCE_KEPT = 0.99
"""Of the sum of squared singular values: where SVCCA cuts, unless another share is asked for."""

BATCH = 250  # images whose activations are transformed at a time


def basis(x: Tensor, noise: float = 0.0, variance_kept: float = VARIANCE_KEPT) -> Tensor:
    """An orthonormal basis (n, k) of the k leading left singular vectors of the centred x.

    k is the smallest that holds the share `variance_kept` of the sum of squared singular values; 0 where all of that
    sum is at most `noise`. Two layers of one network share nothing but images, so a basis serves every pair the layer
    is in.

    Parameters
    ----------
    x : (n, d), float64 or complex128; n images.
    noise : the sum of squared singular values that rounding may have made.
    variance_kept : in (0, 1]; 1 cuts nothing but directions of no more than `noise`, which makes plain CCA of SVCCA.

    Raises
    ------
    InputError : x is no such tensor.
    """
    tensor("a layer", x, "(n, d)")
    if not (x.is_floating_point() or x.is_complex()) or not x.isfinite().all():
        raise InputError(f"a layer must be finite real or complex numbers, and this {x.dtype} is not")
    x = x - x.mean(0)
    if variance_kept == 1:
        return _whole_basis(x, noise)
    n, d = x.shape
    gram = x.mH @ x if d <= n else x @ x.mH
    variances, vectors = torch.linalg.eigh(gram)
    variances = variances.clamp(min=0)
    explained = variances.flip(0).cumsum(0)
    if explained[-1] <= noise:
        return x.new_empty((n, 0))
    rank = 1 + int((explained < variance_kept * explained[-1]).sum())
    leading = vectors[:, -rank:]
    return x @ (leading / variances[-rank:].sqrt()) if d <= n else leading


def _whole_basis(x: Tensor, noise: float) -> Tensor:
    """All directions (n, k) of a centred x: by SVD, since the squares of a Gram matrix lose the small ones."""
    vectors, values, _ = torch.linalg.svd(x, full_matrices=False)
    rounding = values[:1] * max(x.shape) * torch.finfo(torch.float64).eps
    return vectors[:, (values**2 > noise) & (values > rounding)]


def correlations(basis_a: Tensor, basis_b: Tensor) -> Tensor:
    """The min(k_a, k_b) canonical correlations, falling, between the spaces of two bases (n, k_a) and (n, k_b).

    Raises
    ------
    InputError : one is no such tensor, or they are of different numbers of images.
    """
    for basis_of in (basis_a, basis_b):
        tensor("a basis", basis_of, "(n, k)")
    if len(basis_a) != len(basis_b):
        raise InputError(f"the bases are of {len(basis_a)} and {len(basis_b)} images; record both for the same ones")
    dtype = torch.promote_types(basis_a.dtype, basis_b.dtype)
    try:
        return torch.linalg.svdvals(basis_a.to(dtype).mH @ basis_b.to(dtype)).clamp(max=1)
    except torch.linalg.LinAlgError as error:
        raise InputError(f"the bases have no correlations ({error}); a basis must be finite numbers") from None


@dataclass
class Comparison:
    """Two layers, averaged over the frequencies that they share.

    similarity : mean canonical correlation, over the frequencies at which both layers vary; NaN if there is none.
    floor : what `similarity` would be for independent data of the same ranks.
    rank_a, rank_b : mean number of directions kept.
    """

    similarity: float
    floor: float
    rank_a: float
    rank_b: float


class Average:
    """A `Comparison` that takes one frequency after another."""

    def __init__(self):
        self._varying, self._count = 0, 0
        self._similarity = self._floor = self._rank_a = self._rank_b = 0.0

    def add(self, basis_a: Tensor, basis_b: Tensor, count: int) -> None:
        """Compare the layers at one frequency, which counts `count` times."""
        (n, rank_a), (_, rank_b) = basis_a.shape, basis_b.shape
        self._count += count
        self._rank_a += count * rank_a
        self._rank_b += count * rank_b
        if rank_a and rank_b:
            self._varying += count
            self._similarity += count * correlations(basis_a, basis_b).mean().item()
            self._floor += count * floor(rank_a, rank_b, n, basis_a.is_complex() or basis_b.is_complex())

    def result(self) -> Comparison:
        return Comparison(
            self._similarity / self._varying if self._varying else math.nan,
            self._floor / self._varying if self._varying else math.nan,
            self._rank_a / self._count,
            self._rank_b / self._count,
        )


def svcca(a: Tensor, b: Tensor, variance_kept: float = VARIANCE_KEPT) -> Comparison:
    """Compare two layers' activations for the same n images, each (n, d) or (n, c, h, w).

    Maps are compared at each frequency that both have, a map and a vector at the constant frequency alone. A whole
    matrix of layers is much faster with `similarity.compare`.

    Parameters
    ----------
    variance_kept : as in `basis`; 1 gives plain CCA, which needs many more images than directions: see `floor`.

    Raises
    ------
    InputError
        If a layer is no such tensor, the layers differ in their images, there are fewer than two, or a value is NaN or
        infinite.
    """
    number("the share of the variance that is kept", variance_kept, above=0, high=1)
    for name, layer in (("the first layer", a), ("the second layer", b)):
        tensor(name, layer, "(n, d)", "(n, c, h, w)")
    if min(len(a), len(b)) < 2:
        raise InputError("representations are compared over images, and 1 of them is too few; use at least 2")
    if len(a) != len(b):
        raise InputError(f"the layers were recorded for {len(a)} and {len(b)} images; record both for the same ones")
    if not (is_finite(a) and is_finite(b)):
        raise InputError("the activations hold NaN or infinity, so the network has diverged and cannot be compared")
    shared = frequencies(side_of(a.shape[1:]), side_of(b.shape[1:]))
    bases = []
    for layer in (a, b):
        spectrum = Spectrum(len(layer), layer.shape[1:], list(shared), layer.device)
        for start in range(0, len(layer), BATCH):
            rows = slice(start, start + BATCH)
            spectrum.add(rows, layer[rows])
        bases.append({frequency: basis(x, spectrum.noise, variance_kept) for frequency, x in spectrum})
    average = Average()
    for frequency, count in shared.items():
        average.add(bases[0][frequency], bases[1][frequency], count)
    return average.result()
