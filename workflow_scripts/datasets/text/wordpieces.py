"""Word pieces as BERT has them: a vocabulary that a checkpoint brings, or one learned here, applied by tokenizers."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.text.pieces import GOES_ON, Pieces, count_words, learn_merges
from workflow_scripts.datasets.text.settings import PLAIN_VOCABULARY, VOCABULARY

PAD, UNKNOWN, CLS, SEP, MASK = NAMES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def load_vocabulary(folder: Path) -> Tokenizer:
    """The word pieces of a BERT checkpoint, or of prepared text: tokenizer.json, or vocab.txt.

    Where there is a vocab.txt, tokenizer_config.json beside it may say `do_lower_case` (true otherwise).

    Raises
    ------
    InputError : there is none, or it is not BERT's kind.
    """
    path = next((folder / name for name in (VOCABULARY, PLAIN_VOCABULARY) if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"{folder} has neither {VOCABULARY} nor {PLAIN_VOCABULARY}, so its word pieces are not known")
    try:
        if path.name == VOCABULARY:
            loaded = Tokenizer.from_file(str(path))
        else:
            settings = folder / "tokenizer_config.json"
            small = not settings.is_file() or json.loads(settings.read_text()).get("do_lower_case", True)
            words = path.read_text(encoding="utf-8").split("\n")
            numbers = {word: number for number, word in enumerate(words) if word}
            loaded = word_piece_tokenizer(numbers, small)
    except Exception as error:  # tokenizers raises bare exceptions
        raise InputError(f"{path} is no vocabulary of word pieces ({error})") from None
    if missing := [name for name in NAMES if loaded.token_to_id(name) is None]:
        raise InputError(f"{path} has no {', '.join(missing)}, which BERT's vocabularies have")
    loaded.no_padding()
    loaded.no_truncation()
    return loaded


def word_piece_tokenizer(numbers: dict[str, int], lowercase: bool) -> Tokenizer:
    """BERT's tokenizer with these word pieces: the longest first, ## where a word goes on."""
    made = Tokenizer(models.WordPiece(numbers, unk_token=UNKNOWN, max_input_chars_per_word=100))
    made.normalizer = BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens([name for name in NAMES if name in numbers])
    if CLS in numbers and SEP in numbers:
        made.post_processor = BertProcessing((SEP, numbers[SEP]), (CLS, numbers[CLS]))
    return made


def learn_vocabulary(lines: Iterable[str], pieces: int, lowercase: bool) -> Tokenizer:
    """Word pieces of a text; `pieces` of them, or fewer where the text has no more.

    All letters, and the most frequent pieces by byte-pair encoding. (The trainer of `tokenizers` gives another
    vocabulary each time.)
    """
    normalise, cut = BertNormalizer(lowercase=lowercase).normalize_str, BertPreTokenizer().pre_tokenize_str
    words = count_words(" ".join(word for word, _ in cut(normalise(line))) for line in lines)
    letters = sorted(set().union(*words))
    names = [*NAMES, *letters, *(f"##{letter}" for letter in letters)]
    encoding = Pieces(learn_merges(words, max(1, pieces - len(names))), letters)
    counts = Counter()
    for (_, count), numbers in zip(words.items(), encoding.split(list(words)), strict=True):
        for place, number in enumerate(numbers):
            counts[("##" if place else "") + encoding.names[number].removesuffix(GOES_ON)] += count
    by_count = sorted(counts.keys() - set(names), key=lambda name: (-counts[name], name))
    names += by_count[: max(0, pieces - len(names))]
    return word_piece_tokenizer({name: number for number, name in enumerate(names)}, lowercase)


def vocabulary_problem(size: int, expected: int, what: str) -> str | None:
    """Say why text with a vocabulary of `size` cannot be used with `what`, which has `expected`; None where it can."""
    if size == expected:
        return None
    return (
        f"the text was prepared with {size} word pieces, but {what} has {expected}; prepare the text with the "
        "vocabulary of the checkpoint"
    )
