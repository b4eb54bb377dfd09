"""Smaller data sets derived from others: what is known of them. Read while the workflow is planned: no torch here."""

import re
from dataclasses import dataclass, replace

from workflow_scripts.datasets.registry import DatasetInfo

NAME = re.compile(r"(?P<origin>\w+)-(?P<side>\d+)px-(?P<train>\d+)", re.ASCII)


@dataclass(frozen=True)
class Derivation:
    """Images of `origin` averaged to a smaller side, and some of its training images; the test set stays whole.

    side : height and width of the images, in pixels; a divisor of the origin's.
    train : number of training images.
    """

    origin: str
    side: int
    train: int

    @property
    def name(self) -> str:
        """A name of its own, such as "cifar10-16px-10000", from which everything about it can be read."""
        return f"{self.origin}-{self.side}px-{self.train}"

    def problem(self, origin: DatasetInfo) -> str | None:
        """Say in half a sentence why this cannot be derived from `origin`, or None where it can."""
        if origin.form != "arrays":
            return f"can be derived from arrays alone, and {origin.name} consists of pictures"
        if self.side < 1 or origin.image_size % self.side:
            return f"has a side of {self.side} pixels, which does not divide the {origin.image_size} of {origin.name}"
        if not origin.classes <= self.train <= origin.train:
            return (
                f"has {self.train} training images, but {origin.name} has {origin.train} of {origin.classes} classes, "
                "each of which needs one"
            )
        return None

    def info(self, origin: DatasetInfo) -> DatasetInfo:
        """What is known of it before anything is prepared: the border of random crops shrinks with the images."""
        padding = round(origin.crop_padding * self.side / origin.image_size)
        return replace(origin, name=self.name, image_size=self.side, train=self.train, crop_padding=padding)


def derivation_of(name: str) -> Derivation | None:
    """The derivation that `name` stands for; None for the name of another data set."""
    match = NAME.fullmatch(name)
    return match and Derivation(match["origin"], int(match["side"]), int(match["train"]))
