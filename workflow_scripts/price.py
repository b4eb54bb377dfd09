"""What artifacts would cost before any of it is spent: trainings, analyses, floating-point operations, hours and disk.

    python -m workflow_scripts.price --config scale=paper                    # everything
    python -m workflow_scripts.price gotmare2019_figure_3 --config scale=paper

Shared work is counted once. Hours are the operations over --rate, an assumption that is printed with them; the default
is a quarter of what an H100 does in bfloat16 matrix products, for networks that do not fill it. The decompositions of
SVCCA are not counted. What is there already is not subtracted: `snakemake -n` tells what would be run, and why.
"""

import argparse
import functools
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from workflow_scripts import models
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import run
from workflow_scripts.planning.analyses import Analysis
from workflow_scripts.planning.plan import Plan, make_plan
from workflow_scripts.planning.runs import Run
from workflow_scripts.recipes.canonical import canonical
from workflow_scripts.recipes.schema import read_yaml

RATE = 200e12  # operations a second
BACKWARD = 2  # a backward pass costs two forward passes
BYTES = 4  # of a weight
LANCZOS_STEPS = 10  # of a Fisher score, measured; at most max_iterations of them


@dataclass(frozen=True)
class Cost:
    """Of a set of jobs: their numbers, operations, and bytes on the disk."""

    trainings: int = 0
    curves: int = 0
    analyses: int = 0
    operations: float = 0.0
    disk: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


class Prices:
    """Costs of a plan's runs and analyses."""

    def __init__(self, plan: Plan):
        self.plan = plan

    def artifacts(self, ids: list[str]) -> Cost:
        """The cost of everything that these artifacts need, each piece once."""
        runs: dict[str, Run] = {}
        analyses: dict[str, Analysis] = {}
        for id in ids:
            for analysis in self.plan.artifacts[id].analyses:
                self._need(analysis, analyses)
            for one in [*self.plan.artifacts[id].runs, *(r for a in analyses.values() for r in a.runs)]:
                runs[one.id] = self.plan.runs[one.id]
        for one in list(runs.values()):
            if one.teacher:
                runs[one.teacher] = self.plan.runs[one.teacher]
        return sum(map(self.run, runs.values()), Cost()) + sum(map(self.analysis, analyses.values()), Cost())

    def _need(self, analysis: Analysis, found: dict[str, Analysis]) -> None:
        found[analysis.id] = analysis
        for needed in analysis.analyses:
            self._need(needed, found)

    def run(self, run: Run) -> Cost:
        """A training, with its evaluations, a distilled teacher's forward passes and its checkpoints."""
        recipe = run.recipe
        forward, weights = self._network(recipe["model"], recipe["data"])
        images = recipe["epochs"] * recipe["samples_per_epoch"]
        operations = images * forward * (1 + BACKWARD)
        operations += recipe["epochs"] / recipe["evaluate_every"] * self._info(recipe["data"]).test * forward
        if recipe["distillation"]:
            operations += images * self._network(recipe["distillation"]["teacher"]["model"], recipe["data"])[0]
        kept = len(run.checkpoints) + 2  # the snapshot has weights and momentum
        return Cost(trainings=1, operations=operations, disk=kept * weights * BYTES)

    def analysis(self, analysis: Analysis) -> Cost:
        """A curve's training and evaluation, a plane's evaluation, a comparison of layers, a measure of minima."""
        recipe, info = analysis.recipe, self._info(analysis.data)
        limit = recipe.get("images")
        everything = sum(size if limit is None else min(limit, size) for size in (info.train, info.test))
        match analysis.kind:
            case "curve":
                forward, weights = self._network(recipe["model"], recipe["data"])
                trained = recipe["epochs"] * recipe["samples_per_epoch"] * (1 + BACKWARD)
                evaluated = recipe["points"] * (1 + len(recipe["save"])) * everything
                saved = len(recipe["save"]) * recipe["bends"] * weights * BYTES
                return Cost(curves=1, analyses=1, operations=(trained + evaluated) * forward, disk=saved)
            case "plane":
                forward, _ = self._network(recipe["model"], recipe["data"])
                return Cost(analyses=1, operations=recipe["side"] ** 2 * everything * forward)
            case "similarity":
                passes = sum(self._network(model, recipe["data"])[0] for model in recipe["models"].values())
                return Cost(analyses=1, operations=recipe["images"] * passes)
            case "sharpness":
                forward, _ = self._network(recipe["model"], recipe["data"])
                ascent = recipe["steps"] * recipe["batch_size"] * (1 + BACKWARD)
                return Cost(analyses=1, operations=len(recipe["runs"]) * (ascent + 2 * info.train) * forward)
            case "fisher":  # a product with the matrix is a forward pass, one of its derivative, and a backward pass
                forward, _ = self._network(recipe["model"], recipe["data"])
                passes = 1 + LANCZOS_STEPS * (2 + BACKWARD)
                return Cost(
                    analyses=1, operations=len(recipe["runs"]) * passes * min(limit or info.train, info.train) * forward
                )
            case "range_test":
                forward, _ = self._network(recipe["model"], recipe["data"])
                return Cost(analyses=1, operations=recipe["samples_per_epoch"] * (1 + BACKWARD) * forward)
            case _:
                return Cost(analyses=1)

    def _info(self, data: str):
        return self.plan.scale.info(data)

    def _network(self, model: dict, data: str) -> tuple[float, int]:
        return count(canonical(model), self._info(data))


@functools.cache
def count(model: str, info) -> tuple[float, int]:
    """Operations of one image's forward pass, and the number of parameters, of a model given as canonical JSON."""
    with torch.device("meta"):
        network = models.build(yaml.safe_load(model), info).eval()
        image = torch.empty(1, info.channels, info.image_size, info.image_size)
    with FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops(), sum(parameter.numel() for parameter in network.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m workflow_scripts.price",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="*", help="artifacts by name; all but sensitivities where none is given")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="changes to config.yaml")
    parser.add_argument("--rate", type=float, default=RATE, help="operations a second (default: %(default).3g)")
    given = parser.parse_args()
    root = Path(__file__).parents[1]
    config = read_yaml(root / "config.yaml")
    for change in given.config:
        key, _, value = change.partition("=")
        config[key] = yaml.safe_load(value)
    plan = make_plan(config, root)
    if unknown := [target for target in given.targets if target not in plan.artifacts]:
        raise InputError(f"there is no artifact {', '.join(unknown)}; allowed are {', '.join(plan.artifacts)}")
    targets = given.targets or [id for id, artifact in plan.artifacts.items() if not artifact.sensitivity]
    prices = Prices(plan)
    print(f"{'':40} trainings  curves  analyses     PFLOP   GPU hours   disk GB")
    for id in targets:
        print(line(id, prices.artifacts([id]), given.rate))
    if len(targets) > 1:
        print(line("all of these together", prices.artifacts(targets), given.rate))
    print(f"at an assumed {given.rate:.3g} operations a second and scale {plan.scale.name}")


def line(name: str, cost: Cost, rate: float) -> str:
    """A row of the table."""
    hours = cost.operations / rate / 3600
    return (
        f"{name:40} {cost.trainings:9}  {cost.curves:6}  {cost.analyses:8}  {cost.operations / 1e15:8.3g}   "
        f"{hours:9.2g}   {cost.disk / 1e9:7.2g}"
    )


if __name__ == "__main__":
    run(main)
