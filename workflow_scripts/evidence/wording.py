"""Effects and what is expected of them in words, as the site and the notebooks show them."""

import math

COMPARED = {"above": "at least", "increase": "above", "below": "at most", "decrease": "below", "within": "within"}


def number(value: float) -> str:
    """Three digits, and no exponent where a reader can do without."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.3g}"
    if "e" in text and abs(value) >= 1:
        text = f"{value:,.0f}"
    return text.replace("-", "−")


def p_value(p: float) -> str:
    """Three decimals."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def expectation(rule: dict) -> str:
    """The direction and the thresholds of a claim."""
    threshold, against = number(rule["threshold"]), number(rule["contradicted"])
    if rule["expected"] == "within":
        return f"within a factor of {threshold}" if rule["effect"] == "ratio" else f"within ±{threshold}"
    text = f"{COMPARED[rule['expected']]} {threshold}"
    return text if threshold == against else f"{text}, contradicted from {against}"
