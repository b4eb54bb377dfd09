# One page that opens without a network: every artifact by paper and section, with its caption.
#
# INPUT: all artifacts. OUTPUT: results/<scale>/report.html


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
    shell:
        "snakemake --snakefile {params.snakefile:q} --nolock --report {output:q} > {log:q} 2>&1"
