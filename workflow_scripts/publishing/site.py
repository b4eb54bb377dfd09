"""Write the pages of the site as Markdown and have Sphinx make HTML of them.

Pages are filled-in templates (docs/site/templates). What is not made here, pictures, values, notebooks and recipes, is
copied as it is beside the pages that link to it, so the whole folder can be moved, and read without a network.
"""

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import jinja2

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import whole_directory
from workflow_scripts.bookkeeping.archive import NO_GAPS, read_manifest
from workflow_scripts.evidence.provenance import git
from workflow_scripts.planning.plan import Plan
from workflow_scripts.plotting import panels, tables
from workflow_scripts.publishing import artifacts, claims
from workflow_scripts.recipes.schema import read_yaml

LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|$])")
IN_TEXT = "In-text result"  # the number of what the papers tell in their text alone


def build(plan: Plan, root: Path, out: Path) -> str:
    """Make the site in the folder `out`, which then holds nothing else; what Sphinx warned of.

    Raises
    ------
    InputError : Sphinx cannot make it; with its own words.
    """
    with tempfile.TemporaryDirectory(prefix="site-") as place, whole_directory(out) as made:
        source = Path(place) / "source"
        shutil.copytree(root / "docs" / "site", source, ignore=shutil.ignore_patterns("templates"))
        (source / "extra").mkdir()
        _write_pages(plan, root, source)
        warnings = _sphinx(source, made, Path(place) / "doctrees")
        for leftover in (".buildinfo", "objects.inv"):
            (made / leftover).unlink(missing_ok=True)
    return warnings


def _sphinx(source: Path, made: Path, doctrees: Path) -> str:
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError

    warnings = StringIO()
    try:
        application = Sphinx(source, source, made, doctrees, "html", status=None, warning=warnings)
        application.build()
    except SphinxError as error:
        raise InputError(f"Sphinx cannot make the site: {error}") from None
    return warnings.getvalue().replace(f"{source}/", "")


def _write_pages(plan: Plan, root: Path, source: Path) -> None:
    """Everything that Sphinx is given."""
    pages = Pages(source, _environment(root), _mark(plan))
    judged = claims.read(plan, plan.paths.verdicts(plan.scale.name))
    papers = [_paper(name, plan, root, judged) for name in plan.titles]
    drawn = {page["id"]: {**page, "of": paper["name"]} for paper in papers for page in paper["artifacts"]}
    for claim in judged:
        claim["figures"] = [_figure(id, drawn) for id in claim["shown_in"]]
    for paper in papers:
        pages.write("paper", f"papers/{paper['name']}/index", paper=paper)
        for page in paper["artifacts"]:
            pages.write("artifact", f"papers/{paper['name']}/{page['name']}", artifact=page, paper=paper, root="../..")
    incomplete = [{**page, **_figure(id, drawn)} for id, page in drawn.items() if page["missing"] or not page["drawn"]]
    not_run = [claim for claim in judged if claim["verdict"] == "not run"]
    missing = {"artifacts": len(incomplete), "claims": len(not_run)}
    pages.write("verdicts", "verdicts", papers=papers)
    pages.write("missing", "missing", artifacts=incomplete, claims=not_run)
    pages.write("index", "index", papers=papers, missing=missing, **_about(plan))
    for kind, file in _code():
        shutil.copyfile(file, _made(source / "code" / f"{kind}.py"))
        title, path = f"How a {kind.replace('_', ' ')} is drawn", file.relative_to(root).as_posix()
        pages.write("code", f"code/{kind}", title=title, path=path, file=f"{kind}.py")
    pages.write("documentation", "documentation", pages=_copy_documentation(root, source))
    _copy_results(plan, source / "extra")


def _mark(plan: Plan) -> str:
    """What every picture says of the scale."""
    return next((artifact.spec.get("mark", "") for artifact in plan.artifacts.values()), "")


@dataclass(frozen=True)
class Pages:
    """Fills in templates, all of which may say the scale's stamp."""

    source: Path
    environment: jinja2.Environment
    stamp: str

    def write(self, template: str, name: str, **given: Any) -> None:
        """Write the page `name` from docs/site/templates/<template>.md.j2."""
        filled = self.environment.get_template(f"{template}.md.j2").render(stamp=self.stamp, **given)
        _made(self.source / f"{name}.md").write_text(filled, encoding="utf-8")


def _environment(root: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root / "docs" / "site" / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["markdown"] = lambda text: MARKDOWN.sub(r"\\\1", str(text))
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return environment


def _paper(name: str, plan: Plan, root: Path, judged: list[dict]) -> dict:
    """What the pages know of a paper; its artifacts in the order of its sections, as declared within one."""
    declared = read_yaml(root / "papers" / name / "paper.yaml")
    own = [claim for claim in judged if claim["of"] == name]
    pages = [
        artifacts.page(artifact, plan, own)
        for artifact in plan.artifacts.values()
        if artifact.spec["paper"] == name
    ]  # fmt: skip
    pages = [page for page in pages if page["drawn"] or not page["sensitivity"]]
    pages.sort(key=lambda page: _in_sections(page["section"]))
    numbers = Counter(page["number"] for page in pages)
    for page in pages:
        page["counts"] = claims.counts(page["claims"])
        page["label"] = page["number"] if numbers[page["number"]] == 1 and page["number"] != IN_TEXT else page["title"]
        page["links"] += [
            {"text": "the code that draws it", "target": f"../../code/{kind}.html"} for kind in page["kinds"][:1]
        ]
    pictures = [page for page in pages if page["picture"] and page["shows_ours"]]
    cover = next((page for page in pictures if not page["missing"]), next(iter(pictures), None))
    return {
        "name": name,
        "short": name,
        **{key: declared.get(key, "") for key in ("title", "authors", "venue")},
        "artifacts": pages,
        "complete": sum(bool(page["drawn"]) and not page["missing"] for page in pages),
        "all_claims": own,
        "claims": len(own),
        "counts": claims.counts(own),
        "cover": cover and f"artifacts/{name}/{cover['name']}/figure.png",
        "cover_title": cover and cover["title"],
    }


def _in_sections(section: str) -> list[tuple[int, int, str]]:
    """Sections in the order of a paper: numbers by their value, appendices after them."""
    first = re.split(r"[,\s]", section)[0]
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in first.split(".")]


def _figure(id: str, drawn: dict[str, dict]) -> dict:
    """An artifact as a claim names it; one that nobody has declared has no page."""
    if id not in drawn:
        return {"number": id.partition("_")[2].replace("_", " ").capitalize(), "page": ""}
    page = drawn[id]
    return {"number": page["number"], "page": f"papers/{page['of']}/{page['name']}.html"}


def _about(plan: Plan) -> dict:
    """What the first page says of the whole."""
    archived = plan.paths.archived
    manifest = read_manifest(plan.paths.archive) if archived else {"data": {}}
    asked = f" --config scale={plan.scale.name}{' source=archive' if archived else ''}"
    return {
        "about": "Which of the papers’ claims hold, how sure that is, and every figure and table that they rest on, "
        "drawn again from trainings of our own.",
        "source": "the tables that ship with the repository" if archived else "results of this machine",
        "command": f"snakemake --cores all site{asked}",
        "folder": plan.paths.site(plan.scale.name),
        "commit": git()["commit"][:10],
        "scale": plan.scale.name,
        "scale_about": plan.scale.declared["about"],
        "data": [
            {"name": name, "gaps": known["gaps"], "checkpoint": name in plan.scale.checkpoints}
            for name, known in manifest["data"].items()
            if known["gaps"] != NO_GAPS
        ],
    }


def _code() -> Iterator[tuple[str, Path]]:
    """The modules that draw, by the kind of panel or table."""
    for package in (panels, tables):
        for kind in package.KINDS:
            yield kind, Path(find_spec(package.module(kind).__name__).origin)


def _copy_documentation(root: Path, source: Path) -> list[str]:
    """The README and docs/*.md, with the files that they show or link to; the names of the pages."""
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for target in dict.fromkeys(LINK.findall(text)):
            file = Path(os.path.normpath(page.parent / target))
            if file in pages or not file.is_relative_to(root):
                continue
            if file.is_file():
                shutil.copyfile(file, _made(source / file.relative_to(root)))
            else:  # a folder, which is no page of a site
                text = re.sub(rf"\[([^\]]*)\]\({re.escape(target)}[^)]*\)", r"\1", text)
        _made(source / page.relative_to(root)).write_text(text, encoding="utf-8")
    return [f"docs/{page.stem}" for page in pages[1:]]


def _copy_results(plan: Plan, extra: Path) -> None:
    """Pictures, tables and notebooks, and the recipes behind them."""
    for artifact in plan.artifacts.values():
        paper = artifact.spec["paper"]
        folder = plan.paths.artifact(plan.scale.name, paper, artifact.name)
        for name, _ in artifacts.LINKS:
            if (folder / name).exists():
                shutil.copyfile(folder / name, _made(extra / "artifacts" / paper / artifact.name / name))
        for target, recipe in artifacts.recipes(artifact).items():
            _made(extra / target).write_text(json.dumps(recipe, indent=1, sort_keys=True), encoding="utf-8")


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
