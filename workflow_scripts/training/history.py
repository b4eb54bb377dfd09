"""The metrics of a run while it trains: a row an epoch, and at the end the tidy table."""

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from workflow_scripts.evidence.metrics import METRICS

NAN = float("nan")


class History:
    """A row for each epoch: update, epoch, learning rate, and the metrics of each split that the task measures.

    The training metrics are those of the epoch's own forward passes (train mode, augmented, weights on the move); the
    learning rate is that of the epoch's last update. Metrics of the other split are absent in epochs without an
    evaluation.

    Parameters
    ----------
    metrics : names by split, in the table's order; "train" first.
    """

    def __init__(self, metrics: Mapping[str, tuple[str, ...]]):
        self.measured = [("train", "learning_rate")]
        self.measured += [(split, name) for split, names in metrics.items() for name in names]
        self.rows: list[list[float]] = []

    def add(
        self, step: int, epoch: int, rate: float, trained: Mapping[str, float], evaluated: Mapping[str, float]
    ) -> None:
        """Append an epoch."""
        found = {("train", name): value for name, value in {"learning_rate": rate, **trained}.items()}
        found |= {(split, name): evaluated[name] for split, name in self.measured if split != "train" and evaluated}
        self.rows.append([float(step), float(epoch), *(float(found.get(place, NAN)) for place in self.measured)])

    def tensor(self) -> Tensor:
        """All rows, (epochs, columns) float64, for a snapshot."""
        return torch.tensor(self.rows, dtype=torch.float64).reshape(-1, 2 + len(self.measured))

    def load(self, rows: Tensor) -> None:
        """Take up what `tensor` gave."""
        self.rows = rows.tolist()

    def table(self, run: str) -> pd.DataFrame:
        """The tidy table of kind "metrics"."""
        names = [" ".join(place) for place in self.measured]
        wide = pd.DataFrame(self.rows, columns=["step", "epoch", *names]).astype({"step": "int64"})
        long = wide.melt(["step", "epoch"], names, "place", "value")
        long = long[long.place.str.startswith("train ") | long.value.notna()]
        places = long.place.str.split(" ", n=1, expand=True)
        long = (
            long.assign(run=run, split=places[0], metric=places[1])
            if len(long)
            else long.assign(run=run, split="", metric="")
        )
        return long[["run", "step", "epoch", "split", "metric", "value"]].reset_index(drop=True)

    def last(self) -> str:
        """The last epoch in words: the training loss, and the first metric of the evaluation that is no loss."""
        found = dict(zip(self.measured, self.rows[-1][2:], strict=True))
        said = []
        for (split, name), value in found.items():
            metric = METRICS[name]
            if value != value or name == "learning_rate":
                continue
            if name == "loss" if split == "train" else name != "loss" and len(said) < 2:
                said.append(
                    f"{split} {metric.label} {value:.{metric.decimals}f}{f' {metric.unit}' * (metric.unit == '%')}"
                )
        return ", ".join(said)
