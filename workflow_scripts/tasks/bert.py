"""What pre-training a BERT and fine-tuning it have in common: the network, and how many sequences fit at once."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workflow_scripts import models
from workflow_scripts.base.checks import whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.sampling import generator
from workflow_scripts.datasets.text.documents import DocumentText
from workflow_scripts.datasets.text.questions import QuestionText
from workflow_scripts.datasets.text.wordpieces import PAD, load_vocabulary
from workflow_scripts.models.language.bert import Bert
from workflow_scripts.models.language.bert_folder import of_run, read_bert
from workflow_scripts.models.language.memory import at_once
from workflow_scripts.runtime.processes import Processes

EVALUATED = 64  # sequences that are evaluated at once, where so many fit


class BertTask:
    """The part of a `Task` that both share.

    Parameters
    ----------
    kind : of the network, which the form of the text brings with it. lengths : of its sequences.
    source : the checkpoint that the recipe's `pretrained` names, a run's file or a folder.

    at_once : how many sequences of each length are computed on at once.

    Raises
    ------
    InputError : the model is no BERT, or the sequences are longer than it knows places or the device has memory for.
    """

    def __init__(
        self,
        recipe: Mapping[str, Any],
        data: DocumentText | QuestionText,
        source: Path | None,
        kind: type[Bert],
        lengths: Iterable[int],
    ):
        self.recipe, self.data, self.device, self.source, self.kind = recipe, data, data.device, source, kind
        self.steps = recipe["updates_per_epoch"]
        for key in ("batch_size", "updates_per_epoch"):
            whole_number(key, recipe[key])
        with torch.device("meta"):
            network = self._built()
        if max(lengths) > network.longest:
            raise InputError(
                f"sequences of {max(lengths)} tokens are longer than the {network.longest} places that the network "
                "knows; shorten them, or raise the model's `longest`"
            )
        self.at_once = at_once(network, lengths, recipe["optimizer"]["name"], self.device)
        self.recompute = network.recompute

    def _built(self) -> Bert:
        network = models.build(self.recipe["model"], self.data.info)
        if not isinstance(network, self.kind):
            name = self.recipe["model"]["name"]
            raise InputError(f"the model {name!r} is no BERT, as the task {self.recipe['task']} needs; choose bert")
        return network

    def model(self) -> nn.Module:
        """A fresh network, or one that begins with the checkpoint's weights; a head that is not there is fresh."""
        network = self._built()
        network.initialise(1.0, generator(self.recipe["seed"], "initialisation"))
        if self.recipe.get("pretrained"):
            self._begin_with_checkpoint(network)
        network.pad, network.recompute = self.data.special[PAD], self.recompute
        return network.to(self.device)

    def _begin_with_checkpoint(self, network: Bert) -> None:
        """Put in the weights of the checkpoint.

        Raises
        ------
        InputError : there is none, or it is of another size or of other word pieces.
        """
        if self.source is None:
            raise InputError("the training begins with a checkpoint, but it is not known where that is; give its path")
        if not self.source.is_dir():
            of_run(self.source).into(network)
            return
        read_bert(self.source).into(network)
        if load_vocabulary(self.source).get_vocab() != load_vocabulary(self.data.folder).get_vocab():
            raise InputError(
                f"{self.data.info.name} was prepared with other word pieces than those of {self.source}, though as "
                "many; prepare the text with the vocabulary of the checkpoint"
            )

    def kernels(self) -> contextlib.AbstractContextManager:
        """As `Task.kernels`."""
        return contextlib.nullcontext()

    def check(self, processes: Processes) -> None:
        """Raises InputError where a batch has fewer sequences than there are processes."""
        if self.recipe["batch_size"] < processes.count:
            raise InputError(
                f"a batch of {self.recipe['batch_size']} sequences cannot be shared by {processes.count} processes; "
                "train with fewer, or with a larger batch_size"
            )
