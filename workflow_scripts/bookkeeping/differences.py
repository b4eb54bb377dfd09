"""In what a recipe differs from the ones that were run before."""

from collections.abc import Iterable, Mapping

from workflow_scripts.recipes.canonical import canonical

FEW = 3  # more differences than these, and it is another experiment


def differences(old: object, new: object, place: str = "") -> list[str]:
    """Sentences such as "schedule.lr was 0.05, is 0.1", one for each place where two recipes differ."""
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        old, new = (side if isinstance(side, Mapping) else {} for side in (old, new))
        keys = list(dict.fromkeys([*old, *new]))
        inner = [differences(old.get(key), new.get(key), f"{place}.{key}".lstrip(".")) for key in keys]
        return [sentence for sentences in inner for sentence in sentences]
    return [] if canonical(old) == canonical(new) else [f"{place} was {canonical(old)}, is {canonical(new)}"]


def nearest(recipe: dict, others: Iterable[tuple[str, dict]]) -> tuple[str, list[str]] | None:
    """Of recipes by name the one that differs in the fewest places, and these; None where all differ in many."""
    found = [(differences(other, recipe), name) for name, other in others]
    few = [(len(sentences), name, sentences) for sentences, name in found if len(sentences) <= FEW]
    return min(few)[1:] if few else None
