"""Sentences as meanings, and each meaning in English and in German.

German: articles and adjectives follow gender, number and case; the finite verb stands second in a main clause, whatever
comes first, and last in a subordinate one; participles and infinitives stand at the end.
"""

import random
from dataclasses import dataclass, replace

from workflow_scripts.datasets.text.grammar import lexicon
from workflow_scripts.datasets.text.grammar.lexicon import Modal, Name, Noun, Pair, Verb

DEFINITE = {
    "nominative": {"m": "der", "f": "die", "n": "das", "plural": "die"},
    "accusative": {"m": "den", "f": "die", "n": "das", "plural": "die"},
    "dative": {"m": "dem", "f": "der", "n": "dem", "plural": "den"},
}
INDEFINITE = {
    "nominative": {"m": "ein", "f": "eine", "n": "ein", "plural": ""},
    "accusative": {"m": "einen", "f": "eine", "n": "ein", "plural": ""},
    "dative": {"m": "einem", "f": "einer", "n": "einem", "plural": ""},
}
# After der, die, das (weak) and after ein or no article (mixed; strong in the plural).
WEAK = {
    "nominative": {"m": "e", "f": "e", "n": "e", "plural": "en"},
    "accusative": {"m": "en", "f": "e", "n": "e", "plural": "en"},
    "dative": {"m": "en", "f": "en", "n": "en", "plural": "en"},
}
MIXED = {
    "nominative": {"m": "er", "f": "e", "n": "es", "plural": "e"},
    "accusative": {"m": "en", "f": "e", "n": "es", "plural": "e"},
    "dative": {"m": "en", "f": "en", "n": "en", "plural": "en"},
}
PRONOUN = {"m": Pair("he", "er"), "f": Pair("she", "sie")}


@dataclass(frozen=True)
class NounPhrase:
    """A noun with article, adjective and, perhaps, a relative clause "who sees the dog" (a verb and its object)."""

    noun: Noun
    definite: bool
    plural: bool = False
    adjective: Pair | None = None
    relative: "tuple[Verb, NounPhrase] | None" = None

    @property
    def key(self) -> str:
        """The column of the tables of endings."""
        return "plural" if self.plural else self.noun.gender

    def english(self) -> str:
        """In English, with a or an before a vowel."""
        rest = [self.adjective.en] if self.adjective else []
        rest.append(self.noun.en_plural if self.plural else self.noun.en)
        article = "the" if self.definite else "" if self.plural else "an" if rest[0][0] in "aeiou" else "a"
        relative = ""
        if self.relative:
            verb, thing = self.relative
            relative = f" who {verb.en if self.plural else verb.en_s} {thing.english()}"
        return f"{article} {' '.join(rest)}".strip() + relative

    def german(self, case: str, article: bool = True) -> str:
        """In German, in a case; without an article, the adjective still has the ending that it has after it."""
        chosen, endings = (DEFINITE, WEAK) if self.definite else (INDEFINITE, MIXED)
        words = [chosen[case][self.key]] if article else []
        if self.adjective:
            words.append(self.adjective.de + endings[case][self.key])
        if not self.plural:
            words.append(self.noun.de)
        else:
            words.append(self.noun.de_dative_plural if case == "dative" else self.noun.de_plural)
        phrase = " ".join(word for word in words if word)
        if self.relative:
            verb, thing = self.relative
            # A relative pronoun that is a subject looks like the article.
            who, does = DEFINITE["nominative"][self.key], verb.de if self.plural else verb.de_er
            phrase += f", {who} {thing.german('accusative')} {does},"
        return phrase


Subject = NounPhrase | Name | Pair  # a Pair is a pronoun in the singular


@dataclass(frozen=True)
class Clause:
    """Somebody does something. tense : "present", "past" (German perfect) or "modal"."""

    subject: Subject
    verb: Verb
    thing: NounPhrase
    tense: str = "present"
    modal: Modal | None = None
    time: Pair | None = None
    place: NounPhrase | Name | None = None

    @property
    def plural(self) -> bool:
        """Whether the subject is."""
        return isinstance(self.subject, NounPhrase) and self.subject.plural

    def english(self, time_first: bool = False) -> str:
        """In English: time in front where it is asked for, else at the end."""
        if self.tense == "past":
            does = self.verb.en_past
        elif self.tense == "modal":
            does = f"{self.modal.en_plural if self.plural else self.modal.en} {self.verb.en}"
        else:
            does = self.verb.en if self.plural else self.verb.en_s
        words = [english(self.subject), does, self.thing.english()]
        if self.place:
            words.append(f"in {english(self.place)}")
        if self.time:
            words = [self.time.en, *words] if time_first else [*words, self.time.en]
        return " ".join(words)

    def german(self, order: str) -> str:
        """In German. order : "main" (subject, verb), "inverted" (verb, subject: something stands before) or "final"
        (subordinate: the finite verb at the end)."""
        finite, end = self._german_verb()
        middle = [] if self.time is None else [self.time.de]
        thing, place = self.thing.german("accusative"), [] if self.place is None else [in_german(self.place)]
        # What is new to the listener comes late.
        middle += [thing, *place] if self.thing.definite else [*place, thing]
        subject = german(self.subject)
        ordered = {
            "main": [subject, finite, *middle, end],
            "inverted": [finite, subject, *middle, end],
            "final": [subject, *middle, end, finite],
        }[order]
        return " ".join(word for word in ordered if word)

    def _german_verb(self) -> tuple[str, str]:
        """The finite verb, and what stands at the end."""
        if self.tense == "past":
            return "haben" if self.plural else "hat", self.verb.de_participle
        if self.tense == "modal":
            return self.modal.de_plural if self.plural else self.modal.de, self.verb.de
        return self.verb.de if self.plural else self.verb.de_er, ""


def english(subject: Subject) -> str:
    """Anything that can be a subject, or a place, in English."""
    return subject.english() if isinstance(subject, NounPhrase) else subject.en


def german(subject: Subject) -> str:
    """Anything that can be a subject, in German."""
    return subject.german("nominative") if isinstance(subject, NounPhrase) else subject.de


def in_german(place: NounPhrase | Name) -> str:
    """In a place: in dem becomes im."""
    if isinstance(place, Name):
        return f"in {place.de}"
    if place.definite and not place.plural and place.noun.gender in "mn":
        return f"im {place.german('dative', article=False)}"
    return f"in {place.german('dative')}"


class Speaker:
    """Says random things; what a seed makes it say is fixed."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def pair(self) -> Pair:
        """One sentence in both languages, with a capital and a full stop."""
        kinds = [self.simple, self.time_first, self.reason, self.reason_first, self.report]
        made = self.random.choices(kinds, weights=[6, 3, 2, 2, 2])[0]()
        return Pair(*(f"{text[0].upper()}{text[1:]}." for text in (made.en, made.de)))

    def simple(self) -> Pair:
        """A main clause."""
        clause = self.clause(relative=True)
        return Pair(clause.english(), clause.german("main"))

    def time_first(self) -> Pair:
        """Today the man buys a book: the verb stays second in German."""
        clause = self.clause(time=True)
        rest = replace(clause, time=None)
        return Pair(clause.english(time_first=True), f"{clause.time.de} {rest.german('inverted')}")

    def reason(self) -> Pair:
        """A main clause, and a subordinate one with its verb at the end; a person is taken up by a pronoun."""
        first, why = self.clause(), self.random.choice(lexicon.REASONS)
        second = self.clause(subject=PRONOUN[first.subject.gender] if isinstance(first.subject, Name) else None)
        return Pair(
            f"{first.english()} {why.en} {second.english()}",
            f"{first.german('main')}, {why.de} {second.german('final')}",
        )

    def reason_first(self) -> Pair:
        """The subordinate clause first, so the verb of the main one follows it at once."""
        first, second = self.clause(), self.clause()
        return Pair(
            f"{lexicon.WHEN.en} {first.english()}, {second.english()}",
            f"{lexicon.WHEN.de} {first.german('final')}, {second.german('inverted')}",
        )

    def report(self) -> Pair:
        """Somebody says that ..."""
        who, says, clause = self.random.choice(lexicon.PEOPLE), self.random.choice(lexicon.SAYS), self.clause()
        return Pair(f"{who.en} {says.en} {clause.english()}", f"{who.de} {says.de} {clause.german('final')}")

    def clause(self, subject: Subject | None = None, time: bool = False, relative: bool = False) -> Clause:
        """Somebody does something, somewhere, some time."""
        draw = self.random
        tense = draw.choice(["present", "present", "past", "modal"])
        when = lexicon.TIMES["past" if tense == "past" else "now"]
        return Clause(
            subject=subject or self.subject(relative),
            verb=draw.choice(lexicon.VERBS),
            thing=self.phrase(lexicon.THINGS),
            tense=tense,
            modal=draw.choice(lexicon.MODALS) if tense == "modal" else None,
            time=draw.choice(when) if time or draw.random() < 0.2 else None,
            place=self.place() if draw.random() < 0.3 else None,
        )

    def subject(self, relative: bool) -> Subject:
        """A person by name, or a being."""
        if self.random.random() < 0.3:
            return self.random.choice(lexicon.PEOPLE)
        phrase = self.phrase(lexicon.BEINGS)
        if relative and self.random.random() < 0.2:
            phrase = replace(phrase, relative=(self.random.choice(lexicon.VERBS), self.phrase(lexicon.THINGS)))
        return phrase

    def phrase(self, nouns: list[Noun]) -> NounPhrase:
        """A noun with an article, now and then with an adjective or in the plural."""
        draw = self.random
        fitting = lexicon.BEING_LIKE if nouns is lexicon.BEINGS else lexicon.THING_LIKE
        adjective = draw.choice(fitting) if draw.random() < 0.4 else None
        return NounPhrase(draw.choice(nouns), draw.random() < 0.5, draw.random() < 0.2, adjective)

    def place(self) -> NounPhrase | Name:
        """A town, or a definite place."""
        if self.random.random() < 0.3:
            return self.random.choice(lexicon.TOWNS)
        return replace(self.phrase(lexicon.PLACES), definite=True, plural=False)


def pairs(count: int, seed: int) -> list[Pair]:
    """Different sentences in both languages."""
    speaker, found = Speaker(seed), {}
    while len(found) < count:
        pair = speaker.pair()
        found.setdefault(pair.en, pair)
    return list(found.values())
