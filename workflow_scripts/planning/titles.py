"""What runs and analyses are called in messages."""

from collections.abc import Mapping
from dataclasses import dataclass

from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.run import Run


@dataclass(frozen=True)
class Titles:
    """Titles by identity, for messages: f"{titles:{id}}"."""

    runs: Mapping[str, Run]
    analyses: Mapping[str, Analysis]

    def __format__(self, id: str) -> str:
        return run_title(self.runs[id]) if id in self.runs else self.analyses[id].name


def run_title(run: Run) -> str:
    """Such as "gotmare2019/mode_A: vgg9 of width 0.125 on digits, 200 epochs"."""
    recipe = run.recipe
    epochs = f"{recipe['epochs']:,} epoch" + ("s" if recipe["epochs"] != 1 else "")
    return f"{run.names[0]}: {network(recipe['model'])} on {recipe['data']}, {epochs}"


def network(model: Mapping) -> str:
    """A network by its name and, where it is not the whole one, its width."""
    width = model.get("width", 1)
    return str(model["name"]) + (f" of width {width:g}" if width != 1 else "")
