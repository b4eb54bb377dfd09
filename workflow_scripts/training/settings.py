"""How trainings are run: nothing here changes a result."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Settings:
    """Where the prepared data and the store are, and what is computed with.

    scale : its name, for the provenance. threads : CPU threads of torch. workers : processes that decode pictures.
    """

    data: Path
    store: Path
    device: str = "auto"
    snapshot_seconds: float = 60.0
    scale: str = ""
    threads: int = 1
    workers: int = 0
