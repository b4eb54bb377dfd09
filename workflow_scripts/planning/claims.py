"""From claim declarations to what is judged: references become paths of tidy tables.

A claim that is marked `when_declared` may name runs and analyses that nobody has declared yet; it then has nothing to
be judged from and is "not run".
"""

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from workflow_scripts.evidence.quantities import QUANTITIES
from workflow_scripts.evidence.shown_claims import TESTED
from workflow_scripts.planning.analyses import AnalysisResolver
from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.artifacts import UNKNOWN, Artifact
from workflow_scripts.planning.declarations import PaperDeclaration
from workflow_scripts.planning.kinds import KINDS, OF_TRIALS
from workflow_scripts.planning.paths import Paths
from workflow_scripts.planning.run import Run
from workflow_scripts.planning.runs import RunResolver

OPERANDS = ("of", "minus", "to", "beyond", "along")
REFERENCES = ("runs", "curve", "similarity", *OF_TRIALS)  # keys of an operand that name a run or an analysis


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper, made testable.

    spec : what the judge is given: id, paper, section, says, against, shown_in (identities of artifacts), needs, data,
        names of runs, `judge` with the paths of its operands' tables (None where nothing is declared), and
        `paper_judge`, the same on the paper's own numbers (None where it gives none).
    rule : kind, expected, threshold and contradicted of the judgement, and what its effect is in a word.
    """

    name: str
    spec: dict
    rule: dict
    runs: list[Run]
    analyses: list[Analysis]

    @property
    def id(self) -> str:
        return self.spec["id"]

    def shown(self, runs: set[str], analyses: set[str]) -> dict:
        """The claim as an artifact shows it that has the tables of these.

        It has its judgement where they are all that it takes; else `elsewhere` stands in place of a verdict.
        """
        enough = {run.id for run in self.runs} <= runs and {analysis.id for analysis in self.analyses} <= analyses
        elsewhere = "" if enough else "judged with other tables"
        if self.spec["needs"] > 1:
            elsewhere = TESTED
        shown = {key: self.spec[key] for key in ("id", "says", "section", "needs")}
        return {**shown, "rule": self.rule, "elsewhere": elsewhere, "judge": None if elsewhere else self.spec["judge"]}


def with_claims(artifact: Artifact, claims: Iterable[Claim], evidence: bool) -> Artifact:
    """An artifact with the claims that bear on it, and whether what is made at this scale is evidence."""
    tables = {run.id for run in artifact.runs}, {analysis.id for analysis in artifact.analyses}
    of = [claim.shown(*tables) for claim in claims if artifact.id in claim.spec["shown_in"]]
    return replace(artifact, spec=artifact.spec | {"claims": of, "evidence": evidence}) if of else artifact


class ClaimResolver:
    """Resolves the claims of one paper; problems are collected, so that all are reported together."""

    def __init__(self, paper: PaperDeclaration, runs: RunResolver, analyses: AnalysisResolver, paths: Paths):
        self.paper, self.runs, self.analyses, self.paths = paper, runs, analyses, paths
        self.problems: list[str] = []

    def resolve_all(self) -> list[Claim]:
        return [self.resolve(name) for name in self.paper.claims.get("claims", {})]

    def resolve(self, name: str) -> Claim:
        """One claim, with everything that it is judged from."""
        declared = self.paper.claims["claims"][name]
        where = f"papers/{self.paper.name}/claims.yaml: {name}"
        found: tuple[dict[str, Run], dict[str, Analysis]] = {}, {}
        awaited = declared.get("when_declared", False) and not self._is_declared(declared["judge"])
        judge = None if awaited else self._judgement(declared["judge"], where, *found)
        paper = None
        if "paper" in declared:
            paper = self._judgement({**_settings(declared["judge"]), **declared["paper"]}, f"{where}.paper", *found)
        if not awaited:
            self._check_artifacts(declared["shown_in"], where)
        self.problems += [f"{where}: {problem}" for problem in _disordered(declared["judge"])]
        runs, analyses = found
        of = [*runs.values(), *(run for analysis in analyses.values() for run in analysis.runs)]
        spec = {
            "id": f"{self.paper.name}/{name}",
            "paper": self.paper.name,
            **{key: declared[key] for key in ("section", "says", "against")},
            "shown_in": [f"{self.paper.name}_{artifact}" for artifact in declared["shown_in"]],
            "needs": declared.get("needs", 1),
            "data": ", ".join(sorted({run.recipe["data"] for run in of})),
            "names": {run.id: run.name.replace("_", " ") for run in of},
            "judge": judge,
            "paper_judge": paper,
        }
        rule = {key: declared["judge"][key] for key in ("kind", "expected", "threshold")}
        rule["contradicted"] = declared["judge"].get("contradicted", rule["threshold"])
        rule["effect"] = _effect(declared["judge"])
        return Claim(name, spec, rule, list(runs.values()), list(analyses.values()))

    def _is_declared(self, judge: dict) -> bool:
        """Whether all runs and analyses that a judgement names are declared."""
        known = {kind: self.paper.analyses.get(KINDS[kind].plural, {}) for kind in REFERENCES if kind != "runs"}
        known["runs"] = self.runs.names
        return all(
            str(operand[key]).partition("/")[0] in known[key]
            for operand in _operands(judge)
            for key in REFERENCES
            if key in operand
        )

    def _judgement(self, judge: dict, where: str, runs: dict, analyses: dict) -> dict:
        """The judgement with its operands resolved."""
        resolved = dict(judge)
        for key in OPERANDS:
            if key in judge:
                resolved[key] = self._operand(judge[key], f"{where}.{key}", runs, analyses)
        if "over" in judge:
            resolved["over"] = [
                {"at": item["at"], "of": self._operand(item, f"{where}.over", runs, analyses)} for item in judge["over"]
            ]
        if "among" in judge:
            resolved["among"] = [self._judgement(each, f"{where}.among", runs, analyses) for each in judge["among"]]
        return resolved

    def _operand(self, operand: dict, where: str, runs: dict, analyses: dict) -> dict:
        operand = {key: value for key, value in operand.items() if key != "at"}
        for kind in OF_TRIALS:
            if kind in operand:
                table, measured = self._table(kind, operand[kind], where, analyses)
                trials = [end["run"] for end in measured.recipe["runs"]] if measured else [UNKNOWN]
                quantity = operand.get("quantity") or _quantity_of(kind)
                return {"quantity": quantity, kind: {"table": table, "runs": trials[: operand.get("trials")]}}
        if "runs" in operand:
            return self._trials(operand, where, runs)
        if "curve" in operand:
            return self._on_curve(operand, where, analyses)
        if "similarity" in operand:
            tables = {
                key: self._table("similarity", operand[key], where, analyses)[0]
                for key in ("similarity", "minus")
                if key in operand
            }
            return {**operand, **tables}
        if "digitised" in operand:
            return {"digitised": self._histogram(*operand["digitised"], where)}
        if "reported" in operand:
            if tuple(operand["reported"]) not in self.paper.reported:
                key = ", ".join(operand["reported"])
                self.problems.append(f"{where}: reported.csv has no id, row and column {key}")
            return {"reported": {"file": self._file("reported.csv"), "key": operand["reported"]}}
        return operand

    def _trials(self, operand: dict, where: str, runs: dict) -> dict:
        found = self.runs.first(operand["runs"], operand.get("trials"), where)
        runs.update({run.id: run for run in found})
        if operand["quantity"] not in QUANTITIES:
            allowed = ", ".join(QUANTITIES)
            self.problems.append(f"{where} names the quantity {operand['quantity']!r}; allowed are {allowed}")
        for run in found[:1]:
            if max(operand.get("epochs", [0])) > run.recipe["epochs"]:
                self.problems.append(
                    f"{where}: epochs are {operand['epochs']}; the run ends after {run.recipe['epochs']}"
                )
        settings = {key: value for key, value in operand.items() if key not in ("runs", "trials")}
        return {**settings, "tables": [str(self.paths.metrics(run.id)) for run in found] or [UNKNOWN]}

    def _on_curve(self, operand: dict, where: str, analyses: dict) -> dict:
        table, curve = self._table("curve", operand["curve"], where, analyses)
        epoch = operand.get("epoch", 0)
        if curve is not None and operand["path"] == "curve" and epoch not in curve.recipe["save"]:
            saved = ", ".join(map(str, curve.recipe["save"]))
            self.problems.append(f"{where} is at epoch {epoch} of the curve {operand['curve']!r}; saved are {saved}")
        return {**operand, "curve": table, "epoch": epoch}

    def _table(self, kind: str, name: str, where: str, analyses: dict) -> tuple[str, Analysis | None]:
        analysis = self.analyses.find(kind, name, where)
        if analysis is None:
            return UNKNOWN, None
        analyses[analysis.id] = analysis
        return self.paths.tables(kind, analysis.id)["table"], analysis

    def _histogram(self, figure: str, setting: float, where: str) -> dict:
        path = self.paper.folder / "reported_histograms.csv"
        if (figure, setting) not in _histograms(path):
            self.problems.append(f"{where}: reported_histograms.csv has no histogram of {figure} at {setting:g}")
        return {"file": self._file(path.name), "figure": figure, "setting": setting}

    def _file(self, name: str) -> str:
        return os.path.relpath(self.paper.folder / name)

    def _check_artifacts(self, names: list[str], where: str) -> None:
        known = self.paper.artifacts["artifacts"]
        for name in names:
            if name not in known:
                self.problems.append(f"{where}: shown_in names {name!r}; allowed are {', '.join(known)}")


def _effect(judge: dict) -> str:
    """What a judgement's effect is, in a word."""
    if "to" in judge:
        return "ratio"
    if "beyond" in judge:
        return "share"
    return {"trend": "τ", "barrier": "height", "equivalence": "difference"}.get(judge["kind"], judge["kind"])


def _settings(judge: dict) -> dict:
    """A judgement without its operands."""
    return {key: value for key, value in judge.items() if key not in (*OPERANDS, "over", "among")}


def _operands(judge: dict) -> Iterator[dict]:
    yield from (judge[key] for key in OPERANDS if key in judge)
    yield from judge.get("over", [])
    for each in judge.get("among", []):
        yield from _operands(each)


def _quantity_of(kind: str) -> str:
    """Of the one quantity that an analysis of trials gives."""
    return next(name for name, quantity in QUANTITIES.items() if quantity.kind == kind)


def _histograms(path: Path) -> set[tuple[str, float]]:
    if not path.exists():
        return set()
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["figure"], float(row["setting"])) for row in csv.DictReader(file)}


def _disordered(judge: dict) -> Iterator[str]:
    """Where the threshold against a claim lies on the side that supports it."""
    threshold, against = judge["threshold"], judge.get("contradicted", judge["threshold"])
    upwards = judge["expected"] in ("above", "increase")
    if judge["expected"] != "within" and (against > threshold if upwards else against < threshold):
        yield (
            f"contradicted is {against:g} and threshold {threshold:g}, but what is expected to be "
            f"{judge['expected']} is contradicted on the other side of the threshold"
        )
    if "over" in judge and {threshold, against} != {0}:
        yield f"threshold is {threshold:g}, but a trend over trials is tested against 0"
    for each in judge.get("among", []):
        yield from _disordered(each)
