# Train every distinct run once.
#
# INPUT: the prepared data; for a student its teacher's checkpoints.
# OUTPUT: results/runs/<fingerprint>/: metrics.parquet, recipe.json, checkpoints/.
#
# Small runs must not pay a start of torch each. So a job that has trained its own run goes on with those of its pack that
# no process has begun; their own jobs then find them in the store and only name their outputs. Which runs are to be
# trained is written down as the workflow starts, for no job but as a hint: results do not depend on it.


onstart:
    write_packs(job.wildcards.id for job in workflow.dag.needrun_jobs() if job.rule.name == "train")


rule train:
    input:
        data=lambda wildcards: PATHS.dataset(data_of(wildcards)),
        teacher=lambda wildcards: teachers_of(wildcards.id),
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
    threads: lambda wildcards: cores_for(data_of(wildcards), max(1, gpus_for(data_of(wildcards))))
    resources:
        gpu=lambda wildcards: gpus_for(data_of(wildcards)),
        mem_mb=memory,
        runtime="12h",
    params:
        job=lambda wildcards: canonical(PLAN.runs[wildcards.id].job()),
    shell:
        "compute {resources.gpu} train --job {params.job:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output.metrics:q})" > {log:q} 2>&1'
