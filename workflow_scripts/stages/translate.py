"""Translate the test text of a prepared parallel text with each checkpoint, and score the translations by BLEU.

The output is translation.parquet, a row for each checkpoint. A text of your own: `workflow_scripts.commands.translate`.
"""

import torch
from torch import nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import run_stage
from workflow_scripts.datasets.text.parallel_text import ParallelText
from workflow_scripts.datasets.text.pieces import PAD
from workflow_scripts.generation.beam import Search, translate
from workflow_scripts.generation.bleu import bleu
from workflow_scripts.stages.shared.trials import measure_trials
from workflow_scripts.stages.shared.workbench import Workbench

EXAMPLE = {"beam": 5, "length_penalty": 1.0, "compound_splitting": False}
TOGETHER = 4000  # padded tokens of the source that are translated at a time
LONGER = 50  # tokens that a translation may have more than one and a half times its source


def main() -> None:
    measure_trials("translation", __doc__, EXAMPLE, measured, stage="translate", images=False)


def measured(bench: Workbench, network: nn.Module) -> dict:
    """One row of a table of kind "translation", less the run."""
    recipe, data = bench.recipe, bench.data
    if not isinstance(data, ParallelText):
        raise InputError(f"{data.info.name} is no parallel text, so that there is nothing to be translated")
    references = data.words("test", "target")[: recipe.get("sentences")]
    found: dict[int, str] = {}
    for pairs in data.batches("test", TOGETHER):
        kept = pairs.index < len(references)
        if kept.any():
            source = pairs.source[kept]
            lines = translated(network, source[:, : int((source != PAD).sum(1).max())], data, recipe)
            found |= dict(zip(pairs.index[kept].tolist(), lines, strict=True))
    translations = [found[number] for number in range(len(references))]
    score = bleu(translations, references, recipe["compound_splitting"])
    words = [sum(len(line.split()) for line in lines) for lines in (translations, references)]
    return {
        "bleu": score.score,
        "sentences": len(references),
        "length_ratio": words[0] / max(words[1], 1),
        "signature": score.signature,
    }


def translated(network: nn.Module, source: torch.Tensor, data: ParallelText, recipe: dict) -> list[str]:
    """The words that sentences (b, s) of token numbers are translated to."""
    longest = int(1.5 * source.shape[1]) + LONGER
    tokens, _ = translate(network, source, Search(recipe["beam"], float(recipe["length_penalty"]), longest))
    dictionary = data.dictionary("target")
    return [dictionary.text(numbers) for numbers in tokens]


if __name__ == "__main__":
    run_stage(main)
