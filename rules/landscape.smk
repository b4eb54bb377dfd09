# Curves between checkpoints and planes through them.
#
# INPUT: the prepared data, checkpoints of runs; for a plane its curve.
# OUTPUT: results/curve/<fingerprint>/ and results/plane/<fingerprint>/: tidy tables.


# Train a curve of low loss between two checkpoints and evaluate it.
rule curve:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*ends_of(wildcards, "start", "end")),
    output:
        table=PATHS.analysis("curve", "{id}") / "curve.parquet",
        bends=PATHS.analysis("curve", "{id}") / "bends.safetensors",
    log:
        LOGS / "curve" / "{id}.log",
    conda:
        ENVIRONMENT
    threads: cores_of_analysis
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime="4h",
    params:
        recipe=recipe_of,
        start=lambda wildcards: checkpoint(*ends_of(wildcards, "start")),
        end=lambda wildcards: checkpoint(*ends_of(wildcards, "end")),
    message:
        "find the curve {TITLES:{wildcards.id}}"
    shell:
        "{LAUNCH} --gpus {resources.gpu} curve"
        " --recipe {params.recipe:q}"
        " --start {params.start:q}"
        " --end {params.end:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output.table:q})"'
        " {COMPUTING}"
        " > {log:q} 2>&1"


# Evaluate the plane through a curve's ends and its bend, and place another run's checkpoints on it.
rule plane:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*ends_of(wildcards, "start", "end", "iterates")),
        curve=lambda wildcards: PATHS.analysis("curve", *ends_of(wildcards, "curve")) / "curve.parquet",
        bends=lambda wildcards: PATHS.analysis("curve", *ends_of(wildcards, "curve")) / "bends.safetensors",
    output:
        table=PATHS.analysis("plane", "{id}") / "plane.parquet",
        points=PATHS.analysis("plane", "{id}") / "points.parquet",
    log:
        LOGS / "plane" / "{id}.log",
    conda:
        ENVIRONMENT
    threads: cores_of_analysis
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime=minutes(240),
    params:
        recipe=recipe_of,
        start=lambda wildcards: checkpoint(*ends_of(wildcards, "start")),
        end=lambda wildcards: checkpoint(*ends_of(wildcards, "end")),
        iterates=lambda wildcards: str(PATHS.checkpoints(ends_of(wildcards, "iterates")[0]["run"])),
    message:
        "evaluate the plane {TITLES:{wildcards.id}}"
    shell:
        "{LAUNCH} --gpus {resources.gpu} plane"
        " --recipe {params.recipe:q}"
        " --start {params.start:q}"
        " --end {params.end:q}"
        " --iterates {params.iterates:q}"
        ' --curve "$(dirname {input.curve:q})"'
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output.table:q})"'
        " {COMPUTING}"
        " > {log:q} 2>&1"
