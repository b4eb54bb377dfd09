"""A figure or table as its page shows it: what was drawn, from which trainings, and what of them is missing."""

import html
import re
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.tables import read_facts
from workflow_scripts.evidence.trained import differences
from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.artifacts import Artifact
from workflow_scripts.planning.plan import Plan
from workflow_scripts.planning.run import Run

LINKS = (
    ("values.csv", "the values (CSV)"),
    ("table.csv", "the numbers (CSV)"),
    ("figure.svg", "SVG"),
    ("figure.png", "PNG"),
    ("table.md", "Markdown"),
    ("table.tex", "LaTeX"),
    ("notebook.html", "the notebook that drew it"),
    ("notebook.ipynb", "the notebook, to be run again"),
)


def page(artifact: Artifact, plan: Plan, claims: list[dict]) -> dict:
    """What the template of an artifact's page is given; `files` and links start from that page."""
    spec = artifact.spec
    folder = plan.paths.artifact(plan.scale.name, spec["paper"], artifact.name)
    files = f"../../artifacts/{spec['paper']}/{artifact.name}"
    drawn = [name for name, _ in LINKS if (folder / name).exists()]
    runs = {run.id: run for run in [*artifact.runs, *(run for each in artifact.analyses for run in each.runs)]}
    return {
        "id": artifact.id,
        "name": artifact.name,
        "folder": folder,
        "files": files,
        **{key: spec[key] for key in ("number", "title", "section")},
        "kinds": [panel["kind"] for panel in [*spec.get("panels", []), *([spec["table"]] if "table" in spec else [])]],
        "caption": spec.get("caption", ""),
        "sensitivity": artifact.sensitivity,
        "drawn": drawn,
        "picture": "figure.png" in drawn,
        "width": _width(folder / "figure.png") if "figure.png" in drawn else 0,
        **_table(folder / "table.html", f"{spec['number']}: {spec['title']}.", spec.get("caption", "")),
        "links": [{"text": text, "target": f"{files}/{name}"} for name, text in LINKS if name in drawn],
        "claims": [claim for claim in claims if artifact.id in claim["shown_in"]],
        "trained": differences(Sources(names=spec.get("names"), runs=spec.get("runs"))),
        "shows_ours": any(table.exists() for table in _tables_of(artifact, plan)),
        "runs": _trainings(list(runs.values()), plan),
        "analyses": [_analysis(each, plan) for each in artifact.analyses],
        "missing": ", ".join(_missing(list(runs.values()), artifact.analyses, plan)),
    }


def _tables_of(artifact: Artifact, plan: Plan) -> list[Path]:
    """The tables that are drawn: metrics of runs, and what analyses of runs made."""
    analyses = [plan.paths.tables(each.kind, each.id)["table"] for each in artifact.analyses]
    return [*(plan.paths.metrics(run.id) for run in artifact.runs), *map(Path, analyses)]


def recipes(artifact: Artifact) -> Mapping[str, dict]:
    """The recipes of everything behind an artifact, by the site's path of each."""
    runs = [*artifact.runs, *(run for each in artifact.analyses for run in each.runs)]
    return {_recipe(each): dict(each.recipe) for each in [*runs, *artifact.analyses]}


def _recipe(of: Run | Analysis) -> str:
    return f"recipes/{of.id}.json"


def _width(picture: Path) -> int:
    """Of a PNG, in CSS pixels: the pictures have 144 dots to the inch, a screen 96."""
    with picture.open("rb") as file:
        return round(struct.unpack(">I", file.read(20)[16:])[0] * 96 / 144)


def _table(path: Path, *said: str) -> dict[str, str]:
    """A table and what stands above it, less what its page has said, and less the style that it has when alone."""
    if not path.exists():
        return {"table": "", "above": ""}
    found = re.search(r"<table.*</table>", path.read_text(encoding="utf-8"), re.DOTALL)
    if found is None:
        raise InputError(f"{path} holds no table; draw it anew")
    table = re.sub(r"<table[^>]*>", "<table>", found.group(0), count=1)
    table = re.sub(r"\n\s*\n", "\n", table)  # Markdown takes a blank line for the end of the table
    above = re.search(r"<caption>(.*)</caption>\s*", table, re.DOTALL)
    if above is None:
        return {"table": table, "above": ""}
    words = above.group(1)
    for sentence in said:
        words = words.removeprefix(html.escape(sentence)).lstrip()
    return {"table": table.replace(above.group(0), ""), "above": words}


@cache
def facts(table: Path) -> tuple[str, dict]:
    """State and provenance of a tidy table; "not run" where nobody has made it."""
    if not table.exists():
        return "not run", {}
    status, made = read_facts(table)
    return status["state"], made


def _trainings(runs: list[Run], plan: Plan) -> list[dict]:
    """A line for each declaration, which stands for all its trials."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.name.partition("/")[0], []).append(run)
    return [_training(name, trials, plan) for name, trials in by_name.items()]


def _training(name: str, trials: list[Run], plan: Plan) -> dict:
    recipe = trials[0].recipe
    found = [facts(plan.paths.metrics(run.id)) for run in trials]
    states = [state for state, _ in found]
    counted = [f"{states.count(state)} {state}" for state in ("finished", "diverged", "not run") if state in states]
    seconds = [made["seconds"] for _, made in found if "seconds" in made]
    return {
        "name": name.replace("_", " "),
        "recipe": _recipe(trials[0]),
        "model": _in_words(recipe.get("model", {})),
        "data": recipe["data"],
        "epochs": f"{recipe['epochs']} × {_epoch(recipe)}",
        "batch": recipe.get("batch_size") or f"{recipe['batch_tokens']} tokens",
        "schedule": _in_words(recipe.get("schedule", {})),
        "trials": ", ".join(counted),
        "seconds": f"{sum(seconds) / len(seconds):.0f}" if seconds else "",
        **_made(found),
    }


def _epoch(recipe: Mapping) -> str:
    """What an epoch has: images, or updates on text."""
    return recipe.get("samples_per_epoch") or f"{recipe['updates_per_epoch']} updates"


def _in_words(part: dict) -> str:
    """A name and its options: "step (lr 0.01, factor 0.2, milestones 60 150)"."""
    options = (
        f"{key} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in part.items()
        if key != "name"
    )
    listed = ", ".join(options)
    return f"{part.get('name', '')}{f' ({listed})' if listed else ''}"


def _analysis(analysis: Analysis, plan: Plan) -> dict:
    found = facts(Path(plan.paths.tables(analysis.kind, analysis.id)["table"]))
    return {
        "kind": analysis.kind.replace("_", " "),
        "name": analysis.name.partition("/")[2].replace("_", " "),
        "recipe": _recipe(analysis),
        "of": ", ".join(dict.fromkeys(run.name.partition("/")[0].replace("_", " ") for run in analysis.runs)),
        "state": found[0],
        **_made([found]),
    }


def _made(found: list[tuple[str, dict]]) -> dict[str, str]:
    """Devices and commits, each once."""
    made = [made for _, made in found if made]
    commits = dict.fromkeys(each["git"]["commit"][:10] for each in made)
    devices = dict.fromkeys(each.get("device") or "unknown" for each in made)
    return {"device": ", ".join(devices), "commit": ", ".join(commits)}


def _missing(runs: list[Run], analyses: list[Analysis], plan: Plan) -> list[str]:
    """Runs and analyses that nobody has made; of several trials, how many."""
    asked: dict[str, list[bool]] = {}
    for run in runs:
        asked.setdefault(run.name.partition("/")[0], []).append(plan.paths.metrics(run.id).exists())
    gone = [
        name.replace("_", " ") + ("" if not any(there) else f" ({there.count(False)} of {len(there)})")
        for name, there in asked.items()
        if not all(there)
    ]
    return gone + [
        f"{each.kind.replace('_', ' ')} {each.name.partition('/')[2].replace('_', ' ')}"
        for each in analyses
        if not Path(plan.paths.tables(each.kind, each.id)["table"]).exists()
    ]
