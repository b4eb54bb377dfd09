"""BLEU of text that is already cut into words, by sacrebleu, with the signature that says how it was counted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sacrebleu.metrics import BLEU

from workflow_scripts.base.checks import texts
from workflow_scripts.base.errors import InputError

COMPOUND = re.compile(r"(\S)-(\S)")


@dataclass(frozen=True)
class Bleu:
    """Corpus BLEU.

    score : in points, 0 to 100. precisions : of 1- to 4-grams, in percent. brevity_penalty : 0 to 1, 1 where ours is
    not shorter. signature : sacrebleu's, with what was done to the words before.
    """

    score: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    signature: str


def bleu(translations: Sequence[str], references: Sequence[str], split_compounds: bool = False) -> Bleu:
    """BLEU of translations, one reference each, of words with spaces between them.

    Parameters
    ----------
    split_compounds : take a-b for the words a, - and b, as Vaswani et al. (2017) and fairseq's script do. Scores with
        and without cannot be compared.

    Raises
    ------
    InputError : one of them is no list of texts, there are no sentences, or not as many translations as references.
    """
    texts("the translations", translations)
    texts("the references", references)
    if not translations or len(translations) != len(references):
        raise InputError(
            f"{len(translations)} translations cannot be compared with {len(references)} references; give as many "
            "lines of both, one at least"
        )
    if split_compounds:
        translations, references = ([split(line) for line in lines] for lines in (translations, references))
    metric = BLEU(tokenize="none", force=True)  # force: words with spaces between them are meant
    found = metric.corpus_score(list(translations), [list(references)])
    signature = str(metric.get_signature()) + "|compounds:split" * split_compounds
    return Bleu(found.score, tuple(found.precisions), found.bp, signature)


def split(line: str) -> str:
    """A line with its compounds split at hyphens."""
    return COMPOUND.sub(r"\1 ##AT##-##AT## \2", line)
