"""The metrics of trainings: the one place that says what each is called, its unit, and which way is better.

Training tables hold them by name and split, and the tables' own columns, the statistics of trials and the figures read
this record. A task says which of them it measures on which split. Values are stored as they are shown, in `unit`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

SPLITS = {"train": "Training", "validation": "Validation", "test": "Test"}


@dataclass(frozen=True)
class Metric:
    """What can be measured of a training.

    name : in tables and declarations. label, unit : of an axis or column; the unit is empty where the label says it.
    meaning : of a stored value, for the description of the tables. direction : "max" or "min", whichever is better;
    empty for a setting. splits : those that it is measured on. decimals : usually shown.
    of_mean : from the mean of what a training sums up to the stored value.
    """

    name: str
    label: str
    unit: str
    meaning: str
    direction: str
    splits: tuple[str, ...] = ("train", "validation", "test")
    decimals: int = 2
    of_mean: Callable[[float], float] = float

    @property
    def title(self) -> str:
        """Label and unit: "accuracy (%)"."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def on(self, split: str) -> str:
        """How an axis names it on a split: "Test accuracy (%)"; a setting has no split, so "Learning rate"."""
        return f"{SPLITS[split]} {self.title}" if self.direction else self.title[0].upper() + self.title[1:]


def percent(share: float) -> float:
    """A share of 0 to 1 in percent."""
    return 100.0 * share


def exponential(mean: float) -> float:
    """e to the power of a mean; infinite where that is beyond the range of a float."""
    return math.inf if mean > 700 else math.exp(mean)


HELD_OUT = ("validation", "test")

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("loss", "loss", "", "mean of the task's loss, in nats, without L2", "min", decimals=4),
        Metric("accuracy", "accuracy", "%", "samples of the right class, in percent", "max", of_mean=percent),
        Metric("top5_accuracy", "top-5 accuracy", "%", "right class among the five likeliest, in percent", "max"),
        Metric(
            "perplexity",
            "perplexity",
            "",
            "exp of the mean cross-entropy of a target token",
            "min",
            of_mean=exponential,
        ),
        Metric("masked_lm_loss", "masked LM loss", "", "mean over masked tokens, in nats", "min", decimals=3),
        Metric(
            "masked_lm_accuracy",
            "masked LM accuracy",
            "%",
            "masked tokens that are guessed, in percent",
            "max",
            of_mean=percent,
        ),
        Metric(
            "next_sentence_accuracy",
            "next sentence accuracy",
            "%",
            "pairs judged right, in percent",
            "max",
            of_mean=percent,
        ),
        Metric("bleu", "BLEU", "", "corpus BLEU in points, 0 to 100", "max", HELD_OUT),
        Metric("exact_match", "exact match", "%", "questions answered word for word, in percent", "max", HELD_OUT),
        Metric("f1", "F1", "%", "mean overlap of words with the answer, in percent", "max", HELD_OUT),
        Metric("learning_rate", "learning rate", "", "of the last update, as set", "", ("train",), decimals=5),
    )
}


def meanings() -> str:
    """What the values of all metrics mean, in one line."""
    return "; ".join(f"{metric.name}: {metric.meaning}" for metric in METRICS.values())
