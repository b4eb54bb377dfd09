"""Floating-point operations and disk of trainings and analyses, counted before any of them is run."""

import functools
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import NamedTuple

import torch
import yaml
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from workflow_scripts import models
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.text.masking import masked_count
from workflow_scripts.datasets.text.settings import FORMS
from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.kinds import KINDS
from workflow_scripts.planning.kinds.kind import BACKWARD, BYTES
from workflow_scripts.planning.plan import Plan
from workflow_scripts.planning.run import Run
from workflow_scripts.recipes.canonical import canonical

LENGTH = 30  # tokens of a sentence, for the operations of attention


class Network(NamedTuple):
    """What a rate is measured for: a model, as canonical JSON, on a data set."""

    model: str
    data: str


@dataclass(frozen=True)
class Work:
    """A training or an analysis: floating-point operations, bytes on the disk, and the network that is computed.

    rule : of the workflow, which for an analysis is its kind. images : that a training is of. batch : images of an
        update; 0 where there is none.
    """

    rule: str
    network: Network | None = None
    operations: float = 0.0
    disk: float = 0.0
    images: float = 0
    batch: int = 0

    def part(self, share: float) -> "Work":
        """What is left where the rest has been done."""
        return replace(self, operations=self.operations * share, images=self.images * share)


class Operations:
    """Counts the operations of a plan's runs and analyses."""

    def __init__(self, plan: Plan):
        self.plan = plan

    def needed(self, artifacts: list[str]) -> dict[tuple[str, str], Work]:
        """All work that these artifacts rest on, each piece once, by rule and identity."""
        runs: dict[str, Run] = {}
        analyses: dict[str, Analysis] = {}
        for id in artifacts:
            for analysis in self.plan.artifacts[id].analyses:
                self._need(analysis, analyses)
            for one in [*self.plan.artifacts[id].runs, *(r for a in analyses.values() for r in a.runs)]:
                runs[one.id] = self.plan.runs[one.id]
        for one in list(runs.values()):
            while one.teacher:
                one = self.plan.runs[one.teacher]
                runs[one.id] = one
        work = {("train", id): self.training(run.recipe, len(run.checkpoints)) for id, run in runs.items()}
        return work | {(each.kind, id): self.analysis(each) for id, each in analyses.items()}

    def _need(self, analysis: Analysis, found: dict[str, Analysis]) -> None:
        found[analysis.id] = analysis
        for needed in analysis.analyses:
            self._need(needed, found)

    def training(self, recipe: dict, checkpoints: int = 0) -> Work:
        """A training, with its evaluations, a distilled teacher's forward passes and its checkpoints.

        Of text, an "image" is a place of a batch: a token, of translations one of the longer side, padding included.
        """
        if "task" in recipe:
            return self._training_on_text(recipe, checkpoints)
        forward, weights = self.network(recipe["model"], recipe["data"])
        images = recipe["epochs"] * recipe["samples_per_epoch"]
        operations = images * forward * (1 + BACKWARD)
        operations += recipe["epochs"] / recipe["evaluate_every"] * self.info(recipe["data"]).test * forward
        if recipe["distillation"]:
            operations += images * self.network(recipe["distillation"]["teacher"]["model"], recipe["data"])[0]
        kept = checkpoints + 2  # the snapshot has weights and momentum
        network = Network(canonical(recipe["model"]), recipe["data"])
        return Work("train", network, operations, kept * weights * BYTES, images, recipe["batch_size"])

    def _training_on_text(self, recipe: dict, checkpoints: int) -> Work:
        places, operations = 0.0, 0.0
        for epochs, length, many in _batches(recipe):
            forward, weights = self.network(recipe["model"], recipe["data"], length)
            seen = epochs * recipe["updates_per_epoch"] * many
            places, operations = places + seen, operations + seen * forward * (1 + BACKWARD)
        kept = checkpoints + 3  # the snapshot has weights and two moments
        copies = 2 if recipe.get("cutoff") else 1
        network = Network(canonical(recipe["model"]), recipe["data"])
        return Work("train", network, copies * operations, kept * weights * BYTES, places)

    def analysis(self, analysis: Analysis) -> Work:
        """What the record of its kind counts; nothing of one on text."""
        recipe, kind = analysis.recipe, KINDS[analysis.kind]
        if kind.operations is None or self.info(analysis.data).form in FORMS:
            return Work(analysis.kind)
        counts = _Counts(self, recipe)
        cost = kind.operations(recipe, counts)
        return Work(analysis.kind, Network(canonical(counts.model), recipe["data"]), **cost._asdict())

    def knows(self, recipe: dict) -> bool:
        """Whether a training's model and data set are known here, so that it can be counted."""
        try:
            return self.info(recipe["data"]) is not None and bool(self.network(recipe["model"], recipe["data"]))
        except InputError:
            return False

    def side(self, data: str) -> int:
        """Pixels of an image's side; 0 of text."""
        return getattr(self.info(data), "image_size", 0)

    def info(self, data: str):
        """Facts of a data set."""
        return self.plan.scale.info(data)

    def network(self, model: dict, data: str, length: int = LENGTH) -> tuple[float, int]:
        """Operations of a forward pass of an image, or of a place of a sequence of this length, and the parameters."""
        info = self.info(data)
        if info.form == "parallel":
            return count_translation(canonical(model), info.merges, length)
        if info.form in FORMS:
            pieces = self.info(info.vocabulary) or info
            return count_bert(canonical(model), info.form, pieces.pieces, length)
        return count(canonical(model), info)


class _Counts:
    """`Counts` of an analysis of images."""

    def __init__(self, operations: Operations, recipe: dict):
        self.operations, self.recipe = operations, recipe
        self.model = recipe.get("model") or recipe["models"]["first"]
        self.info = operations.info(recipe["data"])
        self.train = self.info.train
        self.forward, self.weights = operations.network(self.model, recipe["data"])

    @property
    def evaluated(self) -> int:
        """As `Counts.evaluated`."""
        again = [self.train] if has_batch_norm(canonical(self.model), self.info) else []
        limit = self.recipe["images"]
        return sum(size if limit is None else min(limit, size) for size in (self.train, self.info.test, *again))

    def forward_of(self, model: dict) -> float:
        """As `Counts.forward_of`."""
        return self.operations.network(model, self.recipe["data"])[0]


def _batches(recipe: dict) -> list[tuple[int, int, int]]:
    """Epochs, length of a sequence and places of a batch in each phase of a training on text, padding included."""
    if "batch_tokens" in recipe:
        return [(recipe["epochs"], LENGTH, recipe["batch_tokens"])]
    phases = recipe.get("lengths") or [[recipe["epochs"], recipe["length"]]]
    return [(epochs, length, recipe["batch_size"] * length) for epochs, length in phases]


@functools.cache
def count_translation(model: str, vocabulary: int, length: int) -> tuple[float, int]:
    """Operations of a forward pass of a place of a batch, and the number of parameters, of a translation network.

    Parameters
    ----------
    vocabulary : tokens of each side; before the text is prepared about as many as there are merges.
    length : tokens of a sentence.
    """
    info = SimpleNamespace(vocabulary={"source": vocabulary, "target": vocabulary})
    with torch.device("meta"):
        network = models.build(yaml.safe_load(model), info).eval()
        tokens = torch.ones(1, length, dtype=torch.int64)
    return _counted(network, length, tokens, tokens)


@functools.cache
def count_bert(model: str, form: str, vocabulary: int, length: int) -> tuple[float, int]:
    """As `count_translation`, of a BERT for "documents", of which few places are guessed, or for "questions"."""
    info = SimpleNamespace(form=form, vocabulary={"text": vocabulary})
    with torch.device("meta"):
        network = models.build(yaml.safe_load(model), info).eval()
        tokens = torch.ones(1, length, dtype=torch.int64)
        chosen = [torch.arange(masked_count(length))] if form == "documents" else []
    return _counted(network, length, tokens, tokens, *chosen)


def _counted(network: nn.Module, length: int, *inputs: Tensor) -> tuple[float, int]:
    with FlopCounterMode(display=False) as counter:
        network(*inputs)
    return counter.get_total_flops() / length, sum(parameter.numel() for parameter in network.parameters())


@functools.cache
def has_batch_norm(model: str, info) -> bool:
    """Whether a model, given as canonical JSON, has statistics of batch normalisation."""
    with torch.device("meta"):
        return any(isinstance(module, _BatchNorm) for module in models.build(yaml.safe_load(model), info).modules())


@functools.cache
def count(model: str, info) -> tuple[float, int]:
    """Operations of one image's forward pass, and the number of parameters, of a model given as canonical JSON."""
    with torch.device("meta"):
        network = models.build(yaml.safe_load(model), info).eval()
        image = torch.empty(1, info.channels, info.image_size, info.image_size)
    return _counted(network, 1, image)
