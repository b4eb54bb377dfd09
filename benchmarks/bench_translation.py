"""Translation against transformers' Marian of the same weights: a training step in a plain loop, and beam search.

The text is the grammar's own. Both sides are given the same batches and have one thread; dropout is off, so that both
must give the same mean loss of five updates to 1e-5, and the same translations of the whole test text.

A training step is one of the engine's own loop: loss, gradients, RAdam, meter. The plain loop asks Marian for all
logits and torch for the smoothed cross-entropy, steps torch's RAdam and reads the loss. Each side trains in a process
of its own, since ours keeps the memory that it frees. Beam search translates with a network that has been trained for
120 updates, so that sentences end where sentences do; `generate` is given the same batches. CPU seconds are compared.
"""

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.bench_training import Observer, running
from benchmarks.pairs import Comparison, cpu_seconds, timed
from tests.shared.marian import generated, marian
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.datasets.sampling import WHOLE
from workflow_scripts.datasets.text.batching import padding
from workflow_scripts.datasets.text.grammar.files import write_parallel
from workflow_scripts.datasets.text.parallel_text import ParallelText
from workflow_scripts.datasets.text.pieces import PAD
from workflow_scripts.generation.beam import Search, translate
from workflow_scripts.models.language.transformer import Transformer, moved
from workflow_scripts.runtime.memory import keep_freed_memory
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.tasks.translation import Translation
from workflow_scripts.training import engine, optimizers
from workflow_scripts.training.history import History
from workflow_scripts.training.kept import Kept
from workflow_scripts.training.progress import Progress

RATE, BETAS, DECAY, SMOOTHING = 1e-4, (0.9, 0.98), 1e-4, 0.1
AGREEMENT, UPDATES = 1e-5, 5
TOGETHER, BEAMS = 1500, 5


@dataclass(frozen=True)
class Setting:
    """A network, with more words than the text has, and the padded tokens of a batch."""

    title: str
    vocabulary: tuple[int, int]
    sizes: dict
    tokens: int = 1500
    updates: int = UPDATES
    text: str = ""  # the folder of the prepared text

    def network(self) -> Transformer:
        made = Transformer(*self.vocabulary, **self.sizes, positions="marian", dropout=0.0)
        made.initialise(1.0, torch.Generator().manual_seed(0))
        return made

    def recipe(self) -> dict:
        return {
            "optimizer": {"name": "radam", "betas": BETAS, "weight_decay": DECAY},
            "batch_tokens": self.tokens,
            "updates_per_epoch": self.updates,
            "label_smoothing": SMOOTHING,
            "cutoff": False,
            "seed": 0,
            "freeze": None,
        }


SMALL = Setting(
    "width 128, 2 + 2 layers", (3000, 3000),
    {"encoder_layers": 2, "decoder_layers": 2, "width": 128, "heads": 4, "ffn": 256},
)  # fmt: skip
MIDDLE = Setting(
    "width 256, 3 + 3 layers", (3000, 3000),
    {"encoder_layers": 3, "decoder_layers": 3, "width": 256, "heads": 4, "ffn": 512},
)  # fmt: skip
IWSLT = Setting("39 million parameters (IWSLT)", (8848, 6632), {"heads": 4, "ffn": 1024}, updates=2)


class Ours:
    """The engine's loop; an epoch is `updates` updates, always of the same batches."""

    def __init__(self, setting: Setting, device: torch.device, rates: list[float] | None = None):
        keep_freed_memory()
        recipe = setting.recipe()
        task = Translation(recipe, ParallelText(setting.text, device))
        network = setting.network().to(device)
        self.progress = Progress(network, optimizers.build(recipe["optimizer"], network), History({}), Kept({}, 1))
        self.loop = engine._Loop(recipe, task, rates or [RATE] * task.steps, {}, Observer(), Processes())

    def epoch(self) -> float:
        """The mean loss of the epoch's target tokens."""
        self.progress.update = 0
        metrics, _ = self.loop.epoch(self.progress.model, self.progress)
        return metrics["loss"]


class Usual:
    """The plain loop over the same batches."""

    def __init__(self, setting: Setting, device: torch.device):
        task = Translation(setting.recipe(), ParallelText(setting.text, device))
        self.batches = [batch.inputs for update in task.updates(1, WHOLE) for batch in update.batches]
        self.model = marian(setting.network()).to(device).train()
        self.optimizer = torch.optim.RAdam(
            self.model.parameters(), RATE, BETAS, weight_decay=DECAY, decoupled_weight_decay=True
        )

    def epoch(self) -> float:
        """As of `Ours`."""
        total = tokens = 0
        for source, target in self.batches:
            self.optimizer.zero_grad()
            logits = self.model(
                input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=moved(target)
            ).logits
            loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD, label_smoothing=SMOOTHING)
            loss.backward()
            self.optimizer.step()
            count = int((target != PAD).sum())
            total, tokens = total + loss.item() * count, tokens + count
        return total / tokens


def assert_agreement(setting: Setting) -> None:
    """Both ways come to the same mean loss, over updates that change the weights."""
    cpu = torch.device("cpu")
    np.testing.assert_allclose(Ours(setting, cpu).epoch(), Usual(setting, cpu).epoch(), rtol=AGREEMENT)


def steps(settings: list[Setting], repeats: int) -> Iterator[Comparison]:
    """A training step of each."""
    for setting in settings:
        with running(Ours, setting, 1, 1) as ours, running(Usual, setting, 1, 1) as usual:
            yield Comparison(
                f"training step, {setting.title}",
                functools.partial(ours, 1),
                functools.partial(usual, 1),
                functools.partial(assert_agreement, setting),
                repeats,
                told=True,
            )


def trained(setting: Setting, updates: int) -> Transformer:
    """The network after so many updates, which can say most of the grammar's sentences."""
    rates = [3e-3 * min(1, (update + 1) / 20) for update in range(updates)]
    side = Ours(replace(setting, updates=updates), torch.device("cpu"), rates)
    side.epoch()
    return side.progress.model.eval()


def beam(setting: Setting, updates: int = 120, repeats: int = 7, sentences: int | None = None) -> Comparison:
    """Beam search on the test text, or on so many of its shorter sentences."""
    network, text = trained(setting, updates), ParallelText(setting.text)
    other = marian(network)
    sources = [pairs.source[:sentences] for pairs in text.batches("test", TOGETHER)][: 1 if sentences else None]

    def longest(source: Tensor) -> int:
        return int(1.5 * source.shape[1]) + 50

    def ours() -> list[list[list[int]]]:
        return [translate(network, source, Search(BEAMS, 1.0, longest(source)))[0] for source in sources]

    @torch.inference_mode()
    def usual() -> list[list[list[int]]]:
        return [generated(other, source, BEAMS, longest(source)) for source in sources]

    def agree() -> None:
        assert ours() == usual()

    what = f"beam {BEAMS}, {sum(map(len, sources))} sentences, {setting.title}"
    timed_ways = functools.partial(cpu_seconds, ours), functools.partial(cpu_seconds, usual)
    return Comparison(what, *timed_ways, agree, repeats, told=True)


def prepared(folder: Path) -> str:
    """The grammar's parallel text, prepared into a folder."""
    raw = folder / "raw"
    raw.mkdir()
    write_parallel(raw)
    (raw / "dataset.yaml").write_text("{form: parallel, source: de, target: en, merges: 3000}")
    prepare("grammar", folder / "text", raw)
    return str(folder / "text")


def told_padding(text: ParallelText, tokens: int) -> str:
    """The padded share of the tokens of training batches."""
    shares = padding(text.lengths("train"), tokens)
    return ", ".join(f"{way} {share:.1%}" for way, share in shares.items())


def rows(quick: bool = False) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        text = prepared(Path(folder))
        settings = [replace(each, text=text) for each in ([SMALL] if quick else [SMALL, MIDDLE, IWSLT])]
        print(f"padding in batches of {SMALL.tokens} tokens: {told_padding(ParallelText(text), SMALL.tokens)}")
        found = timed(steps(settings, repeats=5 if quick else 11))
        return found + timed(beam(each) for each in settings[:2])
