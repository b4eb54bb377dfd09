"""BLEU against its formula, worked out here, and the splitting of compounds."""

import math
from collections import Counter

import pytest

from workflow_scripts.base.errors import InputError
from workflow_scripts.generation.bleu import bleu, split

OURS = ["the cat sat on the mat .", "a small dog runs in the well-known park &amp; sleeps ."]
REFERENCES = ["the cat is sitting on the mat .", "a little dog runs in the well-known park &amp; sleeps there ."]


def by_hand(ours: list[str], references: list[str]) -> float:
    """Papineni et al. 2002, of words between spaces."""
    hits, counts = [0] * 4, [0] * 4
    for mine, theirs in zip(ours, references, strict=True):
        for n in range(4):
            grams = [Counter(zip(*(text.split()[i:] for i in range(n + 1)), strict=False)) for text in (mine, theirs)]
            hits[n] += sum((grams[0] & grams[1]).values())
            counts[n] += sum(grams[0].values())
    lengths = [sum(len(line.split()) for line in lines) for lines in (ours, references)]
    penalty = min(1.0, math.exp(1 - lengths[1] / lengths[0]))
    return 100 * penalty * math.exp(sum(math.log(hit / count) for hit, count in zip(hits, counts, strict=True)) / 4)


def test_score_is_that_of_the_formula():
    found = bleu(OURS, REFERENCES)
    assert found.score == pytest.approx(by_hand(OURS, REFERENCES), abs=1e-9)
    assert "tok:none" in found.signature and "compounds" not in found.signature
    assert 0 < found.brevity_penalty < 1


def test_compounds_are_split_on_both_sides_and_told():
    found = bleu(OURS, REFERENCES, split_compounds=True)
    parted = [
        [line.replace("well-known", "well ##AT##-##AT## known") for line in lines] for lines in (OURS, REFERENCES)
    ]
    assert found.score == pytest.approx(by_hand(*parted), abs=1e-9)
    assert found.score > bleu(OURS, REFERENCES).score
    assert found.signature.endswith("compounds:split")


def test_compounds_are_split_as_perl_does():
    assert split("well-known x - y a-b-c -d e-") == "well ##AT##-##AT## known x - y a ##AT##-##AT## b-c -d e-"


def test_equal_texts_have_100_points():
    assert bleu(REFERENCES, REFERENCES).score == pytest.approx(100)


@pytest.mark.parametrize(("ours", "references"), [([], []), (OURS, REFERENCES[:1])])
def test_texts_that_cannot_be_compared_are_told(ours, references):
    with pytest.raises(InputError):
        bleu(ours, references)
