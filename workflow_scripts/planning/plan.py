"""The plan: every run, analysis and artifact that the configuration asks for, each once."""

import os
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.pictures import SPLITS, info_of_pictures, is_picture_folder
from workflow_scripts.datasets.registry import INFO, TO_BE_NAMED, DatasetInfo, info_of_arrays
from workflow_scripts.datasets.text.corpora import source_files
from workflow_scripts.datasets.text.settings import TEXT, TextInfo, is_checkpoint_folder, is_text_folder, own_text
from workflow_scripts.planning import declarations
from workflow_scripts.planning.analyses import AnalysisResolver
from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.artifacts import Artifact, ArtifactResolver
from workflow_scripts.planning.claims import Claim, ClaimResolver, show_claims
from workflow_scripts.planning.kinds import KINDS
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
    claims: dict[str, Claim]
    titles: dict[str, str]

    def not_named(self) -> set[str]:
        """Data sets that cannot be had: they, or the word pieces of a text, have to be named and are not."""
        missing = TO_BE_NAMED - self.config["data"]["sources"].keys()
        used = {run.recipe["data"] for run in self.runs.values()} | {each.data for each in self.analyses.values()}
        return {
            name for name in used
            if {name.partition("-")[0], getattr(self.scale.info(name), "vocabulary", "")} & missing
        }  # fmt: skip

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


def own_data(sources: dict[str, str]) -> tuple[dict[str, DatasetInfo | TextInfo], list[str]]:
    """Facts of the data sets that config.yaml's data.sources adds under new names, and what is wrong with them.

    A folder that serves as a known data set must be of its shape, since everything is planned with it; it may still be
    on another machine, where jobs run.
    """
    added, problems = {}, []
    for name, folder in sources.items():
        place = Path(folder)
        try:
            if name in TEXT or is_text_folder(place):
                info = TEXT.get(name) or own_text(place, name)
                if place.exists():  # it may be on another machine, where jobs run
                    source_files(info, place)
                added[name] = info
            elif is_checkpoint_folder(place):
                continue  # it gives its word pieces and weights to what names it
            elif name not in INFO:
                info_of = info_of_pictures if is_picture_folder(place) else info_of_arrays
                added[name] = info_of(place, name)
            elif (problem := not_pictures(INFO[name], place)) or (
                (place / "x_train.npy").exists() and (problem := other_shape(INFO[name], folder))
            ):
                problems.append(f"config.yaml: data.sources.{name}: {problem}")
        except InputError as error:
            problems.append(f"config.yaml: data.sources.{name}: {error}")
    return added, problems


def not_pictures(known: DatasetInfo, folder: Path) -> str | None:
    """Say what a folder lacks that is named as a data set of pictures; None of one that is on another machine alone."""
    missing = [split for split in SPLITS.values() if not (folder / split).is_dir()]
    if known.form != "pictures" or not folder.exists() or not missing:
        return None
    roots = [place.parent for place in folder.glob("*/*/train") if (place.parent / "val").is_dir()]
    hint = f"name {roots[0]}" if roots else "name the folder that holds both"
    return f"{folder} has no {' and no '.join(f'{split}/<class>' for split in missing)}; {hint}"


def other_shape(known: DatasetInfo, folder: str) -> str | None:
    """Say how the arrays of a folder differ from the data set that they are named as, or None where they do not."""
    found = info_of_arrays(folder, known.name)
    shapes = [
        f"{info.train:,} + {info.test:,} images of {info.image_size} × {info.image_size} × {info.channels}"
        for info in (found, known)
    ]
    if shapes[0] == shapes[1]:
        return None
    return f"{folder} holds {shapes[0]}, but {known.name} has {shapes[1]}; give this data a name of its own"


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
    folders = frozenset(name for name, folder in sources.items() if is_checkpoint_folder(Path(folder)))
    scale = Scale(config["scale"], declared.scale, data_sets, folders)
    problems += scale.problems(declared.papers)
    archive = Path(os.path.relpath(root / "archive" / config["scale"]))
    paths = Paths(Path(config["results"]), Path(config["data"]["folder"]), archive, config.get("source") == "archive")
    runs: dict[str, Run] = {}
    analyses: dict[str, Analysis] = {}
    artifacts: dict[str, Artifact] = {}
    claims: dict[str, Claim] = {}
    for paper in declared.papers:
        run_resolver = RunResolver(paper, scale)
        analysis_resolver = AnalysisResolver(paper, scale, run_resolver, KINDS)
        artifact_resolver = ArtifactResolver(paper, run_resolver, analysis_resolver, paths)
        for name in paper.artifacts["artifacts"]:
            artifact = artifact_resolver.resolve(name, config["scale"])
            artifacts[artifact.id] = artifact
        claim_resolver = ClaimResolver(paper, run_resolver, analysis_resolver, paths)
        claims |= {claim.id: claim for claim in claim_resolver.resolve_all()}
        for analysis in analysis_resolver.resolve_all():
            analyses.setdefault(analysis.id, analysis)
        for name in run_resolver.names:  # last, when all has said which checkpoints it needs
            for run in run_resolver.resolve(name):
                _add_run(runs, run)
        for resolver in (run_resolver, analysis_resolver, artifact_resolver, claim_resolver):
            problems += resolver.problems
    show_claims(artifacts.values(), claims.values(), scale.evidence)
    if problems:
        raise InputError.together("The declarations cannot be used", dict.fromkeys(problems))
    titles = {paper.name: paper.paper["title"] for paper in declared.papers}
    return Plan(config, scale, paths, runs, analyses, artifacts, claims, titles)


def _add_run(runs: dict[str, Run], run: Run) -> None:
    """Papers and figures that need the same run share it: it is trained once and saves what any of them needs."""
    shared = runs.setdefault(run.id, run)
    if shared is not run:
        shared.names += [name for name in run.names if name not in shared.names]
        shared.checkpoints.update(run.checkpoints)
