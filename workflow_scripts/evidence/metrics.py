"""What trainings measure: each metric is one record, which everything that computes, stores or shows it reads.

A metric is a transform of a mean: sums and counts are added up over batches and processes, and turned into the number
that is stored at the very end.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric of the tidy table of a training.

    name : in the column `metric`. label : in words, with a small first letter. unit : as written after a number, or "".
    better : "max", "min", or "" where neither is better. decimals : usually shown. splits : parts of the data that it
    is measured on. of_mean : from the mean of what is summed up to the stored number.
    """

    name: str
    label: str
    unit: str
    better: str
    decimals: int = 2
    splits: tuple[str, ...] = ("train", "test", "validation")
    of_mean: Callable[[float], float] = float

    @property
    def labelled(self) -> str:
        """The label with its unit: "accuracy (%)"."""
        return f"{self.label} ({self.unit})" if self.unit in ("%",) else self.label


def percent(share: float) -> float:
    """A share of 0 to 1 in percent."""
    return 100.0 * share


def exponential(mean: float) -> float:
    """e to the power of a mean, infinite where that is no number of a float."""
    try:
        return math.exp(mean)
    except OverflowError:
        return math.inf


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in [
        Metric("loss", "loss", "nats", "min", 4),
        Metric("accuracy", "accuracy", "%", "max", of_mean=percent),
        Metric("top5_accuracy", "top-5 accuracy", "%", "max", of_mean=percent),
        Metric("learning_rate", "learning rate", "", "", splits=("train",)),
        # Of text, where a loss is a mean over target tokens; the perplexity is of the loss without label smoothing.
        Metric("perplexity", "perplexity", "", "min", of_mean=exponential),
        Metric("masked_loss", "loss of the masked tokens", "nats", "min", 4),
        Metric("masked_accuracy", "accuracy on masked tokens", "%", "max", of_mean=percent),
        Metric("next_sentence_accuracy", "next-sentence accuracy", "%", "max", of_mean=percent),
    ]
}
SPLITS = tuple(dict.fromkeys(split for metric in METRICS.values() for split in metric.splits))
