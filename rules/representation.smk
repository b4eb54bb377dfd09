# What networks represent: similarity of layers by SVCCA, and weights placed by t-SNE.
#
# INPUT: the prepared data, checkpoints of runs; for the embedding the curves' bends.
# OUTPUT: results/similarity/<fingerprint>/ and results/embedding/<fingerprint>/: tidy tables.


# Compare the layers of two checkpoints by SVCCA.
rule similarity:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*ends_of(wildcards, "first", "second")),
    output:
        PATHS.analysis("similarity", "{id}") / "similarity.parquet",
    log:
        LOGS / "similarity" / "{id}.log",
    conda:
        ENVIRONMENT
    threads: cores_of_analysis
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime=minutes(240),
    params:
        recipe=recipe_of,
        first=lambda wildcards: checkpoint(*ends_of(wildcards, "first")),
        second=lambda wildcards: checkpoint(*ends_of(wildcards, "second")),
    message:
        "compare the layers of {TITLES:{wildcards.id}}"
    shell:
        "{LAUNCH} --gpus {resources.gpu} similarity"
        " --recipe {params.recipe:q}"
        " --first {params.first:q}"
        " --second {params.second:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output:q})"'
        " {COMPUTING}"
        " > {log:q} 2>&1"


# Place checkpoints and the bends of curves in the plane by t-SNE.
rule embedding:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*PLAN.analyses[wildcards.id].recipe["modes"]),
        bends=lambda wildcards: [f"{folder}/bends.safetensors" for folder in curves_of(wildcards).values()],
    output:
        PATHS.analysis("embedding", "{id}") / "embedding.parquet",
    log:
        LOGS / "embedding" / "{id}.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory,
        runtime=minutes(30),
    params:
        recipe=recipe_of,
        modes=lambda wildcards: [
            part
            for mode in PLAN.analyses[wildcards.id].recipe["modes"]
            for part in ("--mode", mode["name"], checkpoint(mode))
        ],
        curves=lambda wildcards: [part for curve in curves_of(wildcards).items() for part in ("--curve", *curve)],
    message:
        "place the weights of {TITLES:{wildcards.id}} by t-SNE"
    shell:
        "{LAUNCH} --gpus 0 embedding"
        " --recipe {params.recipe:q}"
        " {params.modes:q}"
        " {params.curves:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output:q})"'
        " {COMPUTING}"
        " > {log:q} 2>&1"
