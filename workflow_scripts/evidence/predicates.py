"""The kinds of judgement that a claim may ask for. Each makes one effect of its operands (see operands.py).

difference    `of` minus `minus`, of the means, in the quantity's unit
ratio         `of` over `to`, of the means; with `deviations: true` of the mean absolute deviations from the median
trend         Kendall's tau `over` settings, each with trials `at` a number; or `along` a path, or a network's layers
barrier       how far the path `along` rises above its higher end in loss, or falls below its lower end in accuracy
equivalence   as a difference (`minus`) or ratio (`to`), which is to stay within `threshold`
count         how many of the judgements `among` have an effect beyond their own threshold; or the share of the trials
              `of` that are better than the mean of `beyond`, at least `least` of them

`expected` is the direction, above or below (of a trend: increase or decrease). From `threshold` on the effect supports
the claim; from `contradicted` on, which is the same where it is not named, it speaks against it. How trials and their
number decide is described in verdicts.py.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from workflow_scripts.evidence import effects
from workflow_scripts.evidence.effects import Effect
from workflow_scripts.evidence.operands import Reading, diagonal, path, read
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.verdicts import NOT_RUN, UNDECIDED, Finding, Rule

DIRECTIONS = {"increase": "above", "decrease": "below"}
Judgement = Mapping[str, Any]


def find(judge: Judgement | None, needs: int, tables: Sources) -> Finding:
    """What the tables say of a claim; not run where nobody has declared, or made, what it is judged from."""
    if judge is None:
        return Finding(None, verdict=NOT_RUN, note="not declared")
    return _FIND[judge["kind"]](judge, needs, tables)


def rule(judge: Judgement, needs: int) -> Rule:
    """What a judgement expects of its effect."""
    return Rule(
        DIRECTIONS.get(judge["expected"], judge["expected"]),
        judge["threshold"],
        judge.get("contradicted", judge["threshold"]),
        needs,
        judge["kind"] == "ratio" or "to" in judge,
    )


def _two_sided(judge: Judgement, needs: int, tables: Sources) -> Finding:
    """Differences, ratios and equivalences."""
    other = "to" if "to" in judge else "minus"
    readings = [read(judge[key], tables) for key in ("of", other)]
    if other == "minus":
        return _judged(judge, needs, readings, effects.difference)
    return _judged(judge, needs, readings, lambda *both: effects.ratio(*both, judge.get("deviations", False)))


def _trend(judge: Judgement, needs: int, tables: Sources) -> Finding:
    if "along" in judge:
        return _along(judge, needs, tables, effects.monotone)
    settings = [item["at"] for item in judge["over"]]
    readings = [read(item["of"], tables) for item in judge["over"]]
    return _judged(judge, needs, readings, lambda *samples: effects.trend(dict(zip(settings, samples, strict=True))))


def _barrier(judge: Judgement, needs: int, tables: Sources) -> Finding:
    return _along(judge, needs, tables, lambda values: effects.barrier(values, judge["along"]["metric"]))


def _along(judge: Judgement, needs: int, tables: Sources, effect: Callable[..., Effect]) -> Finding:
    values, notes = (path if "curve" in judge["along"] else diagonal)(judge["along"], tables)
    if values is None:
        return Finding(None, verdict=NOT_RUN)
    if not len(values):
        return Finding(Effect(math.nan, 0), verdict=UNDECIDED, note="; ".join(notes))
    return rule(judge, needs).find(effect(values))


def _count(judge: Judgement, needs: int, tables: Sources) -> Finding:
    if "among" in judge:
        return _count_among(judge, needs, tables)
    of, beyond = (read(judge[key], tables) for key in ("of", "beyond"))
    sign = _sign(judge["of"])
    bar = beyond.sample.mean
    found = sum(sign * value > sign * bar for value in of.sample.values)

    def effect(*samples: effects.Sample) -> Effect:
        return replace(effects.share(found, len(of.sample.values)), n=int(min(sample.n for sample in samples)))

    finding = _judged(judge, needs, [of, beyond], effect)
    if found < judge.get("least", 0) and not finding.verdict and finding.supports < finding.contradicts:
        shortage = f"{found} of {len(of.sample.values)} found, {judge['least']} needed"
        return Finding(finding.effect, verdict=UNDECIDED, note="; ".join(filter(None, [shortage, finding.note])))
    return finding


def _count_among(judge: Judgement, needs: int, tables: Sources) -> Finding:
    """Bounds of a count of which some members are unknown: what holds at both bounds holds."""
    members = [find(each, 1, tables) for each in judge["among"]]
    if all(member.verdict == NOT_RUN for member in members):
        return Finding(None, verdict=NOT_RUN)
    values = [math.nan if member.effect is None else member.effect.value for member in members]
    known = [not math.isnan(value) for value in values]
    met = [_meets(each, value) for each, value in zip(judge["among"], values, strict=True)]
    least, open_ = sum(met), known.count(False)
    n = min(member.effect.n for member, is_known in zip(members, known, strict=True) if is_known) if any(known) else 0
    note = "; ".join(dict.fromkeys(filter(None, [f"{open_} of {len(known)} unknown" if open_ else ""] + [
        member.note for member, is_known in zip(members, known, strict=True) if not is_known])))  # fmt: skip
    judged = rule(judge, needs)
    bounds = {judged.find(Effect(float(count), n), note).verdict for count in range(least, least + open_ + 1)}
    verdict = bounds.pop() if len(bounds) == 1 else UNDECIDED
    if n < needs:
        note = "; ".join(filter(None, [f"{n} of at least {needs} trials", note]))
    return Finding(Effect(float(least), n), verdict=verdict, note=note)


def _meets(judge: Judgement, value: float) -> bool:
    """Whether a member's effect is beyond its own threshold."""
    if math.isnan(value):
        return False
    above = DIRECTIONS.get(judge["expected"], judge["expected"]) == "above"
    return value >= judge["threshold"] if above else value <= judge["threshold"]


def _judged(judge: Judgement, needs: int, readings: list[Reading], effect: Callable[..., Effect]) -> Finding:
    """The finding of an effect of these readings, if all of them hold something."""
    note = "; ".join(dict.fromkeys(note for reading in readings for note in reading.notes))
    if any(reading.not_run for reading in readings):
        return Finding(None, verdict=NOT_RUN)
    if any(reading.sample.n == 0 for reading in readings):
        return Finding(Effect(math.nan, 0), verdict=UNDECIDED, note=note)
    return rule(judge, needs).find(effect(*(reading.sample for reading in readings)), note)


def _sign(operand: Mapping[str, Any]) -> int:
    """1 where more is better, -1 where less is."""
    from workflow_scripts.evidence.quantities import QUANTITIES

    if "digitised" in operand:
        return 1
    return 1 if QUANTITIES[operand["quantity"]].better == "max" else -1


_FIND = {
    "difference": _two_sided,
    "ratio": _two_sided,
    "equivalence": _two_sided,
    "trend": _trend,
    "barrier": _barrier,
    "count": _count,
}
