"""One training job from its recipe to its outputs: resume, fall back where declared, and leave everything whole."""

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import link_or_copy, whole_directory, whole_file, write_text
from workflow_scripts.datasets.description import digests
from workflow_scripts.recipes.canonical import canonical, fingerprint
from workflow_scripts.recipes.merge import merge
from workflow_scripts.runtime.log import EpochLog, say
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.runtime.store import Store

ALONE = Processes()


@dataclass(frozen=True)
class Job:
    """What a training job is told.

    recipe : the frozen description of the run. checkpoints : label → step of what to save.
    """

    recipe: dict
    checkpoints: dict[str, int]

    @property
    def id(self) -> str:
        return fingerprint(self.recipe)

    def teacher(self, runs: Path) -> Path | None:
        """The checkpoint to distil, below a folder of finished runs."""
        if self.recipe["distillation"] is None:
            return None
        teacher = self.recipe["distillation"]["teacher"]
        return runs / teacher["run"] / "checkpoints" / f"{teacher['at']}.safetensors"


@dataclass
class Settings:
    """How jobs are run, which changes no result: where data, store and outputs lie, and the device."""

    data: Path
    store: Path
    device: str = "auto"
    snapshot_seconds: float = 60.0
    scale: str = ""
    threads: int = 1
    workers: int = 0


class Trainer:
    """Runs jobs one after the other; the data that they share is loaded once.

    processes : those that train each job together. The first of them locks the store, and it alone writes.
    """

    def __init__(self, settings: Settings, processes: Processes = ALONE):
        self.settings, self.processes = settings, processes
        self._data_set = None

    @property
    def warm(self) -> bool:
        """Whether this process has trained something, so that torch and the data are there."""
        return self._data_set is not None

    def finish_others(self, jobs: list[Job], runs: Path) -> None:
        """Train those of a pack that no process has begun. Small runs so share a start of torch and a copy of the data.

        What is wrong with one of them is told by its own job, which will come upon it too.
        """
        for job in jobs:
            with contextlib.suppress(InputError, BlockingIOError):
                self.finish(job, job.teacher(runs), wait=False)

    def finish(self, job: Job, teacher: Path | None = None, out: Path | None = None, wait: bool = True) -> Store:
        """Train a job to its end in the store, unless that has been done.

        Parameters
        ----------
        teacher : checkpoint to distil, for recipes with distillation.
        out : folder for the outputs. They are given while nobody else works on this run, since the job of a workflow
            that was killed goes on and may end beside the one that took its place.
        wait : for another process that works on the same run.

        Raises
        ------
        BlockingIOError : another process works on it, and `wait` is false.
        """
        data = digests(self.settings.data)
        store = Store(self.settings.store, job.id, {"recipe": job.recipe, "data": data})
        with store.locked(wait) if self.processes.first else contextlib.nullcontext():
            if self.processes.agree(self.processes.first and _lacking(store, job)):
                self._train(store, job, teacher)
            if out is not None and self.processes.first:
                export(store, job, out)
        return store

    def _train(self, store: Store, job: Job, teacher_path: Path | None) -> None:
        from workflow_scripts.evidence.dependencies import divergence
        from workflow_scripts.training import engine
        from workflow_scripts.training.history import History

        if teacher_path is not None and divergence([teacher_path]):
            self._conclude(
                store, job, History(engine.MEASURED), {"step": 0, "epoch": 0.0, "reason": "its teacher diverged"}, []
            )
            return
        data = self._data()
        teacher = self._teacher(job, teacher_path, data)
        tensors, done = store.snapshot() or ({}, {"epoch": 0, "attempts": [], "diverged": None, "saved": []})
        if not resumable(job, done):
            self._say(f"{job.id}: a checkpoint that was not saved before is asked for; training anew")
            tensors, done = {}, {"epoch": 0, "attempts": [], "diverged": None, "saved": []}
        while True:
            recipe = merge(job.recipe, job.recipe["fallback"]) if done["attempts"] else job.recipe
            progress = engine.begin(recipe, data)
            if tensors:
                progress.load(tensors, done["epoch"], done["diverged"])
            self._run(store, job, recipe, progress, done, data, teacher)
            if progress.diverged is None or job.recipe["fallback"] is None or done["attempts"]:
                break
            self._say(f"{job.id}: diverged at step {progress.diverged['step']}; going on with the fallback")
            if self.processes.first:
                shutil.rmtree(store.folder / "checkpoints", ignore_errors=True)
            tensors, done = (
                {},
                {"epoch": 0, "attempts": [{"run": job.id, **progress.diverged}], "diverged": None, "saved": []},
            )
        self._conclude(store, job, progress.history, progress.diverged, done["attempts"], done["seconds"])
        self.processes.agree(True)  # that it is finished

    def _say(self, line: str) -> None:
        if self.processes.first:
            say(line)

    def _run(self, store, job, recipe, progress, done, data, teacher) -> None:
        from workflow_scripts.models import checkpoints
        from workflow_scripts.training import engine

        saved, began = list(done["saved"]), time.monotonic()
        last, before = began, done.get("seconds", None if done["epoch"] else 0.0)
        log = EpochLog(job.id, recipe["epochs"], recipe["samples_per_epoch"], progress.epoch)

        def save(label: str, state: dict) -> None:
            description = {"model": recipe["model"], "data": recipe["data"], "at": label, "run": job.id}
            checkpoints.save(store.folder / "checkpoints" / f"{label}.safetensors", state, description)
            saved.append(label)

        def seconds() -> float | None:
            """Of all devices, less what kills undid; None where an earlier process did not tell."""
            return None if before is None else before + (time.monotonic() - began) * self.processes.count

        def after_epoch(progress) -> None:
            nonlocal last
            log.epoch(progress.epoch, progress.history.last())
            finished = progress.epoch == recipe["epochs"] or progress.diverged is not None
            if finished or time.monotonic() - last > self.settings.snapshot_seconds:
                facts = {"epoch": progress.epoch, "attempts": done["attempts"], "diverged": progress.diverged}
                store.save_snapshot(progress.tensors(), {**facts, "saved": saved, "seconds": seconds()})
                last = time.monotonic()

        if not self.processes.first:
            save = after_epoch = _nothing
        engine.train(recipe, data, progress, job.checkpoints, save, after_epoch, teacher, self.processes)
        done["seconds"] = seconds()

    def _conclude(
        self, store: Store, job: Job, history, diverged: dict | None, attempts: list[dict], seconds: float | None = None
    ) -> None:
        """Write the tidy table and mark the run as finished; `seconds` are those of its last attempt."""
        if not self.processes.first:
            return
        from workflow_scripts.evidence import provenance
        from workflow_scripts.evidence.tables import write_table
        from workflow_scripts.runtime.device import device_name

        status = {"state": "finished"}
        if diverged is not None:
            status = {"state": "diverged", "run": job.id, **diverged}
        if attempts:
            status["attempts"] = attempts
        table = store.folder / "metrics.parquet"
        write_table(
            table,
            history.table(job.id),
            "metrics",
            status,
            provenance.collect(
                scale=self.settings.scale,
                data=job.recipe["data"],
                device=device_name(self._data().device, self.processes.count),
                seeds=[job.recipe["seed"]],
                fingerprints=[job.id],
                recipe=job.recipe,
                seconds=seconds,
            ),
        )
        store.finish(status, table, *(store.folder / "checkpoints").glob("*.safetensors"))

    def _data(self):
        if self._data_set is None:
            import torch

            from workflow_scripts.datasets.opened import open_data
            from workflow_scripts.runtime.device import choose_device

            torch.set_num_threads(self.settings.threads)
            device = choose_device(self.settings.device)
            self._data_set = open_data(self.settings.data, device, self.settings.workers)
        return self._data_set

    def _teacher(self, job: Job, path: Path | None, data):
        if job.recipe["distillation"] is None:
            return None
        if path is None:
            raise InputError(f"the run {job.id} distils a teacher; name the teacher's checkpoint with --teacher")
        from workflow_scripts.models import checkpoints

        network = checkpoints.restore(checkpoints.load(path), data.info, job.recipe["distillation"]["teacher"]["model"])
        return network.to(data.device).eval().requires_grad_(False)


def _nothing(*_: object) -> None:
    """What the processes after the first save and tell."""


def _lacking(store: Store, job: Job) -> bool:
    """Whether a job is to be trained, in full where what the store holds of it is damaged."""
    # The outputs are further names of the store's files, so what damages one of them damages it here too.
    if damaged := store.damaged():
        say(f"{job.id}: {', '.join(damaged)} in {store.folder} is damaged or missing; training anew")
        store.begin_anew()
    return missing(store, job)


def missing(store: Store, job: Job) -> bool:
    """Whether the store lacks the finished run, or a checkpoint that the job asks for and the run reached.

    A run that diverged may have done so with the update before the one whose loss tells.
    """
    status = store.finished()
    if status is None:
        return True
    reached = status.get("step", float("inf"))
    return any(
        step < reached - 1 and not (store.folder / "checkpoints" / f"{label}.safetensors").exists()
        for label, step in job.checkpoints.items()
    )


def resumable(job: Job, done: dict) -> bool:
    """Whether a snapshot that tells `done` leads to every checkpoint that the job asks for."""
    return set(job.checkpoints) <= set(done["saved"]) | _after(job, done["epoch"])


def epochs_left(store: Store, job: Job) -> int:
    """Epochs that are still to be trained; none of a run that is finished in the store."""
    if not missing(store, job):
        return 0
    done = store.progress()
    return job.recipe["epochs"] - (done["epoch"] if done and resumable(job, done) else 0)


def _after(job: Job, epoch: int) -> set[str]:
    """Labels of checkpoints that come after an epoch."""
    steps = -(-job.recipe["samples_per_epoch"] // job.recipe["batch_size"])
    return {label for label, step in job.checkpoints.items() if step > epoch * steps or epoch == 0}


def export(store: Store, job: Job, out: Path) -> None:
    """Give the workflow its outputs: the table and the checkpoints asked for, as further names of the store's files."""
    out.mkdir(parents=True, exist_ok=True)
    with whole_directory(out / "checkpoints") as folder:
        for label in job.checkpoints:
            source = store.folder / "checkpoints" / f"{label}.safetensors"
            if source.exists():
                link_or_copy(source, folder / source.name)
    write_text(out / "recipe.json", canonical(job.recipe) + "\n")
    table = out / "metrics.parquet"
    table.unlink(missing_ok=True)
    with whole_file(table) as temporary:
        link_or_copy(store.folder / "metrics.parquet", temporary)
