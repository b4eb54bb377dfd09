# One site that opens without a network: verdicts, every artifact in the order of its paper, the documentation.
#
# INPUT: all artifacts and verdicts, the templates, the documents. OUTPUT: results/<scale>/site/, to be opened at index.html.


# Make the site.
rule site:
    input:
        artifacts=OBTAINABLE,
        verdicts=PATHS.verdicts(SCALE),
        pages=sorted(str(path) for path in (ROOT / "docs").rglob("*") if path.is_file()),
        readme=ROOT / "README.md",
        code=sorted(str(path) for path in (ROOT / "workflow_scripts" / "publishing").rglob("*.py")),
    output:
        directory(PATHS.site(SCALE)),
    log:
        LOGS / "site.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime="15m",
    params:
        config=CONFIGURATION,
        claims=fingerprint([[claim.spec, claim.rule] for claim in PLAN.claims.values()]),
    message:
        "make the site of all artifacts and verdicts"
    shell:
        "{LAUNCH} --gpus 0 site" " --config {params.config:q}" " --out {output:q}" " > {log:q} 2>&1"
