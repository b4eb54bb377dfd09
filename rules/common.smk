# What the rules share: the plan, and the few questions that they ask of it.
#
# REQUIRED: config (see config.yaml), papers/, scales/. PROVIDES: PLAN, PATHS and the functions below.

import shlex
import sys

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import write_text
from workflow_scripts.base.text import sorted_by_numbers
from workflow_scripts.datasets.images.pictures import SPLITS, is_picture_folder
from workflow_scripts.datasets.description import CHECKSUMS
from workflow_scripts.datasets.text.corpora import source_files
from workflow_scripts.datasets.text.settings import FORMS, PLAIN_VOCABULARY, VOCABULARY
from workflow_scripts.runtime.lease import devices as gpus
from workflow_scripts.planning.declarations import with_numbers
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.canonical import canonical, fingerprint

# Of the numbers in `--config training='{runs_per_gpu: 4}'` Snakemake makes words.
config["training"] = with_numbers(config["training"])

try:
    PLAN = make_plan(config, ROOT)
except InputError as error:
    raise WorkflowError(str(error)) from None

PATHS = PLAN.paths
SCALE = PLAN.scale.name
LOGS = PATHS.results / "logs"
ENVIRONMENT = str(ROOT / "envs" / "environment.yaml")

# A job that computes asks for a GPU where there is one (profiles ask for it on clusters).
DEVICE = config["training"]["device"]
GPU = 1 if DEVICE == "cuda" or (DEVICE == "auto" and gpus()) else 0
MEMORY = 1500 if SCALE == "demo" else 6000  # MiB, measured
WORKERS = config["training"]["workers"]

# Runs may share a GPU: `--resources gpu=N` still means N GPUs, so Snakemake may start as many jobs for each of them. With
# a cluster, to which jobs are submitted, a job has the GPUs to itself that it is given.
SHARE = config["training"]["runs_per_gpu"]
LIMIT = workflow.global_resources.get("gpu")
SPREAD = ""
if LIMIT is not None and LIMIT.value and workflow.resource_settings.nodes is None:
    SPREAD = f"--over {LIMIT.value} "
    workflow.register_resource("gpu", LIMIT.value * SHARE)


def memory(wildcards, attempt) -> int:
    """MiB; a job that is tried again may have run out of them."""
    return MEMORY * attempt


def minutes(first: int):
    """How long a job may take that does not go on where it was ended: longer each time that it is tried again."""
    return lambda wildcards, attempt: first * attempt


def word(text: object) -> str:
    """One word of a shell command that Snakemake is going to format."""
    return shlex.quote(str(text)).replace("{", "{{").replace("}", "}}")


# How jobs compute, which changes no result and is therefore no parameter of theirs: every job's shell knows
# `compute GPUS STAGE ARGUMENTS`, which leases that many devices, or shares of them, for the stage to see alone. With
# several devices it starts a process for each, and these train together.
# (Snakemake formats the prefix like any shell command, hence the doubled braces.)
shell.prefix(
    # Jobs use the interpreter that runs Snakemake and the package beside this file, wherever they are started.
    f"set -euo pipefail; export PATH={word(Path(sys.executable).parent)}:$PATH "
    f"PYTHONPATH={word(ROOT)}; "
    "compute() {{ local together=(); "
    'if (( $1 > 1 )); then together=(-m torch.distributed.run --standalone --nproc-per-node "$1"); fi; '
    'python -m workflow_scripts.runtime.lease --gpus "$1" '
    f"--share {SHARE} {SPREAD}-- "
    'python "${{together[@]}}" -m "workflow_scripts.stages.$2" "${{@:3}}" '
    f"--device {DEVICE} --threads 1 --workers {WORKERS} --scale {word(SCALE)}; }}}}; "
)


wildcard_constraints:
    id="[0-9a-f]{12}",


def checkpoint(end: dict) -> str:
    """The file of {run, at}."""
    return str(PATHS.checkpoints(end["run"]) / f"{end['at']}.safetensors")


def trained(*ends: dict) -> list[str]:
    """What has to be there before the checkpoints of {run, at} can be read."""
    runs = dict.fromkeys(end["run"] for end in ends)
    return [str(path) for run in runs for path in (PATHS.metrics(run), PATHS.checkpoints(run))]


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


def made(tables: list[str]) -> list[str]:
    """The tables that are, or are going to be, there: nothing makes those that an archive lacks."""
    return [table for table in tables if Path(table).exists()] if PATHS.archived else tables


def artifact_file(artifact) -> str:
    """The picture or table of an artifact, which stands for all its files."""
    file = "figure.png" if artifact.template == "figure" else "table.html"
    return str(PATHS.artifact(SCALE, artifact.spec["paper"], artifact.name) / file)


def source_of(wildcards) -> list[str]:
    """The directory of arrays or pictures that config.yaml names for a data set, if it names one."""
    return [folder for name, folder in config["data"]["sources"].items() if name == wildcards.data]


def contents_of(wildcards) -> list[str]:
    """What tells that a source has changed: the checksums of arrays, the folders of pictures, the files of text."""
    info = PLAN.scale.info(wildcards.data)
    found = []
    for folder in map(Path, source_of(wildcards)):
        if info.form in FORMS:
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
    folder = Path(config["data"]["sources"].get(name, ""))
    return [str(folder / file) for file in (VOCABULARY, PLAIN_VOCABULARY) if name and (folder / file).is_file()][:1]


def cores_for(data: str, processes: int = 1) -> int:
    """What a job on this data set computes with: a core for each process, and one for each that decodes its pictures."""
    return processes * (1 + WORKERS if PLAN.scale.info(data).form == "pictures" else 1)


def data_of(wildcards) -> str:
    """The data set of a run."""
    return PLAN.runs[wildcards.id].recipe["data"]


def gpus_for(data: str) -> int:
    """GPUs that train one run on this data set together, each with a process of its own; 0 where there is none."""
    return GPU and config["training"]["gpus"].get(data, 1)


def teachers_of(*runs: str) -> list[str]:
    """What has to be there before the teachers of these runs can be distilled; nothing for runs that have none."""
    distillations = [PLAN.runs[run].recipe["distillation"] for run in runs]
    return trained(*(distillation["teacher"] for distillation in distillations if distillation))


def write_packs(ids) -> None:
    """Tell the trainings which runs of this invocation they may do in one process."""
    wanted = set(ids)
    packs = [[PLAN.runs[id].job() for id in pack if id in wanted] for pack in PLAN.packs()]
    try:
        write_text(PATHS.packs(SCALE), canonical([pack for pack in packs if len(pack) > 1]))
    except OSError as error:  # it is the first file that is written there
        raise WorkflowError(
            f"{PATHS.results} cannot be written ({error.strerror}); make room or get the right to, or name another "
            "place: --config results=PLACE"
        ) from None


def curves_of(wildcards) -> dict[str, str]:
    """The folders of the curves whose bends are placed, by the curves' names."""
    declared = PLAN.analyses[wildcards.id].recipe["curves"]
    return {curve["name"]: str(PATHS.analysis("curve", curve["curve"])) for curve in declared}


def artifact_of(wildcards):
    """The artifact that is to be drawn."""
    return PLAN.artifacts[f"{wildcards.paper}_{wildcards.artifact}"]


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


def in_order(key: str, wildcards) -> str:
    """What an artifact's specification has under `key`, so that the report, which sorts text, has it in its place."""
    of_paper = [other.spec[key] for other in PLAN.artifacts.values() if other.spec["paper"] == wildcards.paper]
    return sorted_by_numbers(artifact_of(wildcards).spec[key], of_paper)


def digitised_of(wildcards) -> list[str]:
    """The file of a paper's own histograms, for an artifact that shows some of them."""
    shown = "reported_histograms.csv" in spec_of(wildcards)
    return [str(ROOT / "papers" / wildcards.paper / "reported_histograms.csv")] if shown else []


# What rests on data that somebody would have to name first: the site and the verdicts do without it, and say so.
NOT_NAMED = PLAN.not_named()


def can_be_had(of) -> bool:
    """Whether an artifact or a claim rests on nothing but data that can be had."""
    data = {run.recipe["data"] for run in of.runs} | {analysis.data for analysis in of.analyses}
    return PATHS.archived or not data & NOT_NAMED


def tables_of_claims() -> list[str]:
    """The tidy tables that the claims are judged from."""
    claims = [claim for claim in PLAN.claims.values() if can_be_had(claim)]
    runs = {run.id for claim in claims for run in claim.runs}
    analyses = {analysis.id: analysis for claim in claims for analysis in claim.analyses}
    return made(
        [str(PATHS.metrics(id)) for id in sorted(runs)]
        + [PATHS.tables(analysis.kind, id)["table"] for id, analysis in sorted(analyses.items())]
    )


# What commands that plan for themselves need to know of the configuration: how jobs compute is no concern of theirs.
CONFIGURATION = [
    f"{key}={canonical(config[key])}" for key in ("scale", "papers", "results", "source", "data") if key in config
]


# A sensitivity is drawn when it is asked for by name.
EVERYTHING = [artifact_file(artifact) for artifact in PLAN.artifacts.values() if not artifact.sensitivity]
OBTAINABLE = [
    artifact_file(artifact) for artifact in PLAN.artifacts.values() if not artifact.sensitivity and can_be_had(artifact)
]
