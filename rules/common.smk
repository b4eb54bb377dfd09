# What the rules share: the plan, and the few questions that they ask of it.
#
# REQUIRED: config (see config.yaml), papers/, scales/. PROVIDES: PLAN, PATHS and the functions below.

import os
import shlex
import sys

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
# Jobs use the interpreter that runs Snakemake and the package beside this file, wherever they are started.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
sys.path.insert(0, str(ROOT))

from workflow_scripts.base.errors import InputError
from workflow_scripts.lease import devices as gpus
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.canonical import canonical

try:
    PLAN = make_plan(config, ROOT)
except InputError as error:
    raise WorkflowError(str(error)) from None

PATHS = PLAN.paths
SCALE = PLAN.scale.name
STORE = PATHS.results / "store"
LOGS = PATHS.results / "logs"
ENVIRONMENT = str(ROOT / "envs" / "environment.yaml")

# How jobs run, which changes no result and is therefore no parameter of theirs.
DEVICE = config["training"]["device"]
RUNNING = f"--device {DEVICE} --threads 1 --scale {shlex.quote(SCALE)}"
RESUMING = f"--store {shlex.quote(str(STORE))} --snapshot-seconds {config['training']['snapshot_seconds']} {RUNNING}"
TRAINING = f"--runs {shlex.quote(str(PATHS.results / 'runs'))} {RESUMING}"
# A job that computes asks for a GPU where there is one (profiles ask for it on clusters) and leases a device of its own.
GPU = 1 if DEVICE == "cuda" or (DEVICE == "auto" and gpus()) else 0
MEMORY = 1500 if SCALE == "demo" else 6000  # MiB, measured
LEASE = f"python -m workflow_scripts.lease --locks {shlex.quote(str(PATHS.results / 'leases'))} --gpus"


wildcard_constraints:
    id="[0-9a-f]{12}",
    pack="[A-Za-z0-9_]+",


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


def artifact_file(artifact) -> str:
    """The picture or table of an artifact, which stands for all its files."""
    file = "figure.png" if artifact.template == "figure" else "table.html"
    return str(PATHS.artifact(SCALE, artifact.spec["paper"], artifact.name) / file)


# A sensitivity is drawn when it is asked for by name.
EVERYTHING = [artifact_file(artifact) for artifact in PLAN.artifacts.values() if not artifact.sensitivity]
