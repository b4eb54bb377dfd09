# How sharp the minima are that trainings end in, and the learning-rate range test.
#
# INPUT: the prepared data, the last checkpoints of a setting's trials (none for the range test).
# OUTPUT: results/sharpness/<fingerprint>/, results/fisher/<fingerprint>/, results/range_test/<fingerprint>/: tidy tables.


rule sharpness:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*trials_of(wildcards)),
    output:
        PATHS.analysis("sharpness", "{id}") / "sharpness.parquet",
    log:
        LOGS / "sharpness" / "{id}.log",
    benchmark:
        LOGS / "sharpness" / "{id}.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: lambda wildcards: cores_for(PLAN.analyses[wildcards.id].data)
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime="12h",
    params:
        recipe=recipe_of,
        checkpoints=lambda wildcards: [checkpoint(trial) for trial in trials_of(wildcards)],
    shell:
        "compute {resources.gpu} sharpness --recipe {params.recipe:q}"
        ' --checkpoints {params.checkpoints:q} --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output:q})" > {log:q} 2>&1'


rule fisher:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*trials_of(wildcards)),
    output:
        PATHS.analysis("fisher", "{id}") / "fisher.parquet",
    log:
        LOGS / "fisher" / "{id}.log",
    benchmark:
        LOGS / "fisher" / "{id}.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: lambda wildcards: cores_for(PLAN.analyses[wildcards.id].data)
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime="12h",
    params:
        recipe=recipe_of,
        checkpoints=lambda wildcards: [checkpoint(trial) for trial in trials_of(wildcards)],
    shell:
        "compute {resources.gpu} fisher --recipe {params.recipe:q}"
        ' --checkpoints {params.checkpoints:q} --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output:q})" > {log:q} 2>&1'


rule range_test:
    input:
        data=dataset_of,
    output:
        PATHS.analysis("range_test", "{id}") / "range_test.parquet",
    log:
        LOGS / "range_test" / "{id}.log",
    benchmark:
        LOGS / "range_test" / "{id}.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: lambda wildcards: cores_for(PLAN.analyses[wildcards.id].data)
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime=minutes(60),
    params:
        recipe=recipe_of,
    shell:
        "compute {resources.gpu} range_test --recipe {params.recipe:q}"
        ' --data "$(dirname {input.data:q})" --out "$(dirname {output:q})" > {log:q} 2>&1'
