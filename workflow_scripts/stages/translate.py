"""Translate the test text of a prepared parallel text with each checkpoint, and score the translations by BLEU.

The output is translation.parquet, a row for each checkpoint. With --text a file of your own is translated instead, a
sentence a line, by one checkpoint, and --out is the file of its translations, plain text again. --data is the prepared
parallel text that the checkpoint was trained on, whose words and dictionaries are its own:

    python -m workflow_scripts.stages.translate --text letter.de --out letter.en --data data/iwslt14_de_en \\
        --checkpoints results/runs/<run>/checkpoints/best.safetensors --recipe '{"beam": 5, "length_penalty": 1.0}'
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from workflow_scripts.base.arguments import add_running, read_json, recipe_help
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import write_text
from workflow_scripts.base.stage import command_line, run_stage
from workflow_scripts.datasets.text.batching import buckets
from workflow_scripts.datasets.text.lines import read_lines
from workflow_scripts.datasets.text.parallel import TextCodec
from workflow_scripts.datasets.text.parallel_text import ParallelText
from workflow_scripts.datasets.text.pieces import END, PAD
from workflow_scripts.generation.beam import Search, translate
from workflow_scripts.generation.bleu import bleu
from workflow_scripts.stages.shared.trials import measure_trials
from workflow_scripts.stages.shared.workbench import Workbench

EXAMPLE = {"beam": 5, "length_penalty": 1.0, "compound_splitting": False}
TOGETHER = 4000  # padded tokens of the source that are translated at a time
LONGER = 50  # tokens that a translation may have more than one and a half times its source


def main() -> None:
    if any(word.startswith("--text") for word in sys.argv):
        translate_file()
    else:
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


def translate_file() -> None:
    """Translate a file of plain text."""
    parser = command_line("stages.translate", __doc__, recipe_help("translate", EXAMPLE))
    parser.add_argument("--text", type=Path, required=True, help="plain text to translate, a sentence a line")
    parser.add_argument("--checkpoints", type=Path, required=True, help="the checkpoint that translates")
    parser.add_argument("--recipe", default='{"beam": 5, "length_penalty": 1.0}', help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="file of the translations")
    add_running(parser)
    given = parser.parse_args()
    bench = Workbench.of(given, read_json(given.recipe, {key: EXAMPLE[key] for key in ("beam", "length_penalty")}))
    if not isinstance(bench.data, ParallelText):
        raise InputError(f"{given.data} is no parallel text; name the one that the checkpoint was trained on")
    network = bench.network(given.checkpoints, bench.recipe.get("model"))
    codecs = [TextCodec.load(given.data, side) for side in ("source", "target")]
    lines = translated_lines(bench, network, *codecs, list(read_lines(given.text)))
    write_text(given.out, "".join(f"{line}\n" for line in lines))


def translated_lines(
    bench: Workbench, network: nn.Module, source: TextCodec, target: TextCodec, lines: list[str]
) -> list[str]:
    """Plain lines in the other language, those of like length together; a line without words stays empty."""
    sentences = {number: ids for number, ids in enumerate(source.encode(source.words(lines))) if ids}
    found, order = [""] * len(lines), list(sentences)
    lengths = np.array([len(ids) + 1 for ids in sentences.values()], dtype=np.int64)
    for chosen in buckets(lengths, max(TOGETHER, lengths.max(initial=0))):
        batch = [torch.tensor([*sentences[order[each]], END], device=bench.device) for each in chosen]
        padded = pad_sequence(batch, batch_first=True, padding_value=PAD)
        for each, words in zip(chosen, translated(network, padded, bench.data, bench.recipe), strict=True):
            found[order[each]] = target.plain(words)
    return found


if __name__ == "__main__":
    run_stage(main)
