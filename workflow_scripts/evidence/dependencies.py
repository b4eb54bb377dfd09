"""What an analysis does when a training that it rests on diverged: it says so, and the rest goes on."""

from collections.abc import Iterable
from pathlib import Path

from workflow_scripts.evidence.tables import read_table


def divergence(checkpoints: Iterable[Path]) -> dict | None:
    """The status of the first training that diverged before it could save one of these checkpoints, or None.

    A checkpoint <run>/checkpoints/<label>.safetensors has its run's table beside its folder. One that is merely missing
    is none of this function's business: loading it will say so.
    """
    for checkpoint in checkpoints:
        table = checkpoint.parent.parent / "metrics.parquet"
        if not checkpoint.exists() and table.exists():
            metrics = read_table(table, "metrics")
            if metrics.diverged:
                return metrics.status
    return None
