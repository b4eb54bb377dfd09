"""Measures of how sharp the minima are that the trials of a setting ended in, and the learning-rate range test."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.kinds.kind import BACKWARD, Cost, Counts
from workflow_scripts.planning.run import Run
from workflow_scripts.recipes import schedules

if TYPE_CHECKING:
    from workflow_scripts.planning.analyses import AnalysisResolver

LANCZOS_STEPS = 10  # of a Fisher score, measured; at most max_iterations of them


def sharpness(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    """Keskar's sharpness of each trial of `runs`."""
    batch = resolver.scale.batch_size(settings["batch_size"])
    return of_trials(resolver, "sharpness", name, {**settings, "batch_size": batch}, where)


def sharpness_operations(recipe: Mapping[str, Any], counts: Counts) -> Cost:
    """Of each trial the ascent, and the loss of the training set before and after it."""
    ascent = recipe["steps"] * recipe["batch_size"] * (1 + BACKWARD)
    return Cost(len(recipe["runs"]) * (ascent + 2 * counts.train) * counts.forward)


def fisher(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    """The Fisher score of each trial of `runs`."""
    return of_trials(resolver, "fisher", name, settings, where)


def fisher_operations(recipe: Mapping[str, Any], counts: Counts) -> Cost:
    """Of each trial one forward pass and the steps of Lanczos' method.

    A product with the matrix is a forward pass, one of its derivative, and a backward pass.
    """
    passes = 1 + LANCZOS_STEPS * (2 + BACKWARD)
    images = min(recipe["images"] or counts.train, counts.train)
    return Cost(len(recipe["runs"]) * passes * images * counts.forward)


def of_trials(resolver: "AnalysisResolver", kind: str, name: str, settings: dict, where: str) -> Analysis | None:
    """A measure of each trial of `runs`, at the checkpoint `at`."""
    reference, label = settings.pop("runs"), settings.pop("at")
    runs = resolver.runs.first(reference, settings.pop("trials", None), where)
    trials = [resolver.runs.at(run, label, where, reference) for run in runs]
    if not trials or None in trials:
        return None
    of = {"data": runs[0].recipe["data"], "model": runs[0].recipe["model"]}
    recipe = {**settings, **of, "runs": [checkpoint.end() for checkpoint in trials]}
    return Analysis(kind, recipe, f"{resolver.paper.name}/{name}", tuple(trials))


def range_test(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    """One pass over the training set with the rates of `schedule`, in everything else as the runs of `like`.

    On text it takes `updates`, or as many as an epoch has.
    """
    runs = resolver.runs.find(settings.pop("like"), f"{where}.like")
    if not runs:
        return None
    like: Run = runs[0]
    declared = replace(like, declared={**like.declared, "schedule": settings["schedule"]})
    schedule = schedules.scaled(settings["schedule"], like.rate_factor)
    resolver.problems += [f"{where}: schedule {problem}" for problem in schedules.check(schedule, 1)]
    updates = settings.pop("updates", None)
    if "task" in like.recipe:
        same = {key: value for key, value in like.recipe.items() if key not in ("epochs", "evaluate_every", "seed")}
        length = {"updates_per_epoch": updates or like.recipe["updates_per_epoch"]}
    else:
        kept = ("data", "model", "initialisation", "optimizer", "batch_size", "augment")
        same = {key: like.recipe[key] for key in kept}
        length = {"samples_per_epoch": resolver.scale.info(like.recipe["data"]).train}
    recipe = {**same, **settings, "schedule": schedule, **length}
    begins_with = (like.begins_with,) if recipe.get("pretrained") and like.begins_with else ()
    return Analysis("range_test", recipe, f"{resolver.paper.name}/{name}", begins_with, like=declared)


def range_test_operations(recipe: Mapping[str, Any], counts: Counts) -> Cost:
    """One pass over the training set."""
    return Cost(recipe["samples_per_epoch"] * (1 + BACKWARD) * counts.forward)
