"""What to draw: the JSON file that describes one figure or table of a paper.

    {"id": "gotmare2019_figure_1", "paper": "gotmare2019", "number": "Figure 1", "title": "...", "caption": "...",
     "section": "2.1.1", "scale": "demo", "data": "digits", "layout": {"columns": 3},
     "names": {"<fingerprint>": "mode E"},
     "panels": [{"kind": "path_metric", ...}, ...]}

A table has `"table": {"kind": "summary", ...}` in place of panels (see plotting/table.py) and, if it shows reported
values, `"reported"`, the path of the paper's reported.csv. `caption`, `section`, `data`, `layout` and `names`
(what to call a run that diverged) may be left out. Panels and tables are described in schemas/panel.schema.yaml and
plotting/panels/__init__.py.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.base.errors import InputError
from workflow_scripts.plotting import panels, style

NEEDED = ("id", "paper", "number", "title", "scale")


def read_spec(path: str | os.PathLike) -> dict[str, Any]:
    """Read and check the description of an artifact. Raises InputError naming everything that is wrong with it."""
    try:
        spec = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no file {path}: give the JSON description of a figure or table") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}): give the description of a figure or table") from None
    if not isinstance(spec, dict):
        raise InputError(f"{path} must hold one JSON mapping that describes a figure or table")
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
        raise InputError.together(f"{path} does not describe a figure or table", problems)
    return spec


def _table_problems(spec: Mapping[str, Any]) -> list[str]:
    problems = panels.problems(spec["table"], 1, kinds=("summary",))
    if not problems and "reported" not in spec and any("reported" in row for row in spec["table"]["rows"]):
        problems.append("reported is missing: give the path of the paper's reported.csv")
    return problems


def heading(spec: Mapping[str, Any]) -> str:
    """Title, stamp and caption in Markdown, for the top of a notebook."""
    where = f", section {spec['section']}" if spec.get("section") else ""
    stamp = style.scale_stamp(spec["scale"], spec.get("data"))
    parts = [
        f"## {spec['number']}: {spec['title']}",
        f"*{spec['paper']}{where}*",
        f"> **{stamp}**" if stamp else "",
        spec.get("caption", ""),
    ]
    return "\n\n".join(filter(None, parts))
