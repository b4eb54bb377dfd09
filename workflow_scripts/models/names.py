"""Names of the models and of their options, without torch: a configuration is checked before anything is imported."""

import math
import re
from dataclasses import dataclass, field

from workflow_scripts.base.errors import InputError

OWN_MODEL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Option:
    """One option of a model: its type (int or float), its default and the range `low <= value <= high`."""

    type: type
    default: float
    low: float
    high: float
    meaning: str

    def problem(self, value: object) -> str | None:
        """What is wrong with a value, or None."""
        accepted = int if self.type is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, accepted) or not self.low <= value <= self.high:
            upper = "" if math.isinf(self.high) else f" to {self.high:g}"
            kind = "a whole number" if self.type is int else "a number"
            return f"{value!r} is not {kind} from {self.low:g}{upper} ({self.meaning})"
        return None


@dataclass(frozen=True)
class Choice:
    """One option of a model that is one of some words."""

    default: str
    words: tuple[str, ...]
    meaning: str
    type: type = str

    def problem(self, value: object) -> str | None:
        """As `Option.problem`."""
        return None if value in self.words else f"{value!r} is not one of {', '.join(self.words)} ({self.meaning})"


@dataclass(frozen=True)
class Model:
    """Where a model is built ("module:function") and the options that it takes."""

    builder: str
    options: dict[str, Option | Choice] = field(default_factory=dict)


WIDTH = Option(float, 1.0, 0.001, 100.0, "multiplies every channel count; 1 is the paper's")
DROPOUT = Option(float, 0.5, 0.0, 0.99, "the probability of dropping a unit of the head")
SMALLEST_SIDE = Option(int, 1, 1, math.inf, "pooling stops before images get smaller than this side")

VGG = {"width": WIDTH, "dropout": DROPOUT, "smallest_side": SMALLEST_SIDE}
RESNET = {"width": WIDTH}
STUDENT = {
    "width": WIDTH,
    "c1": Option(int, 64, 1, math.inf, "channels of the first convolution"),
    "c2": Option(int, 128, 1, math.inf, "channels of the second convolution"),
    "f1": Option(int, 256, 1, math.inf, "outputs of the first FC layer"),
    "f2": Option(int, 128, 1, math.inf, "outputs of the second FC layer"),
}

MODELS: dict[str, Model] = {
    **{
        name + suffix: Model(f"workflow_scripts.models.vision.vgg:{name}{suffix}", VGG)
        for name in ("vgg9", "vgg11", "vgg16")
        for suffix in ("", "_bn")
    },
    **{
        name: Model(f"workflow_scripts.models.vision.resnet:{name}", RESNET)
        for name in ("resnet10", "resnet18", "resnet32", "resnet50")
    },
    "student": Model("workflow_scripts.models.vision.student:student", STUDENT),
}
NAMES = tuple(MODELS)


def _layers(default: int, what: str) -> Option:
    return Option(int, default, 1, 1000, what)


def _rate(default: float, what: str) -> Option:
    return Option(float, default, 0.0, 0.99, f"the probability of dropping {what}")


# Of text: what they are built with besides is the size of the vocabulary.
LANGUAGE: dict[str, Model] = {
    "transformer": Model(
        "workflow_scripts.models.language.transformer:transformer",
        {
            "encoder_layers": _layers(6, "layers of the encoder"),
            "decoder_layers": _layers(6, "layers of the decoder"),
            "width": Option(int, 512, 2, math.inf, "numbers in a token's vector"),
            "heads": Option(int, 8, 1, math.inf, "heads of each attention"),
            "ffn": Option(int, 2048, 1, math.inf, "units of each feed-forward layer"),
            "dropout": _rate(0.1, "a number of a sublayer's output"),
            "attention_dropout": _rate(0.0, "a weight of an attention"),
            "activation_dropout": _rate(0.0, "a unit of a feed-forward layer"),
            "share": Choice("decoder", ("none", "decoder", "all"), "embeddings that are one matrix"),
        },
    ),
    "bert": Model(
        "workflow_scripts.models.language.bert:bert",
        {
            "layers": _layers(12, "layers"),
            "width": Option(int, 768, 2, math.inf, "numbers in a token's vector"),
            "heads": Option(int, 12, 1, math.inf, "heads of each attention"),
            "ffn": Option(int, 3072, 1, math.inf, "units of each feed-forward layer"),
            "longest": Option(int, 512, 8, math.inf, "tokens of the longest sequence"),
            "dropout": _rate(0.1, "a number of a sublayer's output"),
            "attention_dropout": _rate(0.1, "a weight of an attention"),
        },
    ),
}


def is_own(name: str) -> bool:
    """Whether a name is "package.module:function", a custom model."""
    return OWN_MODEL.fullmatch(name) is not None


def options(name: str) -> dict[str, Option | Choice]:
    """The options of a model by name; those of a custom model are known to its function alone, so none here.

    Raises
    ------
    InputError
        If no model has this name.
    """
    if isinstance(name, str) and is_own(name):
        return {}
    if not isinstance(name, str) or name not in (*NAMES, *LANGUAGE):
        raise InputError(
            f"there is no model {name!r}; choose one of {', '.join([*NAMES, *LANGUAGE])}, or give your own as "
            '"package.module:function"'
        )
    return (MODELS | LANGUAGE)[name].options


def as_spec(model: str | dict) -> dict:
    """A model is declared by its name, or by its name and options."""
    return {"name": model} if isinstance(model, str) else dict(model)


def check(spec: dict) -> dict:
    """The specification with every default filled in, so that two that mean the same are equal.

    Raises
    ------
    InputError
        If the name or an option is unknown, or an option's value is out of its range; all options in one message.
    """
    if not isinstance(spec, dict) or "name" not in spec:
        raise InputError(f'a model is described by {{"name": ..., option: value, ...}}, not by {spec!r}')
    name, given = spec["name"], {option: value for option, value in spec.items() if option != "name"}
    allowed = options(name)
    if is_own(name):
        return dict(spec)
    problems = [
        f"there is no option {option!r}; {name} takes {', '.join(allowed)}" for option in given if option not in allowed
    ]
    for option, value in given.items():
        if option in allowed and (problem := allowed[option].problem(value)):
            problems.append(f"{option}: {problem}")
    if problems:
        raise InputError.together(f"the options of model {name!r} are wrong", problems)
    complete = {option: allowed[option].type(given.get(option, allowed[option].default)) for option in allowed}
    return {"name": name, **complete}
