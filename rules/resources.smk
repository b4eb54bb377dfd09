# What jobs compute with: devices, cores, memory, time; and how their stages are started.
#
# REQUIRED: common.smk. PROVIDES: the functions below and, in the shell of jobs, `launch` and `computing`.
#
# None of it changes a result, so none of it is a parameter of a job.

import shlex

from workflow_scripts.models.language.size import saving_mebibytes
from workflow_scripts.runtime import warm
from workflow_scripts.runtime.lease import devices as visible_gpus

TRAINING = CONFIG["training"]
WORKERS = TRAINING["workers"]
RUNS_PER_GPU = TRAINING["runs_per_gpu"]

# A job that computes asks for a GPU where there is one (profiles ask for it on clusters).
GPU = 1 if TRAINING["device"] == "cuda" or (TRAINING["device"] == "auto" and visible_gpus()) else 0

# Without a cluster, to which jobs are submitted, all jobs run on this machine.
ON_THIS_MACHINE = workflow.resource_settings.nodes is None

# Runs may share a GPU: `--resources gpu=N` still means N GPUs, so Snakemake may start as many jobs for each of them. On a
# cluster a job has the GPUs that it is given to itself.
allowed_gpus = workflow.global_resources.get("gpu")
sharing = ["--share", RUNS_PER_GPU]
if allowed_gpus is not None and allowed_gpus.value and ON_THIS_MACHINE:
    sharing += ["--over", allowed_gpus.value]
    workflow.register_resource("gpu", allowed_gpus.value * RUNS_PER_GPU)

# How a stage that computes does so.
computing = ["--device", TRAINING["device"], "--threads", 1, "--workers", WORKERS, "--scale", SCALE]


def words(values) -> str:
    """Words of a shell command that Snakemake is going to format."""
    return shlex.join(map(str, values)).replace("{", "{{").replace("}", "}}")


# What every job's shell knows: the interpreter that runs Snakemake and this checkout's package, wherever it is started;
# `launch`, which starts a stage on leased devices; and `computing`, the options of stages that compute.
shell.prefix(
    "set -euo pipefail; "
    f"export PATH={words([Path(sys.executable).parent])}:$PATH PYTHONPATH={words([ROOT])}; "
    f'launch() {{{{ python -m workflow_scripts.runtime.launch {words(sharing)} "$@"; }}}}; '
    f"computing=({words(computing)}); "
)


def memory(wildcards, attempt) -> int:
    """MiB of a job that computes; one that is tried again may have run out of them."""
    return PLAN.scale.declared["mem_mb"] * attempt


def memory_of_run(wildcards, attempt) -> int:
    """MiB of a training; a BERT's snapshots are no small part of it."""
    recipe = PLAN.runs[wildcards.id].recipe
    saving = 0
    if recipe["model"]["name"] == "bert":
        saving = saving_mebibytes(recipe["model"], PLAN.scale.info(recipe["data"]).pieces)
    return memory(wildcards, attempt) + saving * attempt


def minutes(first: int):
    """How long a job may take that does not go on where it was ended: longer each time that it is tried again."""
    return lambda wildcards, attempt: first * attempt


def cores_for(data: str, processes: int = 1) -> int:
    """What a job on this data set computes with: a core for each process, and one for each that decodes its pictures."""
    return processes * (1 + WORKERS if PLAN.scale.info(data).form == "pictures" else 1)


def cores_of_analysis(wildcards) -> int:
    """The cores of an analysis."""
    return cores_for(PLAN.analyses[wildcards.id].data)


def gpus_for(data: str) -> int:
    """GPUs that train one run on this data set together, each with a process of its own; 0 where there is none."""
    return GPU and TRAINING["gpus"].get(data, 1)
