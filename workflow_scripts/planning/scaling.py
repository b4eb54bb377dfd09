"""What a scale does to a declaration: it changes the cost of an epoch, never the science.

Times are stated in the paper's epochs, and iteration n of the paper is the point n / (iterations in the paper's epoch)
of its schedule; both keep their names and their places in the schedule at every scale.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workflow_scripts.datasets.derivation import Derivation, derivation_of
from workflow_scripts.datasets.registry import INFO, DatasetInfo
from workflow_scripts.datasets.text.settings import TEXT, TextInfo
from workflow_scripts.models import names as model_names
from workflow_scripts.planning.declarations import PaperDeclaration

TEXT_KEYS = ("batch_tokens", "batch_size", "updates_per_epoch", "lengths", "length", "stride")


@dataclass(frozen=True)
class Scale:
    """One scale, with the questions that resolving asks of it.

    declared : the document scales/<name>.yaml.
    own_data : data sets that the user added, by name (from config.yaml's data.sources).
    checkpoints : the folders of BERT checkpoints that are named there, by name.
    """

    name: str
    declared: dict
    own_data: dict[str, DatasetInfo | TextInfo]
    checkpoints: Mapping[str, Path] = field(default_factory=dict)

    def problems(self, papers: Iterable[PaperDeclaration]) -> list[str]:
        """Names in the scale that mean nothing: of models, and of experiments of these papers."""
        allowed_models = [*model_names.NAMES, *model_names.LANGUAGE]
        found = [
            f"scales/{self.name}.yaml: models names {model!r}; allowed are {', '.join(allowed_models)}"
            for model in self.declared["models"]
            if model.rpartition("/")[2] not in allowed_models and not model_names.is_own(model.rpartition("/")[2])
        ]
        known = {
            paper.name: [paper.name, *(f"{paper.name}/{experiment}" for experiment in paper.runs["experiments"])]
            for paper in papers
        }
        for name in self.declared["experiments"]:
            allowed = known.get(name.partition("/")[0])
            if allowed is not None and name not in allowed:
                found.append(f"scales/{self.name}.yaml: experiments names {name!r}; allowed are {', '.join(allowed)}")
        return found + self._image_problems()

    @property
    def evidence(self) -> bool:
        """Whether a verdict on a claim may rest on results of this scale."""
        return self.declared.get("evidence", True)

    @property
    def _images(self) -> dict[str, dict]:
        """The data sets that the scale makes smaller."""
        return self.declared.get("images", {})

    def _image_problems(self) -> list[str]:
        """Data sets that the scale makes smaller in a way that cannot be."""
        found = []
        for name in self._images:
            origin = self.info(name)
            problem = self._derivation(name, origin).problem(origin) if origin else "is of no known data set"
            if problem:
                found.append(f"scales/{self.name}.yaml: images.{name} {problem}")
        return found

    def _derivation(self, name: str, origin: DatasetInfo) -> Derivation:
        """What the scale makes of a data set: a smaller side, fewer training images, or both."""
        declared = self._images[name]
        return Derivation(name, declared.get("side", origin.image_size), declared.get("train", origin.train))

    def data(self, name: str, experiment: str = "") -> str:
        """The data set that stands for `name` at this scale, in an experiment, made smaller where the scale says so."""
        stands = self._own(experiment).get("data", {}).get(name) or self.declared["data"].get(name, name)
        origin = self.info(stands)
        return self._derivation(stands, origin).name if origin and stands in self._images else stands

    def info(self, name: str) -> DatasetInfo | TextInfo | None:
        """Facts of a data set (not mapped), derived or not, or None where it is unknown."""
        if derivation := derivation_of(name):
            origin = self.info(derivation.origin)
            return origin and derivation.info(origin)
        return self.own_data.get(name) or INFO.get(name) or TEXT.get(name)

    def batch_size(self, paper_batch: int) -> int:
        """A batch at this scale: all batches shrink by one common factor, so their ratios stay."""
        return max(1, round(paper_batch * self.declared["batch_factor"]))

    def samples_per_epoch(self, experiment: str, data: str, batch_size: int) -> int:
        """Images in an epoch: the whole set, or what the scale declares for the experiment; never less than a batch."""
        declared = self._own(experiment).get("samples_per_epoch", self.declared["samples_per_epoch"])
        return self.info(data).train if declared is None else max(declared, batch_size)

    def trials(self, experiment: str, paper_trials: int) -> int:
        """How many of the paper's trials are run."""
        most = self._own(experiment).get("trials_at_most", self.declared["trials_at_most"])
        return paper_trials if most is None else min(paper_trials, most)

    def evaluate_every(self, experiment: str, declared: int) -> int:
        """Epochs from one evaluation to the next: never more often than declared."""
        return max(declared, self._own(experiment).get("evaluate_every", 1))

    def own_text(self, experiment: str, declared: dict) -> dict:
        """What a run on text says of batches and sequences, with what the scale says of its experiment instead."""
        own = self._own(experiment)
        return declared | {key: own[key] for key in TEXT_KEYS if key in own and key in declared}

    def rate_factor(self, experiment: str) -> float:
        """The factor for learning rates that the scale declares for an experiment."""
        return self._own(experiment).get("rate_factor", 1.0)

    def stand_in(self, checkpoint: str) -> dict:
        """What stands in at this scale for a checkpoint that has to be got: {run, experiment}, {} where nothing does.

        Parameters
        ----------
        checkpoint : its name in config.yaml's data.sources.
        """
        declared = self.declared.get("stand_ins", {}).get(checkpoint, {})
        return {} if declared.get("unless_named") and checkpoint in self.checkpoints else declared

    def _own(self, experiment: str) -> dict:
        """What the scale says of the experiment paper/name: of the paper, then of the experiment itself."""
        experiments = self.declared["experiments"]
        return {**experiments.get(experiment.partition("/")[0], {}), **experiments.get(experiment, {})}

    def model(self, spec: dict, paper: str) -> tuple[dict, float]:
        """The architecture's specification at this scale, and the factor for learning rates declared beside it."""
        models, name = self.declared["models"], spec["name"]
        own = dict(models.get(f"{paper}/{name}", models.get(name, {})))
        factor = own.pop("rate_factor", 1.0)
        return {**spec, **own}, factor

    def analysis(self, kind: str, settings: dict) -> dict:
        """The settings of an analysis with the grid resolutions of this scale."""
        return {**settings, **self.declared["analyses"].get(kind, {})}


def in_epochs(schedule: dict, paper_steps_per_epoch: int) -> dict:
    """The schedule with a warmup that is declared in the paper's iterations turned into epochs."""
    if "phases" in schedule:
        parts = [[epochs, in_epochs(part, paper_steps_per_epoch)] for epochs, part in schedule["phases"]]
        schedule = {**schedule, "phases": parts}
    warmup = schedule.get("warmup")
    if not warmup or "iterations" not in warmup:
        return schedule
    rest = {key: value for key, value in warmup.items() if key != "iterations"}
    return {**schedule, "warmup": {**rest, "epochs": warmup["iterations"] / paper_steps_per_epoch}}
