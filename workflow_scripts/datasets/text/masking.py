"""Which word pieces of a sequence are masked, and by what (Devlin et al. 2019, section 3.1 and their code)."""

import numpy as np

MASKED = 0.15  # share of a sequence's tokens, its marks counted
HIDDEN, REPLACED = 0.8, 0.1  # shares of the masked ones that [MASK], and any word piece, takes the place of
MARKS = 3  # of a pair of segments, none of which is ever masked


def masked_count(length: int) -> int:
    """How many tokens are masked of a pair that has `length` of them, marks included: one at least."""
    return min(length - MARKS, max(1, round(MASKED * length)))


def masked(
    tokens: np.ndarray, second: int, mask: int, vocabulary: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The places that are masked in [CLS] first [SEP] second [SEP], in order, and what is put there.

    The rest of those places, a tenth, keep what they have, and are to be guessed too.

    Parameters
    ----------
    tokens : (l,). second : the place where the second segment begins. mask : the number of [MASK].
    vocabulary : number of word pieces, of which any may take a place, marks too, as in the authors' code.
    """
    places = np.delete(np.arange(len(tokens)), (0, second - 1, len(tokens) - 1))
    places = np.sort(random.permutation(places)[: masked_count(len(tokens))])
    draw, others = random.random(len(places)), random.integers(vocabulary, size=len(places))
    kept = np.where(draw < HIDDEN + REPLACED, others, tokens[places])
    return places, np.where(draw < HIDDEN, mask, kept)
