"""Timing two ways of doing the same, fairly: alternately, so that a slow minute of the machine hits both."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """Median seconds of both ways, and how many times faster ours is."""

    ours_s: float
    usual_s: float
    ratio: float

    def __str__(self) -> str:
        return f"{self.ratio:.2f}x (ours {self.ours_s:.3f} s, usual {self.usual_s:.3f} s)"


def ratio(ours: Callable[[], object], usual: Callable[[], object], repeats: int = 5) -> Ratio:
    """Time both alternately after one warm-up call of each; both must have finished when they return (GPUs too)."""
    ours(), usual()
    times: dict[Callable, list[float]] = {ours: [], usual: []}
    for _ in range(repeats):
        for way in (ours, usual):
            begin = time.perf_counter()
            way()
            times[way].append(time.perf_counter() - begin)
    ours_s, usual_s = median(times[ours]), median(times[usual])
    return Ratio(ours_s, usual_s, usual_s / ours_s)
