# Draw every figure and table from tidy tables.
#
# INPUT: the tables that the artifact's panels name, the notebook's template, the plotting code.
# OUTPUT: results/<scale>/<paper>/<artifact>/: notebook.html and .ipynb, and figure.svg, figure.png, values.csv or
#         table.html, table.csv, table.tex, table.md.
#
# Each artifact is also a target by its name, such as gotmare2019_figure_3.

FOLDER = PATHS.artifact(SCALE, "{paper}", "{artifact}")
# A changed style redraws the figures and trains nothing.
DRAWING = sorted(
    str(path) for folder in ("plotting", "evidence") for path in (ROOT / "workflow_scripts" / folder).rglob("*.py")
)


# How an artifact stands in Snakemake's report.
SHOWN = dict(
    category=lambda wildcards: PLAN.titles[wildcards.paper],
    subcategory=lambda wildcards: f"Section {in_order('section', wildcards)}",
    # One label: Snakemake's report makes a switch of a second one that has two values, and then shows neither.
    labels=lambda wildcards: {"artifact": f"{in_order('number', wildcards)}: {artifact_of(wildcards).spec['title']}"},
    caption="../report/artifact.rst",
)


# Draw a figure by its notebook; what Snakemake's report shows of it is the picture.
rule figure:
    input:
        tables=tables_of,
        digitised=digitised_of,
        template=ROOT / "notebooks" / "figure.ipynb",
        code=DRAWING,
    output:
        report(FOLDER / "figure.png", **SHOWN),
        svg=FOLDER / "figure.svg",
        values=FOLDER / "values.csv",
        page=FOLDER / "notebook.html",
        notebook=FOLDER / "notebook.ipynb",
    log:
        LOGS / "artifacts" / "{paper}_{artifact}.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=minutes(15),
    params:
        spec=spec_of,
        caption=lambda wildcards: artifact_of(wildcards).spec["caption"],
    message:
        "draw {wildcards.paper}_{wildcards.artifact}"
    shell:
        "{LAUNCH} --gpus 0 artifact"
        " --spec {params.spec:q}"
        " --template {input.template:q}"
        ' --out-dir "$(dirname {output.page:q})"'
        " > {log:q} 2>&1"


# Draw a table by its notebook, beside the values that the paper prints.
rule table:
    input:
        tables=tables_of,
        digitised=digitised_of,
        reported=ROOT / "papers" / "{paper}" / "reported.csv",
        template=ROOT / "notebooks" / "table.ipynb",
        code=DRAWING,
    output:
        report(FOLDER / "table.html", **SHOWN),
        values=FOLDER / "table.csv",
        latex=FOLDER / "table.tex",
        markdown=FOLDER / "table.md",
        page=FOLDER / "notebook.html",
        notebook=FOLDER / "notebook.ipynb",
    log:
        LOGS / "artifacts" / "{paper}_{artifact}.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=minutes(15),
    params:
        spec=spec_of,
        caption=lambda wildcards: artifact_of(wildcards).spec["caption"],
    message:
        "draw {wildcards.paper}_{wildcards.artifact}"
    shell:
        "{LAUNCH} --gpus 0 artifact"
        " --spec {params.spec:q}"
        " --template {input.template:q}"
        ' --out-dir "$(dirname {output.page:q})"'
        " > {log:q} 2>&1"


for artifact in PLAN.artifacts.values():

    # The artifact's name as a target.
    rule:
        name:
            artifact.id
        input:
            artifact_file(artifact),
        localrule: True
