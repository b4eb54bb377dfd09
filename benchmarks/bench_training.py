"""The training engine against the usual loop, in images trained a second; on the GPU where there is one.

The usual loop: a DataLoader whose workers turn one image after the other from a PIL picture into a tensor (RandomCrop,
RandomHorizontalFlip, ToTensor, Normalize), the default memory format, SGD as it comes, and `.item()` on the loss and
on the number of correct images at every step. It has two threads and two workers on a CPU, eight workers on a GPU.

Ours has one thread a process. "Two runs" are two such processes side by side, as the workflow starts them on two cores,
against the usual loop training as many images one run after the other: what a user waits for. Every side trains in
processes of its own, which live through all repeats, and has trained an epoch before its first timed one.

With augmentation off and the images in the same order both must give the same losses to 1e-4 for five steps; this is
asserted on the CPU, since the engine computes in bfloat16 on a GPU.
"""

import contextlib
import copy
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from benchmarks.images import Pictures, digits, noise, usual_transform
from benchmarks.pairs import Comparison, cpu_seconds, timed
from workflow_scripts.datasets.images.arrays import ImageData
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.datasets.sampling import epoch_indices
from workflow_scripts.runtime.device import choose_device
from workflow_scripts.tasks import task_of
from workflow_scripts.training import engine

# The rate changes no time. With a larger one the unlearnable images blow float32 rounding up beyond the agreement.
RATE, MOMENTUM, WEIGHT_DECAY = 1e-4, 0.9, 5e-4
AGREEMENT, STEPS = 1e-4, 5


@dataclass(frozen=True)
class Setting:
    """What both sides train: a network on a data set, so many images an epoch."""

    title: str
    model: dict
    data: Callable[..., ImageData]
    images: int
    batch_size: int

    def recipe(self, samples: int, epochs: int, augment: bool) -> dict:
        return {
            "model": self.model,
            "initialisation": {"variance": 1.0},
            "optimizer": {"name": "sgd", "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY},
            "schedule": {"name": "constant", "lr": RATE},
            "batch_size": self.batch_size,
            "samples_per_epoch": samples,
            "epochs": epochs,
            "augment": augment,
            "image_sides": None,
            "evaluate_every": epochs,
            "seed": 0,
            "freeze": None,
            "distillation": None,
        }


class Ours:
    """The engine, an epoch at a time."""

    def __init__(self, setting: Setting, device: torch.device):
        self.setting = setting
        self.in_memory = InMemoryData(setting.data(setting.images), device)
        recipe = setting.recipe(setting.images, 1, augment=True)
        self.progress = engine.begin(recipe, task_of(recipe, self.in_memory), {})

    def epoch(self) -> None:
        recipe = self.setting.recipe(self.setting.images, self.progress.epoch + 1, augment=True)
        engine.train(recipe, task_of(recipe, self.in_memory), self.progress, {}, Observer())


class Observer:
    """An observer of a training that keeps nothing but the times at which epochs ended."""

    def __init__(self):
        self.ends: list[float] = []

    def save(self, label: str, state: dict[str, Tensor]) -> None:
        pass

    def epoch_ended(self, progress: engine.Progress) -> None:
        self.ends.append(time.perf_counter())

    def snapshot_is_due(self) -> bool:
        return False

    def snapshot(self, progress: engine.Progress) -> None:
        pass


class Usual:
    """The usual loop, an epoch at a time."""

    def __init__(self, setting: Setting, device: torch.device):
        data = setting.data(setting.images)
        recipe = setting.recipe(setting.images, 1, augment=True)
        self.device, self.model = device, usual_model(task_of(recipe, InMemoryData(data)).model()).to(device)
        self.optimizer = usual_optimizer(self.model)
        workers = 2 if device.type == "cpu" else min(8, os.cpu_count())
        self.train, self.test = (
            DataLoader(
                Pictures(x, y, usual_transform(data.info, augment)),
                setting.batch_size,
                shuffle=augment,
                num_workers=workers,
                persistent_workers=True,
                pin_memory=device.type == "cuda",
            )
            for x, y, augment in ((data.x_train, data.y_train, True), (data.x_test, data.y_test, False))
        )

    def epoch(self) -> None:
        usual_epoch(self.model, self.optimizer, self.train, self.device)
        self.model.eval()
        with torch.no_grad():
            for images, labels in self.test:
                F.cross_entropy(self.model(images.to(self.device)), labels.to(self.device), reduction="sum").item()


def usual_model(model: nn.Module) -> nn.Module:
    """The same network with the same weights, in the default memory format."""
    return copy.deepcopy(model).to(memory_format=torch.contiguous_format)


def usual_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)


def usual_epoch(model, optimizer, loader: DataLoader, device: torch.device) -> list[float]:
    """Train on everything that the loader has; the loss of each step."""
    model.train()
    losses, correct = [], 0
    for images, labels in loader:
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        correct += (logits.argmax(1) == labels).sum().item()
    return losses


def assert_agreement(setting: Setting, tolerance: float = AGREEMENT) -> None:
    """Five steps by both ways, un-augmented and in the same order, give the same losses."""
    data, cpu = setting.data(STEPS * setting.batch_size), torch.device("cpu")
    in_memory = InMemoryData(data)
    recipe = setting.recipe(setting.batch_size, STEPS, augment=False)  # epochs of one step: their losses are recorded
    task = task_of(recipe, in_memory)
    progress = engine.begin(recipe, task, {})
    model = usual_model(progress.model)
    engine.train(recipe, task, progress, {}, Observer())
    ours = progress.history.table("ours").query("split == 'train' and metric == 'loss'")["value"]
    order = epoch_indices(data.info.train, recipe["seed"], 1, data.info.train).tolist()
    pictures = Pictures(data.x_train, data.y_train, usual_transform(data.info, augment=False))
    loader = DataLoader(pictures, setting.batch_size, sampler=order)
    usual = usual_epoch(model, usual_optimizer(model), loader, cpu)
    np.testing.assert_allclose(ours, usual, rtol=0, atol=tolerance)


_side = None  # what a process of `running` trains


def _start(side: type, setting: Setting, threads: int) -> None:
    global _side
    torch.set_num_threads(threads)
    _side = side(setting, choose_device("auto"))


def _train(epochs: int) -> float:
    return cpu_seconds(lambda: [_side.epoch() for _ in range(epochs)])


@contextlib.contextmanager
def running(side: type, setting: Setting, processes: int, threads: int) -> Iterator[Callable[[int], float]]:
    """Processes side by side; what is yielded trains so many epochs in each and returns when all are done.

    It returns the CPU seconds of all.
    """
    with contextlib.ExitStack() as stack:
        pools = [
            stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"), _start, (side, setting, threads)))
            for _ in range(processes)
        ]

        def train(epochs: int) -> float:
            return sum(future.result() for future in [pool.submit(_train, epochs) for pool in pools])

        yield train


def comparisons(settings: list[Setting], runs: tuple[int, ...], repeats: int) -> Iterator[Comparison]:
    """One run against one and two against two, as `runs` says, for every setting."""
    for setting in settings:
        for number in runs:
            with running(Ours, setting, number, 1) as ours, running(Usual, setting, 1, 2) as usual:
                yield Comparison(
                    f"{setting.title}: {['one run', 'two runs'][number - 1]}",
                    lambda ours=ours: ours(1),
                    lambda usual=usual, number=number: usual(number),
                    lambda setting=setting: assert_agreement(replace(setting, batch_size=min(setting.batch_size, 32))),
                    repeats,
                )


def demo_settings(images: int) -> list[Setting]:
    """The demo's widths: CIFAR-10's shape in batches of 128, and the demo's own digits in batches of 16."""
    plain = {"width": 0.125, "dropout": 0.0}
    return [
        Setting("VGG-16, width 1/8, 32 x 32", {"name": "vgg16", **plain}, noise, images, 128),
        Setting("ResNet-18, width 1/8, 32 x 32", {"name": "resnet18", "width": 0.125}, noise, images, 128),
        Setting(
            "VGG-9, width 1/8, digits in batches of 16",
            {"name": "vgg9", **plain, "smallest_side": 2},
            digits,
            1437,
            16,
        ),
    ]


def full_settings(images: int) -> list[Setting]:
    """The papers' networks."""
    return [
        Setting("VGG-16, full width, 32 x 32", {"name": "vgg16", "dropout": 0.0}, noise, images, 128),
        Setting("ResNet-18, full width, 32 x 32", {"name": "resnet18"}, noise, images, 128),
    ]


def rows(quick: bool = False) -> list[dict]:
    on_gpu = choose_device("auto").type == "cuda"
    narrow = demo_settings(25_600 if on_gpu else 1280 if quick else 2560)
    found = timed(comparisons(narrow, (2,) if quick else (1, 2), repeats=3 if quick else 5))
    if not quick:
        found += timed(comparisons(full_settings(25_600 if on_gpu else 256), (1, 2) if on_gpu else (2,), repeats=3))
    return found
