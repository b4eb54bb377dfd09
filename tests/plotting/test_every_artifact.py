"""Every figure and table of both papers, drawn from made-up results."""

import csv
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.shared.made_up import make_up
from workflow_scripts.commands import panels as documentation
from workflow_scripts.evidence.quantities import QUANTITIES
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.plotting import figure, table
from workflow_scripts.recipes.schema import read_yaml

ROOT = Path(__file__).parents[2]
PLAN = make_plan(read_yaml(ROOT / "config.yaml"), ROOT)
TABLES = [id for id, artifact in PLAN.artifacts.items() if artifact.template == "table"]
FIGURES = [id for id, artifact in PLAN.artifacts.items() if artifact.template == "figure"]


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """The specifications of all artifacts, whose tables are there."""
    results = tmp_path_factory.mktemp("results")
    plan = make_plan({**read_yaml(ROOT / "config.yaml"), "results": str(results)}, ROOT)
    make_up(plan)
    return {id: artifact.spec for id, artifact in plan.artifacts.items()}


def sources(spec):
    return Sources(ROOT, spec["names"], spec["runs"])


# --- tables ----------------------------------------------------------------------------------------------------------


def printed_in(paper):
    """What the paper prints, by id, row and column: the strings of reported.csv."""
    with (ROOT / "papers" / paper / "reported.csv").open(encoding="utf-8", newline="") as file:
        return {(row["id"], row["row"], row["column"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize("id", [id for id in TABLES if PLAN.artifacts[id].spec["table"]["kind"] == "paper_table"])
def test_reported_values_stand_as_the_paper_prints_them(specs, id):
    spec, printed = specs[id], printed_in(specs[id]["paper"])
    shown, *_ = table.draw(spec, sources(spec))
    contents = spec["table"]
    for place, row in enumerate(contents["rows"]):
        for column in contents["columns"]:
            if not column.get("reported", True):
                continue
            if contents.get("compare") == "rows":
                cell = shown[shown.iloc[:, 1] == "paper"].iloc[place][column["label"]]
            else:
                cell = shown[column["label"], "paper"][place]
            cited = printed.get((contents["reported"], row["key"], column["key"]))
            if cited is None:
                assert cell == "–"
                continue
            value, _, rest = cell.partition(" ")
            assert value == cited["value"]
            assert rest in ("", f"({cited['std']})", cited["unit"]) and (
                not cited["std"] or rest == f"({cited['std']})"
            )


def test_budgets_have_units_and_scores_are_told_apart(specs):
    shown, *_ = table.draw(specs["iyer2020_table_5"], sources(specs["iyer2020_table_5"]))
    papers = shown[shown.iloc[:, 1] == "paper"]
    assert papers["Budget"].tolist() == ["90 epochs", "200 epochs", "50 epochs", "70 epochs", "31250 iterations"]
    assert [heading.rpartition(": ")[2] for heading in papers["Experiment"]] == [
        "Test accuracy (%)", "Test accuracy (%)", "Test BLEU", "Test BLEU", "F1 (%)",
    ]  # fmt: skip


def test_a_setting_of_the_same_unit_throughout_is_a_bare_number(specs):
    shown, *_ = table.draw(specs["iyer2020_table_9"], sources(specs["iyer2020_table_9"]))
    assert shown["Epochs", "paper"].tolist() == ["200", "200", "150"]


LATEX = r"""\documentclass{article}
\usepackage{booktabs,graphicx}
\begin{document}
%s
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex (Debian's texlive-latex-base)")
def test_the_latex_of_every_table_compiles_and_fits_a_page(specs, tmp_path):
    """Titles, notes and cells hold what LaTeX takes for commands (%, _, &), and characters that it does not know."""
    for id in TABLES:
        table.save(*table.draw(specs[id], sources(specs[id])), specs[id], tmp_path / id)
    pages = [f"\\input{{{id}/table}}\\clearpage" for id in TABLES]
    (tmp_path / "all.tex").write_text(LATEX % "\n".join(pages))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert not re.findall(r"Overfull|Float too large|Missing character|undefined", done.stdout)
    assert f"({len(TABLES)} pages" in done.stdout


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", FIGURES)
def test_every_figure_is_drawn(specs, id):
    made, values = figure.draw(specs[id], sources(specs[id]))
    assert values["note"].eq("").all() and len(made.axes) >= len(specs[id]["panels"])
    titles = [panel["title"] for panel in specs[id]["panels"] if "title" in panel]
    assert len(set(titles)) == len(titles), "two panels have the same title"


# --- what may be declared --------------------------------------------------------------------------------------------


def test_the_page_on_panels_is_made_from_the_schema_as_it_is():
    assert documentation.DOCUMENT.read_text(encoding="utf-8") == documentation.document(), (
        "run python -m workflow_scripts.commands.panels"
    )


def test_the_schema_knows_every_quantity():
    definitions = read_yaml(ROOT / "schemas" / "panel.schema.yaml")["$defs"]
    by_column = definitions["paper_table"]["properties"]["columns"]["items"]["properties"]["quantity"]["enum"]
    assert definitions["quantity"]["enum"] == list(QUANTITIES) and by_column == [*QUANTITIES, "by_row"]


def test_every_key_of_a_panel_is_described():
    lines = [line for line in documentation.document().splitlines() if line.startswith(("| `", "| **`"))]
    undescribed = [line for line in lines if line.split(" | ")[1].strip() in ("", "|")]
    assert {re.search(r"`(.*?)`", line)[1] for line in undescribed} <= {"series", "columns", "rows", "rows[].groups"}
