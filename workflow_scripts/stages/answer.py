"""Answer the test questions of prepared questions with each checkpoint; exact match and F1 of the answers.

The output is answers.parquet, a row for each checkpoint. Questions of your own: `workflow_scripts.commands.answer`.
"""

import torch
from torch import nn

from workflow_scripts.base.checks import whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import run_stage
from workflow_scripts.datasets.text.questions import QuestionText
from workflow_scripts.datasets.text.wordpieces import PAD
from workflow_scripts.generation.answers import LONGEST, scores
from workflow_scripts.generation.spans import Spans
from workflow_scripts.models.language.bert import QuestionAnswering
from workflow_scripts.recipes.recipe import QuestionAnsweringRecipe
from workflow_scripts.stages.shared.trials import measure_trials
from workflow_scripts.stages.shared.workbench import Workbench
from workflow_scripts.tasks.bert import EVALUATED

EXAMPLE = {
    "length": QuestionAnsweringRecipe.length,
    "stride": QuestionAnsweringRecipe.stride,
    "longest_answer": LONGEST,
}


def main() -> None:
    measure_trials("answers", __doc__, EXAMPLE, measured, stage="answer", images=False)


def measured(bench: Workbench, network: nn.Module) -> dict:
    """One row of a table of kind "answers", less the run."""
    found = answered(bench, network)
    expected = found.expected()
    match, overlap = scores(found.texts(), expected)
    return {"exact_match": match, "f1": overlap, "questions": len(expected)}


def answered(bench: Workbench, network: nn.Module) -> Spans:
    """The best part of every window of the test questions.

    Raises
    ------
    InputError : the data or the network are no questions and answers, or the windows do not fit either.
    """
    recipe, data = bench.recipe, bench.data
    if not isinstance(data, QuestionText):
        raise InputError(f"{data.info.name} holds no questions, so that there is nothing to be answered")
    if not isinstance(network, QuestionAnswering):
        raise InputError("the checkpoint is of no BERT that answers questions; give one that was fine-tuned on them")
    for key in EXAMPLE:
        whole_number(key, recipe[key])
    if recipe["length"] > network.longest:
        raise InputError(
            f"windows of {recipe['length']} tokens are longer than the {network.longest} places that the network "
            "knows; give a smaller length"
        )
    network.pad = data.special[PAD]
    spans = Spans(data, "test", recipe["length"], recipe["stride"], recipe["longest_answer"])
    with torch.inference_mode():
        for windows in spans.batches(EVALUATED):
            spans.add(windows, *network(windows.tokens, windows.segments))
    return spans


if __name__ == "__main__":
    run_stage(main)
