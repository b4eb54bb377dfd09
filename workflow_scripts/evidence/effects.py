"""Effects with their intervals and tests, in closed form.

An effect is one number, such as a difference of means. What is known of it comes from the spread of independent trials;
where there is one run of each setting there is no spread, so neither an interval nor a test, and `tested` is false.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workflow_scripts.evidence import statistics

NAN = float("nan")
LEVEL = 0.95


@dataclass(frozen=True)
class Sample:
    """Trials of one setting: how many, their mean, and their standard deviation (n - 1; nan where it is unknown).

    values : the trials themselves, where they are known; shape (n,).
    """

    n: float
    mean: float
    std: float
    values: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Sequence[float]) -> "Sample":
        """Of the trials themselves; of none, the mean is nan."""
        array = np.asarray(values, dtype=float)
        n = len(array)
        mean, std = float(array.mean()) if n else NAN, float(array.std(ddof=1)) if n > 1 else NAN
        return cls(n, mean, std, tuple(array.tolist()))

    @classmethod
    def exactly(cls, value: float) -> "Sample":
        """A number that is known, as if of infinitely many trials that are all the same."""
        return cls(math.inf, value, 0.0)


@dataclass(frozen=True)
class Effect:
    """One number and what is known of it.

    low, high : its 95 % interval; nan where there is none. n : the least number of trials of a setting.
    p_above, p_below : of a threshold, the one-sided p of the hypothesis that the effect is not above (below) it; None
        where nothing can be tested.
    """

    value: float
    n: int
    low: float = NAN
    high: float = NAN
    p_above: Callable[[float], float] | None = None
    p_below: Callable[[float], float] | None = None

    @property
    def tested(self) -> bool:
        return self.p_above is not None


def difference(one: Sample, other: Sample) -> Effect:
    """one - other of the means, with Welch's interval and test (Welch, 1947).

    Where a setting has a single trial it is taken to vary as the other one does (the t test of pooled variances); where
    nothing tells how trials vary, nothing is tested. Trials that are all equal tell nothing either: p is nan.
    """
    error, freedom = _error(one.n, one.std, other.n, other.std)
    return _student(one.mean - other.mean, error, freedom, _least(one, other))


def ratio(one: Sample, other: Sample, deviations: bool = False) -> Effect:
    """one / other of the means, tested on the scale of logarithms, with the errors of log means by the delta method.

    deviations : of the mean absolute deviations from the median in place of the means, as the test of Brown and
        Forsythe (1974) compares spreads. Where a mean is not above 0 the ratio is nan.
    """
    if deviations:
        one, other = _absolute_deviations(one), _absolute_deviations(other)
    if not (one.mean > 0 and other.mean > 0):
        return Effect(NAN, _least(one, other))
    error, freedom = _error(one.n, one.std / one.mean, other.n, other.std / other.mean)
    return _student(math.log(one.mean / other.mean), error, freedom, _least(one, other), math.exp, math.log)


def trend(groups: Mapping[float, Sample]) -> Effect:
    """Kendall's tau between settings and trials, with the test of Jonckheere and Terpstra against no trend.

    A setting of which only a mean is known counts as one trial.
    """
    trials = {at: sample.values or (sample.mean,) for at, sample in groups.items()}
    n = min((len(values) for values in trials.values()), default=0)
    if any(np.isnan(values).any() for values in trials.values()):
        return Effect(NAN, n)
    found = statistics.trend(trials, "increase")
    # Its p is of a normal score, so that of the other direction is the rest. It is of the threshold 0 alone.
    return Effect(found.tau, n, found.low, found.high, lambda _: found.p, lambda _: 1 - found.p)


def monotone(values: Sequence[float]) -> Effect:
    """Kendall's tau between places along a path, or layers by depth, and what is measured there; of one network."""
    from scipy.stats import kendalltau

    if len(values) < 2 or np.isnan(values).any():
        return Effect(NAN, 1)
    return Effect(float(kendalltau(range(len(values)), values).statistic), 1)


def barrier(values: Sequence[float], metric: str) -> Effect:
    """How far a path rises above its higher end in loss, or falls below its lower end in accuracy; 0 or more.

    A path crosses a barrier where a point of it has a higher loss than both ends (Gotmare et al., 2019, footnote 3). A
    loss that is not a number is infinite.
    """
    array = np.asarray(values, dtype=float)
    if metric == "loss":
        array = np.where(np.isnan(array), np.inf, array)
    worse = array if metric == "loss" else -array
    worst, ends = (float(worse.max()), max(float(worse[0]), float(worse[-1]))) if len(array) else (NAN, NAN)
    return Effect(worst - ends if math.isfinite(ends) else NAN, 1)


def share(found: int, n: int) -> Effect:
    """found / n with the interval of Clopper and Pearson (1934) and the binomial test."""
    from scipy.stats import binomtest

    if n == 0:
        return Effect(NAN, 0)
    low, high = binomtest(found, n).proportion_ci(LEVEL, "exact")

    def tail(alternative: str) -> Callable[[float], float]:
        return lambda threshold: float(binomtest(found, n, threshold, alternative).pvalue)

    return Effect(found / n, n, float(low), float(high), tail("greater"), tail("less"))


def _least(one: Sample, other: Sample) -> int:
    least = min(one.n, other.n)
    return int(least) if math.isfinite(least) else 1


def _absolute_deviations(sample: Sample) -> Sample:
    if len(sample.values) < 2:
        return Sample(sample.n, NAN, NAN)
    return Sample.of(np.abs(np.asarray(sample.values) - np.median(sample.values)))


def _error(n_one: float, std_one: float, n_other: float, std_other: float) -> tuple[float, float]:
    """Standard error of a difference of means, and its degrees of freedom; 0 degrees where nothing can be tested."""
    if n_one == 1 and 1 < n_other < math.inf:
        return std_other * math.sqrt(1 + 1 / n_other), n_other - 1
    if n_other == 1 and 1 < n_one < math.inf:
        return std_one * math.sqrt(1 + 1 / n_one), n_one - 1
    if min(n_one, n_other) < 2 or math.isnan(std_one) or math.isnan(std_other):
        return NAN, 0
    one, other = std_one**2 / n_one, std_other**2 / n_other
    if one + other == 0:
        return 0.0, min(n_one, n_other) - 1
    return math.sqrt(one + other), (one + other) ** 2 / (one**2 / (n_one - 1) + other**2 / (n_other - 1))


def _student(
    value: float,
    error: float,
    freedom: float,
    n: int,
    shown: Callable[[float], float] = float,
    scale: Callable[[float], float] = float,
) -> Effect:
    """An effect that is t-distributed on the scale that it is tested on; `shown` leads back from there."""
    from scipy.stats import t

    if freedom == 0 or math.isnan(value) or math.isnan(error):
        return Effect(shown(value), n)
    if error == 0:
        return Effect(shown(value), n, NAN, NAN, lambda _: NAN, lambda _: NAN)
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * error

    def above(threshold: float) -> float:
        return float(t.sf((value - scale(threshold)) / error, freedom))

    def below(threshold: float) -> float:
        return float(t.cdf((value - scale(threshold)) / error, freedom))

    return Effect(shown(value), n, shown(value - half), shown(value + half), above, below)
