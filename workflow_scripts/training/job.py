"""One training job from its recipe to its outputs: resume, fall back where declared, and leave everything whole.

Neither torch nor pandas is imported until there is something to train: a finished run is handed out in no time.
"""

import contextlib
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import link_or_copy, whole_directory, whole_file, write_text
from workflow_scripts.datasets.description import digests
from workflow_scripts.models.language.bert_config import checkpoint_digests
from workflow_scripts.recipes import places
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.recipes.job import NO_FOLDERS, Job
from workflow_scripts.recipes.labels import Label
from workflow_scripts.recipes.needs import needed_folder
from workflow_scripts.recipes.recipe import with_fallback
from workflow_scripts.recipes.steps import updates_per_epoch
from workflow_scripts.runtime.log import say
from workflow_scripts.runtime.processes import ALONE, Processes
from workflow_scripts.runtime.store import Store
from workflow_scripts.training.settings import Settings
from workflow_scripts.training.snapshot import Facts, Snapshot

if TYPE_CHECKING:
    from workflow_scripts.training.history import History


class Trainer:
    """Runs jobs one after the other; the data that they share is loaded once.

    processes : those that train each job together. The main one locks the store, and it alone writes.
    """

    def __init__(self, settings: Settings, processes: Processes = ALONE):
        self.settings, self.processes = settings, processes
        self.has_trained = False

    def finish_others(
        self, jobs: list[Job], runs: Path, folders: Mapping[str | None, Path | None] = NO_FOLDERS
    ) -> None:
        """Train those of a group that no process has begun: small runs share a start of torch and a copy of the data.

        What is wrong with one of them is reported by its own job, which will come upon it too.
        """
        for job in jobs:
            with contextlib.suppress(InputError, BlockingIOError):
                self.finish(job, job.source(runs, folders), wait=False)

    def finish(self, job: Job, source: Path | None = None, out: Path | None = None, wait: bool = True) -> Store:
        """Train a job to its end in the store, unless that has been done.

        Parameters
        ----------
        source : checkpoint that the run begins with, for recipes that need one.
        out : folder for the outputs. They are given while nobody else works on this run, since the job of a workflow
            that was killed goes on and may end beside the one that took its place.
        wait : for another process that works on the same run.

        Raises
        ------
        BlockingIOError : another process works on it, and `wait` is false.
        """
        begun = pretrained_by(job, source)
        identity = {"recipe": job.recipe, "data": digests(self.settings.data), **begun}
        store = Store(self.settings.store, job.id, identity)
        with store.locked(wait) if self.processes.is_main else contextlib.nullcontext():
            if self.processes.broadcast(self.processes.is_main and _is_to_be_trained(store, job)):
                self._train(store, job, source, begun)
                self.processes.broadcast(True)  # that it is finished
            if out is not None and self.processes.is_main:
                export(store, job, out)
        return store

    def _train(self, store: Store, job: Job, source: Path | None, begun: Mapping[str, dict[str, str]]) -> None:
        from workflow_scripts.evidence.dependencies import divergence
        from workflow_scripts.tasks import name_of
        from workflow_scripts.training.attempt import Attempt
        from workflow_scripts.training.history import History

        if source is not None and divergence([source]):
            what = "teacher" if name_of(job.recipe) == "distillation" else "pre-training"
            facts = Facts(diverged={"step": 0, "epoch": 0.0, "reason": f"its {what} diverged"})
            self._conclude(store, job, begun, History({}), facts)
            return
        self.has_trained = True
        snapshot = Snapshot.of(store)
        if not resumable(job, snapshot.facts):
            self._say(f"{job.id}: a checkpoint that was not saved before is asked for; training anew")
            snapshot = Snapshot()
        while True:
            recipe = with_fallback(job.recipe) if snapshot.facts.attempts else job.recipe
            attempt = Attempt(store, job.id, recipe, job.checkpoints, snapshot, self.settings, self.processes)
            facts = attempt.run(self.data, source)
            if facts.diverged is None or job.recipe["fallback"] is None or facts.attempts:
                break
            self._say(f"{job.id}: diverged at step {facts.diverged['step']}; going on with the fallback")
            if self.processes.is_main:
                shutil.rmtree(places.checkpoints(store.folder), ignore_errors=True)
            snapshot = Snapshot(Facts(attempts=[{"run": job.id, **facts.diverged}]))
        self._conclude(store, job, begun, attempt.history, facts)

    def _say(self, line: str) -> None:
        if self.processes.is_main:
            say(line)

    def _conclude(
        self, store: Store, job: Job, begun: Mapping[str, dict[str, str]], history: "History", facts: Facts
    ) -> None:
        """Write the tidy table and mark the run as finished."""
        if not self.processes.is_main:
            return
        from workflow_scripts.evidence import provenance
        from workflow_scripts.evidence.tables import write_table
        from workflow_scripts.runtime.device import choose_device, device_name

        status: dict[str, Any] = {"state": "finished"}
        if facts.diverged is not None:
            status = {"state": "diverged", "run": job.id, **facts.diverged}
        if facts.attempts:
            status["attempts"] = facts.attempts
        made = provenance.collect(
            scale=self.settings.scale,
            data=job.recipe["data"],
            device=device_name(choose_device(self.settings.device), self.processes.count),
            seeds=[job.recipe["seed"]],
            fingerprints=[job.id],
            recipe=dict(job.recipe),
            seconds=facts.seconds,
            **begun,
        )
        table = store.folder / "metrics.parquet"
        write_table(table, history.table(job.id), "metrics", status, made)
        store.finish(status, table, *places.checkpoints(store.folder).glob("*.safetensors"))

    @cached_property
    def data(self) -> Any:
        """The prepared data set on its device; opened once, when something is to be trained."""
        import torch

        from workflow_scripts.datasets.opened import open_data
        from workflow_scripts.runtime.device import choose_device
        from workflow_scripts.runtime.memory import keep_freed_memory

        torch.set_num_threads(self.settings.threads)
        device = choose_device(self.settings.device)
        if device.type == "cpu":
            keep_freed_memory()
        return open_data(self.settings.data, device, self.settings.workers)


def pretrained_by(job: Job, folder: Path | None) -> dict[str, dict[str, str]]:
    """What tells that a checkpoint folder has changed which a run begins with; nothing for other runs.

    Raises
    ------
    InputError : it is not known where the folder is.
    """
    name = needed_folder(job.recipe)
    if name is None:
        return {}
    if folder is None or not folder.is_dir():
        where = "it is not known where that is" if folder is None else f"there is no folder {folder}"
        raise InputError(
            f"the training begins with the checkpoint {name}, but {where}; name its folder in config.yaml under "
            f"data.sources.{name}, or give it as --pretrained"
        )
    return {"pretrained": checkpoint_digests(folder)}


def _is_to_be_trained(store: Store, job: Job) -> bool:
    """Whether a job is to be trained, in full where what the store holds of it is damaged."""
    # The outputs are further names of the store's files, so what damages one of them damages it here too.
    if damaged := store.damaged():
        say(f"{job.id}: {', '.join(damaged)} in {store.folder} is damaged or missing; training anew")
        store.begin_anew()
    return missing(store, job)


def missing(store: Store, job: Job) -> bool:
    """Whether the store has not the finished run, or not a checkpoint that the job asks for and the run reached.

    A run that diverged may have done so with the update before the one whose loss shows it.
    """
    status = store.finished()
    if status is None:
        return True
    reached = status.get("step", float("inf"))
    return any(
        step < reached - 1 and not places.checkpoint(store.folder, label).exists()
        for label, step in job.checkpoints.items()
    )


def resumable(job: Job, facts: Facts) -> bool:
    """Whether a snapshot leads to every checkpoint that the job asks for."""
    if facts.epoch == facts.update == 0:
        return True
    done = facts.epoch * updates_per_epoch(job.recipe) + facts.update
    later = {label for label, step in job.checkpoints.items() if step > done and Label.parse(label).is_of_update}
    return set(job.checkpoints) <= {*facts.saved, *facts.pending, *facts.kept, *later}


def epochs_left(store: Store, job: Job) -> int:
    """Epochs that are still to be trained; none of a run that is finished in the store."""
    if not missing(store, job):
        return 0
    found = store.progress()
    facts = Facts.read(found) if found else Facts()
    return job.recipe["epochs"] - (facts.epoch if resumable(job, facts) else 0)


def export(store: Store, job: Job, out: Path) -> None:
    """Give the workflow its outputs: the table and the checkpoints asked for, as further names of the store's files."""
    out.mkdir(parents=True, exist_ok=True)
    with whole_directory(places.checkpoints(out)) as folder:
        for label in job.checkpoints:
            source = places.checkpoint(store.folder, label)
            if source.exists():
                link_or_copy(source, folder / source.name)
    write_text(out / "recipe.json", canonical(job.recipe) + "\n")
    table = out / "metrics.parquet"
    table.unlink(missing_ok=True)
    with whole_file(table) as temporary:
        link_or_copy(store.folder / "metrics.parquet", temporary)
