"""The networks of both papers, what initialises them, what names their layers, and their checkpoints.

Importing this module does not import torch: `models.names` is read while the workflow is parsed.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from workflow_scripts.base.errors import InputError
from workflow_scripts.models import names
from workflow_scripts.models.names import LANGUAGE, MODELS, NAMES

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS", "NAMES", "build"]


def build(spec: dict, info) -> "nn.Module":
    """Build a network for a data set.

    Parameters
    ----------
    spec : `{"name": ..., option: value, ...}`; a name of `names.NAMES` or `names.LANGUAGE`, or
        "package.module:function" for a custom model. For images `function(info, **options)` returns an `nn.Module`
        from images (b, channels, side, side) to logits (b, classes), with a submodule `classifier`; for text one that
        is called as `language.transformer.Transformer` or `language.bert.Bert` is.
    info : has, for images, `channels`, `classes` and `image_size` (the side, in pixels); for text `vocabulary`, the
        number of tokens by side: "source" and "target", or "text".

    Raises
    ------
    InputError
        For an unknown name or option, an option out of its range, or a function that is not as described.

    The weights are those of torch's defaults: `models.initialise.initialise` gives the papers'.
    """
    spec = names.check(spec)
    name = spec.pop("name")
    _check_data(name, info)
    builder = _builder(name)
    try:
        inspect.signature(builder).bind(info, **spec)
    except TypeError as error:
        raise InputError(f"model {name!r} cannot take the options {sorted(spec)}: {error}") from None
    network = builder(info, **spec)
    if hasattr(info, "classes") and not hasattr(network, "classifier"):
        raise InputError(
            f"model {name!r} returned a {type(network).__name__} without a submodule `classifier`; return an "
            "nn.Module whose last fully connected layers are its `classifier`"
        )
    return network


def _check_data(name: str, info) -> None:
    """Raises InputError where a network of text is to be built for images, or for text of another form, or the like."""
    sides = {"transformer": "source", "bert": "text"}
    fits = hasattr(info, "classes") if name in MODELS else sides.get(name) in getattr(info, "vocabulary", {})
    if not fits and name in MODELS | LANGUAGE:
        of = "images" if name in MODELS else "parallel text" if name == "transformer" else "documents or questions"
        given = getattr(info, "form", "") or "of another kind"
        raise InputError(f"the model {name!r} is one of {of}, but the data are {given}; choose another model")


def _builder(name: str) -> Callable[..., "nn.Module"]:
    """The function behind a name, whose first parameter must be called `info`.

    The name may come from a checkpoint that someone shared; this check keeps it from calling any function at all.
    """
    known = MODELS | LANGUAGE
    module, _, attribute = (known[name].builder if name in known else name).partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
        parameters = list(inspect.signature(function).parameters)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"model {name!r} cannot be imported: {error}; is its folder on PYTHONPATH?") from error
    if parameters[:1] != ["info"]:
        raise InputError(f"model {name!r} is not a function(info, **options): its first parameter must be `info`")
    return function
