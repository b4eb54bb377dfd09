"""Where the folder of results has runs and unfinished work, and the folder of a run its checkpoints."""

from pathlib import Path


def store(results: Path) -> Path:
    """Snapshots and finished work, by identity."""
    return results / "store"


def runs(results: Path) -> Path:
    """What the workflow was given of finished runs, by identity."""
    return results / "runs"


def run_groups(results: Path, scale: str) -> Path:
    """The file that says which runs may be trained in one process."""
    return results / "run_groups" / f"{scale}.json"


def checkpoints(run: Path) -> Path:
    """The checkpoints of a run, in its folder or in the store's."""
    return run / "checkpoints"


def checkpoint(run: Path, label: str) -> Path:
    """One of them."""
    return checkpoints(run) / f"{label}.safetensors"
