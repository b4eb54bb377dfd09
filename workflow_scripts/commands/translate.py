"""Translate a plain text of your own, a sentence a line, with one checkpoint.

    python -m workflow_scripts.commands.translate --text letter.de --out letter.en --data data/iwslt14_de_en \\
        --checkpoint results/runs/<run>/checkpoints/best.safetensors --recipe '{"beam": 5, "length_penalty": 1.0}'

--data is the prepared parallel text that the checkpoint was trained on, whose words and dictionaries are its own. The
output is plain text again.
"""

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
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.stages import translate
from workflow_scripts.stages.shared.workbench import Workbench

EXAMPLE = {key: translate.EXAMPLE[key] for key in ("beam", "length_penalty")}


def main() -> None:
    parser = command_line("commands.translate", __doc__, recipe_help("translate", EXAMPLE))
    parser.add_argument("--text", type=Path, required=True, help="plain text to translate, a sentence a line")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the checkpoint that translates")
    parser.add_argument("--recipe", default=canonical(EXAMPLE), help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="file of the translations")
    add_running(parser)
    given = parser.parse_args()
    bench = Workbench.of(given, read_json(given.recipe, EXAMPLE))
    if not isinstance(bench.data, ParallelText):
        raise InputError(f"{given.data} is no parallel text; name the one that the checkpoint was trained on")
    network = bench.network(given.checkpoint, bench.recipe.get("model"))
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
    for chosen in buckets(lengths, max(translate.TOGETHER, lengths.max(initial=0))):
        batch = [torch.tensor([*sentences[order[each]], END], device=bench.device) for each in chosen]
        padded = pad_sequence(batch, batch_first=True, padding_value=PAD)
        words = translate.translated(network, padded, bench.data, bench.recipe)
        for each, line in zip(chosen, words, strict=True):
            found[order[each]] = target.plain(line)
    return found


if __name__ == "__main__":
    run_stage(main)
