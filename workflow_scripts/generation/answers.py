"""Answers to questions: the likeliest part of a paragraph, and SQuAD v1.1's exact match and F1."""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.base.checks import mapping, tensor, texts, whole_number
from workflow_scripts.base.errors import InputError

LONGEST = 30  # tokens of an answer, as in BERT's own script
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = frozenset(string.punctuation)


def best_spans(start: Tensor, end: Tensor, inside: Tensor, longest: int = LONGEST) -> tuple[Tensor, Tensor, Tensor]:
    """The likeliest answer in each window: begin + end logit greatest, of all parts of at most `longest` tokens.

    Of equal ones the earliest is taken, and of these the shortest.

    Parameters
    ----------
    start, end : logits (b, l). inside : (b, l), True at the paragraph's tokens; each window has one.

    Returns
    -------
    First and last places (b,), and the sums of their logits (b,).

    Raises
    ------
    InputError : `longest` is no whole number from 1 on, the tensors do not fit, or a window has no token of its
        paragraph.
    """
    whole_number("the longest answer", longest)
    for name, each in (("the starts", start), ("the ends", end), ("what is inside", inside)):
        tensor(name, each, "(b, l)")
    if not start.shape == end.shape == inside.shape:
        shapes = ", ".join(str(tuple(each.shape)) for each in (start, end, inside))
        raise InputError(f"starts, ends and what is inside must have one shape (b, l), not {shapes}")
    if not inside.any(1).all():
        raise InputError("a window has no token of its paragraph, so no answer can be looked for in it")
    start, end = (logits.float().masked_fill(~inside, -torch.inf) for logits in (start, end))
    reach = F.pad(end, (0, longest - 1), value=-torch.inf).unfold(1, longest, 1)  # (b, l, longest)
    scores, length = (start[:, :, None] + reach).max(2)
    score, first = scores.max(1)
    return first, first + length.gather(1, first[:, None])[:, 0], score


def normalised(text: str) -> str:
    """A text in small letters, without punctuation and articles, with single spaces (Rajpurkar et al. 2016)."""
    kept = "".join(letter for letter in text.lower() if letter not in PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", kept).split())


def exact_match(answer: str, expected: Sequence[str]) -> float:
    """1 where the answer is one of those that people gave, once normalised; else 0.

    Raises
    ------
    InputError : the answer is no text, or those expected are no list of texts.
    """
    texts("an answer", [answer])
    texts("the answers that people gave", expected)
    return float(any(normalised(answer) == normalised(each) for each in expected))


def f1(answer: str, expected: Sequence[str]) -> float:
    """The greatest F1 of the answer's words and those of one that people gave, 0 to 1; 0 where neither has any.

    Raises
    ------
    InputError : as `exact_match` does, or people gave no answer.
    """
    texts("an answer", [answer])
    texts("the answers that people gave", expected)
    if not expected:
        raise InputError("there is no answer that people gave to compare with; give one at least")
    return max(_overlap(normalised(answer).split(), normalised(each).split()) for each in expected)


def _overlap(answer: list[str], expected: list[str]) -> float:
    shared = sum((Counter(answer) & Counter(expected)).values())
    return 2 * shared / (len(answer) + len(expected)) if shared else 0.0


def scores(answers: Mapping[str, str], expected: Mapping[str, Sequence[str]]) -> tuple[float, float]:
    """Exact match and F1 in percent, over all questions.

    Parameters
    ----------
    answers : by the questions' ids. expected : the answers that people gave, by id; a question that is not answered
        counts 0.

    Raises
    ------
    InputError : there are no questions, one has no answers, or an answer is to none of them.
    """
    mapping("the answers", answers)
    mapping("the answers that people gave", expected)
    if not expected or not all(expected.values()):
        raise InputError("there are no questions with answers to compare with; give a file in SQuAD's form")
    if strange := sorted(set(answers) - set(expected)):
        raise InputError(f"the answer to {strange[0]!r} is to none of the questions; give the file it was made for")
    both = [(answers[name], given) for name, given in expected.items() if name in answers]
    match, overlap = (sum(score(*pair) for pair in both) for score in (exact_match, f1))
    return 100 * match / len(expected), 100 * overlap / len(expected)
