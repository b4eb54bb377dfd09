"""The words: what each is in English and in German, with the forms that German grammar needs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """A thing or a living being. gender : of the German word, "m", "f" or "n"."""

    en: str
    en_plural: str
    de: str
    de_plural: str
    gender: str

    @property
    def de_dative_plural(self) -> str:
        """The plural ends in n in the dative, but for words in -s."""
        return self.de_plural if self.de_plural.endswith(("n", "s")) else self.de_plural + "n"


@dataclass(frozen=True)
class Name:
    """A person or town of one name in both languages, or of two. gender : of the pronoun, "m" or "f"; "n" for towns."""

    en: str
    de: str
    gender: str


@dataclass(frozen=True)
class Verb:
    """A verb with an object. en : base form, with s, past; de : infinitive, er-form, participle."""

    en: str
    en_s: str
    en_past: str
    de: str
    de_er: str
    de_participle: str


@dataclass(frozen=True)
class Modal:
    """A verb that takes another in the infinitive. The German er-form has no ending."""

    en: str
    en_plural: str
    de: str
    de_plural: str


@dataclass(frozen=True)
class Pair:
    """A word or phrase that has no forms, or whose forms are endings."""

    en: str
    de: str


def nouns(*rows: str) -> list[Noun]:
    """Nouns from rows "en en_plural de de_plural gender"."""
    return [Noun(*row.split()) for row in rows]


BEINGS = nouns(
    "man men Mann Männer m", "teacher teachers Lehrer Lehrer m", "friend friends Freund Freunde m",
    "dog dogs Hund Hunde m", "woman women Frau Frauen f", "cat cats Katze Katzen f", "aunt aunts Tante Tanten f",
    "doctor doctors Ärztin Ärztinnen f", "child children Kind Kinder n", "girl girls Mädchen Mädchen n",
    "horse horses Pferd Pferde n",
)  # fmt: skip
THINGS = nouns(
    "letter letters Brief Briefe m", "apple apples Apfel Äpfel m", "key keys Schlüssel Schlüssel m",
    "chair chairs Stuhl Stühle m", "flower flowers Blume Blumen f", "lamp lamps Lampe Lampen f",
    "cup cups Tasse Tassen f", "newspaper newspapers Zeitung Zeitungen f", "book books Buch Bücher n",
    "picture pictures Bild Bilder n", "shirt shirts Hemd Hemden n", "boat boats Boot Boote n",
)  # fmt: skip
PLACES = nouns(
    "garden gardens Garten Gärten m", "park parks Park Parks m", "forest forests Wald Wälder m",
    "school schools Schule Schulen f", "kitchen kitchens Küche Küchen f", "town towns Stadt Städte f",
    "house houses Haus Häuser n", "village villages Dorf Dörfer n", "museum museums Museum Museen n",
)  # fmt: skip
PEOPLE = [Name(name, name, gender) for name, gender in zip(
    ("Anna", "Paul", "Maria", "Peter", "Clara", "Thomas", "Sophie", "Jonas"), "fm" * 4, strict=True
)]  # fmt: skip
TOWNS = [
    Name(en, de, "n")
    for en, de in [
        ("Vienna", "Wien"), ("Berlin", "Berlin"), ("Munich", "München"), ("Cologne", "Köln"), ("Zurich", "Zürich"),
        ("Hamburg", "Hamburg"), ("Bremen", "Bremen"), ("Graz", "Graz"),
    ]
]  # fmt: skip
VERBS = [
    Verb(*row.split())
    for row in (
        "see sees saw sehen sieht gesehen", "buy buys bought kaufen kauft gekauft",
        "find finds found finden findet gefunden", "draw draws drew zeichnen zeichnet gezeichnet",
        "carry carries carried tragen trägt getragen", "seek seeks sought suchen sucht gesucht",
        "take takes took nehmen nimmt genommen", "sell sells sold verkaufen verkauft verkauft",
        "bring brings brought bringen bringt gebracht", "show shows showed zeigen zeigt gezeigt",
    )
]  # fmt: skip
MODALS = [
    Modal("can", "can", "kann", "können"),
    Modal("must", "must", "muss", "müssen"),
    Modal("wants to", "want to", "will", "wollen"),
]
BEING_LIKE, THING_LIKE = (
    [Pair(*word.split("/")) for word in words.split()]
    for words in (
        "old/alt young/jung small/klein big/groß friendly/freundlich quiet/ruhig beautiful/schön",
        "old/alt new/neu small/klein big/groß beautiful/schön red/rot green/grün brown/braun",
    )
)
TIMES = {
    "now": [Pair("today", "heute"), Pair("now", "jetzt"), Pair("often", "oft")],
    "past": [Pair("yesterday", "gestern"), Pair("last night", "gestern Abend")],
}
REASONS = [Pair("because", "weil"), Pair("although", "obwohl")]
WHEN = Pair("if", "wenn")
SAYS = [Pair("says that", "sagt, dass"), Pair("knows that", "weiß, dass")]
