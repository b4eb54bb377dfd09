# Train every distinct run once.
#
# INPUT: the prepared data; for a student its teacher's checkpoints; what a run is pre-trained by, a run's checkpoints or
#        the folder that config.yaml names.
# OUTPUT: results/runs/<fingerprint>/: metrics.parquet, recipe.json, checkpoints/.
#
# Small runs must not pay a start of torch each. So a job that has trained its own run goes on with those of its group that
# no process has begun; their own jobs then find them in the store and only name their outputs. Which runs are to be
# trained is written down as the workflow starts (handlers.smk), for no job but as a hint: results do not depend on it.


# Train one run, or take it from the store.
rule train:
    input:
        data=lambda wildcards: PATHS.dataset(data_of(wildcards)),
        teacher=lambda wildcards: teachers_of(wildcards.id),
        pretrained=lambda wildcards: pretrained_by(PLAN.runs[wildcards.id].recipe),
    output:
        metrics=PATHS.metrics("{id}"),
        recipe=PATHS.run("{id}") / "recipe.json",
        checkpoints=directory(PATHS.checkpoints("{id}")),
    log:
        LOGS / "train" / "{id}.log",
    conda:
        ENVIRONMENT
    threads: lambda wildcards: cores_for(data_of(wildcards), max(1, gpus_for(data_of(wildcards))))
    resources:
        gpu=lambda wildcards: gpus_for(data_of(wildcards)),
        mem_mb=memory_of_run,
        runtime="12h",
    params:
        job=lambda wildcards: PLAN.runs[wildcards.id].job.text,
        pretrained=lambda wildcards: pretrained(PLAN.runs[wildcards.id].recipe),
    message:
        "train {TITLES:{wildcards.id}}"
    shell:
        "launch --gpus {resources.gpu} train"
        " --job {params.job:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output.metrics:q})"'
        " {params.pretrained:q}"
        ' "${{computing[@]}}"'
        " > {log:q} 2>&1"
