"""SQuAD v1.1's scores, step by step as its evaluation states them: an independent reference."""

import collections
import re
import string


def official(prediction: str, truths: list[str]) -> tuple[float, float]:
    """Precision, recall and their harmonic mean, step by step, after the four steps of normalisation one by one."""

    def prepared(text: str) -> str:
        text = text.lower()
        text = "".join(each for each in text if each not in set(string.punctuation))
        text = re.sub(r"\b(a|an|the)\b", " ", text)
        return " ".join(text.split())

    def overlap(truth: str) -> float:
        mine, theirs = prepared(prediction).split(), prepared(truth).split()
        same = sum((collections.Counter(mine) & collections.Counter(theirs)).values())
        if same == 0:
            return 0.0
        precision, recall = same / len(mine), same / len(theirs)
        return 2 * precision * recall / (precision + recall)

    return max(float(prepared(prediction) == prepared(truth)) for truth in truths), max(map(overlap, truths))


def official_scores(document: dict, answers: dict[str, str]) -> tuple[float, float]:
    """Exact match and F1 in percent of answers to a file's questions, by id."""
    found = [
        official(answers.get(asked["id"], ""), [answer["text"] for answer in asked["answers"]])
        for article in document["data"] for paragraph in article["paragraphs"] for asked in paragraph["qas"]
    ]  # fmt: skip
    return 100 * sum(match for match, _ in found) / len(found), 100 * sum(overlap for _, overlap in found) / len(found)
