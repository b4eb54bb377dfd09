# One page that opens without a network: every artifact by paper and section, with its caption.
#
# INPUT: all artifacts. OUTPUT: results/<scale>/report.html


# Let Snakemake make its report of the artifacts.
rule report:
    input:
        EVERYTHING,
    output:
        PATHS.results / SCALE / "report.html",
    log:
        LOGS / "report.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime="15m",
    params:
        snakefile=ROOT / "Snakefile",
        config=canonical(PLANNED_BY),
    message:
        "make Snakemake's report of all artifacts"
    # Snakemake plans again for the report, and would take config.yaml as it stands.
    shell:
        "folder=$(mktemp -d); trap 'rm -r $folder' EXIT; printf %s {params.config:q} > $folder/config.json;"
        " python -m snakemake --snakefile {params.snakefile:q} --configfile $folder/config.json --nolock"
        " --report {output:q} > {log:q} 2>&1"
