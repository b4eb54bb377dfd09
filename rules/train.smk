# Train every distinct run once.
#
# INPUT: the prepared data; for a student its teacher's checkpoints.
# OUTPUT: results/runs/<fingerprint>/: metrics.parquet, recipe.json, checkpoints/.
#
# Small runs are first trained several to a process (train_together), so that they do not pay a start of torch each;
# `train` then finds them in the store. A pack that is gone through again touches no finished run, hence `ancient`.


rule train_together:
    input:
        data=lambda wildcards: {PATHS.dataset(PLAN.runs[id].recipe["data"]) for id in PACKS[wildcards.pack]},
        teachers=lambda wildcards: teachers_of(*PACKS[wildcards.pack]),
    output:
        PATHS.results / "packs" / "{pack}.txt",
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
    params:
        jobs=lambda wildcards: [canonical(PLAN.runs[id].job()) for id in PACKS[wildcards.pack]],
    shell:
        "compute {resources.gpu} train_together --jobs {params.jobs:q}"
        ' --data "$(dirname {input.data:q})" --receipt {output:q} > {log:q} 2>&1'


rule train:
    input:
        data=lambda wildcards: PATHS.dataset(PLAN.runs[wildcards.id].recipe["data"]),
        teacher=lambda wildcards: teachers_of(wildcards.id),
        pack=lambda wildcards: ancient(pack_of(wildcards)),
    output:
        metrics=PATHS.metrics("{id}"),
        recipe=PATHS.run("{id}") / "recipe.json",
        checkpoints=directory(PATHS.checkpoints("{id}")),
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
    params:
        job=lambda wildcards: canonical(PLAN.runs[wildcards.id].job()),
    shell:
        "compute {resources.gpu} train --job {params.job:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output.metrics:q})" > {log:q} 2>&1'
