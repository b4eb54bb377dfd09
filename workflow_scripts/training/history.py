"""The metrics of a run while it trains: a row an epoch, and at the end the tidy table."""

import math
from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from workflow_scripts.evidence.metrics import METRICS

FIXED = ("step", "epoch", "train learning_rate")


class History:
    """A row an epoch of the metrics that a task names; NaN in epochs in which one was not measured.

    The training metrics are those of the epoch's own forward passes (train mode, augmented, weights on the move); the
    learning rate is that of the epoch's last update.

    Parameters
    ----------
    measured : split → names of `evidence.metrics.METRICS`. rows : what `tensor` gave.

    Raises
    ------
    ValueError : the rows are not of these metrics.
    """

    def __init__(self, measured: Mapping[str, tuple[str, ...]], rows: Tensor | None = None):
        self.columns = (*FIXED, *(f"{split} {METRICS[name].name}" for split in measured for name in measured[split]))
        self.rows: list[list[float]] = [] if rows is None else rows.tolist()
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"the rows of this history are not of {', '.join(self.columns)}")

    def add(self, step: int, epoch: int, learning_rate: float, found: Mapping[str, Mapping[str, float]]) -> None:
        """Append an epoch; `found` has by split what was measured."""
        values = {f"{split} {name}": value for split, metrics in found.items() for name, value in metrics.items()}
        if unknown := set(values) - set(self.columns):
            raise ValueError(f"the task measured {', '.join(sorted(unknown))}, which it does not name")
        values |= dict(zip(FIXED, (step, epoch, learning_rate), strict=True))
        self.rows.append([float(values.get(name, math.nan)) for name in self.columns])

    def tensor(self) -> Tensor:
        """All rows, (epochs, columns) float64, for a snapshot."""
        return torch.tensor(self.rows, dtype=torch.float64).reshape(-1, len(self.columns))

    def table(self, run: str) -> pd.DataFrame:
        """The tidy table of kind "metrics"."""
        wide = pd.DataFrame(self.rows, columns=list(self.columns)).astype({"step": "int64"})
        long = wide.melt(["step", "epoch"], list(self.columns[2:]), "name", "value")
        evaluated = ~(~long.name.str.startswith("train ") & long.value.isna())
        names = long.name.str.split(" ", expand=True).reindex(columns=[0, 1])
        long = long.assign(run=run, split=names[0], metric=names[1])[evaluated]
        return long[["run", "step", "epoch", "split", "metric", "value"]].reset_index(drop=True)

    def last(self) -> str:
        """The last epoch in words: the training loss, and what was evaluated."""
        row = dict(zip(self.columns, self.rows[-1], strict=True))
        told = [
            f"{name} {value:.{METRICS[name.split(' ')[1]].decimals}f} {METRICS[name.split(' ')[1]].unit}".rstrip()
            for name, value in row.items()
            if name == "train loss" or (name not in FIXED and not name.startswith("train ") and not math.isnan(value))
        ]
        return ", ".join(told)
