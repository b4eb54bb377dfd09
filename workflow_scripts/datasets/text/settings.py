"""What is known of text before it is prepared, and how it is prepared. Read while planning, so no torch here."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import yaml

from workflow_scripts.base.errors import InputError

SETTINGS = "dataset.yaml"  # beside custom text: its form, and whatever of the settings below differs

CHECKPOINT_FILES = ("config.json", "model.safetensors")  # of a BERT checkpoint's folder, beside its word pieces
VOCABULARY, PLAIN_VOCABULARY = "tokenizer.json", "vocab.txt"  # of word pieces; the second is the older form


@dataclass(frozen=True)
class Parallel:
    """Sentences in two languages, a line each, and how they become token numbers.

    source, target : languages translated from and to, two letters each.
    train, valid, test : stems of the files, to which the languages are the endings.
    validation_every : every n-th pair of the training text is for validation; 0 where there are files for it.
    normalise : make punctuation plain and remove characters that do not print, in training text.
    tokenise : split into words and punctuation as Moses does.
    aggressive_hyphens : split words at hyphens too (Moses' option -a).
    lowercase : write everything small.
    merges : byte-pair encodings to learn on the training text of both languages together.
    joined : one dictionary for both languages.
    clean : drop training pairs that are empty, too long or too unequal, counted in "words" or in "pieces"; "" drops
        nothing, and such pairs are reported as faults.
    longest, ratio : the longest sentence, and the most times that one side may be as long as the other.
    """

    name: str
    source: str
    target: str
    train: str = "train"
    valid: str = "valid"
    test: str = "test"
    validation_every: int = 0
    normalise: bool = False
    tokenise: bool = True
    aggressive_hyphens: bool = False
    lowercase: bool = False
    merges: int = 10_000
    joined: bool = False
    clean: str = ""
    longest: int = 250
    ratio: float = 1.5
    form: str = "parallel"


@dataclass(frozen=True)
class Questions:
    """Questions about paragraphs, in SQuAD's JSON, whose answers are parts of the paragraphs.

    train, test : names of the files.
    ask_every : every n-th question of the test file is asked, from the first on.
    vocabulary : a data set, or the BERT checkpoint that config.yaml's data.sources names so, whose word pieces are
        used; "" learns them from the training text.
    pieces : size of a vocabulary that is learned.
    lowercase : write everything small and without accents, where the vocabulary is learned.
    """

    name: str
    train: str = "train.json"
    test: str = "test.json"
    ask_every: int = 1
    vocabulary: str = ""
    pieces: int = 30_522
    lowercase: bool = True
    form: str = "questions"


@dataclass(frozen=True)
class Documents:
    """Plain text: all .txt files below a folder; a line is a sentence, an empty line ends a document.

    test_every : every n-th document is for testing. vocabulary, pieces, lowercase : as of `Questions`.
    """

    name: str
    test_every: int = 100
    vocabulary: str = ""
    pieces: int = 30_522
    lowercase: bool = True
    form: str = "documents"


TextInfo = Parallel | Questions | Documents
FORMS: dict[str, type] = {"parallel": Parallel, "questions": Questions, "documents": Documents}
RANGES = {"merges": 1, "longest": 1, "ratio": 1, "validation_every": 0, "test_every": 2, "ask_every": 1, "pieces": 1}
CLEAN = ("", "words", "pieces")


def is_text_folder(folder: Path) -> bool:
    """Whether a source is custom text: its dataset.yaml names a form."""
    path = folder / SETTINGS
    return path.is_file() and "form:" in path.read_text(encoding="utf-8", errors="replace")


def is_checkpoint_folder(folder: Path) -> bool:
    """Whether a folder is a BERT checkpoint's in the usual form, with its vocabulary."""
    return (folder / "config.json").is_file() and any((folder / n).is_file() for n in (VOCABULARY, PLAIN_VOCABULARY))


def own_text(folder: Path, name: str) -> TextInfo:
    """The settings of custom text, or of a mirror's, from the folder's dataset.yaml.

    Raises
    ------
    InputError : the file is no YAML mapping, has no known form, or a key or value that is not allowed.
    """
    path = folder / SETTINGS
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({' '.join(str(error).split())})") from None
    if not isinstance(given, dict) or given.get("form") not in FORMS:
        raise InputError(f"{path} must be a mapping whose form is one of {', '.join(FORMS)}")
    form = FORMS[given["form"]]
    if problems := list(setting_problems(given, form)):
        raise InputError.together(f"{path} cannot be used", problems)
    return form(name=name, **given)


def setting_problems(given: dict, form: type):
    """What is wrong with the settings of a form, half a sentence each."""
    allowed = {field.name: field for field in fields(form) if field.name != "name"}
    for key in given:
        if key not in allowed:
            yield f"{key!r} is not known; the keys are {', '.join(allowed)}"
    for key, field in allowed.items():
        value, number = given.get(key, field.default), key in RANGES
        if key in ("source", "target") and key not in given:
            yield f"{key} is missing; name the language, such as de"
        elif number and (isinstance(value, bool) or not isinstance(value, int | float) or value < RANGES[key]):
            yield f"{key} is {value!r}, but must be a number of at least {RANGES[key]}"
        elif number and key != "ratio" and not isinstance(value, int):
            yield f"{key} is {value!r}, but must be a whole number"
        elif field.type is bool and not isinstance(value, bool):
            yield f"{key} is {value!r}, but must be true or false"
        elif field.type is str and not isinstance(value, str):
            yield f"{key} is {value!r}, but must be a word"
        elif key == "clean" and value not in CLEAN:
            yield f"clean is {value!r}, but must be words or pieces"


def as_fields(info: TextInfo) -> dict:
    """The settings as a description holds them."""
    return asdict(info)


# The preparations of fairseq's examples, which the papers' code builds on.
IWSLT = Parallel(
    "iwslt14_de_en", "de", "en", lowercase=True, clean="words", longest=175, validation_every=23
)  # fmt: skip
WMT = Parallel(
    "wmt14_en_de", "en", "de", normalise=True, aggressive_hyphens=True, merges=40_000, clean="pieces",
    validation_every=100,
)  # fmt: skip
MULTI30K = Parallel(
    "multi30k_de_en", "de", "en", lowercase=True, merges=3000, valid="val", test="test_2016_flickr"
)  # fmt: skip
GRAMMAR = Parallel("grammar_de_en", "de", "en", lowercase=True, merges=500)
SQUAD = Questions("squad", train="train-v1.1.json", test="dev-v1.1.json", vocabulary="bert_base")
TEXT: dict[str, TextInfo] = {
    info.name: info
    for info in [
        IWSLT,
        replace(IWSLT, name="iwslt14_de_en_joined", joined=True),  # Shen et al. (2020) share all embeddings
        WMT,
        MULTI30K,
        replace(MULTI30K, name="multi30k_de_en_joined", joined=True),
        replace(MULTI30K, name="multi30k_en_de", source="en", target="de"),
        GRAMMAR,
        replace(GRAMMAR, name="grammar_de_en_joined", joined=True),
        replace(GRAMMAR, name="grammar_en_de", source="en", target="de"),
        SQUAD,
        replace(SQUAD, name="squad_fifth", ask_every=5),  # asking all takes a processor longer than some trainings
        Questions("grammar_questions", vocabulary="grammar_documents"),
        Documents("wikipedia", vocabulary="bert_base"),
        Documents("grammar_documents", pieces=500, test_every=20),
    ]
}
# What is prepared from the files of another data set, whose folder in data.sources then is its own too.
SAME_FILES = {
    "iwslt14_de_en_joined": "iwslt14_de_en",
    "multi30k_de_en_joined": "multi30k_de_en",
    "multi30k_en_de": "multi30k_de_en",
    "squad_fifth": "squad",
}
