"""Fine-tuning BERT to find answers in a paragraph (Devlin et al. 2019, section 4.2; iyer2020, section 5.3.5).

An item is a window of a question and a part of its paragraph. Its loss is the mean of two cross-entropies, of the
answer's first place and of its last; a window without the answer is to tell [CLS]. No answer can be in padding, so the
loss of a window does not depend on how far it is filled up.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.base.checks import whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.sampling import Share
from workflow_scripts.datasets.text.questions import QuestionText, Windows
from workflow_scripts.datasets.text.wordpieces import PAD
from workflow_scripts.generation.answers import scores
from workflow_scripts.generation.spans import Spans
from workflow_scripts.models.language.bert import QuestionAnswering as Network
from workflow_scripts.runtime.device import autocast
from workflow_scripts.runtime.processes import Processes
from workflow_scripts.tasks.base import Batch, Loss, SumMeter, Update
from workflow_scripts.tasks.bert import EVALUATED, BertTask


def task(recipe: Mapping[str, Any], data: QuestionText, source: Path | None = None) -> "QuestionAnswering":
    """As `tasks.task_of`; `source` is the checkpoint that `pretrained` names, where it names one."""
    return QuestionAnswering(recipe, data, source)


class QuestionAnswering(BertTask):
    """A `Task`; its recipe has batch_size, updates_per_epoch, and the length and stride of windows, in tokens."""

    metrics: Mapping[str, tuple[str, ...]] = {"train": ("loss",), "test": ("loss", "exact_match", "f1")}

    def __init__(self, recipe: Mapping[str, Any], data: QuestionText, source: Path | None = None):
        if not isinstance(data, QuestionText):
            raise InputError(f"{data.info.name} holds no questions, so that none can be learned to be answered")
        for key in ("length", "stride"):
            whole_number(key, recipe[key])
        super().__init__(recipe, data, source, Network, [recipe["length"]])
        self.cut = recipe["length"], recipe["stride"]
        for split in data.splits:
            data.cut(split, *self.cut)

    def updates(self, epoch: int, share: Share, start: int = 0) -> Iterator[Update]:
        """As `Task.updates`: one batch of windows each, or as many as memory asks for."""
        recipe, size, together = self.recipe, self.recipe["batch_size"], self.at_once[self.recipe["length"]]
        samples = size * self.steps
        for windows in self.data.epoch_batches(recipe["seed"], epoch, size, samples, *self.cut, share, start):
            parts = zip(*(each.split(together) for each in windows), strict=True)
            yield Update(tuple(Batch(part, len(part[0])) for part in parts), size)

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """The mean of both cross-entropies, summed over the windows."""
        windows = Windows(*batch.inputs)
        return Loss(self._sum(windows, *self._logits(network, windows)))

    def _logits(self, network: nn.Module, windows: Windows) -> tuple[Tensor, Tensor]:
        """Logits (b, l) of each place, in float32."""
        with autocast(self.device):
            start, end = network(windows.tokens, windows.segments)
        return start.float(), end.float()

    def _sum(self, windows: Windows, start: Tensor, end: Tensor) -> Tensor:
        padding = windows.tokens == self.data.special[PAD]
        begins, ends = (
            F.cross_entropy(logits.masked_fill(padding, -torch.inf), place, reduction="sum")
            for logits, place in ((start, windows.start), (end, windows.end))
        )
        return (begins + ends) / 2

    def meter(self) -> SumMeter:
        """As `Task.meter`."""
        return SumMeter(self.metrics["train"])

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, processes: Processes) -> dict[str, float]:
        """As `Task.evaluate`, on all test questions."""
        spans, loss = Spans(self.data, "test", *self.cut), torch.zeros((), dtype=torch.float64, device=self.device)
        for windows in spans.batches(min(self.at_once[self.recipe["length"]], EVALUATED), processes):
            logits = self._logits(model, windows)
            loss += self._sum(windows, *logits)
            spans.add(windows, *logits)
        match, overlap = scores(spans.texts(processes), spans.expected())
        return {"loss": processes.total(loss).item() / len(spans.windows), "exact_match": match, "f1": overlap}
