"""What planning knows of a kind of analysis."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from workflow_scripts.planning.analysis import Analysis


BACKWARD = 2  # a backward pass costs two forward passes
BYTES = 4  # of a weight


class Cost(NamedTuple):
    """Floating-point operations, bytes on the disk, and images of an update where something is trained."""

    operations: float
    disk: float = 0.0
    batch: int = 0


class Counts(Protocol):
    """What the operations of an analysis are counted from; bookkeeping/operations.py knows it of data and networks.

    train : images of the training set. evaluated : images that the network sees at a point of weight space, where both
    sets are evaluated and batch normalisation's statistics measured anew. forward : operations of an image's forward
    pass. weights : of the network.
    """

    train: int
    evaluated: int
    forward: float
    weights: int

    def forward_of(self, model: Mapping[str, Any]) -> float:
        """Operations of an image's forward pass of another network."""


@dataclass(frozen=True)
class Kind:
    """A kind of analysis: what its rule and its folder of results are called, what computes it, how it is planned.

    plural : where analyses.yaml declares them.
    stage : the module of stages/ that computes them.
    engine : the version of the code that computes them, part of each recipe; raised as recipes/engine.py says.
    resolve : a function of (resolver, name, settings, where) that gives an Analysis. It gives None, and tells the
        resolver a problem, where what it names does not exist. `settings` are those of the paper at the chosen scale,
        with the engine; `where` is the place of the declaration, for messages.
    operations : a function of (recipe, counts) that counts what an analysis of images costs before it is run; without
        one it is not counted, since it is a small part of what its trainings cost.
    of_trials : whether it measures every trial of a setting, each by itself.
    more_tables : files of further tables by the key that a panel knows them by; the first, "table", is <name>.parquet.
    contents : by the same keys, what evidence/tables.py calls such tables, where that is not the kind's own name.
    """

    name: str
    plural: str
    stage: str
    engine: int
    resolve: Callable[..., "Analysis | None"]
    operations: Callable[[Mapping[str, Any], Counts], Cost] | None = None
    of_trials: bool = False
    more_tables: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, str]:
        """The files of its tidy tables, by the key that a panel knows them by."""
        return {"table": f"{self.name}.parquet", **self.more_tables}

    def contents_of(self, table: str) -> str:
        """What evidence/tables.py calls the table of this key."""
        return self.contents.get(table, self.name)
