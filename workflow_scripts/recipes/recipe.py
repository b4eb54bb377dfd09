"""What a training's recipe says: each key, its default and what it may be stand here and nowhere else.

A recipe is a typed record that reads as a mapping. All of its keys are in its canonical JSON, defaults too, so each of
them is part of the training's identity.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import Annotated, Any

from workflow_scripts.base import checks
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.forms import OrNull, form_problems
from workflow_scripts.recipes import engine, schedules
from workflow_scripts.recipes.merge import merge

Count = Annotated[int, "a whole number of at least 1"]
Phases = Annotated[list, "[[epochs, value], ...] for all epochs"]

# Options of the optimizers. What a recipe leaves out is torch's own default.
ADAPTIVE = ("name", "betas", "eps", "weight_decay")
OPTIMIZERS = {
    "sgd": ("name", "momentum", "weight_decay", "nesterov"),
    "adam": ADAPTIVE,
    **dict.fromkeys(("adamw", "radam", "lamb"), (*ADAPTIVE, "decay_biases_and_norms")),
}
# What an option of an optimizer must be above, at least, or below.
RANGES = {"momentum": {"low": 0, "below": 1}, "weight_decay": {"low": 0}, "eps": {"above": 0}}

# What each key holds that is no count, by an example (base.forms.form_problems).
_INITIALISATION = {"rule": "he", "variance": 1.0}
_OPTIMIZER = {"name": "sgd", "momentum": 0.9, "weight_decay": 0.1, "nesterov": True, "betas": (0.9, 0.99), "eps": 1e-8}
_OPTIMIZER |= {"decay_biases_and_norms": True}
_CHECKPOINT = {"run": "0123456789ab", "at": "epoch-1", "model": {}}
FORMS: dict[str, Any] = {
    "engine": 1, "data": "cifar10", "task": "translation", "seed": 1, "augment": True, "cutoff": True, "clip": 0.1,
    "label_smoothing": 0.1, "model": {"name": "vgg16"}, "optimizer": _OPTIMIZER, "initialisation": _INITIALISATION,
    "schedule": {"name": "knee"}, "freeze": {"part": "classifier", "steps": 1}, "image_sides": [(1, 1)],
    "lengths": [(1, 1)], "pretrained": {**_CHECKPOINT, "folder": "bert_base"},
    "fallback": {"initialisation": _INITIALISATION, "optimizer": _OPTIMIZER},
    "distillation": {"teacher": _CHECKPOINT, "temperature": 1.0, "scale_by_temperature_squared": True},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe(Mapping[str, Any]):
    """What every training says.

    engine : number of the code that computes it; the present one's where it is not given.
    data : name of the data set. model : its specification.
    optimizer : its name and options. schedule : of the learning rate, in epochs (recipes/schedules.py).
    epochs : of the whole training. evaluate_every : epochs between evaluations. seed : of all that is drawn.
    freeze : {part, steps}, a part of the network that is frozen for the first updates.
    distillation : {teacher: {run, at, model}, temperature, scale_by_temperature_squared}.
    fallback : what to change and begin anew with, should the training diverge.
    """

    engine: int | None = None
    data: str
    model: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    epochs: Count
    evaluate_every: Count
    seed: int
    freeze: Mapping[str, Any] | None = None
    distillation: Mapping[str, Any] | None = None
    fallback: Mapping[str, Any] | None = None

    def __post_init__(self):
        if self.engine is None:
            object.__setattr__(self, "engine", engine.of_training(self))

    @cached_property
    def _keys(self) -> tuple[str, ...]:
        absent = [each.name for each in fields(self) if "absent" in each.metadata and getattr(self, each.name) is None]
        return tuple(each.name for each in fields(self) if each.name not in absent)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def problems(self) -> list[str]:
        """What of it cannot be, each in a sentence, as far as the recipe alone tells."""
        found = [
            f"{each.name} is {self[each.name]!r}; it must be {Count.__metadata__[0]}"
            for each in fields(self)
            if each.type is Count and (type(self[each.name]) is not int or self[each.name] < 1)
        ]
        for key in FORMS.keys() & self.keys():
            nullable = key in _nullable(type(self))
            found += form_problems(self[key], OrNull(FORMS[key]) if nullable else FORMS[key], key)
        found = found or [*_incomplete(self)]
        if found:
            return sorted(found)
        found += [f"schedule {problem}" for problem in schedules.check(self.schedule, self.epochs)]
        found += [f"optimizer: {problem}" for problem in of_optimizer(self.optimizer)]
        for each in fields(self):
            if each.type in (Phases, Phases | None) and self[each.name] is not None:
                total = sum(epochs for epochs, _ in self[each.name])
                if total != self.epochs:
                    found.append(f"{each.name} has {total} epochs, but the run has {self.epochs}")
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageRecipe(Recipe):
    """A training on images, without a `task` for classification and distillation.

    initialisation : {variance, rule} (models/vision/initialise.py). samples_per_epoch : images in an epoch.
    augment : whether images are flipped and cropped. image_sides : phases of the size of training images, in pixels.
    """

    task: str | None = field(default=None, metadata={"absent": "where it is None"})
    initialisation: Mapping[str, Any]
    batch_size: Count
    samples_per_epoch: Count
    augment: bool
    image_sides: Phases | None = None

    def problems(self) -> list[str]:
        """As `Recipe.problems`."""
        found = super().problems()
        if not found and self.initialisation.get("rule") == "default" and "variance" in self.initialisation:
            found.append("initialisation: the rule 'default' has no variance; it is of the rule 'he'")
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class TextRecipe(Recipe):
    """A training on text.

    task : its name. clip : the norm that gradients are clipped to. pretrained : what it begins with, {run, at, model}
    or {folder}, the name of a checkpoint in config.yaml's data.sources.
    """

    task: str
    clip: float | None = None
    updates_per_epoch: Count
    pretrained: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TranslationRecipe(TextRecipe):
    """batch_tokens : of the longer side, padding included. cutoff : whether batches are seen twice, with holes."""

    batch_tokens: Count
    label_smoothing: float = 0.0
    cutoff: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedLMRecipe(TextRecipe):
    """batch_size : pairs of an update. lengths : phases of the tokens of a pair."""

    batch_size: Count
    lengths: Phases


@dataclass(frozen=True, kw_only=True, eq=False)
class QuestionAnsweringRecipe(TextRecipe):
    """batch_size : windows of an update. length : tokens of a window. stride : from one window's begin to the next."""

    batch_size: Count
    length: Count = 384
    stride: Count = 128


OF_TEXT: dict[str, type[TextRecipe]] = {
    "translation": TranslationRecipe,
    "masked_lm": MaskedLMRecipe,
    "question_answering": QuestionAnsweringRecipe,
}


def kind_of(task: str | None) -> type[Recipe]:
    """The type of a task's recipes."""
    return OF_TEXT.get(task, ImageRecipe)


def needed(kind: type[Recipe]) -> list[str]:
    """Keys that have no default."""
    return [each.name for each in fields(kind) if each.default is MISSING]


def keys(kind: type[Recipe]) -> list[str]:
    """All keys."""
    return [each.name for each in fields(kind)]


def own(kind: type[Recipe]) -> dict[str, Any]:
    """The keys that not every training has, with their defaults; MISSING where there is none."""
    return {each.name: each.default for each in fields(kind) if each.name not in keys(Recipe)}


def read(document: Mapping[str, Any]) -> Recipe:
    """A recipe from its JSON.

    Raises
    ------
    InputError : keys are missing, or unknown, or the task is no name.
    """
    task = document.get("task")
    if task is not None and not isinstance(task, str):
        raise InputError(f"task is {task!r}; it must be the name of one, such as translation, or left out for images")
    kind = kind_of(task)
    if missing := [key for key in needed(kind) if key not in document]:
        raise InputError(f"the recipe lacks {', '.join(missing)}; --help shows an example")
    if unknown := [str(key) for key in document if key not in keys(kind)]:
        raise InputError(f"the recipe has the unknown key {', '.join(unknown)}; allowed are {', '.join(keys(kind))}")
    return kind(**document)


def _nullable(kind: type[Recipe]) -> set[str]:
    """The keys that may be null."""
    return {each.name for each in fields(kind) if each.default is None}


def _incomplete(recipe: Mapping[str, Any]) -> Iterator[str]:
    """The mappings in a recipe that lack a key, or have one that nobody reads."""
    parts = {key: recipe.get(key) for key in ("freeze", "distillation")}
    for key, part in parts.items():
        if part is not None and part.keys() != FORMS[key].keys():
            yield f"{key} has the keys {', '.join(map(str, part))}; it must have {', '.join(FORMS[key])}"
    for key, needed in (("distillation.teacher", (parts["distillation"] or {}).get("teacher")),
                        ("pretrained", recipe.get("pretrained"))):  # fmt: skip
        if needed is not None and "folder" not in needed and not {"run", "at"} <= needed.keys():
            yield f"{key} has the keys {', '.join(map(str, needed))}; it must have run and at"
    yield from of_initialisation(recipe.get("initialisation", {}))


def with_fallback(recipe: Mapping[str, Any]) -> Recipe:
    """What is trained where a training has diverged whose recipe declares a fallback."""
    return read(merge(dict(recipe), recipe["fallback"]))


def of_initialisation(spec: Mapping[str, Any]) -> Iterator[str]:
    """What an initialisation does not have, each in a sentence."""
    for key in spec:
        if key not in _INITIALISATION:
            yield f"initialisation has the unknown key {key!r}; allowed are {', '.join(_INITIALISATION)}"


def of_optimizer(spec: Mapping[str, Any]) -> Iterator[str]:
    """What an optimizer does not have, or cannot take, each in a sentence."""
    name = spec.get("name")
    if name not in OPTIMIZERS:
        yield f"there is no optimizer {name!r}; choose one of {', '.join(OPTIMIZERS)}"
        return
    for option, value in spec.items():
        if option not in OPTIMIZERS[name]:
            yield f"{name} has no {option!r}; allowed are {', '.join(OPTIMIZERS[name])}"
        elif option in RANGES:
            try:
                checks.number(option, value, **RANGES[option])
            except InputError as error:
                yield str(error)
