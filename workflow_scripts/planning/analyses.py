"""From analysis declarations to analysis recipes: which checkpoints, which settings, and an identity for each."""

from dataclasses import dataclass

from workflow_scripts.planning.declarations import PaperDeclaration
from workflow_scripts.planning.runs import Run, RunResolver, in_epochs
from workflow_scripts.planning.scaling import Scale, scaled_rates
from workflow_scripts.recipes import engine, schedules
from workflow_scripts.recipes.canonical import fingerprint

KINDS = ("curve", "plane", "similarity", "embedding")
PLURALS = {"curve": "curves", "plane": "planes", "similarity": "similarities", "embedding": "embeddings"}


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


class AnalysisResolver:
    """Resolves the analyses of one paper, on demand and once each."""

    def __init__(self, paper: PaperDeclaration, scale: Scale, runs: RunResolver):
        self.paper, self.scale, self.runs = paper, scale, runs
        self.problems: list[str] = []
        self._resolved: dict[tuple[str, str], Analysis | None] = {}

    def find(self, kind: str, name: str, where: str) -> Analysis | None:
        """The analysis of that kind and name; None, and a problem, where it is not declared."""
        declared = self.paper.analyses.get(PLURALS[kind], {})
        if name not in declared:
            allowed = ", ".join(declared) or "none"
            self.problems.append(f"{where} names the {kind} {name!r}; allowed are {allowed}")
            return None
        if (kind, name) not in self._resolved:
            settings = {**self.paper.analyses["defaults"][kind], **declared[name]}
            settings = self.scale.analysis(kind, settings)
            place = f"papers/{self.paper.name}/analyses.yaml: {PLURALS[kind]}.{name}"
            self._resolved[kind, name] = getattr(self, f"_{kind}")(name, settings, place)
        return self._resolved[kind, name]

    def resolve_all(self) -> list[Analysis]:
        """Every declared analysis."""
        found = [
            self.find(kind, name, f"papers/{self.paper.name}/analyses.yaml")
            for kind in KINDS
            for name in self.paper.analyses.get(PLURALS[kind], {})
        ]
        return [analysis for analysis in found if analysis is not None]

    def _endpoints(self, settings: dict, keys: tuple[str, ...], where: str) -> list[tuple[Run, dict]] | None:
        found = [self.runs.checkpoint(settings[key], f"{where}.{key}") for key in keys]
        if None in found:
            return None
        return [(run, {"run": run.id, "at": label, "name": _short(run)}) for run, label in found]

    def _alike(self, recipes: list[dict], where: str) -> bool:
        """Whether all are of one model and data set, as points of one weight space must be; a problem where not."""
        for key in ("model", "data"):
            for other in recipes[1:]:
                if other[key] != recipes[0][key]:
                    self.problems.append(
                        f"{where} joins networks of different {key}: {recipes[0][key]} and {other[key]}"
                    )
                    return False
        return True

    def _curve(self, name: str, settings: dict, where: str) -> Analysis | None:
        ends = self._endpoints(settings, ("start", "end"), where)
        if ends is None:
            return None
        (first, start), (second, end) = ends
        if not self._alike([first.recipe, second.recipe], where):
            return None
        batch = self.scale.batch_size(settings["batch_size"])
        schedule = in_epochs(scaled_rates(settings["schedule"], first.rate_factor), first.paper_steps_per_epoch)
        self.problems += [f"{where}: schedule {problem}" for problem in schedules.check(schedule, settings["epochs"])]
        late = [epoch for epoch in settings["save"] if epoch > settings["epochs"]]
        if late:
            self.problems.append(
                f"{where}: save names epoch {late[0]}, but the curve is trained for {settings['epochs']}"
            )
        recipe = {
            **settings,
            "engine": engine.CURVE,
            "data": first.recipe["data"],
            "model": first.recipe["model"],
            "start": start,
            "end": end,
            "batch_size": batch,
            "samples_per_epoch": self.scale.samples_per_epoch(first.experiment, first.recipe["data"], batch),
            "schedule": schedule,
        }
        return Analysis("curve", recipe, f"{self.paper.name}/{name}", _distinct([first, second]), [])

    def _plane(self, name: str, settings: dict, where: str) -> Analysis | None:
        curve = self.find("curve", settings["curve"], where)
        iterates = self.runs.find(settings["iterates"], f"{where}.iterates")
        if curve is None or not iterates:
            return None
        run = iterates[0]
        if not self._alike([curve.recipe, run.recipe], f"{where}.iterates"):
            return None
        labels = [f"epoch-{epoch}" for epoch in range(1, run.recipe["epochs"] + 1)]
        run.checkpoints.update({label: run.step(label) for label in labels})
        recipe = {
            **settings,
            "engine": engine.PLANE,
            "data": curve.recipe["data"],
            "model": curve.recipe["model"],
            "curve": curve.id,
            "start": curve.recipe["start"],
            "end": curve.recipe["end"],
            "iterates": {"run": run.id, "at": labels, "name": _short(run)},
        }
        return Analysis("plane", recipe, f"{self.paper.name}/{name}", _distinct([*curve.runs, run]), [curve])

    def _similarity(self, name: str, settings: dict, where: str) -> Analysis | None:
        ends = self._endpoints(settings, ("first", "second"), where)
        if ends is None:
            return None
        (first, one), (second, other) = ends
        data = first.recipe["data"]
        images = min(settings["images"], self.scale.info(data).train)
        models = {"first": first.recipe["model"], "second": second.recipe["model"]}
        recipe = {
            **settings,
            "engine": engine.SIMILARITY,
            "data": data,
            "images": images,
            "first": one,
            "second": other,
            "models": models,
        }
        return Analysis("similarity", recipe, f"{self.paper.name}/{name}", _distinct([first, second]), [])

    def _embedding(self, name: str, settings: dict, where: str) -> Analysis | None:
        curves = [self.find("curve", curve, where) for curve in settings["curves"]]
        if None in curves or not self._alike([curve.recipe for curve in curves], where):
            return None
        ends = {}
        for curve in curves:
            for end in (curve.recipe["start"], curve.recipe["end"]):
                ends[end["run"], end["at"]] = end
        recipe = {
            **settings,
            "engine": engine.EMBEDDING,
            "data": curves[0].recipe["data"],
            "modes": list(ends.values()),
            "curves": [
                {
                    "name": declared,
                    "curve": curve.id,
                    "start": curve.recipe["start"]["name"],
                    "end": curve.recipe["end"]["name"],
                }
                for declared, curve in zip(settings["curves"], curves, strict=True)
            ],
        }
        runs = _distinct([run for curve in curves for run in curve.runs])
        return Analysis("embedding", recipe, f"{self.paper.name}/{name}", runs, curves)


def _short(run: Run) -> str:
    return run.names[0].split("/", 1)[1]


def _distinct(runs: list[Run]) -> list[Run]:
    return list({run.id: run for run in runs}.values())
