"""Answer the test questions of prepared questions with each checkpoint; exact match and F1 of the answers.

The output is answers.parquet, a row for each checkpoint. With --questions a file of your own in SQuAD form is answered
instead, by one checkpoint: a BERT folder (config.json, model.safetensors and its word pieces), or the file of a run,
whose word pieces --data has. --out is then the file of the answers, {question's id: answer}; scores are printed:

    python -m workflow_scripts.stages.answer --questions dev-v1.1.json --out answers.json \\
        --checkpoints models/bert-finetuned-squad
"""

import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

from workflow_scripts import models
from workflow_scripts.base.arguments import add_running, read_json
from workflow_scripts.base.checks import whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import write_text
from workflow_scripts.base.stage import command_line, run_stage
from workflow_scripts.datasets.text.questions import QuestionText
from workflow_scripts.datasets.text.squad import prepare_asked
from workflow_scripts.datasets.text.wordpieces import PAD, load_vocabulary
from workflow_scripts.generation.answers import LONGEST, scores
from workflow_scripts.generation.spans import Spans
from workflow_scripts.models.language.bert import QuestionAnswering
from workflow_scripts.models.language.bert_folder import read_bert
from workflow_scripts.recipes.canonical import canonical
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
    if any(word.startswith("--questions") for word in sys.argv):
        answer_file()
    else:
        measure_trials("answers", __doc__, EXAMPLE, measured, stage="answer")


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


def answer_file() -> None:
    """Answer the questions of a file."""
    parser = command_line("stages.answer", __doc__)
    parser.add_argument("--questions", type=Path, required=True, help="questions and paragraphs, JSON in SQuAD's form")
    parser.add_argument(
        "--checkpoints", type=Path, required=True, help="the BERT folder, or a run's file, that answers"
    )
    parser.add_argument("--recipe", default=canonical(EXAMPLE), help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="file of the answers")
    add_running(parser, data="prepared text that has the word pieces of a run's file", required=False)
    given = parser.parse_args()
    recipe, words = read_json(given.recipe, tuple(EXAMPLE)), given.data or given.checkpoints
    if not words.is_dir():
        raise InputError(
            f"{words} is no folder that has word pieces; give a BERT checkpoint's folder, or with a run's file the "
            "prepared text of its training as --data"
        )
    with tempfile.TemporaryDirectory() as folder:
        prepare_asked(given.questions, Path(folder), load_vocabulary(words))
        given.data = Path(folder)
        bench = Workbench.of(given, recipe)
        spans = answered(bench, network_of(bench, given.checkpoints))
        answers, expected = spans.texts(), spans.expected()
    match, overlap = scores(answers, expected)
    write_text(given.out, canonical(answers) + "\n")
    print(f"{len(expected)} questions: exact match {match:.2f} %, F1 {overlap:.2f} %")


def network_of(bench: Workbench, path: Path) -> nn.Module:
    """The network of a BERT folder, or of a run's file, in eval mode.

    Raises
    ------
    InputError : it does not fit the word pieces, or has never learned to answer.
    """
    if not path.is_dir():
        return bench.network(path, bench.recipe.get("model"))
    found = read_bert(path)
    network = models.build({"name": "bert", **found.options}, bench.data.info)
    if "answer" in found.into(network):
        raise InputError(f"{path} has no weights that find answers (qa_outputs); fine-tune it on questions first")
    return network.to(bench.device).eval()


if __name__ == "__main__":
    run_stage(main)
