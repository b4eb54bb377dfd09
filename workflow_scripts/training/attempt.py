"""One attempt at a training, from its beginning or a snapshot to its end or divergence, and all that it writes."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from workflow_scripts.models import checkpoints
from workflow_scripts.recipes import places
from workflow_scripts.runtime.log import EpochLog
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.runtime.store import Store
from workflow_scripts.tasks import task_of
from workflow_scripts.training import engine
from workflow_scripts.training.history import History
from workflow_scripts.training.progress import Progress
from workflow_scripts.training.settings import Settings
from workflow_scripts.training.snapshot import Facts, Snapshot


class Attempt:
    """An `engine.Observer`: writes checkpoints and snapshots to the store, and lines to the log.

    Of several processes the main one alone writes.

    Parameters
    ----------
    id : of the run. recipe : what is trained; that of the run, or with its fallback.
    snapshot : where to go on; its facts say which attempts came before.
    """

    def __init__(
        self,
        store: Store,
        id: str,
        recipe: dict,
        asked: dict[str, int],
        snapshot: Snapshot,
        settings: Settings,
        processes: Processes,
    ):
        self.store, self.id, self.recipe, self.asked = store, id, recipe, asked
        self.snapshot_before, self.settings, self.processes = snapshot, settings, processes
        self.saved, self.history = list(snapshot.facts.saved), History({})
        self.log = EpochLog(id, recipe["epochs"], snapshot.facts.epoch, shown=processes.is_main)
        self.began = self.last = time.monotonic()

    def run(self, data: Any, source: Path | None) -> Facts:
        """Train; where that ended, with `seconds` of all devices."""
        task = task_of(self.recipe, data, source)
        progress = engine.begin(self.recipe, task, self.asked)
        if self.snapshot_before.tensors:
            progress.load(self.snapshot_before.tensors, self.snapshot_before.facts)
        self.history = progress.history
        engine.train(self.recipe, task, progress, self.asked, self, self.processes)
        return self._facts(progress)

    def _facts(self, progress: Progress) -> Facts:
        before = self.snapshot_before.facts
        seconds = None
        if before.seconds is not None:  # less what kills undid
            seconds = before.seconds + (time.monotonic() - self.began) * self.processes.count
        return replace(progress.facts(), attempts=before.attempts, saved=list(self.saved), seconds=seconds)

    def save(self, label: str, state: dict[str, Tensor]) -> None:
        """As `Observer.save`."""
        if not self.processes.is_main:
            return
        description = {"model": self.recipe["model"], "data": self.recipe["data"], "at": label, "run": self.id}
        checkpoints.save(places.checkpoint(self.store.folder, label), state, description)
        self.saved.append(label)

    def epoch_ended(self, progress: Progress) -> None:
        """As `Observer.epoch_ended`."""
        self.log.epoch(progress.epoch, progress.history.last())
        finished = progress.epoch == self.recipe["epochs"] or progress.diverged is not None
        if self.processes.is_main and (finished or self.snapshot_is_due()):
            self.snapshot(progress)

    def snapshot_is_due(self) -> bool:
        """As `Observer.snapshot_is_due`."""
        return time.monotonic() - self.last > self.settings.snapshot_seconds

    def snapshot(self, progress: Progress) -> None:
        """As `Observer.snapshot`."""
        Snapshot(self._facts(progress), progress.tensors()).save(self.store)
        self.last = time.monotonic()
