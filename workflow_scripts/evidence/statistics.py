"""Statistics over the trials of one experiment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BETTER = {"accuracy": "max", "loss": "min"}


@dataclass(frozen=True)
class Summary:
    """Statistics of n trials, in the unit of the trials; nan where n is too small for one.

    best : the largest or the smallest, whichever is better. std : sample standard deviation (n - 1), of two or more.
    low, high : 95 % bootstrap interval of the mean, of two or more.
    """

    n: int
    best: float
    mean: float
    std: float
    low: float
    high: float


def summarise(trials: Sequence[float], better: str = "max", resamples: int = 9999) -> Summary:
    """Summarise the results of independent trials.

    Parameters
    ----------
    trials : one finite number a trial, shape (n,); n may be 0.
    better : "max" or "min".
    resamples : bootstrap resamples; they are drawn with a fixed seed, so the same trials give the same interval.

    Returns
    -------
    Summary. The interval is the percentile bootstrap of the mean (Efron, 1979): with the papers' 3 to 5 trials the
    bias-corrected one is no better founded, and it is not defined for equal trials.
    """
    trials = np.asarray(trials, dtype=float)
    if better not in ("max", "min") or trials.ndim != 1 or not np.isfinite(trials).all():
        raise ValueError("trials must be one row of finite numbers, and better one of max and min")
    n, nan = len(trials), float("nan")
    if n == 0:
        return Summary(0, nan, nan, nan, nan, nan)
    best, mean = float(trials.max() if better == "max" else trials.min()), float(trials.mean())
    if n == 1:
        return Summary(1, best, mean, nan, nan, nan)
    from scipy.stats import bootstrap  # half a second of import, which one trial need not pay

    interval = bootstrap(
        (trials,), np.mean, n_resamples=resamples, method="percentile", rng=np.random.default_rng(0), vectorized=True
    ).confidence_interval
    return Summary(n, best, mean, float(trials.std(ddof=1)), float(interval.low), float(interval.high))
