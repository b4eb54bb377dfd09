# Prepare each data set once, in one memory-mappable form that every run shares.
#
# INPUT: nothing, or the directory that config.yaml's data.sources names.
# OUTPUT: data/<name>/dataset.json, beside the arrays that it describes and whose checksums it holds.


rule prepare_data:
    input:
        lambda wildcards: [
            f"{config['data']['sources'][wildcards.data]}/SHA256SUMS" for _ in [0] if wildcards.data in config["data"]["sources"]
        ],
    output:
        PATHS.dataset("{data}"),
    params:
        source=lambda wildcards: config["data"]["sources"].get(wildcards.data, ""),
    log:
        LOGS / "data" / "{data}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1500,
        runtime="30m",
    shell:
        "python -m workflow_scripts.prepare_data {wildcards.data:q} --out $(dirname {output:q})"
        " --source {params.source:q} > {log:q} 2>&1"
