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


def fallbacks(checkpoints: Iterable[Path]) -> list[dict]:
    """The attempts that diverged before the trainings behind these checkpoints took their declared fallbacks."""
    tables = dict.fromkeys(checkpoint.parent.parent / "metrics.parquet" for checkpoint in checkpoints)
    return [
        attempt
        for table in tables
        if table.exists()
        for attempt in read_table(table, "metrics").status.get("attempts", [])
    ]


def with_fallbacks(status: dict | None, checkpoints: Iterable[Path]) -> dict:
    """The status of an analysis, with what its trainings went through."""
    attempts = fallbacks(checkpoints)
    return {**(status or {"state": "finished"}), **({"attempts": attempts} if attempts else {})}
