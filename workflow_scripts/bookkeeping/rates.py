"""How fast a network is trained: measured where the folder of results has trainings of it, else assumed."""

import json
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from workflow_scripts.bookkeeping.inventory import Item
from workflow_scripts.bookkeeping.operations import Network, Operations, Work
from workflow_scripts.recipes import engine

# Operations a second: a quarter of an H100's rate in bfloat16 matrix products, since these networks do not fill it; and
# what a core of a desktop's CPU did at scale demo.
ASSUMED = {"cuda": 200e12, "cpu": 20e9}


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
    device : "cuda" or "cpu": trainings on the other tell nothing. assumed : operations a second of other networks.
    """

    def __init__(self, items: list[Item], operations: Operations, device: str, assumed: float | None = None):
        self.device, self.assumed = device, assumed or ASSUMED[device]
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
        known = self.measured.get(work.network)
        return work.operations / (known.operations if known else self.assumed) / 3600

    def told(self, network: Network) -> str:
        """Where the rate of a network comes from."""
        known = self.measured.get(network)
        if known is None:
            return f"assumed, {self.assumed:.3g} operations a second ({self.device})"
        trainings = f"{known.trainings} training{'s' if known.trainings > 1 else ''}"
        return f"measured, {known.images:,.0f} images/s in {trainings} on {known.device}"


def _comparable(item: Item, operations: Operations) -> bool:
    """Whether a run ended well, told its seconds, and is of a model and data set that are known here."""
    recipe = item.recipe
    known = item.made.get("seconds") and recipe.get("engine") == engine.TRAINING and not item.diverged
    return bool(known) and operations.knows(recipe)


def short(network: Network) -> str:
    """A network in words."""
    model = json.loads(network.model)
    width = f" x {model['width']}" if model.get("width", 1) != 1 else ""
    return f"{model['name']}{width} on {network.data}"
