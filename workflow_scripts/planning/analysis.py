"""What an analysis is."""

from collections.abc import Iterable
from dataclasses import dataclass

from workflow_scripts.planning.runs import Run
from workflow_scripts.recipes.canonical import fingerprint


@dataclass
class Analysis:
    """One function of checkpoints that gives one or two tidy tables.

    recipe : frozen description; its fingerprint is the analysis' identity.
    runs : the runs whose checkpoints it reads. analyses : the analyses whose results it reads.
    """

    kind: str
    recipe: dict
    name: str
    runs: list[Run]
    analyses: list["Analysis"]

    @property
    def id(self) -> str:
        return fingerprint(self.recipe)

    @property
    def data(self) -> str:
        return self.recipe["data"]


def short(run: Run) -> str:
    """How its paper calls a run."""
    return run.names[0].split("/", 1)[1]


def end(run: Run, label: str) -> dict:
    """A checkpoint as recipes name it."""
    return {"run": run.id, "at": label, "name": short(run)}


def distinct(runs: Iterable[Run]) -> list[Run]:
    """Each run once, in order."""
    return list({run.id: run for run in runs}.values())
