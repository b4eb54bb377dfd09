"""The grammar's German: endings and word order by closed cases, and what holds of every sentence."""

import pytest

from workflow_scripts.datasets.text.grammar import lexicon
from workflow_scripts.datasets.text.grammar.files import WRITERS
from workflow_scripts.datasets.text.grammar.lexicon import Name, Pair
from workflow_scripts.datasets.text.grammar.sentences import PRONOUN, Clause, NounPhrase, Speaker, in_german, pairs

DOG, WOMAN, CHILD = (next(noun for noun in lexicon.BEINGS if noun.en == en) for en in ("dog", "woman", "child"))
BOOK, LETTER, LAMP = (next(noun for noun in lexicon.THINGS if noun.en == en) for en in ("book", "letter", "lamp"))
GARDEN, SCHOOL, HOUSE = (next(noun for noun in lexicon.PLACES if noun.en == en) for en in ("garden", "school", "house"))
OLD = Pair("old", "alt")
BUY = next(verb for verb in lexicon.VERBS if verb.en == "buy")
MUST = next(modal for modal in lexicon.MODALS if modal.en == "must")
TODAY, YESTERDAY = Pair("today", "heute"), Pair("yesterday", "gestern")

# Definite: weak endings. Indefinite: mixed ones, and strong ones in the plural.
PHRASES = {
    (DOG, True, False): ("der alte Hund", "den alten Hund", "dem alten Hund"),
    (WOMAN, True, False): ("die alte Frau", "die alte Frau", "der alten Frau"),
    (CHILD, True, False): ("das alte Kind", "das alte Kind", "dem alten Kind"),
    (DOG, True, True): ("die alten Hunde", "die alten Hunde", "den alten Hunden"),
    (WOMAN, True, True): ("die alten Frauen", "die alten Frauen", "den alten Frauen"),
    (DOG, False, False): ("ein alter Hund", "einen alten Hund", "einem alten Hund"),
    (WOMAN, False, False): ("eine alte Frau", "eine alte Frau", "einer alten Frau"),
    (CHILD, False, False): ("ein altes Kind", "ein altes Kind", "einem alten Kind"),
    (CHILD, False, True): ("alte Kinder", "alte Kinder", "alten Kindern"),
}


@pytest.mark.parametrize(("noun", "definite", "plural"), PHRASES)
def test_articles_and_adjectives_follow_gender_number_and_case(noun, definite, plural):
    phrase = NounPhrase(noun, definite, plural, OLD)
    cases = ("nominative", "accusative", "dative")
    assert tuple(phrase.german(case) for case in cases) == PHRASES[noun, definite, plural]


@pytest.mark.parametrize(
    ("noun", "adjective", "expected"),
    [(GARDEN, None, "im Garten"), (SCHOOL, None, "in der Schule"), (HOUSE, OLD, "im alten Haus")],
)
def test_in_a_place_takes_the_dative(noun, adjective, expected):
    assert in_german(NounPhrase(noun, True, adjective=adjective)) == expected
    assert in_german(Name("Vienna", "Wien", "n")) == "in Wien"


CLAUSES = {
    "present": (
        Clause(NounPhrase(DOG, True), BUY, NounPhrase(BOOK, True), time=TODAY, place=NounPhrase(GARDEN, True)),
        "the dog buys the book in the garden today",
        "der Hund kauft heute das Buch im Garten",
        "kauft der Hund heute das Buch im Garten",
        "der Hund heute das Buch im Garten kauft",
    ),
    "past": (
        Clause(NounPhrase(CHILD, True, True), BUY, NounPhrase(LAMP, False), "past", time=YESTERDAY,
               place=Name("Vienna", "Wien", "n")),
        "the children bought a lamp in Vienna yesterday",
        "die Kinder haben gestern in Wien eine Lampe gekauft",
        "haben die Kinder gestern in Wien eine Lampe gekauft",
        "die Kinder gestern in Wien eine Lampe gekauft haben",
    ),
    "modal": (
        Clause(PRONOUN["f"], BUY, NounPhrase(LETTER, False, adjective=OLD), "modal", MUST),
        "she must buy an old letter",
        "sie muss einen alten Brief kaufen",
        "muss sie einen alten Brief kaufen",
        "sie einen alten Brief kaufen muss",
    ),
    "relative": (
        Clause(NounPhrase(WOMAN, True, relative=(BUY, NounPhrase(LETTER, True))), BUY, NounPhrase(BOOK, False)),
        "the woman who buys the letter buys a book",
        "die Frau, die den Brief kauft, kauft ein Buch",
        "kauft die Frau, die den Brief kauft, ein Buch",
        "die Frau, die den Brief kauft, ein Buch kauft",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("clause", "english", "main", "inverted", "final"), CLAUSES.values(), ids=CLAUSES)
def test_the_finite_verb_has_its_place(clause, english, main, inverted, final):
    assert clause.english() == english
    assert [clause.german(order) for order in ("main", "inverted", "final")] == [main, inverted, final]


def test_whole_sentences_have_commas_capitals_and_a_verb_in_second_place():
    finite = {form for verb in lexicon.VERBS for form in (verb.de, verb.de_er)} | {"hat", "haben"}
    finite |= {form for modal in lexicon.MODALS for form in (modal.de, modal.de_plural)}
    speaker = Speaker(3)
    for _ in range(300):
        first = speaker.time_first().de.split(" ")
        adverb = 2 if first[0] == "gestern" and first[1] == "Abend" else 1
        assert first[adverb] in finite
        condition, main = speaker.reason_first().de.split(", ")
        assert condition.startswith("wenn ") and condition.split(" ")[-1] in finite and main.split(" ")[0] in finite
        reason = speaker.reason().de.split(", ")[-1]
        assert reason.split(" ")[0] in ("weil", "obwohl") and reason.split(" ")[-1] in finite
    assert all(pair.en[0].isupper() and pair.de[0].isupper() and pair.de[-1] == "." for pair in pairs(200, 5))


def test_a_seed_says_the_same_and_another_something_else(tmp_path):
    assert pairs(50, 1) == pairs(50, 1) != pairs(50, 2)
    said = pairs(3000, 4)
    assert len({pair.en for pair in said}) == 3000
    for number, write in enumerate(WRITERS.values()):
        for time in ("one", "two"):
            (folder := tmp_path / f"{time}{number}").mkdir()
            write(folder)
        for path in (tmp_path / f"one{number}").iterdir():
            assert path.read_bytes() == (tmp_path / f"two{number}" / path.name).read_bytes()
