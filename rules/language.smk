# How well trainings on text do: translations by beam search and their BLEU, answers and their exact match and F1.
#
# INPUT: the prepared data, a checkpoint of each of a setting's trials.
# OUTPUT: results/translation/<fingerprint>/, results/answers/<fingerprint>/: tidy tables.


# Translate the test text with every trial of a setting and score the translations.
rule translation:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*trials_of(wildcards)),
    output:
        PATHS.analysis("translation", "{id}") / "translation.parquet",
    log:
        LOGS / "translation" / "{id}.log",
    conda:
        ENVIRONMENT
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime=minutes(120),
    params:
        recipe=recipe_of,
        checkpoints=lambda wildcards: [checkpoint(trial) for trial in trials_of(wildcards)],
    message:
        "translate the test text by {TITLES:{wildcards.id}}"
    shell:
        "{LAUNCH} --gpus {resources.gpu} translate"
        " --recipe {params.recipe:q}"
        " --checkpoints {params.checkpoints:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output:q})"'
        " {COMPUTING}"
        " > {log:q} 2>&1"


# Answer the test questions with every trial of a setting and score the answers.
rule answers:
    input:
        data=dataset_of,
        runs=lambda wildcards: trained(*trials_of(wildcards)),
    output:
        PATHS.analysis("answers", "{id}") / "answers.parquet",
    log:
        LOGS / "answers" / "{id}.log",
    conda:
        ENVIRONMENT
    resources:
        gpu=GPU,
        mem_mb=memory,
        runtime=minutes(120),
    params:
        recipe=recipe_of,
        checkpoints=lambda wildcards: [checkpoint(trial) for trial in trials_of(wildcards)],
    message:
        "answer the test questions by {TITLES:{wildcards.id}}"
    shell:
        "{LAUNCH} --gpus {resources.gpu} answer"
        " --recipe {params.recipe:q}"
        " --checkpoints {params.checkpoints:q}"
        ' --data "$(dirname {input.data:q})"'
        ' --out "$(dirname {output:q})"'
        " {COMPUTING}"
        " > {log:q} 2>&1"
