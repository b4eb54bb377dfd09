"""From what the landscape functions return to the tidy tables."""

import pandas as pd


def tidy(evaluated: pd.DataFrame) -> pd.DataFrame:
    """Columns loss and accuracy become rows: metric and value."""
    keys = [column for column in evaluated.columns if column not in ("loss", "accuracy")]
    return evaluated.melt(keys, ["loss", "accuracy"], "metric", "value")


def path_table(evaluated: pd.DataFrame, path: str, epoch: int) -> pd.DataFrame:
    """A table of kind "path" from what `curves.evaluate_curve` returns."""
    numbered = evaluated.rename(columns={"arc": "arc_length"})
    numbered.insert(0, "point", numbered.t.rank(method="dense").astype("int64") - 1)
    return tidy(numbered).assign(path=path, epoch=epoch)
