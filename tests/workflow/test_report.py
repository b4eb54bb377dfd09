"""Snakemake's report of a tiny paper, opened in a real browser: every section shows what it lists."""

import pytest

from tests.shared.browser import needs_chromium, read_report
from tests.shared.checkout import NASTY, SCALE, snakemake
from workflow_scripts.base.text import FIGURE_SPACE, sorted_by_numbers

CURVE = {"kind": "path_metric", "metric": "loss", "split": "test", "series": [{"label": "x", "curve": "between"}]}
RUN = {"kind": "training_curve", "metric": "accuracy", "series": [{"label": "x", "run": "first"}]}
TABLE = {
    "kind": "summary",
    "quantity": "accuracy",
    "statistics": ["mean"],
    "rows": [{"label": "First", "runs": "first"}],
}


def artifact(number, section, panel):
    shared = {"number": number, "section": section, "title": f"Title of {number}", "caption": "It shows."}
    if panel is TABLE:
        return {**shared, "template": "table", "table": TABLE}
    return {**shared, "template": "figure", "panels": [panel]}


@pytest.fixture(scope="module")
def report(site):
    """The report of sections of one artifact, of two figures, and of a figure and a table, at another scale."""
    artifacts = {
        "figure_1": artifact("Figure 1", "10", RUN),
        "table_1": artifact("Table 1", "10", TABLE),
        "figure_2": artifact("Figure 2", "2.1", CURVE),
        "figure_10": artifact("Figure 10", "2.1", RUN),
        "figure_11": artifact("Figure 11", "A", RUN),
    }
    site.write("papers/tiny/artifacts.yaml", {"artifacts": artifacts})
    (site.root / "papers" / "tiny" / "reported.csv").write_text("id,row,column,value,std,n,unit,source,note\n")
    site.write("scales/moments.yaml", SCALE)
    done = snakemake("report", "--cores", "1", "--config", "scale=moments", root=site.root, directory=site.directory)
    assert done.returncode == 0, done.stderr
    return site.directory / NASTY / "moments" / "report.html"


@needs_chromium
def test_every_section_shows_what_it_lists_in_the_papers_order(report):
    found, errors = read_report(report)
    assert errors == []
    (sections,) = found.values()
    plain = {
        section.replace(FIGURE_SPACE, ""): [(label.replace(FIGURE_SPACE, ""), shown) for label, shown in results]
        for section, results in sections.items()
    }
    assert [(section, [label.partition(":")[0] for label, _ in results]) for section, results in plain.items()] == [
        ("Section 2.1", ["Figure 2", "Figure 10"]),
        ("Section 10", ["Figure 1", "Table 1"]),
        ("Section A", ["Figure 11"]),
    ]
    for results in plain.values():
        for label, shown in results:
            if label.startswith("Table"):
                assert "First" in shown and "Title of Table 1" in shown
            else:
                assert shown > 100, label


@pytest.mark.parametrize(
    "names", [["Section 9", "Section 10"], ["2", "2.1.1", "7.2", "10", "A.1", "B"], ["Table 2", "Table 10", "Table 19"]]
)
def test_sorted_as_text_numbers_keep_their_order(names):
    padded = [sorted_by_numbers(name, names) for name in names]
    assert sorted(padded, key=lambda name: name.replace(FIGURE_SPACE, " ")) == padded
    assert [name.replace(FIGURE_SPACE, "") for name in padded] == names
