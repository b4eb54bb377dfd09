"""What a run is, and a checkpoint of one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from workflow_scripts.recipes import steps
from workflow_scripts.recipes.canonical import fingerprint
from workflow_scripts.recipes.job import Job
from workflow_scripts.recipes.labels import Label
from workflow_scripts.recipes.recipe import Recipe


class Checkpoint(NamedTuple):
    """The state of a run at a label (recipes/labels.py)."""

    run: "Run"
    label: str

    def end(self) -> dict:
        """As recipes of analyses name it."""
        return {"run": self.run.id, "at": self.label, "name": self.run.name}

    def source(self) -> dict:
        """As recipes of trainings name one that they begin with."""
        return {"run": self.run.id, "at": self.label, "model": self.run.recipe["model"]}


@dataclass(frozen=True)
class Run:
    """One training of one model with one seed.

    recipe : frozen description; its fingerprint is the run's identity.
    rate_factor : what the scale multiplied the learning rates with.
    names : how the declarations call it, for example "gotmare2019/mode_G" or "gotmare2019/student_distilled/3".
    declared : the paper's own terms, before the scale changes them.
    begins_with : the checkpoint of another run that it is distilled from or trained on, if there is one.
    checkpoints : what is saved, label → step at this scale. Known in a plan, where all that asks for some has been
        resolved (`shared`); until then there are none.
    """

    recipe: Recipe
    paper_steps_per_epoch: int
    rate_factor: float
    names: tuple[str, ...]
    experiment: str
    declared: dict
    begins_with: Checkpoint | None = None
    checkpoints: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        return fingerprint(self.recipe)

    @property
    def name(self) -> str:
        """How its paper calls it, such as "student_distilled/3"."""
        return self.names[0].split("/", 1)[1]

    @property
    def setting(self) -> str:
        """What it is a trial of, such as "student_distilled"."""
        return self.names[0].split("/")[1]

    @property
    def steps_per_epoch(self) -> int:
        return steps.updates_per_epoch(self.recipe)

    @property
    def teacher(self) -> str | None:
        """The run whose checkpoint this one begins with, if there is one."""
        return self.begins_with and self.begins_with.run.id

    def step(self, label: str) -> int:
        """The step at this scale of the checkpoint of this label."""
        return round(self.epochs(label) * self.steps_per_epoch)

    def epochs(self, label: str) -> float:
        """Epochs that are done at the checkpoint of this label."""
        return Label.parse(label).epochs(self.recipe["epochs"], self.paper_steps_per_epoch)

    @property
    def job(self) -> Job:
        """What trains it."""
        return Job(self.recipe, self.checkpoints)


class Described(NamedTuple):
    """What a declaration means, for all of its trials: the recipe of the first, and what else a run knows."""

    recipe: Recipe
    paper_steps_per_epoch: int
    rate_factor: float
    begins_with: Checkpoint | None


def shared(runs: Iterable[Run], needed: Iterable[Checkpoint]) -> dict[str, Run]:
    """Each run once, by its identity: papers and figures that need the same run share it.

    It has the names of all declarations that mean it, and saves what any of them needs.
    """
    alike: dict[str, list[Run]] = {}
    for run in runs:
        alike.setdefault(run.id, []).append(run)
    saved: dict[str, dict[str, int]] = {id: {} for id in alike}
    for run, label in needed:
        saved[run.id][label] = run.step(label)
    return {
        id: replace(same[0], names=tuple(dict.fromkeys(run.names[0] for run in same)), checkpoints=saved[id])
        for id, same in alike.items()
    }
