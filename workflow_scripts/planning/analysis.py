"""What an analysis is."""

from dataclasses import dataclass
from functools import cached_property

from workflow_scripts.planning.run import Checkpoint, Run
from workflow_scripts.recipes.canonical import fingerprint


@dataclass(frozen=True)
class Analysis:
    """One function of checkpoints that gives one or two tidy tables.

    recipe : frozen description; its fingerprint is the analysis' identity.
    checkpoints : what it reads of runs. analyses : the analyses whose results it reads.
    like : the run whose settings a range test takes, with the schedule that is declared for the test.
    """

    kind: str
    recipe: dict
    name: str
    checkpoints: tuple[Checkpoint, ...] = ()
    analyses: tuple["Analysis", ...] = ()
    like: Run | None = None

    @cached_property
    def id(self) -> str:
        return fingerprint(self.recipe)

    @property
    def data(self) -> str:
        return self.recipe["data"]

    @cached_property
    def runs(self) -> list[Run]:
        """The runs whose checkpoints it reads, each once, in order."""
        return list({run.id: run for run, _ in self.checkpoints}.values())

    @property
    def measured(self) -> list[Run]:
        """The runs that it measures: not the one that a range test begins its own updates with."""
        return [] if self.recipe.get("pretrained") else self.runs
