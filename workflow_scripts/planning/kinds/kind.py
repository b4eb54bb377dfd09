"""What planning knows of a kind of analysis."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflow_scripts.planning.analysis import Analysis


@dataclass(frozen=True)
class Kind:
    """A kind of analysis: what its rule and its folder of results are called, what computes it, how it is planned.

    plural : where analyses.yaml declares them.
    stage : the module of stages/ that computes them.
    engine : the version of the code that computes them; part of each recipe.
    resolve : a function of (resolver, name, settings, where) that gives an Analysis. It gives None, and tells the
        resolver a problem, where what it names does not exist. `settings` are those of the paper at the chosen scale,
        with the engine; `where` is the place of the declaration, for messages.
    of_trials : whether it measures every trial of a setting, each by itself.
    more_tables : files of further tables by the key that a panel knows them by; the first is <name>.parquet.
    """

    name: str
    plural: str
    stage: str
    engine: int
    resolve: Callable[..., "Analysis | None"]
    of_trials: bool = False
    more_tables: Mapping[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, str]:
        """The files of its tidy tables, by the key that a panel knows them by."""
        return {"table": f"{self.name}.parquet", **self.more_tables}
