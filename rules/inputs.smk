# What each job reads: the questions that the rules ask of the plan.
#
# REQUIRED: common.smk. PROVIDES: the functions below.

from workflow_scripts.base.text import sorted_by_numbers
from workflow_scripts.datasets.description import CHECKSUMS
from workflow_scripts.datasets.images.pictures import SPLITS, is_picture_folder
from workflow_scripts.datasets.text.corpora import source_files
from workflow_scripts.datasets.text.settings import CHECKPOINT_FILES, FORMS, PLAIN_VOCABULARY, SAME_FILES, VOCABULARY
from workflow_scripts.recipes.needs import needed_checkpoint, needed_folder


def source_of(wildcards) -> list[str]:
    """The directory that config.yaml names for a data set, or for the one whose files it is made of; if it names one."""
    named = CONFIG["data"]["sources"]
    return [named[name] for name in (wildcards.data, SAME_FILES.get(wildcards.data)) if name in named][:1]


def contents_of(wildcards) -> list[str]:
    """What tells that a source has changed: the checksums of arrays, the folders of pictures, the files of text."""
    info = PLAN.scale.info(wildcards.data)
    found = []
    for folder in map(Path, source_of(wildcards)):
        if not folder.exists():  # it is what is missing, not a file in it
            found.append(folder)
        elif info.form in FORMS:
            found += source_files(info, folder)
        else:
            found += [folder / part for part in (SPLITS.values() if is_picture_folder(folder) else [CHECKSUMS])]
    return [str(path) for path in found]


def vocabulary_of(wildcards) -> list[str]:
    """The prepared text, or the file in a BERT checkpoint, whose word pieces a text data set takes; where it takes some."""
    name = getattr(PLAN.scale.info(wildcards.data), "vocabulary", "")
    if not name:
        return []
    if (info := PLAN.scale.info(name)) and info.form in FORMS:
        return [str(PATHS.dataset(name))]
    folder = Path(CONFIG["data"]["sources"].get(name, ""))
    return [str(folder / file) for file in (VOCABULARY, PLAIN_VOCABULARY) if name and (folder / file).is_file()][:1]


def data_of(wildcards) -> str:
    """The data set of a run."""
    return PLAN.runs[wildcards.id].recipe["data"]


def trained(*ends: dict) -> list[str]:
    """What has to be there before the checkpoints of {run, at} can be read."""
    runs = dict.fromkeys(end["run"] for end in ends)
    return [str(path) for run in runs for path in (PATHS.metrics(run), PATHS.checkpoints(run))]


def teachers_of(*runs: str) -> list[str]:
    """What has to be there before these runs can begin with, or learn from, others; nothing for runs that do not."""
    needed = [needed_checkpoint(PLAN.runs[run].recipe) for run in runs]
    return trained(*(end for end in needed if end))


def pretrained_by(recipe: dict) -> list[str]:
    """The BERT checkpoint's files that a training begins with, in the folder that config.yaml names; none for others."""
    name = needed_folder(recipe)
    folder = Path(CONFIG["data"]["sources"].get(name, name or ""))
    return [str(folder / file) for file in CHECKPOINT_FILES if (folder / file).is_file()] if name else []


def pretrained(recipe: dict) -> list[str]:
    """How a stage is given the checkpoint that a recipe's `pretrained` names: a run's file or a folder."""
    needed = needed_checkpoint(recipe) if recipe.get("pretrained") else None
    paths = [checkpoint(needed)] if needed else [Path(file).parent for file in pretrained_by(recipe)[:1]]
    return [f"--pretrained={path}" for path in paths]


def recipe_of(wildcards) -> str:
    """The canonical JSON of an analysis: the only parameter of its job."""
    return canonical(PLAN.analyses[wildcards.id].recipe)


def dataset_of(wildcards) -> str:
    """The prepared data set of an analysis."""
    return str(PATHS.dataset(PLAN.analyses[wildcards.id].data))


def ends_of(wildcards, *keys: str) -> list[dict]:
    """The {run, at} that an analysis' recipe has under these keys."""
    return [PLAN.analyses[wildcards.id].recipe[key] for key in keys]


def trials_of(wildcards) -> list[dict]:
    """The {run, at} of the trials that an analysis measures."""
    return PLAN.analyses[wildcards.id].recipe["runs"]


def curves_of(wildcards) -> dict[str, str]:
    """The folders of the curves whose bends are placed, by the curves' names."""
    declared = PLAN.analyses[wildcards.id].recipe["curves"]
    return {curve["name"]: str(PATHS.analysis("curve", curve["curve"])) for curve in declared}


def artifact_of(wildcards):
    """The artifact that is to be drawn."""
    return PLAN.artifacts[f"{wildcards.paper}_{wildcards.artifact}"]


def in_order(key: str, wildcards) -> str:
    """What an artifact's specification has under `key`, so that the report, which sorts text, has it in its place."""
    of_paper = [other.spec[key] for other in PLAN.artifacts.values() if other.spec["paper"] == wildcards.paper]
    return sorted_by_numbers(artifact_of(wildcards).spec[key], of_paper)


def made(tables: list[str]) -> list[str]:
    """The tables that are, or are going to be, there: nothing makes those that an archive lacks."""
    return [table for table in tables if Path(table).exists()] if PATHS.archived else tables


def tables_of(wildcards) -> list[str]:
    """The tidy tables that an artifact is drawn from."""
    artifact = artifact_of(wildcards)
    metrics = [str(PATHS.metrics(run.id)) for run in artifact.runs]
    return made(
        metrics + [path for analysis in artifact.analyses for path in PATHS.tables(analysis.kind, analysis.id).values()]
    )


def spec_of(wildcards) -> str:
    """The canonical JSON of what is to be drawn."""
    return canonical(artifact_of(wildcards).spec)


def digitised_of(wildcards) -> list[str]:
    """The file of a paper's own histograms, for an artifact that shows some of them."""
    shown = "reported_histograms.csv" in spec_of(wildcards)
    return [str(ROOT / "papers" / wildcards.paper / "reported_histograms.csv")] if shown else []


def tables_of_claims() -> list[str]:
    """The tidy tables that the claims are judged from."""
    claims = [claim for claim in PLAN.claims.values() if can_be_had(claim)]
    runs = {run.id for claim in claims for run in claim.runs}
    analyses = {analysis.id: analysis for claim in claims for analysis in claim.analyses}
    return made(
        [str(PATHS.metrics(id)) for id in sorted(runs)]
        + [PATHS.tables(analysis.kind, id)["table"] for id, analysis in sorted(analyses.items())]
    )
