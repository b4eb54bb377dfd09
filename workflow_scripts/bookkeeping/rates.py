"""How fast a network is trained: by its trainings in the folder of results, by a benchmark of it, or by assumption."""

import json
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from workflow_scripts.bookkeeping.inventory import Item
from workflow_scripts.bookkeeping.operations import Network, Operations, Work
from workflow_scripts.recipes import engine

# Operations a second of what nobody has measured: the middle of what VGG-16 and ResNet-18 reached on an H100 in the
# papers' batches; and what a core of a desktop's CPU did at scale demo.
ASSUMED = {"cuda": 1.2e14, "cpu": 2e10}

# Operations a second in training on one H100, from a batch size on, of networks of full width on images of 32 x 32:
# images a second of docs/benchmarks.md, "On a GPU", times operations an image.
BENCHMARKED = {"cuda": {"vgg16": {100: 1.07e14, 5000: 2.61e14}, "resnet18": {128: 1.30e14, 5000: 2.03e14}}, "cpu": {}}
SIDE = 32


@dataclass(frozen=True)
class Measured:
    """The middle one of the trainings of a network on a device."""

    operations: float  # a second
    images: float  # a second
    device: str
    trainings: int


class Rates:
    """Rates by network.

    Parameters
    ----------
    items : of the folder of results; a rate is that of its finished trainings by the present engine.
    device : "cuda" or "cpu": trainings on the other tell nothing.
    given : operations a second of networks without trainings; by default those of a benchmark, or assumed.
    """

    def __init__(self, items: list[Item], operations: Operations, device: str, given: float | None = None):
        self.device, self.given, self._side = device, given, operations.side
        self.measured: dict[Network, Measured] = {}
        found: dict[Network, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
        for item in items:
            name = (item.made.get("device") or "").rpartition(" x ")[2]  # seconds are of all devices together
            if item.kind == "run" and name.partition(" ")[0] == device and _comparable(item, operations):
                work, seconds = operations.training(item.recipe), item.made["seconds"]
                found[work.network][name].append((work.operations / seconds, work.images / seconds))
        for network, devices in found.items():
            most = max(devices, key=lambda name: len(devices[name]))
            speeds = devices[most]
            self.measured[network] = Measured(*map(median, zip(*speeds, strict=True)), most, len(speeds))

    def hours(self, work: Work) -> float:
        """What a piece of work takes on the device; an analysis goes as fast as its network's trainings."""
        return work.operations / self._rate(work) / 3600

    def _rate(self, work: Work) -> float:
        """Operations a second; of what is not known to have batches, as in the smallest that were benchmarked."""
        if known := self.measured.get(work.network):
            return known.operations
        if self.given or not (by_batch := self._benchmarked(work.network)):
            return self.given or ASSUMED[self.device]
        return by_batch[max((batch for batch in by_batch if batch <= work.batch), default=min(by_batch))]

    def _benchmarked(self, network: Network | None) -> dict[int, float]:
        """Rates by batch size; empty where the network was not benchmarked as it is here."""
        if network is None or self._side(network.data) != SIDE:
            return {}
        model = json.loads(network.model)
        return BENCHMARKED[self.device].get(model["name"], {}) if model.get("width", 1) == 1 else {}

    def described(self, network: Network) -> str:
        """Where the rate of a network comes from."""
        if known := self.measured.get(network):
            trainings = f"{known.trainings} training{'s' if known.trainings > 1 else ''}"
            return f"measured, {known.images:,.0f} images/s in {trainings} on {known.device}"
        if self.given:
            return f"given, {self.given:.3g} operations a second"
        if by_batch := self._benchmarked(network):
            by_size = ", ".join(f"{rate:.3g} in batches of {batch} on" for batch, rate in by_batch.items())
            return f"benchmarked, operations a second on an H100: {by_size}"
        return f"assumed, {ASSUMED[self.device]:.3g} operations a second ({self.device})"


def _comparable(item: Item, operations: Operations) -> bool:
    """Whether a run ended well, has its seconds, and is of a model and data set that are known here."""
    recipe = item.recipe
    known = item.made.get("seconds") and recipe.get("engine") == engine.of_training(recipe) and not item.diverged
    return bool(known) and operations.knows(recipe)


def short(network: Network) -> str:
    """A network in words."""
    model = json.loads(network.model)
    width = f" x {model['width']}" if model.get("width", 1) != 1 else ""
    return f"{model['name']}{width} on {network.data}"
