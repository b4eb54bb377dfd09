"""Executed notebooks as HTML pages that open alone."""

import functools
from pathlib import Path

import nbformat
from nbconvert.exporters.html import HTMLExporter

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def as_page(notebook: Path, title: str) -> str:
    """A notebook as one self-contained HTML page."""
    node = nbformat.read(notebook, as_version=4)
    node.metadata["title"] = title
    return _exporter().from_notebook_node(node)[0]


def rehearse() -> None:
    """Make pages of the templates, as they are: validators, lexers and page templates are compiled from then on."""
    for template in sorted(NOTEBOOKS.glob("*.ipynb")):
        as_page(template, template.stem)


@functools.cache
def _exporter() -> HTMLExporter:
    page = NOTEBOOKS / "page"
    return HTMLExporter(template_name=page.name, extra_template_basedirs=[str(page.parent)])
