"""Answer questions of your own, a file in SQuAD's form, with one checkpoint.

    python -m workflow_scripts.commands.answer --questions dev-v1.1.json --out answers.json \\
        --checkpoint models/bert-finetuned-squad

The checkpoint is a BERT folder (config.json, model.safetensors and its word pieces), or the file of a run, whose word
pieces --data has. The output is the file of the answers, {question's id: answer}; their scores are printed.
"""

import tempfile
from pathlib import Path

from torch import nn

from workflow_scripts import models
from workflow_scripts.base.arguments import add_running, read_json, recipe_help
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import write_text
from workflow_scripts.base.stage import command_line, run_stage
from workflow_scripts.datasets.text.squad import prepare_asked
from workflow_scripts.datasets.text.wordpieces import load_vocabulary
from workflow_scripts.generation.answers import scores
from workflow_scripts.models.language.bert_folder import read_bert
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.stages.answer import EXAMPLE, answered
from workflow_scripts.stages.shared.workbench import Workbench


def main() -> None:
    parser = command_line("commands.answer", __doc__, recipe_help("answer", EXAMPLE))
    parser.add_argument("--questions", type=Path, required=True, help="questions and paragraphs, JSON in SQuAD's form")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the BERT folder, or a run's file, that answers")
    parser.add_argument("--recipe", default=canonical(EXAMPLE), help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="file of the answers")
    add_running(parser, data="prepared text that has the word pieces of a run's file", required=False)
    given = parser.parse_args()
    recipe, words = read_json(given.recipe, EXAMPLE), given.data or given.checkpoint
    if not words.is_dir():
        raise InputError(
            f"{words} is no folder that has word pieces; give a BERT checkpoint's folder, or with a run's file the "
            "prepared text of its training as --data"
        )
    with tempfile.TemporaryDirectory() as folder:
        prepare_asked(given.questions, Path(folder), load_vocabulary(words))
        given.data = Path(folder)
        bench = Workbench.of(given, recipe)
        spans = answered(bench, network_of(bench, given.checkpoint))
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
