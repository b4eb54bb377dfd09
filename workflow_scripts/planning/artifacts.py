"""From artifact declarations to the specification that a notebook draws: references become paths of tidy tables."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from workflow_scripts.models import names as model_names
from workflow_scripts.planning.analyses import AnalysisResolver
from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.declarations import PaperDeclaration
from workflow_scripts.planning.kinds import KINDS, OF_TRIALS
from workflow_scripts.planning.paths import Paths
from workflow_scripts.planning.run import Run
from workflow_scripts.planning.runs import RunResolver
from workflow_scripts.plotting import panels, tables

UNKNOWN = "unknown"  # stands for a run or analysis that has been reported as missing, so that no panel complains again


@dataclass(frozen=True)
class Artifact:
    """A figure or table of a paper.

    spec : what the notebook is given: title, caption, panels or rows, with the paths of their tables.
    sensitivity : an addition to the paper, drawn when it is asked for by name and not among all.
    """

    name: str
    spec: dict
    runs: list[Run]
    analyses: list[Analysis]
    sensitivity: bool

    @property
    def id(self) -> str:
        return f"{self.spec['paper']}_{self.name}"

    @property
    def template(self) -> str:
        return self.spec["template"]


class ArtifactResolver:
    """Resolves the artifacts of one paper."""

    def __init__(self, paper: PaperDeclaration, runs: RunResolver, analyses: AnalysisResolver, paths: Paths):
        self.paper, self.runs, self.analyses, self.paths = paper, runs, analyses, paths
        self.problems: list[str] = []

    def resolve_all(self) -> list[Artifact]:
        return [self.resolve(name) for name in self.paper.artifacts["artifacts"]]

    def resolve(self, name: str) -> Artifact:
        """One artifact, with everything that it draws."""
        declared, scale = dict(self.paper.artifacts["artifacts"][name]), self.runs.scale.name
        where = f"papers/{self.paper.name}/artifacts.yaml: {name}"
        self._shown: dict[str, int] = {}
        used_runs: dict[str, Run] = {}
        used_analyses: dict[str, Analysis] = {}
        sensitivity = declared.pop("sensitivity", False)
        body = self._resolve_references(declared, where, used_runs, used_analyses)
        data = sorted({run.recipe["data"] for run in used_runs.values()} | {a.data for a in used_analyses.values()})
        spec = {
            "id": f"{self.paper.name}_{name}",
            "paper": self.paper.name,
            "paper_title": self.paper.paper["title"],
            "scale": scale,
            "data": ", ".join(data),
            **body,
        }
        named = {run.id: run.name for run in used_runs.values()}
        for analysis in used_analyses.values():
            named |= {run.id: run.name for run in analysis.runs}
            named.update({end["run"]: end["name"] for end in analysis.recipe.get("runs", [])})
        spec["names"] = {id: name.replace("_", " ") for id, name in named.items()}
        of_analyses = {run.id: run for analysis in used_analyses.values() for run in analysis.measured}
        spec["runs"] = {id: self._described(run) for id, run in (used_runs | of_analyses).items()}
        swept = {each.id: each for each in used_analyses.values() if each.like}  # a range test is a training itself
        spec["runs"] |= {id: self._described(each.like) | self._table_of(each) for id, each in swept.items()}
        spec["mark"] = self._mark(scale)
        self._check(spec, where)
        return Artifact(name, spec, list(used_runs.values()), list(used_analyses.values()), sensitivity)

    def _described(self, run: Run) -> dict:
        """Where the metrics of a run are, and what the paper says of it: what was trained may differ from that."""
        batch = "batch_tokens" if "batch_tokens" in run.recipe else "batch_size"
        declared = {key: run.declared[key] for key in ("data", batch, "schedule")}
        begun = run.declared.get("pretrained", "")
        if begun and "@" not in begun:
            declared["pretrained"] = begun
        of = run.begins_with.run if "@" in begun else run  # whose network it is
        declared |= {
            "model": model_names.check(model_names.as_spec(of.declared["model"])),
            "trials": self._shown.get(run.setting, 1),
        }
        return {"table": str(self.paths.metrics(run.id)), "setting": run.setting, "declared": declared}

    def _table_of(self, swept: Analysis) -> dict:
        return {"table": self.paths.tables(swept.kind, swept.id)["table"], "setting": swept.name}

    def _mark(self, scale: str) -> str:
        """What every picture of a scale says of it; nothing at the papers' own."""
        mark = self.runs.scale.declared.get("mark", "")
        return mark if mark or scale == "paper" else f"{scale.upper()}: not the paper's scale"

    def _show(self, runs: list[Run], trials: int | None) -> None:
        """Note how many trials of a setting the paper has where these runs are shown."""
        for run in runs:
            declared = run.declared.get("trials", 1)
            shown = min(trials or declared, declared)
            self._shown[run.setting] = max(shown, self._shown.get(run.setting, 1))

    def _resolve_references(self, node, where: str, runs: dict, analyses: dict):
        if isinstance(node, list):
            return [self._resolve_references(item, where, runs, analyses) for item in node]
        if not isinstance(node, dict):
            return node
        resolved = {}
        for key, value in node.items():
            if key in ("run", "runs"):
                found = self.runs.first(value, node.get("trials"), where)
                runs.update({run.id: run for run in found})
                self._show(found, 1 if key == "run" else node.get("trials"))
                tables = [str(self.paths.metrics(run.id)) for run in found] or [UNKNOWN]
                resolved.update({"table": tables[0]} if key == "run" else {"tables": tables})
            elif key in OF_TRIALS and isinstance(value, str):
                resolved[key] = self._measured(key, value, node.get("trials"), where, analyses)
            elif key == "trials":
                continue
            elif key == "digitised":
                resolved[key] = {"file": self._paper_file("reported_histograms.csv"), "figure": value}
            elif key == "papers_minimum":
                resolved[key] = {"file": self._paper_file("reported.csv"), "key": value}
            elif key in KINDS and isinstance(value, str):
                resolved.update(self._tables(key, value, where, analyses))
                if key == "curve" and "epoch" in node and node.get("path") != "segment":
                    self._check_epoch(value, node["epoch"], where)
            elif key == "minus":
                resolved["minus"] = self._tables("similarity", str(value), where, analyses)["table"]
            else:
                resolved[key] = self._resolve_references(value, where, runs, analyses)
        return resolved

    def _tables(self, kind: str, name: str, where: str, analyses: dict) -> dict[str, str]:
        analysis = self.analyses.find(kind, name, where)
        if analysis is None:
            return self.paths.tables(kind, UNKNOWN)
        analyses[analysis.id] = analysis
        return self.paths.tables(kind, analysis.id)

    def _measured(self, kind: str, name: str, trials: int | None, where: str, analyses: dict) -> dict:
        """The table of an analysis that measures trials, and the first `trials` of its runs; of name/2 the second."""
        name, _, trial = name.partition("/")
        table = self._tables(kind, name, where, analyses)["table"]
        analysis = self.analyses.find(kind, name, where)
        measured = slice(int(trial) - 1, int(trial)) if trial else slice(trials)
        self._show(analysis.runs if analysis else [], trials)
        runs = [end["run"] for end in analysis.recipe["runs"]] if analysis else [UNKNOWN]
        return {"table": table, "runs": runs[measured]}

    def _paper_file(self, name: str) -> str:
        return os.path.relpath(self.paper.folder / name)

    def _check_epoch(self, curve: str, epoch: object, where: str) -> None:
        """A figure can show a curve at the epochs at which its bends are saved."""
        analysis = self.analyses.find("curve", curve, where)
        if analysis is not None and epoch not in analysis.recipe["save"]:
            saved = ", ".join(map(str, analysis.recipe["save"]))
            self.problems.append(f"{where} shows epoch {epoch} of the curve {curve!r}; saved are {saved}")

    def _check(self, spec: dict, where: str) -> None:
        """What the panels' schema finds, and reported values that the paper does not print."""
        found = [
            problem
            for number, panel in enumerate(spec.get("panels", []), 1)
            for problem in panels.problems(panel, number)
        ]
        printed = [panel["papers_minimum"]["key"] for panel in spec.get("panels", []) if "papers_minimum" in panel]
        found += self._keys_not_printed(printed)
        if "table" in spec:
            spec["reported"] = self._paper_file("reported.csv")
            table = spec["table"]
            found += panels.problems(table, 1, kinds=tables.KINDS) or self._not_printed(table)
        self.problems += [f"{where}: {problem}" for problem in found]

    def _not_printed(self, table: dict) -> list[str]:
        """Reported values that a table names and the paper does not print."""
        printed = self.paper.reported
        if table["kind"] != "paper_table":
            return self._keys_not_printed(key for row in table["rows"] for key in row.get("reported", {}).values())
        id = table["reported"]
        known = {
            "row": {row for name, row, _ in printed if name == id},
            "column": {c for name, _, c in printed if name == id},
        }
        asked = [("row", row["key"]) for row in table["rows"]]
        asked += [("column", column["key"]) for column in table["columns"] if column.get("reported", True)]
        return [
            f"reported.csv has no {what} {key!r} of {id!r}; it has {', '.join(sorted(known[what])) or 'nothing'}"
            for what, key in asked
            if key not in known[what]
        ]

    def _keys_not_printed(self, keys: Iterable[list[str]]) -> list[str]:
        return [
            f"reported.csv has no id, row and column {', '.join(key)}"
            for key in keys
            if tuple(key) not in self.paper.reported
        ]
