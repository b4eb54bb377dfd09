"""Verdicts: what an effect says of a claim, with tests corrected for their number.

supported       the effect lies beyond `threshold` in the expected direction
contradicted    it lies beyond `contradicted` in the other one
undecided       neither can be said: too few trials, too small an effect, something diverged
not run         nobody has made the tables yet
not evidence    the scale is for trying things out

Where trials tell how far an effect can be trusted, "lies beyond" means that a test says so, at 5 % for all tested
claims together (Holm, 1979). An effect of single runs is compared with the thresholds as it stands, and its n is 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workflow_scripts.evidence.effects import Effect
from workflow_scripts.evidence.tables import VERDICTS

SUPPORTED, CONTRADICTED, UNDECIDED, NOT_RUN, NOT_EVIDENCE = VERDICTS
LEVEL = 0.05
NAN = float("nan")


@dataclass(frozen=True)
class Finding:
    """What was found of a claim before the number of tests is taken into account.

    effect : None where nothing was run. supports, contradicts : one-sided p of either; nan where nothing is tested.
    p : two-sided. verdict : of what needs no test; "" where the test decides. note : what is missing, in words.
    """

    effect: Effect | None
    supports: float = NAN
    contradicts: float = NAN
    verdict: str = ""
    note: str = ""

    @property
    def p(self) -> float:
        return NAN if self.verdict else min(1.0, 2 * min(self.supports, self.contradicts))


@dataclass(frozen=True)
class Rule:
    """What a claim expects of its effect.

    expected : "above", "below", or "within", which is -threshold to threshold, of a ratio 1/threshold to threshold.
    needs : the least number of trials of a setting.
    """

    expected: str
    threshold: float
    contradicted: float
    needs: int = 1
    of_ratio: bool = False

    def find(self, effect: Effect, note: str = "") -> Finding:
        """What the effect says."""
        if math.isnan(effect.value):
            return Finding(effect, verdict=UNDECIDED, note=note)
        if effect.n < self.needs:
            shortage = f"{effect.n} of at least {self.needs} trials"
            return Finding(effect, verdict=UNDECIDED, note="; ".join(filter(None, [shortage, note])))
        if not effect.tested:
            return Finding(effect, verdict=self._untested(effect.value), note=note)
        supports, contradicts = self._tests(effect)
        if math.isnan(supports) or math.isnan(contradicts):
            return Finding(effect, verdict=UNDECIDED, note="; ".join(filter(None, ["nothing varies", note])))
        return Finding(effect, supports, contradicts, note=note)

    def _untested(self, value: float) -> str:
        low, high = self._margins
        match self.expected:
            case "within":
                return SUPPORTED if low <= value <= high else CONTRADICTED
            case "above":
                supported, against = value >= self.threshold, value <= self.contradicted
            case "below":
                supported, against = value <= self.threshold, value >= self.contradicted
        return SUPPORTED if supported else CONTRADICTED if against else UNDECIDED

    def _tests(self, effect: Effect) -> tuple[float, float]:
        """One-sided p for and against; within a margin, two one-sided tests (Schuirmann, 1987)."""
        low, high = self._margins
        match self.expected:
            case "within":
                outside = min(effect.p_above(high), effect.p_below(low))
                return max(effect.p_above(low), effect.p_below(high)), outside
            case "above":
                return effect.p_above(self.threshold), effect.p_below(self.contradicted)
            case "below":
                return effect.p_below(self.threshold), effect.p_above(self.contradicted)

    @property
    def _margins(self) -> tuple[float, float]:
        return (1 / self.threshold if self.of_ratio else -self.threshold, self.threshold)


def decide(findings: Sequence[Finding], evidence: bool = True) -> list[tuple[str, float]]:
    """The verdict and the corrected p of each finding; nan where nothing was tested.

    Parameters
    ----------
    evidence : whether the scale counts as evidence; if not, what was run is "not evidence".
    """
    corrected = holm([finding.p for finding in findings])
    verdicts = []
    for finding, p in zip(findings, corrected, strict=True):
        verdict = finding.verdict or UNDECIDED
        if p < LEVEL:
            verdict = SUPPORTED if finding.supports < finding.contradicts else CONTRADICTED
        verdicts.append((verdict if evidence or verdict == NOT_RUN else NOT_EVIDENCE, p))
    return verdicts


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm, 1979); those that are nan are no tests and stay."""
    made = [index for index, value in enumerate(p) if not math.isnan(value)]
    corrected = list(p)
    if len(made) > 1:
        from statsmodels.stats.multitest import multipletests  # a second of import, which one test need not pay

        adjusted = multipletests([p[index] for index in made], LEVEL, "holm")[1]
        for index, value in zip(made, adjusted, strict=True):
            corrected[index] = float(value)
    return corrected
