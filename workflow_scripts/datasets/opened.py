"""A prepared data set on a device: what trainings and analyses ask of it, and the way to one."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from workflow_scripts.datasets.description import is_text, read_fields
from workflow_scripts.datasets.images.arrays import PreparedInfo, load, read_description
from workflow_scripts.datasets.sampling import WHOLE, Share


class TrainingData(Protocol):
    """Images of two splits, "train" and "test", that come in normalised batches on one device.

    info : the prepared data set's. device : where the batches are.
    """

    info: PreparedInfo
    device: torch.device

    def count(self, split: str) -> int:
        """Number of images of a split."""

    def batches(
        self, split: str, batch_size: int, limit: int | None = None, share: Share = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalised images (b, c, h, w) and labels (b,) un-augmented, in the stored order.

        Parameters
        ----------
        limit : stop after the first `limit` images; the whole split where it is None.
        share : yield every `share.count`-th batch alone.
        """

    def epoch_batches(
        self, seed: int, epoch: int, batch_size: int, samples: int, augment: bool, side: int | None = None,
        share: Share = WHOLE,
    ) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
        """Yield the normalised images (b, c, h, w) and labels (b,) of one epoch; the last batch may be smaller.

        Parameters
        ----------
        samples : images in the epoch.
        augment : whether images are moved at random as their data set is augmented.
        side : size in pixels that images are resized to; their own where it is None.
        share : yield this part of every batch alone.
        """


# Module and class of each form of text.
TEXT_FORMS = {
    "parallel": ("parallel_text", "ParallelText"),
    "questions": ("questions", "QuestionText"),
    "documents": ("documents", "DocumentText"),
}


def open_data(folder: str | Path, device: torch.device, workers: int = 0) -> Any:
    """A prepared data set: images as `TrainingData`, of which `workers` processes decode pictures; or one of the forms
    of text, whose batches are put on the device.

    Raises
    ------
    InputError : the folder is no prepared data set, or does not fit into the device's memory.
    """
    if is_text(Path(folder)):
        module, name = TEXT_FORMS[read_fields(Path(folder))["form"]]
        return getattr(importlib.import_module(f"workflow_scripts.datasets.text.{module}"), name)(folder, device)
    if read_description(Path(folder)).form == "pictures":
        from workflow_scripts.datasets.images.streamed import (
            StreamedData,  # brings torchvision, which arrays do not need
        )

        return StreamedData(folder, device, workers)
    from workflow_scripts.datasets.images.in_memory import InMemoryData

    return InMemoryData(load(folder), device)
