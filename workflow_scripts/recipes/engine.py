"""The version of the code that trains, part of every training's recipe. Kinds of analysis have theirs in their records.

Raise a number when the same recipe would give other numbers than before: results of the older code then have other
fingerprints and are never mixed with the new ones. Refactoring and comments raise nothing.
"""

from collections.abc import Mapping
from typing import Any

TRAINING = 1
CUTOFF = 2  # of trainings with Cutoff, since what it cuts no longer depends on the number of processes


def of_training(recipe: Mapping[str, Any]) -> int:
    """The version of the code that computes a training."""
    return CUTOFF if recipe.get("cutoff") else TRAINING
