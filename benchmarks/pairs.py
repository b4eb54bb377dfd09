"""Timing two ways of doing the same, fairly: alternately, so that a slow minute of the machine hits both."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """Median seconds of both ways, and how many times faster ours is: the median of the repeats' ratios."""

    ours_s: float
    usual_s: float
    ratio: float


def ratio(
    ours: Callable[[], object], usual: Callable[[], object], repeats: int = 5, warm_up: bool = True, told: bool = False
) -> Ratio:
    """Time both alternately, after a call of each to warm up; both must have finished when they return (GPUs too).

    told : both return the seconds that count.
    """
    if warm_up:
        ours(), usual()
    times: dict[Callable, list[float]] = {ours: [], usual: []}
    for _ in range(repeats):
        for way in (ours, usual):
            begin = time.perf_counter()
            seconds = way()
            times[way].append(seconds if told else time.perf_counter() - begin)
    ratios = [slow / fast for fast, slow in zip(times[ours], times[usual], strict=True)]
    return Ratio(median(times[ours]), median(times[usual]), median(ratios))


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process that some work takes: of one thread, what it would take on an idle machine."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


@dataclass(frozen=True)
class Comparison:
    """One row of the table.

    ours, usual : do the same work, and have finished when they return.
    agree : raises an AssertionError unless both come to the same numbers.
    warm_up : whether both are called once before they are timed; not for work that starts processes of its own.
    told : both return the seconds that count, such as those of `cpu_seconds`.
    """

    what: str
    ours: Callable[[], object]
    usual: Callable[[], object]
    agree: Callable[[], None]
    repeats: int = 5
    warm_up: bool = True
    told: bool = False

    def row(self) -> dict:
        """Check that both agree, then time them: {"what", "ours_s", "usual_s", "ratio"}."""
        self.agree()
        return {"what": self.what, **asdict(ratio(self.ours, self.usual, self.repeats, self.warm_up, self.told))}


def timed(comparisons: Iterable[Comparison]) -> list[dict]:
    """The rows of all comparisons, each reported as it ends, for they take their time."""
    rows = []
    for comparison in comparisons:
        rows.append(comparison.row())
        print(f"{rows[-1]['ratio']:8.2f} x  {comparison.what}", flush=True)
    return rows
