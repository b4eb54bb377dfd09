"""Short stories in English about people and places, and questions about them in SQuAD's form.

A story tells facts of one person, some of a kind twice (the town where she was born, the town where she lives), so that
an answer has to be found by what is asked, not by its kind alone.
"""

import random
from dataclasses import dataclass

from workflow_scripts.datasets.text.grammar import lexicon
from workflow_scripts.datasets.text.grammar.sentences import PRONOUN

FAMILY = ["Berger", "Huber", "Keller", "Maurer", "Steiner", "Wagner", "Winter", "Fuchs", "Lang", "Koch"]
WORK = ["teacher", "doctor", "baker", "painter", "singer", "gardener", "writer", "farmer"]
PETS = ["dog", "cat", "horse", "bird"]
PET_NAMES = ["Bello", "Mia", "Rex", "Luna", "Felix", "Nora"]


@dataclass(frozen=True)
class Fact:
    """A sentence, and a question that it answers; `answer` is a part of the sentence."""

    sentence: str
    question: str
    answer: str


def story(draw: random.Random) -> list[Fact]:
    """A person's facts: who it is first, the rest in any order."""
    person, town = draw.choice(lexicon.PEOPLE), [place.en for place in draw.sample(lexicon.TOWNS, 3)]
    name, who = person.en, PRONOUN[person.gender].en
    whose = "his" if person.gender == "m" else "her"
    who_starts, whose_starts = who.capitalize(), whose.capitalize()
    work, pet, called = draw.choice(WORK), draw.choice(PETS), draw.choice(PET_NAMES)
    things = draw.sample(lexicon.THINGS, 2)
    bought, sold = (f"{draw.choice(lexicon.THING_LIKE).en} {thing.en}" for thing in things)
    garden, other = draw.sample(lexicon.PLACES, 2)
    full = f"{name} {draw.choice(FAMILY)}"
    first = Fact(f"{full} is a {work}.", f"What is the work of {name}?", work)
    rest = [
        Fact(f"{who_starts} was born in {town[0]}.", f"Where was {name} born?", town[0]),
        Fact(f"Today {who} lives in {town[1]}.", f"Where does {name} live?", town[1]),
        Fact(f"{whose_starts} {pet} is called {called}.", f"What is the {pet} of {name} called?", called),
        Fact(f"Yesterday {who} bought the {bought} in {town[2]}.", f"What did {name} buy?", bought),
        Fact(f"{who_starts} sold the {sold} in the {garden.en}.", f"What did {name} sell?", sold),
        Fact(f"{who_starts} works in the {other.en}.", f"Where does {name} work?", other.en),
    ]
    draw.shuffle(rest)
    return [first, *rest[: draw.randint(4, 6)]]


def documents(count: int, seed: int) -> list[list[str]]:
    """Stories as lists of sentences."""
    draw = random.Random(seed)
    return [[fact.sentence for fact in story(draw)] for _ in range(count)]


def questions(stories: int, seed: int) -> dict:
    """A document in the form of SQuAD v1.1: each story is a paragraph, with a question for each of its facts."""
    draw = random.Random(seed)
    return {"version": "1.1", "data": [paragraphs(story(draw), number) for number in range(stories)]}


def paragraphs(facts: list[Fact], number: int) -> dict:
    """An article of one paragraph."""
    context, asked = "", []
    for position, fact in enumerate(facts):
        context += " " if context else ""
        start = len(context) + fact.sentence.rindex(fact.answer)
        answer = {"text": fact.answer, "answer_start": start}
        asked.append({"id": f"{number}-{position}", "question": fact.question, "answers": [answer]})
        context += fact.sentence
    return {"title": f"Story {number}", "paragraphs": [{"context": context, "qas": asked}]}
