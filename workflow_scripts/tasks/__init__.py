"""What is trained: each task says what its network is, how an epoch is batched, and what its loss and metrics are.

The engine (training/engine.py) knows none of that. A recipe names its task under `task`; without that key it is image
classification, or distillation where the recipe names a teacher. Nothing here imports torch until a task is made.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow_scripts.base.errors import InputError
from workflow_scripts.recipes.recipe import TextRecipe, keys, kind_of

if TYPE_CHECKING:
    from workflow_scripts.tasks.base import Task

# By name: the module in this package whose function `task(recipe, data, source)` makes the task.
TASKS = {name: name for name in ("classification", "distillation", "translation", "masked_lm", "question_answering")}


def name_of(recipe: Mapping[str, Any]) -> str:
    """The name of a recipe's task."""
    return recipe.get("task") or ("distillation" if recipe.get("distillation") else "classification")


def task_of(recipe: Mapping[str, Any], data: Any, source: Path | None = None) -> "Task":
    """The task of a recipe.

    Parameters
    ----------
    data : the prepared data set, opened on the device that the network is to be trained on.
    source : the checkpoint that the task starts from or learns from, such as a teacher's; for tasks that need one.

    Raises
    ------
    InputError : there is no such task, or it cannot be made of this recipe and data.
    """
    name = name_of(recipe)
    if name not in TASKS:
        raise InputError(f"there is no task {name!r}; choose one of {', '.join(TASKS)}")
    module = importlib.import_module(f"{__name__}.{TASKS[name]}")
    of_task = [key for key in keys(kind_of(name)) if key not in keys(TextRecipe)]
    if missing := [key for key in of_task if key not in recipe]:
        raise InputError(f"a recipe of the task {name} needs {' and '.join(missing)} too")
    return module.task(recipe, data, source)
