# Prepare each data set once, in one memory-mappable form that every run shares.
#
# INPUT: nothing, or the directory that config.yaml's data.sources names; for text whose word pieces are those of another
#        data set or of a BERT checkpoint, these.
#        A smaller data set, such as cifar10-16px-10000, is derived from the prepared one.
# OUTPUT: data/<name>/dataset.json, beside the arrays that it describes and whose checksums it holds, or beside the listing
#         of pictures, which stay where they are.


# Bring a data set into the form that every job reads.
rule prepare_data:
    input:
        contents=contents_of,
        vocabulary=vocabulary_of,
    output:
        PATHS.dataset("{data}"),
    log:
        LOGS / "data" / "{data}.log",
    wildcard_constraints:
        data=r"\w+",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1500,
        runtime="30m",
    params:
        source=lambda wildcards: [f"--source={folder}" for folder in source_of(wildcards)],
        vocabulary=lambda wildcards: [f"--vocabulary={Path(file).parent}" for file in vocabulary_of(wildcards)],
    message:
        "prepare the data set {wildcards.data}"
    shell:
        "{LAUNCH} --gpus 0 prepare_data {wildcards.data:q}"
        ' --out "$(dirname {output:q})"'
        " {params.source:q}"
        " {params.vocabulary:q}"
        " > {log:q} 2>&1"


# Make a smaller data set from a prepared one: fewer images, or images of fewer pixels.
rule derive_data:
    input:
        PATHS.dataset("{origin}"),
    output:
        PATHS.dataset("{origin}-{size}"),
    log:
        LOGS / "data" / "{origin}-{size}.log",
    wildcard_constraints:
        origin=r"\w+",
        size=r"\d+px-\d+",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1500,
        runtime="30m",
    params:
        name=lambda wildcards: f"{wildcards.origin}-{wildcards.size}",
    message:
        "prepare the data set {wildcards.origin}-{wildcards.size}"
    shell:
        "{LAUNCH} --gpus 0 prepare_data {params.name:q}"
        ' --out "$(dirname {output:q})"'
        ' --origin "$(dirname {input:q})"'
        " > {log:q} 2>&1"
