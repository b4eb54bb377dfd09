"""The plan: every run, analysis and artifact that the configuration asks for, each once."""

from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.registry import INFO, DatasetInfo, info_of_arrays
from workflow_scripts.planning import declarations
from workflow_scripts.planning.analyses import Analysis, AnalysisResolver
from workflow_scripts.planning.artifacts import Artifact, ArtifactResolver
from workflow_scripts.planning.paths import Paths
from workflow_scripts.planning.runs import Run, RunResolver
from workflow_scripts.planning.scaling import Scale


@dataclass(frozen=True)
class Plan:
    """Everything to be done, keyed by identity; the rules look up here what a wildcard means.

    titles : of the papers, by the names of their folders.
    """

    config: dict
    scale: Scale
    paths: Paths
    runs: dict[str, Run]
    analyses: dict[str, Analysis]
    artifacts: dict[str, Artifact]
    titles: dict[str, str]

    def packs(self) -> dict[str, list[str]]:
        """Runs that one process trains one after the other, by pack name; empty where every run has its own job.

        Small runs must not pay a process and an import of torch each. A pack holds at most `runs_per_job` runs of one
        experiment, and never a student together with its teacher.
        """
        size = self.scale.declared["runs_per_job"]
        if size == 1:
            return {}
        by_experiment: dict[tuple[str, bool], list[str]] = {}
        for id, run in self.runs.items():
            by_experiment.setdefault((run.experiment, run.teacher is not None), []).append(id)
        packs = {}
        for (experiment, _), ids in by_experiment.items():
            for number, start in enumerate(range(0, len(ids), size), 1):
                name = f"{experiment.replace('/', '_')}_{number}"
                packs[name + ("_students" if self.runs[ids[0]].teacher else "")] = ids[start : start + size]
        return packs


def own_data(sources: dict[str, str]) -> tuple[dict[str, DatasetInfo], list[str]]:
    """Facts of the data sets that config.yaml's data.sources adds under new names, and what is wrong with them."""
    added, problems = {}, []
    for name, folder in sources.items():
        try:
            if name not in INFO:
                added[name] = info_of_arrays(folder, name)
        except InputError as error:
            problems.append(f"config.yaml: data.sources.{name}: {error}")
    return added, problems


def make_plan(config: dict, root: Path) -> Plan:
    """Read, check and resolve everything.

    Raises
    ------
    InputError : with all problems of the declarations told together.
    """
    declared = declarations.read(config, root)
    data_sets, problems = own_data(config["data"]["sources"])
    scale = Scale(config["scale"], declared.scale, data_sets)
    problems += scale.problems(declared.papers)
    paths = Paths(Path(config["results"]), Path(config["data"]["folder"]))
    runs: dict[str, Run] = {}
    analyses: dict[str, Analysis] = {}
    artifacts: dict[str, Artifact] = {}
    for paper in declared.papers:
        run_resolver = RunResolver(paper, scale)
        analysis_resolver = AnalysisResolver(paper, scale, run_resolver)
        artifact_resolver = ArtifactResolver(paper, run_resolver, analysis_resolver, paths)
        for name in paper.artifacts["artifacts"]:
            artifact = artifact_resolver.resolve(name, config["scale"])
            artifacts[artifact.id] = artifact
        for name in run_resolver.names:
            for run in run_resolver.resolve(name):
                _add_run(runs, run)
        for analysis in analysis_resolver.resolve_all():
            analyses.setdefault(analysis.id, analysis)
        problems += run_resolver.problems + analysis_resolver.problems + artifact_resolver.problems
    if problems:
        raise InputError.together("The declarations cannot be used", dict.fromkeys(problems))
    return Plan(
        config, scale, paths, runs, analyses, artifacts, {paper.name: paper.paper["title"] for paper in declared.papers}
    )


def _add_run(runs: dict[str, Run], run: Run) -> None:
    """Papers and figures that need the same run share it: it is trained once and saves what any of them needs."""
    shared = runs.setdefault(run.id, run)
    if shared is not run:
        shared.names += [name for name in run.names if name not in shared.names]
        shared.checkpoints.update(run.checkpoints)
