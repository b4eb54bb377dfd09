"""What tables and histograms show of the trials of a setting, and where in the tidy tables it stands."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workflow_scripts.evidence.metrics import METRICS

if TYPE_CHECKING:
    from workflow_scripts.evidence.sources import Sources


@dataclass(frozen=True)
class Quantity:
    """One number of a trial.

    label : with its unit. better : "max" or "min". kind : of the tidy tables that hold it; of a "metrics" table it is
    the value of (metric, split) after the last epoch, of another the column `column`; none where no run of ours is
    measured by it, so that there are only the paper's numbers. decimals : usually shown.
    """

    label: str
    better: str
    kind: str = ""
    column: str = "value"
    where: Mapping[str, str] = field(default_factory=dict)
    decimals: int = 2


def _of_metric(name: str, split: str) -> Quantity:
    metric = METRICS[name]
    where = {"metric": name, "split": split}
    return Quantity(metric.on(split), metric.direction, "metrics", where=where, decimals=metric.decimals)


QUANTITIES = {
    "accuracy": _of_metric("accuracy", "test"),
    "top5_accuracy": _of_metric("top5_accuracy", "test"),
    "train_loss": _of_metric("loss", "train"),
    "sharpness": Quantity("Sharpness (%)", "min", "sharpness", "sharpness"),
    "fisher_score": Quantity("Fisher score", "min", "fisher", "fisher_score", decimals=3),
    "train_perplexity": _of_metric("perplexity", "train"),
    "validation_perplexity": _of_metric("perplexity", "validation"),
    "bleu": Quantity(METRICS["bleu"].on("test"), METRICS["bleu"].direction, "translation", "bleu"),
    "exact_match": Quantity(METRICS["exact_match"].title, METRICS["exact_match"].direction, "answers", "exact_match"),
    "f1": Quantity(METRICS["f1"].title, METRICS["f1"].direction, "answers", "f1"),
}


@dataclass(frozen=True)
class Trials:
    """The results of a setting's trials.

    values : by fingerprint of the run. diverged, missing : how many diverged, and have not been made. divergences :
    sentences on those that diverged.
    """

    values: dict[str, float]
    diverged: int = 0
    missing: int = 0
    divergences: tuple[str, ...] = ()

    @property
    def missing_note(self) -> str:
        """Which trials have no number, in a word or two; empty where all have one."""
        if not (self.values or self.diverged or self.missing):
            return "no runs"  # none is declared
        if not self.values:
            return "diverged" if self.diverged else "not run"
        counts = {"diverged": self.diverged, "not run": self.missing}
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)

    @property
    def notes(self) -> list[str]:
        """Which trials have no number, in sentences; empty where all have one."""
        missing = ["not run" if not self.values and not self.diverged else f"{self.missing} not run"]
        return [*self.divergences, *(missing if self.missing else [])]


def trials(name: str, source: Mapping[str, Any], tables: "Sources") -> Trials:
    """The trials of a quantity of `QUANTITIES`.

    Parameters
    ----------
    source : what is known of a setting: "tables", the metrics of its runs, and by kind {"table", "runs"}, the table of
        an analysis and the fingerprints of the runs that count. Where it knows nothing of the quantity, there are none.
    """
    quantity = QUANTITIES[name]
    if quantity.kind == "metrics":
        return _last(quantity, source.get("tables", []), tables)
    measured = source.get(quantity.kind, {"table": "", "runs": []})
    if not measured["runs"]:
        return Trials({})
    found = tables.read(measured["table"], quantity.kind)
    if found is None:
        return Trials({}, missing=len(measured["runs"]))
    column = found.frame.set_index("run")[quantity.column]
    values = {run: float(column[run]) for run in measured["runs"] if run in column and math.isfinite(column[run])}
    lost = len(measured["runs"]) - len(values)
    sentence = tables.divergence(found.status) if found.diverged else f"{lost} not finite"
    return Trials(values, diverged=lost, divergences=(sentence,) if lost else ())


def _last(quantity: Quantity, paths: list[str], tables: "Sources") -> Trials:
    values, divergences, missing = {}, [], 0
    for path in paths:
        found = tables.read(path, "metrics")
        if found is None:
            missing += 1
        elif found.diverged:
            divergences.append(tables.divergence(found.status))
        else:
            rows = tables.rows(path, "metrics", **quantity.where).dropna(subset="step")
            last = rows.loc[rows["step"].idxmax()]
            values[last["run"]] = float(last["value"])
    return Trials(values, len(divergences), missing, tuple(divergences))
