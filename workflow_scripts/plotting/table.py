"""Draw a table that sets our numbers beside a paper's, and save it in the forms that people read tables in."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.base.files import whole_file, write_text
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.trained import differences
from workflow_scripts.plotting import latex, tables


def draw(spec: Mapping[str, Any], sources: Sources) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The table that `spec` describes (see plotting/spec.py): as it is read, its unrounded numbers, and its caption."""
    kind = tables.module(spec["table"]["kind"])
    numbers = kind.values(spec, sources)
    reading, *notes = kind.caption(spec, sources)
    mark = f"{spec['mark']}." if spec.get("mark") else ""
    lead = [f"{spec['number']}: {spec['title']}.", spec.get("caption", ""), reading, mark, differences(sources)]
    return kind.draw(spec, numbers), numbers, "\n".join([" ".join(filter(None, lead)), *notes])


def styled(shown: pd.DataFrame, caption: str, name: str) -> Any:
    """The table as a pandas Styler: HTML in a notebook, and the source of the HTML file."""
    rules = [
        {"selector": "", "props": "border-collapse: collapse; font-family: sans-serif; font-size: 14px; color: #222"},
        {"selector": "caption", "props": "text-align: left; padding-bottom: 0.6em; max-width: 46em"},
        {"selector": "th, td", "props": "padding: 0.3em 0.7em; text-align: right; font-variant-numeric: tabular-nums"},
        {"selector": "td", "props": "white-space: nowrap"},
        {
            "selector": "th.col_heading",
            "props": "border-bottom: 1px solid #999; font-weight: 600; vertical-align: bottom",
        },
        {"selector": "th[colspan]", "props": "text-align: center"},
        {"selector": "th.col0, td.col0", "props": "text-align: left"},
        {"selector": "tbody tr:last-child td", "props": "border-bottom: 1px solid #999"},
    ]
    table = shown.style.hide(axis="index").set_table_styles(rules)
    table.set_caption(html.escape(caption).replace("\n", "<br>"))
    table.format(escape="html").format_index(escape="html", axis=1)
    if shown.iloc[:, 0].eq("").any():  # several lines belong together: a rule above the first of them
        begins = shown.iloc[:, 0].ne("")
        table.apply(lambda line: ["border-top: 1px solid #ddd" if begins[line.name] else ""] * len(line), axis=1)
    table.set_uuid(name)
    table.cell_ids = False
    return table


def save(shown: pd.DataFrame, numbers: pd.DataFrame, caption: str, spec: Mapping[str, Any], folder: Path) -> None:
    """Write table.html, table.tex, table.md and table.csv; the last has the unrounded numbers."""
    folder, name = Path(folder), spec["id"]
    write_text(folder / "table.html", styled(shown, caption, name).to_html(doctype_html=True))
    write_text(folder / "table.tex", latex.table(shown, caption, name))
    names = [heads if isinstance(heads, str) else " ".join(filter(None, heads)) for heads in shown.columns]
    flat = shown.set_axis(names, axis=1)
    paragraphs = caption.replace("\n", "\n\n")
    write_text(folder / "table.md", f"{paragraphs}\n\n{flat.to_markdown(index=False, disable_numparse=True)}\n")
    with whole_file(folder / "table.csv") as temporary:
        numbers.assign(scale=spec["scale"], data=spec.get("data", "")).to_csv(temporary, index=False)
