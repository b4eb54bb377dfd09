# Closer Look: two papers on learning-rate heuristics, from data to the last figure.
#
#   snakemake --cores all                                   every artifact at scale demo
#   snakemake gotmare2019_figure_3 --cores all              one artifact
#   snakemake --cores all --resources gpu=4 --config scale=paper
#   snakemake --cores all --config scale=reduced source=archive       from the tables that ship with it, without training

from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


configfile: Path(str(workflow.current_basedir)) / "config.yaml"


container: "docker://python:3.11"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/inputs.smk"


if PATHS.archived:

    include: "rules/archive.smk"

else:

    include: "rules/data.smk"
    include: "rules/train.smk"
    include: "rules/landscape.smk"
    include: "rules/representation.smk"
    include: "rules/sharpness.smk"
    include: "rules/language.smk"


include: "rules/artifacts.smk"
include: "rules/claims.smk"
include: "rules/site.smk"
include: "rules/report.smk"
include: "rules/handlers.smk"


# On a cluster these run where Snakemake runs: there is a network, and what they do is small.
localrules:
    all,
    prepare_data,
    derive_data,
    report,
    site,


rule all:
    default_target: True
    input:
        EVERYTHING,
        PATHS.verdicts(SCALE),
