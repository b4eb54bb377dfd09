"""How well the trials of a setting translate, and how well they answer questions."""

from dataclasses import replace
from typing import TYPE_CHECKING

from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.kinds.sharpness import of_trials

if TYPE_CHECKING:
    from workflow_scripts.planning.analyses import AnalysisResolver


def translation(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    """BLEU of each trial of `runs` on the test text."""
    return of_trials(resolver, "translation", name, settings, where)


def answers(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    """Exact match and F1 of each trial of `runs` on the test questions, in windows as it was trained on."""
    found = of_trials(resolver, "answers", name, settings, where)
    if found is None:
        return None
    windows = {key: found.runs[0].recipe[key] for key in ("length", "stride")}
    return replace(found, recipe=found.recipe | windows)
