"""SVCCA between all layers of two networks, in bounded memory.

The bases of all layers at all frequencies do not fit: a 64 x 32 x 32 layer alone has 5 GB of them for 10,000 images.
Yet layers are compared only at equal frequencies, and only the few large maps have the many high ones. So the work goes
frequency by frequency, as many at a time as fit the budget, with all layers of both networks at once: each basis is
computed once, and recording again costs a forward pass (no deeper than the last layer that has the frequencies). A
single frequency of VGG-16-BN needs at most 2.6 GB, however small the budget.
"""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

import pandas as pd
from torch import Tensor, nn

from workflow_scripts.base.checks import network, number, training_data, whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData
from workflow_scripts.models.vision.layers import Operation
from workflow_scripts.representation.activations import calls, image_count, watch
from workflow_scripts.representation.spectrum import Frequency, Spectrum, frequencies, is_real, side_of
from workflow_scripts.representation.svcca import VARIANCE_KEPT, Average, basis

Pair = tuple[int, int]  # indices of an operation of either network
PairsAt = dict[Frequency, dict[Pair, int]]  # the pairs that share a frequency, and how often it counts for each

BUDGET = 2 * 2**30
"""Bytes for the coefficients of both networks, on the models' device."""


def compare(
    model_a: nn.Module,
    model_b: nn.Module,
    data: TrainingData,
    limit: int | None = 10_000,
    diagonal_only: bool = False,
    batch_size: int = 250,
    budget: int = BUDGET,
    variance_kept: float = VARIANCE_KEPT,
) -> pd.DataFrame:
    """SVCCA of the operations of one network with those of another (gotmare2019, figures 4c, 5, 6 and 14).

    The operations are the calls that `activations.calls` finds; `layers.left_out` says which layers are not compared.

    Parameters
    ----------
    model_a, model_b : on the device of `data`.
    limit : the first so many training images, un-augmented; all where it is None.
    diagonal_only : compare each operation with its counterpart only.
    variance_kept : as in `svcca.basis`; 1 gives plain CCA.
    budget : bytes for Fourier coefficients; more saves forward passes and changes no result.

    Returns
    -------
    A row for each pair: layer_a, label_a, layer_b, label_b (index from 0 and label of the operation), similarity and
    floor (0 .. 1, see `svcca.Comparison`; NaN for a layer that does not vary), rank_a, rank_b (directions kept, mean
    over frequencies), n (images).

    Raises
    ------
    InputError
        If the diagonal is asked of networks with different numbers of operations, `variance_kept` is not in (0, 1], or
        as `activations.watch` does.
    """
    number("the share of the variance that is kept", variance_kept, above=0, high=1)
    whole_number("the batch size", batch_size)
    for model in (model_a, model_b):
        network("a model", model)
    training_data(data)
    count = image_count(data, limit)
    a, b = (_Network(model, data, count, batch_size, variance_kept) for model in (model_a, model_b))
    averages = {pair: Average() for pair in _pairs(a, b, diagonal_only)}
    pairs_at = _pairs_by_frequency(averages, a, b)
    for chunk in _chunks(pairs_at, a, b, budget):
        _add_frequencies({frequency: pairs_at[frequency] for frequency in chunk}, a, b, averages)
    return pd.DataFrame(
        {
            "layer_a": i,
            "label_a": a.operations[i].label,
            "layer_b": j,
            "label_b": b.operations[j].label,
            **vars(average.result()),
            "n": count,
        }
        for (i, j), average in averages.items()
    )


class _Network:
    """One of the two networks, and how to obtain the bases of its operations at given frequencies."""

    def __init__(self, model: nn.Module, data: TrainingData, count: int, batch_size: int, variance_kept: float):
        self.model, self.data, self.count, self.batch_size = model, data, count, batch_size
        self.variance_kept = variance_kept
        self.operations, self.shapes = zip(*calls(model, data).items(), strict=True)
        self.sides = [side_of(shape) for shape in self.shapes]

    def bases(self, wanted: dict[Frequency, Collection[int]]) -> dict[tuple[int, Frequency], Tensor]:
        """Bases (n, k) by operation and frequency, of the operations that are wanted at each frequency."""
        chosen = defaultdict(list)
        for frequency, layers in wanted.items():
            for layer in layers:
                chosen[layer].append(frequency)
        spectra = {
            self.operations[layer]: Spectrum(self.count, self.shapes[layer], own, self.data.device)
            for layer, own in chosen.items()
        }

        def gather(operation: Operation, rows: slice, output: Tensor) -> None:
            spectra[operation].add(rows, output)

        watched = [self.operations[layer] for layer in chosen]
        watch(self.model, watched, self.data, self.count, self.batch_size, gather)
        found = {}
        for layer in chosen:
            spectrum = spectra.pop(self.operations[layer])  # freed as soon as its bases are there
            found |= {(layer, frequency): basis(x, spectrum.noise, self.variance_kept) for frequency, x in spectrum}
        return found

    def size(self, layers: Collection[int], frequency: Frequency) -> int:
        """Bytes that the coefficients of these operations at one frequency take."""
        return sum(
            self.count * self.shapes[layer][0] * (8 if is_real(frequency, self.sides[layer]) else 16)
            for layer in layers
        )


def _add_frequencies(pairs_at: PairsAt, a: _Network, b: _Network, averages: dict[Pair, Average]) -> None:
    """Add some frequencies to the averages; their bases are gone before those of the next are made."""
    bases_a = a.bases({frequency: {i for i, _ in pairs} for frequency, pairs in pairs_at.items()})
    bases_b = b.bases({frequency: {j for _, j in pairs} for frequency, pairs in pairs_at.items()})
    for frequency, pairs in pairs_at.items():
        for (i, j), weight in pairs.items():
            averages[i, j].add(bases_a[i, frequency], bases_b[j, frequency], weight)


def _pairs(a: _Network, b: _Network, diagonal_only: bool) -> list[Pair]:
    """The pairs of operations to compare, by index."""
    size_a, size_b = len(a.operations), len(b.operations)
    if not diagonal_only:
        return list(itertools.product(range(size_a), range(size_b)))
    if size_a != size_b:
        raise InputError(
            f"the networks have {size_a} and {size_b} operations, so those on the diagonal do not correspond; "
            "compare all pairs"
        )
    return [(i, i) for i in range(size_a)]


def _pairs_by_frequency(pairs: Iterable[Pair], a: _Network, b: _Network) -> PairsAt:
    """All frequencies, with the pairs that share each."""
    pairs_at = defaultdict(dict)
    for i, j in pairs:
        for frequency, weight in frequencies(a.sides[i], b.sides[j]).items():
            pairs_at[frequency][i, j] = weight
    return pairs_at


def _chunks(pairs_at: PairsAt, a: _Network, b: _Network, budget: int) -> Iterator[list[Frequency]]:
    """Frequencies whose coefficients fit the budget together, at least one; those of like size share their layers."""
    sizes = {
        frequency: a.size({i for i, _ in pairs}, frequency) + b.size({j for _, j in pairs}, frequency)
        for frequency, pairs in pairs_at.items()
    }
    chunk, used = [], 0
    for frequency in sorted(sizes, key=sizes.get):
        if chunk and used + sizes[frequency] > budget:
            yield chunk
            chunk, used = [], 0
        chunk.append(frequency)
        used += sizes[frequency]
    yield chunk
