"""The checkpoint of another training that one begins with: a teacher to learn from, or pre-trained weights."""

from collections.abc import Mapping
from typing import Any


def needed_checkpoint(recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """The {run, at, model} that a recipe's training needs, or None."""
    if recipe.get("distillation"):
        return recipe["distillation"]["teacher"]
    pretrained = recipe.get("pretrained") or {}
    return pretrained if "run" in pretrained else None


def needed_folder(recipe: Mapping[str, Any]) -> str | None:
    """The name in config.yaml's data.sources of the checkpoint folder that a recipe's training begins with, or None."""
    return (recipe.get("pretrained") or {}).get("folder")
