"""Tables that set our numbers beside a paper's: the kind `summary`, and what all kinds (plotting/tables.py) share.

The description of a table (schemas/panel.schema.yaml, kind `summary`):

metric, split   what is summarised; the value of a run is the one after its last epoch; split is test by default
statistics      any of best, mean, std, interval (95 % bootstrap interval of the mean), in the order wanted
decimals        default 2
rows            list of {label, tables}, optionally {reported: {best: [id, row, column], mean: ..., std: ...}}, which
                names rows of the paper's reported.csv (the path `reported` of the specification); std takes its std
"""

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.base.files import whole_file, write_text
from workflow_scripts.evidence.reported import read_reported, reported_row
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.statistics import BETTER, Summary, summarise
from workflow_scripts.plotting import style
from workflow_scripts.plotting.spec import scale_stamp

NOTHING = "–"
LATEX = str.maketrans({character: f"\\{character}" for character in "&%_#"})


def values(spec: Mapping[str, Any], tables: Sources) -> pd.DataFrame:
    """The numbers of a table, one row per row of it.

    Columns: row; n, diverged, missing (runs that finished, diverged, have not been made); then for each statistic ours
    and, where the paper has it, `<statistic>_reported` and `<statistic>_difference` (ours minus reported); the interval
    has `interval_low` and `interval_high`. nan where there is no number: a reported one never stands in for ours.
    """
    return pd.DataFrame([_row(row, spec, tables) for row in spec["table"]["rows"]])


def draw(spec: Mapping[str, Any], numbers: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read: text, with two lines of column headings (statistic; ours, paper, difference)."""
    places = spec["table"].get("decimals", 2)
    lacking = numbers["diverged"].gt(0).map({True: "diverged", False: "no runs"})

    def ours(name: str, form: str) -> pd.Series:
        text = numbers[name].map(lambda number: NOTHING if np.isnan(number) else format(number, form))
        return text.where(numbers["n"] > 0, lacking)

    columns: dict[tuple[str, str], pd.Series] = {("", ""): numbers["row"]}
    for statistic in spec["table"]["statistics"]:
        head = "95 % interval of the mean" if statistic == "interval" else statistic
        if statistic == "interval":
            low, high = ours("interval_low", f".{places}f"), ours("interval_high", f".{places}f")
            columns[head, "ours"] = low.where((numbers["n"] < 2), low + " to " + high)
            continue
        columns[head, "ours"] = ours(statistic, f".{places}f")
        if f"{statistic}_reported" in numbers:
            columns[head, "paper"] = numbers[f"{statistic}_reported"].map(_shown(f".{places}f"))
            columns[head, "difference"] = numbers[f"{statistic}_difference"].map(_shown(f"+.{places}f"))
    columns["runs", "finished"] = numbers["n"].astype(str)
    for what in ("diverged", "missing"):
        if numbers[what].any():
            columns["runs", what] = numbers[what].astype(str)
    return pd.DataFrame(columns)


def caption(spec: Mapping[str, Any], tables: Sources) -> str:
    """What stands above the table: what it is, of which scale, and where in the paper the reported numbers are."""
    rows = [_reported(spec, tables, key) for row in spec["table"]["rows"] for key in row.get("reported", {}).values()]
    told = dict.fromkeys(f"{row['source']} ({row['note']})" if row["note"] else row["source"] for row in rows)
    metric = style.metric_label(spec["table"]["metric"], spec["table"].get("split", "test"))
    return above(spec, f"{metric}.", f"Reported: {'; '.join(told)}." if told else "")


def above(spec: Mapping[str, Any], what: str, *more: str) -> str:
    """A table's number and title, what it holds, its scale where that is not the paper's, and further sentences."""
    stamp = scale_stamp(spec["scale"], spec.get("data"))
    parts = [f"{spec['number']}: {spec['title']}. {what}", f"{stamp}." if stamp else "", *more]
    return " ".join(filter(None, parts))


def styled(shown: pd.DataFrame, above: str, name: str) -> Any:
    """The table as a pandas Styler: HTML in a notebook, and the source of the HTML and LaTeX files."""
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
    caption = html.escape(above).replace("\n", "<br>")
    table = shown.style.hide(axis="index").set_caption(caption).set_table_styles(rules)
    table.format(escape="html").format_index(escape="html", axis=1)
    if shown.iloc[:, 0].eq("").any():  # several lines belong together: a rule above the first of them
        begins = shown.iloc[:, 0].ne("")
        table.apply(lambda line: ["border-top: 1px solid #ddd" if begins[line.name] else ""] * len(line), axis=1)
    table.set_uuid(name)
    table.cell_ids = False
    return table


def save(shown: pd.DataFrame, numbers: pd.DataFrame, above: str, spec: Mapping[str, Any], folder: Path) -> None:
    """Write table.html, table.tex (it needs booktabs), table.md and table.csv; the last has the unrounded numbers."""
    folder, name = Path(folder), spec["id"]
    write_text(folder / "table.html", styled(shown, above, name).to_html(doctype_html=True))
    tex = shown.style.hide(axis="index").format(escape="latex-math").format_index(escape="latex-math", axis=1)
    tex = tex.to_latex(
        hrules=True, caption=above.translate(LATEX), label=f"tab:{name}", multicol_align="c",
        column_format="l" + "r" * (shown.shape[1] - 1), position_float="centering",
    )  # fmt: skip
    write_text(folder / "table.tex", tex)
    names = [heads if isinstance(heads, str) else " ".join(filter(None, heads)) for heads in shown.columns]
    flat = shown.set_axis(names, axis=1)
    paragraphs = above.replace("\n", "\n\n")
    write_text(folder / "table.md", f"{paragraphs}\n\n{flat.to_markdown(index=False, disable_numparse=True)}\n")
    with whole_file(folder / "table.csv") as temporary:
        numbers.assign(scale=spec["scale"], data=spec.get("data", "")).to_csv(temporary, index=False)


def _row(row: Mapping[str, Any], spec: Mapping[str, Any], tables: Sources) -> dict[str, Any]:
    table = spec["table"]
    results = [_result(path, table, tables) for path in row["tables"]]
    finished = [result for result in results if isinstance(result, float)]
    summary = summarise(finished, BETTER[table["metric"]])
    cells = {"row": row["label"], "n": summary.n}
    cells |= {what: results.count(what) for what in ("diverged", "missing")}
    for statistic in table["statistics"]:
        cells |= _ours(statistic, summary)
        if key := row.get("reported", {}).get(statistic):
            number = float(_reported(spec, tables, key)["std" if statistic == "std" else "value"])
            cells |= {f"{statistic}_reported": number, f"{statistic}_difference": cells[statistic] - number}
    return cells


def _result(path: str, table: Mapping[str, Any], tables: Sources) -> float | str:
    """The metric of one run after its last epoch, or "diverged" or "missing"."""
    found = tables.read(path, "metrics")
    if found is None:
        return "missing"
    if found.diverged:
        return "diverged"
    rows = tables.rows(path, "metrics", metric=table["metric"], split=table.get("split", "test"))
    return float(rows.loc[rows["step"].idxmax(), "value"])


def _ours(statistic: str, summary: Summary) -> dict[str, float]:
    if statistic == "interval":
        return {"interval_low": summary.low, "interval_high": summary.high}
    return {statistic: getattr(summary, statistic)}


def _reported(spec: Mapping[str, Any], tables: Sources, key: list[str]) -> pd.Series:
    path = tables.root / spec["reported"]
    return reported_row(read_reported(path), key, path)


def _shown(form: str) -> Callable[[float], str]:
    return lambda number: NOTHING if np.isnan(number) else format(number, form)
