# Judge what the papers claim.
#
# INPUT: the tables that the claims name, the papers' own numbers, the code that judges.
# OUTPUT: results/<scale>/verdicts.parquet, a tidy table of all claims.


# Judge every claim of the chosen papers.
rule verdicts:
    input:
        tables=tables_of_claims(),
        papers=[
            path
            for paper in PLAN.titles
            for path in sorted(str(path) for path in (ROOT / "papers" / paper).glob("reported*.csv"))
        ],
        code=sorted(str(path) for path in (ROOT / "workflow_scripts" / "evidence").rglob("*.py")),
    output:
        PATHS.verdicts(SCALE),
    log:
        LOGS / "verdicts.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime="30m",
    params:
        config=CONFIGURATION,
        claims=fingerprint([[claim.spec, claim.rule] for claim in PLAN.claims.values()]),
    message:
        "judge what the papers claim"
    shell:
        "{LAUNCH} --gpus 0 judge" " --config {params.config:q}" " --out {output:q}" " > {log:q} 2>&1"
