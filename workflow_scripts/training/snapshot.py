"""Where a training stands, as the store keeps it: enough to go on to the same bits, in another process too."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from workflow_scripts.runtime.store import Store

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Facts:
    """What of a snapshot is no tensor.

    epoch, update : finished epochs, and updates of the next. diverged : where it did, if it did.
    attempts : divergences before the declared fallback was taken. saved : labels of checkpoints that are written.
    pending : labels of those that wait for their epoch's end. kept : labels that training/kept.py follows.
    least : the least validation loss so far. seconds : of computing so far, on all devices; None where an earlier
    process did not say.
    """

    epoch: int = 0
    update: int = 0
    diverged: dict | None = None
    attempts: list[dict] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    least: float | None = None
    seconds: float | None = 0.0

    @classmethod
    def read(cls, found: dict[str, Any]) -> "Facts":
        """From a snapshot's JSON; what it does not have is as at the beginning, less the seconds."""
        known = {key: value for key, value in found.items() if key in cls.__dataclass_fields__}
        return cls(**{"seconds": None, **known})


@dataclass
class Snapshot:
    """Named tensors and facts; no tensors where nothing has been trained yet."""

    facts: Facts = field(default_factory=Facts)
    tensors: "dict[str, Tensor]" = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store) -> "Snapshot":
        """The last one of a store, or the beginning."""
        found = store.snapshot()
        return cls() if found is None else cls(Facts.read(found[1]), found[0])

    def save(self, store: Store) -> None:
        """Replace the store's snapshot."""
        store.save_snapshot(self.tensors, asdict(self.facts))
