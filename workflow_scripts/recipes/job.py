"""A training job: a recipe and what to save of it, as one line of JSON from the plan to the engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from workflow_scripts.base.arguments import read_json
from workflow_scripts.base.errors import InputError
from workflow_scripts.recipes import places
from workflow_scripts.recipes import recipe as recipes
from workflow_scripts.recipes.canonical import canonical, fingerprint
from workflow_scripts.recipes.labels import Label
from workflow_scripts.recipes.needs import needed_checkpoint, needed_folder
from workflow_scripts.recipes.recipe import Recipe

NO_FOLDERS: Mapping[str | None, Path | None] = MappingProxyType({})


@dataclass(frozen=True)
class Job:
    """What a training job is given.

    recipe : the frozen description of the run. checkpoints : label → update of what to save.
    """

    recipe: Recipe
    checkpoints: Mapping[str, int]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Job":
        """A job from {recipe, checkpoints}.

        Raises
        ------
        InputError : with everything that is wrong with it, reported together.
        """
        if not isinstance(document["recipe"], Mapping) or not isinstance(document["checkpoints"], Mapping):
            raise InputError("the job's recipe or checkpoints are not a JSON mapping; --help shows an example")
        recipe = recipes.read(document["recipe"])
        problems = recipe.problems()
        for label, step in document["checkpoints"].items():
            if Label.found(label) is None or type(step) is not int or step < 0:
                problems.append(f"checkpoints: {label}: {step!r} is no label and update, such as epoch-2: 1000")
        if problems:
            raise InputError.together("The job cannot be trained", problems)
        return cls(recipe, document["checkpoints"])

    @classmethod
    def parse(cls, text: str) -> "Job":
        """A job from what `text` gave, or from a .json file that holds it.

        Raises
        ------
        InputError : it is no JSON mapping, or as for `read`.
        """
        return cls.read(read_json(text, {"recipe": {}, "checkpoints": {}}))

    @property
    def document(self) -> dict[str, Any]:
        """As a mapping that JSON can hold."""
        return {"recipe": dict(self.recipe), "checkpoints": dict(self.checkpoints)}

    @property
    def text(self) -> str:
        """Its canonical JSON, the only parameter of the rule that trains it."""
        return canonical(self.document)

    @cached_property
    def id(self) -> str:
        return fingerprint(self.recipe)

    def source(self, runs: Path, folders: Mapping[str | None, Path | None] = NO_FOLDERS) -> Path | None:
        """The checkpoint that this run begins with or learns from.

        Parameters
        ----------
        runs : folder of finished runs, of whose runs it may be. folders : checkpoint folders by the names in recipes.
        """
        if name := needed_folder(self.recipe):
            return folders.get(name)
        needed = needed_checkpoint(self.recipe)
        return needed and places.checkpoint(runs / needed["run"], needed["at"])
