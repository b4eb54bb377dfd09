"""Answers against looking at every part of a window, and the scores against SQuAD's rules as its script states them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shared.squad import official
from workflow_scripts.base.errors import InputError
from workflow_scripts.generation.answers import best_spans, exact_match, f1, scores


@pytest.mark.parametrize("longest", [1, 3, 50])
def test_the_best_span_is_the_best_of_all(longest):
    generator = torch.Generator().manual_seed(longest)
    start, end = (torch.randint(-3, 4, (20, 12), generator=generator).float() for _ in range(2))  # with many ties
    inside = torch.rand(20, 12, generator=generator) < 0.7
    inside[:, 5] = True
    first, last, score = best_spans(start, end, inside, longest)
    for row in range(20):
        allowed = [
            (i, j) for i in range(12) for j in range(i, min(12, i + longest)) if inside[row, i] and inside[row, j]
        ]
        best = max(allowed, key=lambda span: (start[row, span[0]] + end[row, span[1]]).item())
        assert (first[row].item(), last[row].item()) == best
        assert score[row] == start[row, best[0]] + end[row, best[1]]


def test_windows_without_a_paragraph_and_no_length_are_told():
    logits = torch.zeros(1, 3)
    with pytest.raises(InputError):
        best_spans(logits, logits, torch.zeros(1, 3, dtype=torch.bool))
    with pytest.raises(InputError):
        best_spans(logits, logits, torch.ones(1, 3, dtype=torch.bool), longest=0)


TEXT = st.lists(st.sampled_from(["the", "A", "an", "cat", "Cat,", "dog", "U.S.", "-", "1,000", "theatre"]), max_size=5)


@settings(max_examples=200)
@given(TEXT, st.lists(TEXT, min_size=1, max_size=3))
def test_scores_follow_squads_rules(words, truths):
    text, expected = " ".join(words), [" ".join(each) for each in truths]
    assert (exact_match(text, expected), f1(text, expected)) == pytest.approx(official(text, expected))


def test_nothing_against_nothing_is_a_match_but_has_no_f1():
    assert exact_match("The", ["a"]) == 1
    assert f1("The", ["a"]) == 0


def test_questions_without_an_answer_count_nothing():
    found = scores({"1": "the Cat"}, {"1": ["cat", "dog"], "2": ["x"]})
    assert found == (50.0, 50.0)
    for answers, expected in [({}, {}), ({"3": "x"}, {"1": ["x"]}), ({}, {"1": []})]:
        with pytest.raises(InputError):
            scores(answers, expected)
