"""The metrics of a run while it trains: a row an epoch, and at the end the tidy table."""

import pandas as pd
import torch
from torch import Tensor

COLUMNS = (
    "step", "epoch", "learning_rate",
    "train_loss", "train_accuracy", "test_loss", "test_accuracy", "test_top5_accuracy",
)  # fmt: skip
METRICS = {
    "learning_rate": ("train", "learning_rate"),
    "train_loss": ("train", "loss"),
    "train_accuracy": ("train", "accuracy"),
    "test_loss": ("test", "loss"),
    "test_accuracy": ("test", "accuracy"),
    "test_top5_accuracy": ("test", "top5_accuracy"),
}


class History:
    """Rows of `COLUMNS`; test metrics are None in epochs without an evaluation.

    The training metrics are those of the epoch's own forward passes (train mode, augmented, weights on the move); the
    learning rate is that of the epoch's last update.
    """

    def __init__(self, rows: Tensor | None = None):
        self.rows: list[list[float]] = [] if rows is None else rows.tolist()

    def add(self, **values: float | None) -> None:
        """Append an epoch."""
        self.rows.append([float("nan") if values[name] is None else float(values[name]) for name in COLUMNS])

    def tensor(self) -> Tensor:
        """All rows, (epochs, columns) float64, for a snapshot."""
        return torch.tensor(self.rows, dtype=torch.float64).reshape(-1, len(COLUMNS))

    def table(self, run: str) -> pd.DataFrame:
        """The tidy table of kind "metrics"."""
        wide = pd.DataFrame(self.rows, columns=list(COLUMNS)).astype({"step": "int64"})
        long = wide.melt(["step", "epoch"], list(METRICS), "name", "value")
        evaluated = ~(long.name.str.startswith("test") & long.value.isna())
        long = long[evaluated].assign(
            run=run,
            split=lambda frame: frame.name.map(lambda name: METRICS[name][0]),
            metric=lambda frame: frame.name.map(lambda name: METRICS[name][1]),
        )
        return long[["run", "step", "epoch", "split", "metric", "value"]].reset_index(drop=True)

    def last(self) -> str:
        """The last epoch in words."""
        row = dict(zip(COLUMNS, self.rows[-1], strict=True))
        evaluated = row["test_accuracy"] == row["test_accuracy"]
        return f"train loss {row['train_loss']:.4f}" + (
            f", test accuracy {row['test_accuracy']:.2f} %" if evaluated else ""
        )
