"""What a GPU does with the trainings of the papers: `make gpu-check` runs this in stages.

rate       versions, the rate of a matrix product, and that of memory
training   images a second: the engine with CUDA graphs and without, the usual loop, and the floor, which is the
           arithmetic at the rate of the matrix product; several runs that share the GPU; what it is busy with

Each row is written as soon as it is measured, so what was measured before a time limit is there.
"""

import argparse
import contextlib
import itertools
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.bench_training import Observer, Setting, Usual
from benchmarks.images import noise
from workflow_scripts.base.files import write_text
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.runtime.device import choose_device, device_name
from workflow_scripts.runtime.graphs import Replayed
from workflow_scripts.tasks import task_of
from workflow_scripts.training import engine
from workflow_scripts.training.progress import Progress

FLOPS = {"vgg16": 1.88e9, "resnet18": 3.33e9}  # of an image of 32 x 32, forward and backward
SHARING = (1, 2, 4, 8, 16)


@dataclass
class Table:
    """Rows that are written as they come: a Markdown table in a file, and on the screen."""

    path: Path
    columns: tuple[str, ...]

    def __post_init__(self):
        self.lines = [f"| {' | '.join(self.columns)} |", f"|{':--|' * len(self.columns)}"]
        print("\n".join(self.lines), flush=True)

    def add(self, *values: object) -> None:
        """Numbers get four digits."""
        cells = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
        self.lines.append(f"| {' | '.join(cells)} |")
        write_text(self.path, "\n".join(self.lines) + "\n")
        print(self.lines[-1], flush=True)


@dataclass(frozen=True)
class Size:
    """How much is measured: a GPU's measure, or a little on a CPU, to see that everything runs."""

    matrix: int
    images: int
    epochs: int
    usual_images: int
    batches: tuple[int, int]
    width: float
    sharing: tuple[int, ...]

    def settings(self) -> Iterator[Setting]:
        small, large = self.batches
        networks = (("VGG-16", "vgg16", small), ("ResNet-18", "resnet18", small * 32 // 25))
        for title, name, batch in networks:
            for size in (batch, large):
                spec = {"name": name, "width": self.width}
                yield Setting(f"{title}, batch {size}", spec, noise, max(self.images, 4 * size), size)


WHOLE = Size(8192, 25_600, 6, 6_400, (100, 5000), 1.0, SHARING)
TINY = Size(256, 64, 4, 64, (25, 50), 0.125, (1, 2))


def rate(out: Path, size: Size) -> float:
    """The first stage; gives the rate of a matrix product in operations a second, which the floor is from."""
    device = choose_device("auto")
    table = Table(out / "rate.md", ("what", "value"))
    table.add("device", device_name(device))
    table.add("Python, torch", f"{platform.python_version()}, {torch.__version__}")
    if device.type == "cuda":
        table.add("CUDA, cuDNN", f"{torch.version.cuda}, {torch.backends.cudnn.version()}")
    found = {}
    for name, type, tf32 in (("bfloat16", torch.bfloat16, False), ("TF32", None, True), ("float32", None, False)):
        if device.type == "cuda" or name == "float32":
            torch.backends.cuda.matmul.allow_tf32 = tf32
            a = torch.randn(size.matrix, size.matrix, device=device).to(type or torch.float32)
            seconds = timed(lambda a=a: a @ a, device)
            found[name] = 2 * size.matrix**3 / seconds
            table.add(f"matrix product of {size.matrix}, {name}", f"{found[name] / 1e12:.3g} TFLOP/s")
    torch.backends.cuda.matmul.allow_tf32 = False
    block = torch.zeros(size.matrix * size.matrix, device=device)
    seconds = timed(block.clone, device)
    table.add("copy, read and written", f"{2 * block.numel() * 4 / seconds / 1e12:.3g} TB/s")
    return next(iter(found.values()))


def timed(work: Callable[[], object], device: torch.device, repeats: int = 10) -> float:
    """Seconds of a call, the mean of ten after three."""
    for _ in range(3):
        work()
    synchronise(device)
    begin = time.perf_counter()
    for _ in range(repeats):
        work()
    synchronise(device)
    return (time.perf_counter() - begin) / repeats


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def training(out: Path, size: Size, product: float) -> None:
    """The second stage."""
    table = Table(
        out / "training.md",
        ("training", "ours (images/s)", "without graphs", "usual loop", "ours / usual", "floor", "share of the floor"),
    )
    for setting in size.settings():
        ours, plain = engine_rate(setting, size.epochs), engine_rate(setting, size.epochs, graphs=False)
        usual = usual_rate(replace(setting, images=max(size.usual_images, setting.batch_size)))
        floor = product / FLOPS[setting.model["name"]] / size.width**2
        table.add(setting.title, ours, plain, usual, ours / usual, floor, ours / floor)
    sharing(out, size)
    busy(out, size)


def engine_rate(setting: Setting, epochs: int, graphs: bool = True) -> float:
    """Images a second: the middle of all epochs but the first, which captures, and the last, which evaluates."""
    data = InMemoryData(setting.data(setting.images), choose_device("auto"))
    recipe = setting.recipe(setting.images, epochs, augment=True)
    task, observer = task_of(recipe, data), Observer()
    progress = engine.begin(recipe, task, {})
    with contextlib.nullcontext() if graphs else without_graphs():
        engine.train(recipe, task, progress, {}, observer)
    spans = [end - begin for begin, end in itertools.pairwise(observer.ends[:-1])]
    return setting.images / median(spans)


@contextlib.contextmanager
def without_graphs() -> Iterator[None]:
    """Within, every step is launched kernel by kernel."""
    call = Replayed.__call__
    Replayed.__call__ = lambda self, compute, module, inputs, constants=None: compute(*inputs)
    try:
        yield
    finally:
        Replayed.__call__ = call


def usual_rate(setting: Setting) -> float:
    """Images a second of the usual loop, in the second of two epochs."""
    usual = Usual(setting, choose_device("auto"))
    usual.epoch()
    begin = time.perf_counter()
    usual.epoch()
    return setting.images / (time.perf_counter() - begin)


def sharing(out: Path, size: Size) -> None:
    """Runs that share the GPU, each in a process of its own, as the workflow starts them."""
    table = Table(out / "sharing.md", ("runs at once", "images/s of all", "of one alone"))
    setting = next(size.settings())
    context, one = get_context("spawn"), None
    with contextlib.ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, context)) for _ in range(max(size.sharing))]
        for future in [pool.submit(engine_rate, setting, 3) for pool in pools]:  # each starts torch and the GPU
            future.result()
        for runs in size.sharing:
            futures = [pool.submit(engine_rate, setting, size.epochs) for pool in pools[:runs]]
            total = sum(future.result() for future in futures)
            one = one or total
            table.add(runs, total, total / one)


def busy(out: Path, size: Size) -> None:
    """What the GPU does in an epoch, kernel by kernel: which share of the time it computes, and in what."""
    if not torch.cuda.is_available():
        return
    for setting in list(size.settings())[::2]:
        data = InMemoryData(setting.data(setting.images), choose_device("auto"))
        recipe = setting.recipe(setting.images, 3, augment=True)
        task, observer = task_of(recipe, data), Profiled()
        engine.train(recipe, task, engine.begin(recipe, task, {}), {}, observer)
        table = Table(out / f"busy_{setting.model['name']}.md", ("kernel", "calls", "ms", "share of the epoch"))
        events = sorted(observer.watch.key_averages(), key=lambda event: -event.self_device_time_total)
        whole = observer.ends[1] - observer.ends[0]
        total = sum(event.self_device_time_total for event in events) / 1e6
        table.add(f"{setting.title}: an epoch of {setting.images} images", "", whole * 1e3, total / whole)
        for event in events[:14]:
            ms = event.self_device_time_total / 1e3
            table.add(event.key[:80].replace("|", "/"), event.count, ms, ms / 1e3 / whole)


class Profiled(Observer):
    """An observer that profiles the second epoch."""

    def __init__(self):
        super().__init__()
        self.watch = profile(activities=[ProfilerActivity.CUDA])

    def epoch_ended(self, progress: Progress) -> None:
        super().epoch_ended(progress)
        if progress.epoch == 1:
            self.watch.start()
        elif progress.epoch == 2:
            self.watch.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_gpu", description=__doc__)
    parser.add_argument("stage", choices=("rate", "training"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    parser.add_argument("--tiny", action="store_true", help="a little of everything, as on a CPU")
    given = parser.parse_args()
    size = TINY if given.tiny else WHOLE
    product = rate(given.out, size)
    if given.stage == "training":
        training(given.out, size, product)


if __name__ == "__main__":
    main()
