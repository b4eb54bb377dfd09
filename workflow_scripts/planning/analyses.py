"""From analysis declarations to analysis recipes: which checkpoints, which settings, and an identity for each."""

from collections.abc import Mapping

from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.declarations import PaperDeclaration
from workflow_scripts.planning.kinds.kind import Kind
from workflow_scripts.planning.run import Checkpoint
from workflow_scripts.planning.runs import RunResolver
from workflow_scripts.planning.scaling import Scale


class AnalysisResolver:
    """Resolves the analyses of one paper, of these kinds by their names, on demand and once each."""

    def __init__(self, paper: PaperDeclaration, scale: Scale, runs: RunResolver, kinds: Mapping[str, Kind]):
        self.paper, self.scale, self.runs, self.kinds = paper, scale, runs, kinds
        self.problems: list[str] = []
        self._resolved: dict[tuple[str, str], Analysis | None] = {}

    def find(self, kind: str, name: str, where: str) -> Analysis | None:
        """The analysis of that kind and name; None, and a problem, where it is not declared."""
        known = self.kinds[kind]
        declared = self.paper.analyses.get(known.plural, {})
        if name not in declared:
            allowed = ", ".join(declared) or "none"
            self.problems.append(f"{where} names the {kind} {name!r}; allowed are {allowed}")
            return None
        if (kind, name) not in self._resolved:
            settings = {**self.paper.analyses["defaults"][kind], **declared[name]}
            settings = self.scale.analysis(kind, settings) | {"engine": known.engine}
            place = f"papers/{self.paper.name}/analyses.yaml: {known.plural}.{name}"
            self._resolved[kind, name] = known.resolve(self, name, settings, place)
        return self._resolved[kind, name]

    def resolve_all(self) -> list[Analysis]:
        """Every declared analysis."""
        found = [
            self.find(kind.name, name, f"papers/{self.paper.name}/analyses.yaml")
            for kind in self.kinds.values()
            for name in self.paper.analyses.get(kind.plural, {})
        ]
        return [analysis for analysis in found if analysis is not None]

    def endpoints(self, settings: dict, keys: tuple[str, ...], where: str) -> list[Checkpoint] | None:
        """The checkpoints under these keys of the settings; None, and problems, where one is missing."""
        found = [self.runs.checkpoint(settings[key], f"{where}.{key}") for key in keys]
        return None if None in found else found

    def alike(self, recipes: list[dict], where: str) -> bool:
        """Whether all are of one model and data set, as points of one weight space must be; a problem where not."""
        for key in ("model", "data"):
            for other in recipes[1:]:
                if other[key] != recipes[0][key]:
                    self.problems.append(
                        f"{where} joins networks of different {key}: {recipes[0][key]} and {other[key]}"
                    )
                    return False
        return True
