"""From run declarations to recipes: one recipe for every run of every trial, in steps of the chosen scale."""

from dataclasses import dataclass, field

from workflow_scripts.base.errors import InputError
from workflow_scripts.models import names as model_names
from workflow_scripts.planning.declarations import PaperDeclaration
from workflow_scripts.planning.scaling import Scale, in_epochs, steps_per_epoch
from workflow_scripts.planning.text_runs import text_recipe
from workflow_scripts.recipes import engine, schedules
from workflow_scripts.recipes.canonical import fingerprint
from workflow_scripts.recipes.merge import merge

OPTIMIZER_OPTIONS = {
    "sgd": ("name", "momentum", "weight_decay", "nesterov"),
    "adam": ("name", "betas", "eps", "weight_decay"),
    **dict.fromkeys(("adamw", "radam", "lamb"), ("name", "betas", "eps", "weight_decay", "decay_biases_and_norms")),
}


@dataclass
class Run:
    """One training of one model with one seed.

    recipe : frozen description; its fingerprint is the run's identity.
    checkpoints : what is saved, label ("epoch-30", "iteration-200", in the paper's terms) → step at this scale.
    rate_factor : what the scale multiplied the learning rates with.
    names : how the declarations call it, for example "gotmare2019/mode_G" or "gotmare2019/student_distilled/3".
    declared : the paper's own terms, before the scale changes them.
    """

    recipe: dict
    paper_steps_per_epoch: int
    rate_factor: float = 1.0
    names: list[str] = field(default_factory=list)
    experiment: str = ""
    checkpoints: dict[str, int] = field(default_factory=dict)
    declared: dict = field(default_factory=dict)

    @property
    def id(self) -> str:
        return fingerprint(self.recipe)

    @property
    def setting(self) -> str:
        """What it is a trial of, such as "student_distilled"."""
        return self.names[0].split("/")[1]

    @property
    def steps_per_epoch(self) -> int:
        if "updates_per_epoch" in self.recipe:
            return self.recipe["updates_per_epoch"]
        return steps_per_epoch(self.recipe["samples_per_epoch"], self.recipe["batch_size"])

    @property
    def teacher(self) -> str | None:
        """The run whose checkpoint this one begins with: it is distilled, or trained on; if there is one."""
        if self.recipe["distillation"]:
            return self.recipe["distillation"]["teacher"]["run"]
        return (self.recipe.get("pretrained") or {}).get("run")

    def step(self, label: str) -> int:
        """The step at this scale of "epoch-n" or "iteration-n" of the paper."""
        return round(self.epochs(label) * self.steps_per_epoch)

    def epochs(self, label: str) -> float:
        """Where in the training "epoch-n" or "iteration-n" of the paper lies; "best" and "average-n" are of its end."""
        if label == "best" or label.startswith("average-"):
            return self.recipe["epochs"]
        unit, number = label.split("-")
        return int(number) if unit == "epoch" else int(number) / self.paper_steps_per_epoch

    def job(self) -> dict:
        """What the training job is given; its canonical JSON is the job's only parameter."""
        return {"recipe": self.recipe, "checkpoints": self.checkpoints}


class RunResolver:
    """Resolves the runs of one paper; problems are collected, not raised, so that all are reported together."""

    def __init__(self, paper: PaperDeclaration, scale: Scale):
        self.paper, self.scale = paper, scale
        self.problems: list[str] = []
        self._declared: dict[str, tuple[str, dict]] = {}
        for experiment, group in paper.runs["experiments"].items():
            common = merge(paper.runs["defaults"], group.get("common", {}))
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

    def checkpoint(self, reference: str, where: str) -> tuple[Run, str] | None:
        """The run and label that "run@epoch-n" means, with the checkpoint noted for saving."""
        name, _, label = reference.partition("@")
        runs = self.find(name, where)
        if not runs:
            return None
        return (runs[0], label) if self.save(runs[0], label, where, name) else None

    def begun_with(self, recipe: dict) -> list[Run]:
        """The run that a training begins with, if it does with one of these."""
        id = (recipe.get("pretrained") or {}).get("run")
        return [run for name in self.names for run in self.resolve(name) if run.id == id][:1] if id else []

    def save(self, run: Run, label: str, where: str, name: str) -> bool:
        """Note a checkpoint of a run, called `name`, for saving; False, and a problem, where the run ends before it."""
        if run.epochs(label) > run.recipe["epochs"]:
            self.problems.append(
                f"{where} asks for {label} of {name!r}, a run that ends after epoch {run.recipe['epochs']} "
                f"(iteration {run.recipe['epochs'] * run.paper_steps_per_epoch})"
            )
            return False
        run.checkpoints[label] = run.step(label)
        return True

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
        before = len(self.problems)
        recipe, paper_steps, rate_factor = self._recipe(experiment, declared, where)
        if len(self.problems) > before:
            return []
        trials = declared.get("trials")
        runs = []
        for trial in range(self.scale.trials(f"{self.paper.name}/{experiment}", trials) if trials else 1):
            label = f"{self.paper.name}/{name}" + (f"/{trial + 1}" if trials else "")
            own = {**recipe, "seed": declared["seed"] + trial}
            run = Run(own, paper_steps, rate_factor, [label], f"{self.paper.name}/{experiment}", declared=declared)
            runs.append(run)
        return runs

    def _recipe(self, experiment: str, declared: dict, where: str) -> tuple[dict, int, float]:
        if "task" in declared:
            return text_recipe(self, f"{self.paper.name}/{experiment}", declared, where)
        scale, data = self.scale, self.scale.data(declared["data"])
        paper_info, info = scale.info(declared["data"]), scale.info(data)
        for name, found in ((declared["data"], paper_info), (data, info)):
            if found is None:
                self.problems.append(
                    f"{where}: data is {name!r}, which is neither built in nor named in config.yaml's data.sources"
                )
        if paper_info is None or info is None:
            return {}, 0, 1.0
        model, rate_factor = self.model(declared["model"], where)
        batch = scale.batch_size(declared["batch_size"])
        samples = scale.samples_per_epoch(f"{self.paper.name}/{experiment}", data, batch)
        if batch > info.train:
            self.problems.append(
                f"{where}: a batch of {batch} images is larger than the {info.train} training images of {data}"
            )
        paper_steps = steps_per_epoch(paper_info.train, declared["batch_size"])
        schedule = in_epochs(schedules.scaled(declared["schedule"], rate_factor), paper_steps)
        self.problems += [f"{where}: schedule {problem}" for problem in schedules.check(schedule, declared["epochs"])]
        self.check_optimizer(declared["optimizer"], where)
        initialisation = declared["initialisation"]
        if initialisation.get("rule") == "default" and "variance" in initialisation:
            self.problems.append(f"{where}: initialisation: the rule 'default' has no variance; it is of the rule 'he'")
        recipe = {
            "engine": engine.TRAINING,
            "data": data,
            "model": model,
            "initialisation": initialisation,
            "optimizer": declared["optimizer"],
            "schedule": schedule,
            "batch_size": batch,
            "samples_per_epoch": samples,
            "epochs": declared["epochs"],
            "augment": declared["augment"],
            "image_sides": self._image_sides(declared, paper_info.image_size, info.image_size, where),
            "evaluate_every": scale.evaluate_every(f"{self.paper.name}/{experiment}", declared["evaluate_every"]),
            "freeze": self._freeze(declared.get("freeze"), paper_steps, steps_per_epoch(samples, batch)),
            "distillation": self._distillation(declared.get("distillation"), where),
            "fallback": declared.get("fallback"),
        }
        return recipe, paper_steps, rate_factor

    def check_optimizer(self, declared: dict, where: str) -> None:
        """Tell options that an optimizer does not have."""
        allowed = OPTIMIZER_OPTIONS[declared["name"]]
        for option in declared:
            if option not in allowed:
                name = declared["name"]
                self.problems.append(f"{where}: optimizer: {name} has no {option!r}; allowed are {', '.join(allowed)}")

    def model(self, declared: str | dict, where: str) -> tuple[dict, float]:
        """The specification at this scale with every default filled in, and the factor for learning rates."""
        model, rate_factor = self.scale.model(as_spec(declared), self.paper.name)
        try:
            model = model_names.check(model)
        except InputError as error:
            self.problems.append(f"{where}: model: {error}")
        return model, rate_factor

    def _image_sides(self, declared: dict, paper_side: int, side: int, where: str) -> list[list[int]] | None:
        """Phases [[epochs, side], ...] of the size of training images, in the pixels of the data set at this scale."""
        phases = declared.get("image_sides")
        if phases is None:
            return None
        if (total := sum(epochs for epochs, _ in phases)) != declared["epochs"]:
            self.problems.append(f"{where}: image_sides has {total} epochs, but the run has {declared['epochs']}")
        return [[epochs, max(1, round(pixels / paper_side * side))] for epochs, pixels in phases]

    def _freeze(self, declared: dict | None, paper_steps: int, own_steps: int) -> dict | None:
        if declared is None:
            return None
        return {"part": declared["part"], "steps": round(declared["iterations"] / paper_steps * own_steps)}

    def _distillation(self, declared: dict | None, where: str) -> dict | None:
        if declared is None:
            return None
        found = self.checkpoint(declared["teacher"], f"{where}: distillation.teacher")
        if found is None:
            return None
        teacher, label = found
        return {**declared, "teacher": {"run": teacher.id, "at": label, "model": teacher.recipe["model"]}}


def as_spec(model: str | dict) -> dict:
    """A model is declared by its name, or by its name and options."""
    return {"name": model} if isinstance(model, str) else dict(model)
