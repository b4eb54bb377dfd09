"""Measures of how sharp the minima are that the trials of a setting ended in, and the learning-rate range test."""

from typing import TYPE_CHECKING

from workflow_scripts.planning.analysis import Analysis, distinct, end
from workflow_scripts.planning.runs import Run
from workflow_scripts.planning.scaling import scaled_rates
from workflow_scripts.recipes import engine, schedules

if TYPE_CHECKING:
    from workflow_scripts.planning.analyses import AnalysisResolver


def sharpness(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    """Keskar's sharpness of each trial of `runs`."""
    batch = resolver.scale.batch_size(settings["batch_size"])
    return _of_trials(resolver, "sharpness", name, {**settings, "batch_size": batch, "engine": engine.SHARPNESS}, where)


def fisher(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    """The Fisher score of each trial of `runs`."""
    return _of_trials(resolver, "fisher", name, {**settings, "engine": engine.FISHER}, where)


def _of_trials(resolver: "AnalysisResolver", kind: str, name: str, settings: dict, where: str) -> Analysis | None:
    reference, label = settings.pop("runs"), settings.pop("at")
    runs = resolver.runs.first(reference, settings.pop("trials", None), where)
    if not runs or not all(resolver.runs.save(run, label, where, reference) for run in runs):
        return None
    trials = [end(run, label) for run in runs]
    recipe = {**settings, "data": runs[0].recipe["data"], "model": runs[0].recipe["model"], "runs": trials}
    return Analysis(kind, recipe, f"{resolver.paper.name}/{name}", distinct(runs), [])


def range_test(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    """One pass over the training set with the rates of `schedule`, in everything else as the runs of `like`."""
    runs = resolver.runs.find(settings.pop("like"), f"{where}.like")
    if not runs:
        return None
    like: Run = runs[0]
    schedule = scaled_rates(settings["schedule"], like.rate_factor)
    resolver.problems += [f"{where}: schedule {problem}" for problem in schedules.check(schedule, 1)]
    same = ("data", "model", "initialisation", "optimizer", "batch_size", "augment")
    recipe = {
        **settings,
        **{key: like.recipe[key] for key in same},
        "engine": engine.RANGE_TEST,
        "schedule": schedule,
        "samples_per_epoch": resolver.scale.info(like.recipe["data"]).train,
    }
    return Analysis("range_test", recipe, f"{resolver.paper.name}/{name}", [], [])
