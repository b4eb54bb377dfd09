"""The plan: every run, analysis and artifact that the configuration asks for, each once."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.registry import TO_BE_NAMED
from workflow_scripts.datasets.text.settings import is_checkpoint_folder
from workflow_scripts.planning import declarations
from workflow_scripts.planning.analyses import AnalysisResolver
from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.artifacts import Artifact, ArtifactResolver
from workflow_scripts.planning.claims import Claim, ClaimResolver, with_claims
from workflow_scripts.planning.data_sources import own_data
from workflow_scripts.planning.declarations import PaperDeclaration
from workflow_scripts.planning.kinds import KINDS
from workflow_scripts.planning.paths import Paths
from workflow_scripts.planning.run import Run, shared
from workflow_scripts.planning.runs import RunResolver
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
    claims: dict[str, Claim]
    titles: dict[str, str]

    def not_named(self) -> set[str]:
        """Data sets that cannot be had: they, or the word pieces of a text, have to be named and are not."""
        used = {run.recipe["data"] for run in self.runs.values()} | {each.data for each in self.analyses.values()}
        return {name for name in used if self.to_be_named(name)}

    def to_be_named(self, data: str) -> set[str]:
        """What config.yaml's data.sources does not name yet though a data set needs it: itself, or its word pieces."""
        needed = {data.partition("-")[0], getattr(self.scale.info(data), "vocabulary", "")}
        return needed & (TO_BE_NAMED - self.config["data"]["sources"].keys() - self.scale.checkpoints.keys())

    def run_groups(self) -> list[list[str]]:
        """Runs that a process may train one after the other, once it has paid for its start and its import of torch.

        A group holds at most `runs_per_job` runs of one experiment, one data set and one teacher or none, so never a
        student together with its teacher.
        """
        size = self.scale.declared["runs_per_job"]
        alike: dict[tuple[str, str, str | None], list[str]] = {}
        for id, run in self.runs.items():
            alike.setdefault((run.experiment, run.recipe["data"], run.teacher), []).append(id)
        return [ids[start : start + size] for ids in alike.values() for start in range(0, len(ids), size)]


def make_plan(config: dict, root: Path) -> Plan:
    """Read, check and resolve everything.

    Raises
    ------
    InputError : with all problems of the declarations reported together.
    """
    declared = declarations.read(config, root)
    config = declared.config
    data_sets, problems = own_data(config["data"]["sources"])
    sources = config["data"]["sources"]
    folders = {name: Path(folder) for name, folder in sources.items() if is_checkpoint_folder(Path(folder))}
    archive = Path(os.path.relpath(root / "archive" / config["scale"]))
    paths = Paths(Path(config["results"]), Path(config["data"]["folder"]), archive, config.get("source") == "archive")
    if paths.archived:
        folders = paths.archived_checkpoints() | folders
    scale = Scale(config["scale"], declared.scale, data_sets, folders)
    problems += scale.problems(declared.papers)
    problems += [
        f"config.yaml: training.gpus names the data set {name!r}, which is neither built in nor named in data.sources"
        for name in config["training"]["gpus"]
        if scale.info(name) is None
    ]
    found = [resolve(paper, scale, paths) for paper in declared.papers]
    problems += [problem for paper in found for problem in paper.problems]
    if problems:
        raise InputError.together("The declarations cannot be used", dict.fromkeys(problems))
    runs = [run for paper in found for run in paper.runs]
    analyses: dict[str, Analysis] = {}
    for analysis in (analysis for paper in found for analysis in paper.analyses):
        analyses.setdefault(analysis.id, analysis)
    needed = [run.begins_with for run in runs if run.begins_with]
    needed += [checkpoint for paper in found for analysis in paper.analyses for checkpoint in analysis.checkpoints]
    return Plan(
        config,
        scale,
        paths,
        runs=shared(runs, needed),
        analyses=analyses,
        artifacts={artifact.id: artifact for paper in found for artifact in paper.artifacts},
        claims={claim.id: claim for paper in found for claim in paper.claims},
        titles={paper.name: paper.paper["title"] for paper in declared.papers},
    )


@dataclass(frozen=True)
class Resolved:
    """What the declarations of one paper mean, and what is wrong with them."""

    runs: list[Run]
    analyses: list[Analysis]
    artifacts: list[Artifact]
    claims: list[Claim]
    problems: list[str]


def resolve(paper: PaperDeclaration, scale: Scale, paths: Paths) -> Resolved:
    """Resolve one paper: its runs, the analyses of their checkpoints, and what is drawn and judged from both."""
    runs = RunResolver(paper, scale)
    analyses = AnalysisResolver(paper, scale, runs, KINDS)
    artifacts = ArtifactResolver(paper, runs, analyses, paths)
    claims = ClaimResolver(paper, runs, analyses, paths)
    steps = (runs, analyses, artifacts, claims)
    resolved = [step.resolve_all() for step in steps]
    found = Resolved(*resolved, problems=[problem for step in steps for problem in step.problems])
    return replace(found, artifacts=[with_claims(each, found.claims, scale.evidence) for each in found.artifacts])
