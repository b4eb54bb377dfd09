"""Curves between checkpoints, and planes through them."""

from typing import TYPE_CHECKING

from workflow_scripts.planning.analysis import Analysis, distinct, short
from workflow_scripts.planning.scaling import in_epochs
from workflow_scripts.recipes import schedules

if TYPE_CHECKING:
    from workflow_scripts.planning.analyses import AnalysisResolver


def curve(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    ends = resolver.endpoints(settings, ("start", "end"), where)
    if ends is None:
        return None
    (first, start), (second, end) = ends
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
    return Analysis("curve", recipe, f"{resolver.paper.name}/{name}", distinct([first, second]), [])


def plane(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    curve = resolver.find("curve", settings["curve"], where)
    iterates = resolver.runs.find(settings["iterates"], f"{where}.iterates")
    if curve is None or not iterates:
        return None
    run = iterates[0]
    if not resolver.alike([curve.recipe, run.recipe], f"{where}.iterates"):
        return None
    labels = [f"epoch-{epoch}" for epoch in range(1, run.recipe["epochs"] + 1)]
    run.checkpoints.update({label: run.step(label) for label in labels})
    recipe = {
        **settings,
        "data": curve.recipe["data"],
        "model": curve.recipe["model"],
        "curve": curve.id,
        "start": curve.recipe["start"],
        "end": curve.recipe["end"],
        "iterates": {"run": run.id, "at": labels, "name": short(run)},
    }
    return Analysis("plane", recipe, f"{resolver.paper.name}/{name}", distinct([*curve.runs, run]), [curve])
