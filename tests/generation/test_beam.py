"""Beam search against transformers' `generate`, against trying everything, and with equal scores."""

import itertools

import pytest
import torch
from torch import nn

from tests.models.test_language_transformer import network, sentences
from tests.shared.marian import generated, marian
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.text.pieces import END, PAD, START
from workflow_scripts.generation.beam import Search, _likeliest, translate


def ending(seed: int) -> nn.Module:
    """A random network that ends its sentences now and then, as `generate` would hardly see one do otherwise."""
    made = network("none", seed=seed)
    with torch.no_grad():
        made.output_embedding.weight[END] *= 1.5
    return made


@pytest.mark.parametrize("beams", [1, 5])
@pytest.mark.parametrize(("penalty", "early"), [(1.0, True), (0.5, False), (0.0, False)])
def test_translations_are_those_of_generate(beams, penalty, early):
    lengths = set()
    for seed in range(4):
        ours = ending(seed)
        source = sentences(count=30, seed=seed)
        found, _ = translate(ours, source, Search(beams, penalty, 15, early))
        assert found == generated(marian(ours), source, beams, 15, penalty, early)
        lengths |= {len(text) for text in found}
    assert len(lengths) > 3  # some end early, some do not


def test_a_sentence_is_translated_the_same_alone():
    ours, source = ending(1), sentences(count=12, seed=3)
    together, scores = translate(ours, source, Search(longest=15))
    for row, text, score in zip(source, together, scores, strict=True):
        alone, (own_score,) = translate(ours, row[row != PAD][None], Search(longest=15))
        assert alone == [text]
        assert own_score == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize(("vocabulary", "beams", "distinct"), [(9, 4, 50), (57, 5, 8), (1003, 5, 40), (1024, 2, 10**6)])
def test_the_likeliest_are_the_first_of_all_sorted(vocabulary, beams, distinct):
    generator = torch.Generator().manual_seed(vocabulary)
    # Multiples of 1/8 are added without rounding, so many are equal; one row's norm is not another's.
    logits = torch.randint(distinct, (6 * beams, vocabulary), generator=generator) / 8
    logits[0, vocabulary - 1] = distinct
    scores = -torch.randint(distinct, (6, beams), generator=generator) / 8
    real = logits.clone()
    real[:, [START, PAD]] = -torch.inf
    every = (real - logits.logsumexp(1, keepdim=True) + scores.view(-1, 1)).view(6, -1)
    expected = every.sort(dim=1, descending=True, stable=True)
    found, parents, tokens = _likeliest(logits, scores, 2 * beams)
    assert torch.equal(found, expected.values[:, : 2 * beams])
    numbers = parents * vocabulary + tokens
    assert torch.equal(every.gather(1, numbers), found)
    for row, chosen, value in zip(every, numbers, found, strict=True):  # of equal ones the first, where all have room
        whole = value > value[-1]
        assert chosen[whole].tolist() == row.sort(descending=True, stable=True).indices[: int(whole.sum())].tolist()


def log_probability(ours: nn.Module, source: torch.Tensor, text: list[int]) -> float:
    """Of a text with its end mark, by the whole network at once."""
    read = torch.tensor([[END, *text]])
    with torch.no_grad():
        logs = ours(source, read)[0].log_softmax(1)
    return sum(logs[place, token].item() for place, token in enumerate([*text, END]))


def test_many_beams_find_what_trying_everything_finds():
    ours = network(seed=5)
    ours.target_embedding = nn.Embedding.from_pretrained(ours.target_embedding.weight[:8].detach().clone())
    source = sentences(count=2, seed=5)
    found, scores = translate(ours, source, Search(beams=64, length_penalty=1.0, longest=3, early_stopping=False))
    letters = [token for token in range(8) if token not in (START, PAD, END)]
    for row, text, score in zip(source, found, scores, strict=True):
        every = [list(word) for length in (0, 1, 2) for word in itertools.product(letters, repeat=length)]
        best = max(every, key=lambda word: log_probability(ours, row[None], word) / (len(word) + 1))
        expected = log_probability(ours, row[None], best) / (len(best) + 1)
        if len(text) < 3:  # others are cut off without an end mark
            assert text == best
            assert score == pytest.approx(expected, abs=1e-4)
        else:
            assert score > expected - 1e-4


def test_of_equal_translations_the_lower_numbers_are_taken_in_any_batch():
    ours = ending(2)
    with torch.no_grad():
        for weights in (ours.target_embedding.weight, ours.output_embedding.weight):
            weights[30:56] = weights[4:30]  # each of these tokens has a twin of the same probability
    source = sentences(count=20, vocabulary=30, seed=2)
    search = Search(longest=12)
    found, scores = translate(ours, source, search)
    again, _ = translate(ours, source.flip(0), search)
    assert found == again[::-1]
    twins = [[token - 26 if token >= 30 else token for token in text] for text in found]
    for row, text, score in zip(source, twins, scores, strict=True):
        if len(text) < 12:
            assert log_probability(ours, row[None], text) / (len(text) + 1) == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("options", [{"beams": 0}, {"length_penalty": -1.0}, {"longest": 0}])
def test_searches_that_make_no_sense_are_told(options):
    with pytest.raises(InputError):
        Search(**options)
