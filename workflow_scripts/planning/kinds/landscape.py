"""Curves between checkpoints, and planes through them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.kinds.kind import BACKWARD, BYTES, Cost, Counts
from workflow_scripts.planning.run import Checkpoint
from workflow_scripts.planning.scaling import in_epochs
from workflow_scripts.recipes import schedules
from workflow_scripts.recipes.labels import Label

if TYPE_CHECKING:
    from workflow_scripts.planning.analyses import AnalysisResolver


def curve(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    ends = resolver.endpoints(settings, ("start", "end"), where)
    if ends is None:
        return None
    start, end = (checkpoint.end() for checkpoint in ends)
    first, second = (checkpoint.run for checkpoint in ends)
    if start == end:
        resolver.problems.append(f"{where}: start and end are the same checkpoint, {settings['start']}; name two")
        return None
    if not resolver.alike([first.recipe, second.recipe], where):
        return None
    batch = resolver.scale.batch_size(settings["batch_size"])
    schedule = in_epochs(schedules.scaled(settings["schedule"], first.rate_factor), first.paper_steps_per_epoch)
    resolver.problems += [f"{where}: schedule {problem}" for problem in schedules.check(schedule, settings["epochs"])]
    late = [epoch for epoch in settings["save"] if epoch > settings["epochs"]]
    if late:
        resolver.problems.append(
            f"{where}: save names epoch {late[0]}, but the curve is trained for {settings['epochs']}"
        )
    recipe = {
        **settings,
        "data": first.recipe["data"],
        "model": first.recipe["model"],
        "start": start,
        "end": end,
        "batch_size": batch,
        "samples_per_epoch": resolver.scale.samples_per_epoch(first.experiment, first.recipe["data"], batch),
        "schedule": schedule,
    }
    return Analysis("curve", recipe, f"{resolver.paper.name}/{name}", tuple(ends))


def curve_operations(recipe: Mapping[str, Any], counts: Counts) -> Cost:
    """Its training, and its evaluation at every saved epoch and along the segment; the bends are saved."""
    trained = recipe["epochs"] * recipe["samples_per_epoch"] * (1 + BACKWARD)
    evaluated = recipe["points"] * (1 + len(recipe["save"])) * counts.evaluated
    saved = len(recipe["save"]) * recipe["bends"] * counts.weights * BYTES
    return Cost((trained + evaluated) * counts.forward, saved, recipe["batch_size"])


def plane(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    curve = resolver.find("curve", settings["curve"], where)
    iterates = resolver.runs.find(settings["iterates"], f"{where}.iterates")
    if curve is None or not iterates:
        return None
    run = iterates[0]
    if not resolver.alike([curve.recipe, run.recipe], f"{where}.iterates"):
        return None
    labels = [str(Label("epoch", epoch)) for epoch in range(1, run.recipe["epochs"] + 1)]
    recipe = {
        **settings,
        "data": curve.recipe["data"],
        "model": curve.recipe["model"],
        "curve": curve.id,
        "start": curve.recipe["start"],
        "end": curve.recipe["end"],
        "iterates": {"run": run.id, "at": labels, "name": run.name},
    }
    checkpoints = (*curve.checkpoints, *(Checkpoint(run, label) for label in labels))
    return Analysis("plane", recipe, f"{resolver.paper.name}/{name}", checkpoints, (curve,))


def plane_operations(recipe: Mapping[str, Any], counts: Counts) -> Cost:
    """An evaluation at every point of the grid."""
    return Cost(recipe["side"] ** 2 * counts.evaluated * counts.forward)
