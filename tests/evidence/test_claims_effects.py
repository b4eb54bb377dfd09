"""Effects against closed forms and SciPy's own tests, and verdicts by their properties."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.evidence import effects
from workflow_scripts.evidence.effects import Effect, Sample
from workflow_scripts.evidence.verdicts import (
    CONTRADICTED,
    NOT_EVIDENCE,
    NOT_RUN,
    SUPPORTED,
    UNDECIDED,
    Finding,
    Rule,
    decide,
    holm,
)

ONE, OTHER = [94.1, 94.5, 94.2, 94.9], [95.0, 95.3, 94.9, 95.2, 95.1]
numbers = st.floats(-100, 100).map(lambda number: round(number, 3))
trials = st.lists(numbers, min_size=2, max_size=12)
positive = st.lists(st.floats(0.01, 100).map(lambda number: round(number, 3)), min_size=2, max_size=12)


def verdict(effect, expected, threshold, contradicted=None, **more):
    """The verdict of a single claim."""
    rule = Rule(expected, threshold, threshold if contradicted is None else contradicted, **more)
    return decide([rule.find(effect)])[0][0]


def test_difference_is_welchs():
    effect = effects.difference(Sample.of(OTHER), Sample.of(ONE))
    reference = stats.ttest_ind(OTHER, ONE, equal_var=False)
    interval = reference.confidence_interval()
    assert effect.value == pytest.approx(np.mean(OTHER) - np.mean(ONE)) and effect.n == 4
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high))
    assert 2 * effect.p_above(0) == pytest.approx(reference.pvalue)
    shifted = stats.ttest_ind(OTHER, np.add(ONE, 0.2), equal_var=False, alternative="greater")
    assert effect.p_above(0.2) == pytest.approx(shifted.pvalue)


def test_means_and_deviations_do_for_trials():
    """What a paper prints, a mean, a deviation and a number, gives what its trials would."""
    printed = [Sample(len(each), float(np.mean(each)), float(np.std(each, ddof=1))) for each in (OTHER, ONE)]
    of_trials, of_printed = effects.difference(Sample.of(OTHER), Sample.of(ONE)), effects.difference(*printed)
    assert (of_printed.low, of_printed.high) == pytest.approx((of_trials.low, of_trials.high))


def test_one_trial_varies_as_the_others():
    """The t test of pooled variances, of which one setting has nothing to pool."""
    effect = effects.difference(Sample.of([93.0]), Sample.of(OTHER))
    mean, deviation, n = np.mean(OTHER), np.std(OTHER, ddof=1), len(OTHER)
    t = (93.0 - mean) / (deviation * math.sqrt(1 + 1 / n))
    assert effect.n == 1 and effect.p_below(0) == pytest.approx(stats.t.cdf(t, n - 1))
    swapped = effects.difference(Sample.of(OTHER), Sample.of([93.0]))
    assert swapped.p_above(0) == pytest.approx(effect.p_below(0))


def test_against_a_known_number_it_is_the_one_sample_test():
    effect = effects.difference(Sample.of(ONE), Sample.exactly(94.0))
    assert effect.p_above(0) == pytest.approx(stats.ttest_1samp(ONE, 94.0, alternative="greater").pvalue)


@pytest.mark.parametrize("samples", [([1.0], [2.0]), ([1.0], None), ([], [1.0, 2.0])])
def test_nothing_is_tested_where_nothing_tells_the_spread(samples):
    one, other = (Sample.exactly(0.5) if values is None else Sample.of(values) for values in samples)
    effect = effects.difference(one, other)
    assert not effect.tested and math.isnan(effect.low) and math.isnan(effect.high)


def test_ratio_is_exact_where_all_trials_are_in_proportion():
    effect = effects.ratio(Sample.of([2.0, 4.0, 6.0]), Sample.of([1.0, 2.0, 3.0]))
    relative = np.std([1, 2, 3], ddof=1) / 2
    half = stats.t.ppf(0.975, 4) * relative * math.sqrt(2 / 3)
    assert effect.value == pytest.approx(2)
    assert (effect.low, effect.high) == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)))
    assert effect.p_above(2) == pytest.approx(0.5) and effect.p_below(2) == pytest.approx(0.5)


def test_ratio_of_deviations_agrees_with_brown_and_forsythe():
    """Both compare the mean absolute deviations from the median."""
    chance = np.random.default_rng(1)
    narrow, wide = chance.normal(size=50), 3 * chance.normal(size=50)
    effect = effects.ratio(Sample.of(narrow), Sample.of(wide), deviations=True)
    by_hand = [np.mean(np.abs(each - np.median(each))) for each in (narrow, wide)]
    assert effect.value == pytest.approx(by_hand[0] / by_hand[1])
    assert max(effect.p_below(1), stats.levene(narrow, wide, center="median").pvalue) < 1e-6
    alike = effects.ratio(Sample.of(narrow), Sample.of(chance.normal(size=50)), deviations=True)
    assert alike.low < 1 < alike.high


@pytest.mark.parametrize("one", [[-1.0, 2.0, -3.0], [0.0, 0.0, 0.0], [math.nan, 1.0, 2.0]])
def test_a_ratio_of_what_is_not_above_zero_is_no_number(one):
    effect = effects.ratio(Sample.of(one), Sample.of([1.0, 2.0, 3.0]))
    assert math.isnan(effect.value) and verdict(effect, "above", 1.0) == UNDECIDED


def test_trend_of_what_only_rises():
    rising = effects.trend({0: Sample.of([1, 2]), 30: Sample.of([3, 4]), 60: Sample.of([5, 6])})
    by_scipy = stats.kendalltau([0, 0, 30, 30, 60, 60], [1, 2, 3, 4, 5, 6], method="asymptotic", alternative="greater")
    assert rising.value == pytest.approx(by_scipy.statistic) and rising.p_above(0) == pytest.approx(by_scipy.pvalue)
    falling = effects.trend({0: Sample.of([5, 6]), 30: Sample.of([3, 4]), 60: Sample.of([1, 2])})
    assert falling.value == -rising.value and falling.p_below(0) == pytest.approx(rising.p_above(0))


def test_along_a_path_tau_counts_pairs():
    assert effects.monotone([4.0, 3.0, 2.0, 1.0]).value == -1
    assert effects.monotone([1.0, 3.0, 2.0]).value == pytest.approx(1 / 3)
    assert math.isnan(effects.monotone([1.0, math.nan, 2.0]).value) and math.isnan(effects.monotone([1.0]).value)


@pytest.mark.parametrize(
    ("values", "metric", "height"),
    [
        ([1.0, 3.0, 2.0], "loss", 1.0),
        ([1.0, 1.5, 2.0], "loss", 0.0),
        ([90.0, 10.0, 80.0], "accuracy", 70.0),
        ([80.0, 95.0, 90.0], "accuracy", 0.0),
        ([1.0, math.nan, 2.0], "loss", math.inf),
        ([math.nan, 1.0, 2.0], "loss", math.nan),
        ([], "loss", math.nan),
    ],
)
def test_barrier_is_the_height_above_the_worse_end(values, metric, height):
    assert effects.barrier(values, metric).value == pytest.approx(height, nan_ok=True)


def test_share_is_clopper_pearsons():
    effect = effects.share(1, 50)
    assert effect.value == 0.02
    assert (effect.low, effect.high) == pytest.approx((stats.beta.ppf(0.025, 1, 50), stats.beta.ppf(0.975, 2, 49)))
    assert effect.p_below(0.5) == pytest.approx(51 / 2**50)


@pytest.mark.parametrize(
    ("value", "expected", "threshold", "contradicted", "wanted"),
    [
        (5.0, "above", 5.0, 1.0, SUPPORTED),
        (4.99, "above", 5.0, 1.0, UNDECIDED),
        (1.0, "above", 5.0, 1.0, CONTRADICTED),
        (0.05, "below", 0.05, 0.1, SUPPORTED),
        (0.07, "below", 0.05, 0.1, UNDECIDED),
        (0.1, "below", 0.05, 0.1, CONTRADICTED),
        (2.0, "within", 2.0, 2.0, SUPPORTED),
        (-2.0, "within", 2.0, 2.0, SUPPORTED),
        (-2.01, "within", 2.0, 2.0, CONTRADICTED),
        (math.inf, "above", 0.05, 0.01, SUPPORTED),
        (math.nan, "above", 5.0, 1.0, UNDECIDED),
    ],
)
def test_single_runs_are_held_against_the_thresholds(value, expected, threshold, contradicted, wanted):
    assert verdict(Effect(value, 1), expected, threshold, contradicted) == wanted


@pytest.mark.parametrize(("value", "wanted"), [(1.5, SUPPORTED), (1 / 1.5, SUPPORTED), (0.6, CONTRADICTED)])
def test_a_margin_of_a_ratio_is_a_factor(value, wanted):
    assert verdict(Effect(value, 1), "within", 1.5, of_ratio=True) == wanted


def test_equivalence_takes_two_one_sided_tests():
    tight, shifted = Sample.of(np.linspace(-0.1, 0.1, 20)), Sample.of(np.linspace(0.9, 1.1, 20))
    same = effects.difference(tight, Sample.of(np.linspace(-0.1, 0.1, 20)))
    assert verdict(same, "within", 0.5) == SUPPORTED
    assert verdict(same, "within", 0.001) == UNDECIDED
    apart = effects.difference(shifted, tight)
    assert verdict(apart, "within", 0.5) == CONTRADICTED
    assert verdict(apart, "within", apart.value) == UNDECIDED  # on the margin itself nothing can be said


def test_too_few_trials_decide_nothing():
    strong = effects.difference(Sample.of([10.0, 10.1, 10.2]), Sample.of([1.0, 1.1, 1.2]))
    assert verdict(strong, "above", 0.0) == SUPPORTED
    finding = Rule("above", 0.0, 0.0, needs=10).find(strong)
    assert finding.verdict == UNDECIDED and "3 of at least 10 trials" in finding.note and math.isnan(finding.p)


def test_equal_trials_tell_nothing():
    same = effects.difference(Sample.of([1.0, 1.0]), Sample.of([2.0, 2.0]))
    finding = Rule("below", 0.0, 0.0).find(same)
    assert finding.verdict == UNDECIDED and finding.note == "nothing varies"


def test_holm_by_hand():
    assert holm([0.01, math.nan, 0.04, 0.03]) == pytest.approx([0.03, math.nan, 0.06, 0.06], nan_ok=True)
    assert holm([math.nan]) == pytest.approx([math.nan], nan_ok=True) and holm([]) == []


def test_the_number_of_claims_counts():
    """A test that passes alone fails among many; single runs do not count among the tests."""
    finding = Finding(Effect(1.0, 5), supports=0.01, contradicts=0.99)
    alone = decide([finding, Finding(Effect(9.0, 1), verdict=SUPPORTED)])
    assert [found for found, _ in alone] == [SUPPORTED, SUPPORTED] and alone[0][1] == pytest.approx(0.02)
    many = decide([finding] * 3)
    assert {found for found, _ in many} == {UNDECIDED} and many[0][1] == pytest.approx(0.06)


def test_a_scale_for_trying_out_is_no_evidence():
    findings = [Finding(Effect(1.0, 5), 1e-9, 1.0), Finding(None, verdict=NOT_RUN), Finding(None, verdict=UNDECIDED)]
    assert [found for found, _ in decide(findings, evidence=False)] == [NOT_EVIDENCE, NOT_RUN, NOT_EVIDENCE]


FLIPPED = {SUPPORTED: CONTRADICTED, CONTRADICTED: SUPPORTED, UNDECIDED: UNDECIDED}


@settings(deadline=None)
@given(trials, trials, numbers, st.sampled_from(["above", "below"]))
def test_the_opposite_claim_has_the_opposite_verdict(one, other, threshold, expected):
    effect = effects.difference(Sample.of(one), Sample.of(other))
    opposite = {"above": "below", "below": "above"}[expected]
    assert verdict(effect, opposite, threshold) == FLIPPED[verdict(effect, expected, threshold)]


@settings(deadline=None)
@given(trials, trials, numbers)
def test_swapping_the_sides_flips_the_verdict(one, other, threshold):
    there = effects.difference(Sample.of(one), Sample.of(other))
    back = effects.difference(Sample.of(other), Sample.of(one))
    assert verdict(back, "above", -threshold) == FLIPPED[verdict(there, "above", threshold)]
    assert verdict(back, "within", abs(threshold) + 1) == verdict(there, "within", abs(threshold) + 1)


@settings(deadline=None)
@given(positive, positive, st.floats(0.1, 10))
def test_swapping_the_sides_of_a_ratio_flips_the_verdict(one, other, threshold):
    there = effects.ratio(Sample.of(one), Sample.of(other))
    back = effects.ratio(Sample.of(other), Sample.of(one))
    assert back.value == pytest.approx(1 / there.value)
    assert verdict(back, "above", 1 / threshold) == FLIPPED[verdict(there, "above", threshold)]


@settings(deadline=None)
@given(trials, trials, st.integers(2, 5))
def test_more_of_the_same_trials_never_widen_the_interval(one, other, times):
    assume(np.ptp(one) + np.ptp(other) > 1e-3)
    few = effects.difference(Sample.of(one), Sample.of(other))
    many = effects.difference(Sample.of(one * times), Sample.of(other * times))
    assert many.value == pytest.approx(few.value, abs=1e-9)
    assert many.high - many.low <= (few.high - few.low) * (1 + 1e-9)


@settings(deadline=None)
@given(trials, trials, numbers, numbers)
def test_a_stricter_threshold_supports_no_more(one, other, threshold, more):
    effect = effects.difference(Sample.of(one), Sample.of(other))
    if verdict(effect, "above", threshold + abs(more)) == SUPPORTED:
        assert verdict(effect, "above", threshold) == SUPPORTED


@settings(deadline=None)
@given(trials, trials, numbers)
def test_what_is_supported_has_its_interval_beyond_the_threshold(one, other, threshold):
    effect = effects.difference(Sample.of(one), Sample.of(other))
    found = verdict(effect, "above", threshold)
    assert found != SUPPORTED or effect.low > threshold
    assert found != CONTRADICTED or effect.high < threshold


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=8))
def test_corrected_is_never_below_the_test_itself(p):
    corrected = holm(p)
    assert all(math.isnan(one) == math.isnan(other) for one, other in zip(p, corrected, strict=True))
    assert all(math.isnan(one) or one <= other <= 1 for one, other in zip(p, corrected, strict=True))


def test_an_effect_says_whether_it_was_tested():
    tested = effects.difference(Sample.of(ONE), Sample.of(OTHER))
    assert tested.tested and not replace(tested, p_above=None).tested
