# How sharp the minima are that trainings end in, and the learning-rate range test.
#
# INPUT: the prepared data, the last checkpoints of a setting's trials (none for the range test).
# OUTPUT: results/sharpness/<fingerprint>/, results/fisher/<fingerprint>/, results/range_test/<fingerprint>/: tidy tables.


# Measure how far the loss rises near the minimum that each trial ended in.
rule sharpness:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*trials_of(wildcards)),
    output:
        PATHS.analysis("sharpness", "{id}") / "sharpness.parquet",
    log:
        LOGS / "sharpness" / "{id}.log",
    conda:
        ENVIRONMENT
    threads: cores_of_analysis
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime="12h",
    params:
        recipe=recipe_of,
        checkpoints=lambda wildcards: [checkpoint(trial) for trial in trials_of(wildcards)],
    message:
        "measure the sharpness of {TITLES:{wildcards.id}}"
    shell:
        "launch --gpus {resources.gpu} sharpness"
        " --recipe {params.recipe:q}"
        " --checkpoints {params.checkpoints:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output:q})"'
        ' "${{computing[@]}}"'
        " > {log:q} 2>&1"


# Measure the largest eigenvalue of the Fisher matrix at the end of each trial.
rule fisher:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*trials_of(wildcards)),
    output:
        PATHS.analysis("fisher", "{id}") / "fisher.parquet",
    log:
        LOGS / "fisher" / "{id}.log",
    conda:
        ENVIRONMENT
    threads: cores_of_analysis
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime="12h",
    params:
        recipe=recipe_of,
        checkpoints=lambda wildcards: [checkpoint(trial) for trial in trials_of(wildcards)],
    message:
        "measure the Fisher score of {TITLES:{wildcards.id}}"
    shell:
        "launch --gpus {resources.gpu} fisher"
        " --recipe {params.recipe:q}"
        " --checkpoints {params.checkpoints:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output:q})"'
        ' "${{computing[@]}}"'
        " > {log:q} 2>&1"


# Train for one pass with a rate that grows, to see which rates are usable.
rule range_test:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*filter(None, [needed_checkpoint(PLAN.analyses[wildcards.id].recipe)])),
        pretrained=lambda wildcards: pretrained_by(PLAN.analyses[wildcards.id].recipe),
    output:
        PATHS.analysis("range_test", "{id}") / "range_test.parquet",
    log:
        LOGS / "range_test" / "{id}.log",
    conda:
        ENVIRONMENT
    threads: cores_of_analysis
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime=minutes(60),
    params:
        recipe=recipe_of,
        pretrained=lambda wildcards: pretrained(PLAN.analyses[wildcards.id].recipe),
    message:
        "do the range test {TITLES:{wildcards.id}}"
    shell:
        "launch --gpus {resources.gpu} range_test"
        " --recipe {params.recipe:q}"
        " {params.pretrained:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output:q})"'
        ' "${{computing[@]}}"'
        " > {log:q} 2>&1"
