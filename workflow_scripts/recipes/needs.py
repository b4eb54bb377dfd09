"""The checkpoint of another training that one begins with: a teacher to learn from, or pre-trained weights."""

from collections.abc import Mapping
from typing import Any


def needed_checkpoint(recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """The {run, at, model} that a recipe's training needs, or None."""
    if recipe.get("distillation"):
        return recipe["distillation"]["teacher"]
    return recipe.get("pretrained")
