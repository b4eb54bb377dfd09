"""Statistics over the trials of one experiment, and of a series of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workflow_scripts.base.checks import mapping
from workflow_scripts.base.errors import InputError

NAN = float("nan")
CONFIDENCE = 0.95
BOOTSTRAP_TRIALS = 10  # of a setting: of fewer, resampling knows little more than the least and the greatest


@dataclass(frozen=True)
class Summary:
    """Statistics of n trials, in the unit of the trials; nan where n is too small for one.

    best : the largest or the smallest, whichever is better. std : sample standard deviation (n - 1), of two or more.
    low, high : 95 % interval of the mean, of two or more that are not all equal.
    """

    n: int
    best: float
    mean: float
    std: float
    low: float
    high: float


def summarise(trials: Sequence[float], better: str = "max") -> Summary:
    """Summarise the results of independent trials.

    Parameters
    ----------
    trials : one finite number a trial, shape (n,); n may be 0.
    better : "max" or "min".

    Raises
    ------
    InputError : trials that are no row of finite numbers; another `better`.

    Returns
    -------
    Summary. The interval is Student's (1908), mean ± t(0.975, n - 1) std / √n: the papers have 3 to 50 trials, and of a
    few a bootstrap would show little more than their range. Trials that are all equal do not say how trials vary, so
    they have no interval.
    """
    trials = _row(trials)
    if better not in ("max", "min"):
        raise InputError(f"what is better is {better!r}; choose max or min")
    n = len(trials)
    if n == 0:
        return Summary(0, NAN, NAN, NAN, NAN, NAN)
    best, mean = float(trials.max() if better == "max" else trials.min()), float(trials.mean())
    if n == 1:
        return Summary(1, best, mean, NAN, NAN, NAN)
    std = float(trials.std(ddof=1))
    if np.ptp(trials) == 0:
        return Summary(n, best, mean, std, NAN, NAN)
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * std / n**0.5
    return Summary(n, best, mean, std, mean - half, mean + half)


@dataclass(frozen=True)
class Trend:
    """Whether trials rise or fall from one setting to the next.

    tau : Kendall's tau-b between setting and result, -1 to 1. low, high : its 95 % bootstrap interval, where every
        setting has ten trials or more. p : one-sided, of the Jonckheere-Terpstra test; nan where nothing varies.
    """

    tau: float
    low: float
    high: float
    p: float


def trend(groups: Mapping[float, Sequence[float]], expected: str, resamples: int = 999) -> Trend:
    """Test for a trend over ordered settings with independent trials.

    Parameters
    ----------
    groups : setting (such as explore epochs) to the results of its trials; none may be missing in what is claimed.
    expected : "increase" or "decrease", the alternative.

    Raises
    ------
    InputError : trials that are no row of finite numbers; another `expected`.

    Returns
    -------
    Trend. Kendall's score with the settings as one of its variables is the statistic of Jonckheere (1954) and Terpstra
    (1952), and its normal approximation with ties is theirs.
    """
    from scipy.stats import bootstrap, kendalltau

    mapping("the groups", groups)
    samples, alternative = [_row(trials) for trials in groups.values()], _alternative(expected)

    def tau(*drawn: np.ndarray) -> float:
        settings = np.repeat(list(groups), [len(one) for one in drawn])
        return kendalltau(settings, np.concatenate(drawn), method="asymptotic", alternative=alternative)

    if sum(len(one) > 0 for one in samples) < 2 or np.ptp(np.concatenate(samples)) == 0:
        return Trend(NAN, NAN, NAN, NAN)
    found = tau(*samples)
    if min(map(len, samples)) < BOOTSTRAP_TRIALS:
        return Trend(float(found.statistic), NAN, NAN, float(found.pvalue))
    interval = bootstrap(
        samples, lambda *drawn: tau(*drawn).statistic, n_resamples=resamples, method="percentile",
        rng=np.random.default_rng(0), vectorized=False,
    ).confidence_interval  # fmt: skip
    return Trend(float(found.statistic), float(interval.low), float(interval.high), float(found.pvalue))


@dataclass(frozen=True)
class Shift:
    """How the trials of one setting compare with those of another.

    superiority : chance that a trial of the second is beyond one of the first in the expected direction, ties halved.
    p : one-sided, Mann-Whitney. spread : the second's standard deviation over the first's.
    spread_p : two-sided, Brown-Forsythe, of equal spreads. All nan where there are too few trials.
    """

    superiority: float
    p: float
    spread: float
    spread_p: float


def shift(first: Sequence[float], second: Sequence[float], expected: str) -> Shift:
    """Compare two settings with independent trials; `expected` is "increase" or "decrease" from first to second.

    Raises
    ------
    InputError : trials that are no row of finite numbers; another `expected`.
    """
    from scipy.stats import levene, mannwhitneyu

    first, second, alternative = _row(first), _row(second), _alternative(expected)
    if min(len(first), len(second)) < 2:
        return Shift(NAN, NAN, NAN, NAN)
    test = mannwhitneyu(second, first, alternative=alternative)
    superiority = float(test.statistic) / (len(first) * len(second))
    spreads = [float(np.std(trials, ddof=1)) for trials in (first, second)]
    ratio = spreads[1] / spreads[0] if spreads[0] > 0 else NAN
    with np.errstate(divide="ignore", invalid="ignore"):  # of two trials both differ alike from their median: no test
        spread_p = float(levene(first, second, center="median").pvalue)
    return Shift(superiority if expected == "increase" else 1 - superiority, float(test.pvalue), ratio, spread_p)


ALTERNATIVE = {"increase": "greater", "decrease": "less"}


def _row(trials: Sequence[float]) -> np.ndarray:
    """Trials as float64 of shape (n,)."""
    try:
        row = np.asarray(trials, dtype=float)
    except (TypeError, ValueError):
        row = np.array(np.nan)
    if row.ndim != 1 or not np.isfinite(row).all():
        raise InputError(f"trials must be one row of finite numbers, not {trials!r}")
    return row


def _alternative(expected: str) -> str:
    """What scipy calls what is expected."""
    if expected not in ALTERNATIVE:
        raise InputError(f"what is expected is {expected!r}; choose {' or '.join(ALTERNATIVE)}")
    return ALTERNATIVE[expected]
