"""BERT against transformers' of the same weights: steps of pre-training and fine-tuning, and answering questions.

Text, documents and questions are the grammar's own. Both sides are given the same batches and have one thread; dropout
is off, so that both must give the same mean loss of their updates to 1e-5, and the same logits to 1e-5. CPU seconds are
compared. The plain loop asks transformers for the guesses at all places, as its model gives them, and reads the loss.
"""

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertForPreTraining, BertForQuestionAnswering

from benchmarks.bench_training import Observer
from benchmarks.pairs import Comparison, cpu_seconds, timed
from workflow_scripts.datasets.opened import open_data
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.datasets.sampling import WHOLE
from workflow_scripts.datasets.text.documents import Masked
from workflow_scripts.datasets.text.grammar.files import WRITERS
from workflow_scripts.datasets.text.questions import Windows
from workflow_scripts.datasets.text.wordpieces import load_vocabulary
from workflow_scripts.generation.spans import Spans
from workflow_scripts.models.language.bert_folder import write_bert
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.tasks import task_of
from workflow_scripts.training import engine

RATE, UPDATES, AGREEMENT = 1e-4, 3, 1e-5
MODEL = {"name": "bert", "layers": 4, "width": 256, "heads": 4, "ffn": 1024, "dropout": 0.0, "attention_dropout": 0.0}
RECIPE = {
    "model": MODEL, "optimizer": {"name": "adamw", "weight_decay": 0.01}, "batch_size": 16,
    "updates_per_epoch": UPDATES, "epochs": 1, "pretrained": None, "seed": 1, "freeze": None,
}  # fmt: skip
TASKS = {
    "questions": {**RECIPE, "task": "question_answering", "length": 128, "stride": 64},
    "documents": {**RECIPE, "task": "masked_lm", "lengths": [[1, 128]]},
}


def answering_loss(model: nn.Module, windows: Windows) -> Tensor:
    """The mean loss of windows, by transformers' logits; no answer is in padding."""
    real = windows.tokens != 0
    found = model(input_ids=windows.tokens, attention_mask=real.long(), token_type_ids=windows.segments)
    pairs = (found.start_logits, windows.start), (found.end_logits, windows.end)
    return sum(F.cross_entropy(logits.masked_fill(~real, -torch.inf), place) for logits, place in pairs) / 2


def masked_loss(model: nn.Module, pairs: Masked) -> Tensor:
    """The mean loss of masked places and of following sentences, which transformers computes itself."""
    labels = torch.full_like(pairs.tokens, -100)
    labels.view(-1)[pairs.chosen] = pairs.labels
    return model(
        input_ids=pairs.tokens,
        attention_mask=(pairs.tokens != 0).long(),
        token_type_ids=pairs.segments,
        labels=labels,
        next_sentence_label=pairs.other,
    ).loss


USUAL: dict[str, tuple[type[nn.Module], Callable[[nn.Module, tuple], Tensor]]] = {
    "questions": (BertForQuestionAnswering, lambda model, inputs: answering_loss(model, Windows(*inputs))),
    "documents": (BertForPreTraining, lambda model, inputs: masked_loss(model, Masked(*inputs[:-1]))),
}


class Pair:
    """A task with our network and transformers' of the same weights."""

    def __init__(self, form: str, folder: Path):
        raw, prepared = folder / f"{form}-raw", folder / form
        raw.mkdir()
        WRITERS[form](raw)
        (raw / "dataset.yaml").write_text(f"form: {form}")
        prepare(form, prepared, raw)
        self.recipe = TASKS[form]
        self.task = task_of(self.recipe, open_data(prepared, torch.device("cpu")))
        self.progress = engine.begin(self.recipe, self.task, {})
        write_bert(folder / f"{form}-bert", self.progress.model, load_vocabulary(prepared))
        kind, self.loss = USUAL[form]
        self.model = kind.from_pretrained(folder / f"{form}-bert").train()
        self.loop = engine._Loop(self.recipe, self.task, [RATE] * UPDATES, {}, Observer(), Processes())
        self.batches = [batch.inputs for update in self.task.updates(1, WHOLE) for batch in update.batches]
        self.optimizer = torch.optim.AdamW(self.model.parameters(), RATE, weight_decay=0.01)

    def ours(self) -> dict[str, float]:
        """An epoch of the engine's loop; its metrics."""
        self.progress.update = 0
        return self.loop.epoch(self.progress.model, self.progress)[0]

    def usual(self) -> list[float]:
        """The same updates in a plain loop; their losses."""
        losses = []
        self.model.train()
        for inputs in self.batches:
            self.optimizer.zero_grad()
            loss = self.loss(self.model, inputs)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return losses

    def agree(self) -> None:
        """Both give the same losses, and weights with which they still do."""
        for _ in range(2):
            network = self.progress.model.train()
            with torch.no_grad():
                found = [float(self._our_loss(network, inputs)) for inputs in self.batches]
                expected = [float(self.loss(self.model, inputs)) for inputs in self.batches]
            np.testing.assert_allclose(found, expected, rtol=AGREEMENT)
            self.ours(), self.usual()

    def _our_loss(self, network: nn.Module, inputs: tuple) -> Tensor:
        size = len(inputs[0])
        loss = self.task.loss(network, engine.Batch(inputs, size))
        return loss.sum * loss.weight / size


def step(pair: Pair, title: str, repeats: int) -> Comparison:
    """Updates of a training."""
    ways = functools.partial(cpu_seconds, pair.ours), functools.partial(cpu_seconds, pair.usual)
    what = f"{title}, {UPDATES} steps of {RECIPE['batch_size']}, BERT of 4 layers, width 256"
    return Comparison(what, *ways, pair.agree, repeats, told=True)


def answering(pair: Pair, repeats: int) -> Comparison:
    """Answering all test questions; the best part of a window is found by the same function on both sides."""
    data, cut = pair.task.data, (pair.recipe["length"], pair.recipe["stride"])
    network = pair.progress.model

    @torch.inference_mode()
    def answered(logits: Callable[[Windows], tuple[Tensor, Tensor]]) -> Tensor:
        spans = Spans(data, "test", *cut)
        for windows in spans.batches(64):
            spans.add(windows, *logits(windows))
        return spans.found

    def ours() -> Tensor:
        network.eval()
        return answered(lambda windows: network(windows.tokens, windows.segments))

    def usual() -> Tensor:
        pair.model.eval()

        def logits(windows: Windows) -> tuple[Tensor, Tensor]:
            mask = (windows.tokens != 0).long()
            found = pair.model(input_ids=windows.tokens, attention_mask=mask, token_type_ids=windows.segments)
            return found.start_logits, found.end_logits

        return answered(logits)

    def agree() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_bert(Path(folder) / "bert", network, load_vocabulary(data.folder))
            pair.model.load_state_dict(BertForQuestionAnswering.from_pretrained(Path(folder) / "bert").state_dict())
        torch.testing.assert_close(ours()[:, 2], usual()[:, 2], rtol=AGREEMENT, atol=AGREEMENT)

    ways = functools.partial(cpu_seconds, ours), functools.partial(cpu_seconds, usual)
    return Comparison(f"answering {len(data.texts('test')[1])} questions", *ways, agree, repeats, told=True)


def comparisons(folder: Path, repeats: int) -> Iterator[Comparison]:
    """Fine-tuning, answering, pre-training."""
    questions = Pair("questions", folder)
    yield step(questions, "fine-tuning", repeats)
    yield answering(questions, repeats)
    yield step(Pair("documents", folder), "pre-training", repeats)


def rows(quick: bool = False) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        return timed(comparisons(Path(folder), repeats=3 if quick else 7))
