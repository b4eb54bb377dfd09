"""From run declarations to runs: one for every trial, in steps of the chosen scale."""

from dataclasses import replace

from workflow_scripts.base.errors import InputError
from workflow_scripts.models import names as model_names
from workflow_scripts.planning.declarations import PaperDeclaration
from workflow_scripts.planning.image_runs import image_run
from workflow_scripts.planning.run import Checkpoint, Run
from workflow_scripts.planning.scaling import Scale
from workflow_scripts.planning.text_runs import OF_IMAGES, text_run
from workflow_scripts.recipes.merge import merge
from workflow_scripts.recipes.recipe import Recipe, needed


class RunResolver:
    """Resolves the runs of one paper; problems are collected, not raised, so that all are reported together."""

    def __init__(self, paper: PaperDeclaration, scale: Scale):
        self.paper, self.scale = paper, scale
        self.problems: list[str] = []
        self._declared: dict[str, tuple[str, dict]] = {}
        for experiment, group in paper.runs["experiments"].items():
            common = merge(paper.runs.get("defaults", {}), group.get("common", {}))
            for name, declared in group["runs"].items():
                if name in self._declared:
                    self.problems.append(
                        f"papers/{paper.name}/runs.yaml: the experiments {self._declared[name][0]} and {experiment} "
                        f"both declare the run {name!r}; give one of them another name"
                    )
                self._declared[name] = experiment, merge(common, declared)
        self._resolved: dict[str, list[Run]] = {}
        self._open: list[str] = []

    @property
    def names(self) -> list[str]:
        return list(self._declared)

    def find(self, reference: str, where: str) -> list[Run]:
        """The runs that "name" (all trials) or "name/trial" means; none, and a problem, where there is no such run."""
        name, _, trial = str(reference).partition("/")
        if name not in self._declared:
            self.problems.append(f"{where} names the run {name!r}; allowed are {', '.join(self._declared)}")
            return []
        runs = self.resolve(name)
        if not trial:
            return runs
        if runs and not (trial.isdecimal() and 1 <= int(trial) <= len(runs)):
            self.problems.append(
                f"{where} names trial {trial!r} of {name!r}; allowed at this scale are 1 to {len(runs)}"
            )
            return []
        return runs[int(trial) - 1 : int(trial)]

    def first(self, reference: str, trials: int | None, where: str) -> list[Run]:
        """The first `trials` runs of a declaration (all by default), or as many of them as this scale has.

        Tables of one paper that average over 3, 10 and 50 trials of a setting share its first ones.
        """
        runs = self.find(reference, where)
        name = str(reference).partition("/")[0]
        declared = self._declared[name][1].get("trials", 1) if runs else 0
        if runs and trials is not None and trials > declared:
            self.problems.append(f"{where} asks for {trials} trials of {name!r}, which has {declared}")
        return runs[:trials]

    def checkpoint(self, reference: str, where: str) -> Checkpoint | None:
        """What "run@epoch-n" means; None, and a problem, where there is no such run or it ends before."""
        name, _, label = reference.partition("@")
        runs = self.find(name, where)
        return self.at(runs[0], label, where, name) if runs else None

    def at(self, run: Run, label: str, where: str, name: str) -> Checkpoint | None:
        """A checkpoint of a run, called `name`; None, and a problem, where the run ends before it."""
        if run.epochs(label) > run.recipe["epochs"]:
            self.problems.append(
                f"{where} asks for {label} of {name!r}, a run that ends after epoch {run.recipe['epochs']} "
                f"(iteration {run.recipe['epochs'] * run.paper_steps_per_epoch})"
            )
            return None
        return Checkpoint(run, label)

    def resolve_all(self) -> list[Run]:
        """Every declared run."""
        return [run for name in self.names for run in self.resolve(name)]

    def resolve(self, name: str) -> list[Run]:
        """The runs of one declaration, one for each trial."""
        if name not in self._resolved:
            where = f"papers/{self.paper.name}/runs.yaml: {name}"
            if name in self._open:
                self.problems.append(f"{where} is its own teacher through {' → '.join([*self._open, name])}")
                return []
            self._open.append(name)
            self._resolved[name] = self._resolve(name, where)
            self._open.pop()
        return self._resolved[name]

    def _resolve(self, name: str, where: str) -> list[Run]:
        experiment, declared = self._declared[name]
        before, of = len(self.problems), f"{self.paper.name}/{experiment}"
        describe, own = (text_run, ()) if "task" in declared else (image_run, OF_IMAGES)
        if missing := [key for key in (*needed(Recipe), *own) if key not in declared]:
            self.problems += [f"{where}: {key} is missing; say it there, or in the paper's defaults" for key in missing]
            return []
        described = describe(self, of, declared, where)
        if described is not None:
            self.problems += [f"{where}: {problem}" for problem in described.recipe.problems()]
        if len(self.problems) > before:
            return []
        recipe, paper_steps, rate_factor, begins_with = described
        trials = declared.get("trials")
        runs = []
        for trial in range(self.scale.trials(of, trials) if trials else 1):
            label = f"{self.paper.name}/{name}" + (f"/{trial + 1}" if trials else "")
            own = replace(recipe, seed=recipe.seed + trial)
            runs.append(Run(own, paper_steps, rate_factor, (label,), of, declared, begins_with))
        return runs

    def model(self, declared: str | dict, where: str) -> tuple[dict, float]:
        """The specification at this scale with every default filled in, and the factor for learning rates."""
        model, rate_factor = self.scale.model(model_names.as_spec(declared), self.paper.name)
        try:
            model = model_names.check(model)
        except InputError as error:
            self.problems.append(f"{where}: model: {error}")
        return model, rate_factor
