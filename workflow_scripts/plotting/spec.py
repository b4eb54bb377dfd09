"""What to draw: the JSON that describes one figure or table of a paper.

    {"id": "gotmare2019_figure_1", "paper": "gotmare2019", "number": "Figure 1", "title": "...", "caption": "...",
     "section": "2.1.1", "scale": "demo", "mark": "DEMO: no evidence", "data": "digits", "layout": {"columns": 3},
     "names": {"<fingerprint>": "mode E"},
     "runs": {"<fingerprint>": {"table": "...", "setting": "mode_E", "declared": {"data": "cifar10", ...}}},
     "claims": [{"says": "...", "section": "2.1.1", "rule": {...}, "judge": {...}, ...}, ...], "evidence": true,
     "panels": [{"kind": "path_metric", ...}, ...]}

A table has `"table": {"kind": "summary", ...}` in place of panels (see plotting/tables) and, if it shows reported
values, `"reported"`, the path of the paper's reported.csv. These may be left out: `caption`, `section`, `mark` (what
the picture says of its scale), `data`, `layout`, `names` (what to call a run that diverged), `runs` (see
evidence/trained.py), and `claims` with `evidence`, whether the scale's results are evidence (evidence/shown_claims.py).
Panels and tables are described in schemas/panel.schema.yaml and docs/panels.md.
"""

import os
from collections.abc import Mapping
from typing import Any

from workflow_scripts.base.arguments import read_json
from workflow_scripts.base.errors import InputError
from workflow_scripts.plotting import panels, tables

NEEDED = ("id", "paper", "number", "title", "scale")


def read_spec(given: str | os.PathLike) -> dict[str, Any]:
    """The description of an artifact: JSON, or the path of a .json file that holds it.

    Raises InputError naming everything that is wrong with it.
    """
    given = os.fspath(given)
    spec = read_json(given, {})
    where = given if given.endswith(".json") else "the specification"
    problems = [f"{key} is missing" for key in NEEDED if not isinstance(spec.get(key), str)]
    if ("panels" in spec) == ("table" in spec):
        problems.append("exactly one of panels and table is needed")
    elif "table" in spec:
        problems += _table_problems(spec)
    elif not isinstance(spec["panels"], list) or not spec["panels"]:
        problems.append("panels must be a list with at least one panel")
    else:
        for number, panel in enumerate(spec["panels"], 1):
            problems += panels.problems(panel, number)
    if problems:
        raise InputError.together(f"{where} does not describe a figure or table", problems)
    return spec


def _table_problems(spec: Mapping[str, Any]) -> list[str]:
    problems = panels.problems(spec["table"], 1, kinds=tables.KINDS)
    table = spec["table"]
    if (
        not problems
        and "reported" not in spec
        and ("reported" in table or any("reported" in row for row in table["rows"]))
    ):
        problems.append("reported is missing: give the path of the paper's reported.csv")
    return problems


def heading(spec: Mapping[str, Any]) -> str:
    """Title, stamp and caption in Markdown, for the top of a notebook."""
    where = f", section {spec['section']}" if spec.get("section") else ""
    parts = [
        f"## {spec['number']}: {spec['title']}",
        f"*{spec['paper']}{where}*",
        f"> **{spec['mark']}**" if spec.get("mark") else "",
        spec.get("caption", ""),
    ]
    return "\n\n".join(filter(None, parts))
