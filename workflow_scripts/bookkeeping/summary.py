"""What came of a run of the workflow: what was drawn, what diverged or is missing, and where to look."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from workflow_scripts.evidence.tables import read_facts
from workflow_scripts.planning.artifacts import Artifact
from workflow_scripts.planning.plan import Plan
from workflow_scripts.planning.run import Run

NAMED = 6  # that a line names one by one


def summary(plan: Plan, artifacts: Iterable[Artifact]) -> str:
    """Which of these artifacts are drawn and which are not, and which of their runs diverged or are missing."""
    artifacts = sorted(artifacts, key=lambda artifact: artifact.id)
    drawn = [artifact for artifact in artifacts if _folder(plan, artifact).joinpath("notebook.html").exists()]
    missing = [artifact.id for artifact in artifacts if artifact not in drawn]
    runs = {run.id: run for artifact in artifacts for run in artifact.runs}.values()
    untrained = [run.names[0] for run in runs if not plan.paths.metrics(run.id).exists()]
    lines = [f"Drawn: {len(drawn)} of {len(artifacts)} figures and tables, at scale {plan.scale.name}."]
    lines += _line("Not drawn", missing) + _line("Runs that are missing", untrained)
    lines += _line("Runs that diverged", _diverged(plan, runs))
    return "\n".join([*lines, f"Look at {_place(plan, drawn)}."])


def _diverged(plan: Plan, runs: Iterable[Run]) -> list[str]:
    there = [run for run in runs if plan.paths.metrics(run.id).exists()]
    return [run.names[0] for run in there if read_facts(plan.paths.metrics(run.id))[0]["state"] == "diverged"]


def _line(what: str, names: Sequence[str]) -> list[str]:
    """A sentence that names some of many, or none where there are none."""
    if not names:
        return []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"{what}: {', '.join(names[:NAMED])}{more}."]


def _folder(plan: Plan, artifact: Artifact) -> Path:
    return plan.paths.artifact(plan.scale.name, artifact.spec["paper"], artifact.name)


def _place(plan: Plan, drawn: Sequence[Artifact]) -> Path:
    """The site where one shows them as they are, the only artifact, or the folder of all."""
    site = plan.paths.site(plan.scale.name) / "index.html"
    times = [_folder(plan, artifact).joinpath("notebook.html").stat().st_mtime for artifact in drawn]
    if site.exists() and site.stat().st_mtime >= max(times, default=0):
        return site
    return _folder(plan, drawn[0]) if len(drawn) == 1 else site.parent.parent
