# Train every distinct run once.
#
# INPUT: the prepared data; for a student its teacher's checkpoints.
# OUTPUT: results/runs/<fingerprint>/: metrics.parquet, recipe.json, checkpoints/.
#
# Small runs are first trained several to a process (train_together), so that they do not pay a start of torch each;
# `train` then finds them in the store. Where runs are large (runs_per_job: 1 in the scale) `train` does all of it.

PACKS = PLAN.packs()
PACK_OF = {id: pack for pack, ids in PACKS.items() for id in ids}


def teacher_of(wildcards) -> list[str]:
    distillation = PLAN.runs[wildcards.id].recipe["distillation"]
    return trained(distillation["teacher"]) if distillation else []


def pack_of(wildcards) -> list[str]:
    return [str(PATHS.results / "packs" / f"{PACK_OF[wildcards.id]}.txt")] if wildcards.id in PACK_OF else []


rule train_together:
    input:
        data=lambda wildcards: {PATHS.dataset(PLAN.runs[id].recipe["data"]) for id in PACKS[wildcards.pack]},
        teachers=lambda wildcards: sorted(
            {
                path
                for id in PACKS[wildcards.pack]
                if PLAN.runs[id].teacher
                for path in trained(PLAN.runs[id].recipe["distillation"]["teacher"])
            }
        ),
    output:
        temp(PATHS.results / "packs" / "{pack}.txt"),
    params:
        jobs=lambda wildcards: [canonical(PLAN.runs[id].job()) for id in PACKS[wildcards.pack]],
    log:
        LOGS / "train" / "{pack}.log",
    benchmark:
        LOGS / "train" / "{pack}.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=MEMORY,
        runtime="2h",
    shell:
        "{LEASE} {resources.gpu} -- python -m workflow_scripts.train_together --jobs {params.jobs:q}"
        " --data \"$(dirname {input.data:q})\" --receipt {output:q} {TRAINING} > {log:q} 2>&1"


rule train:
    input:
        data=lambda wildcards: PATHS.dataset(PLAN.runs[wildcards.id].recipe["data"]),
        teacher=teacher_of,
        pack=lambda wildcards: ancient(pack_of(wildcards)),
    output:
        metrics=PATHS.metrics("{id}"),
        recipe=PATHS.run("{id}") / "recipe.json",
        checkpoints=directory(PATHS.checkpoints("{id}")),
    params:
        job=lambda wildcards: canonical(PLAN.runs[wildcards.id].job()),
    log:
        LOGS / "train" / "{id}.log",
    benchmark:
        LOGS / "train" / "{id}.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=MEMORY,
        runtime="12h",
    shell:
        "{LEASE} {resources.gpu} -- python -m workflow_scripts.train --job {params.job:q}"
        " --data \"$(dirname {input.data:q})\""
        " --out \"$(dirname {output.metrics:q})\" {TRAINING} > {log:q} 2>&1"
