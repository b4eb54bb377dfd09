"""Learning-rate schedules as pure functions of the update: nothing to step, save or restore.

A schedule is declared as a mapping, `{"name": "knee", "lr": 0.1, "explore": 100}`. Durations are in epochs (fractions
allowed), so the same declaration holds however many updates an epoch takes. Updates are counted from k = 1 to T.

Before any schedule may stand `"warmup": {"epochs": 5, "start": 0.0}`: update by update, the rate goes in a straight
line up to the one that the schedule has as the warmup ends, from the share `start` of it (Goyal et al. 2017). What
follows depends on what a schedule's options mean:

- `constant`, `step`, `piecewise` and `cosine_restarts` speak of the training's epochs, so they go on at their absolute
  place: a milestone at 60 is 60 epochs after the beginning, warmup included (gotmare2019, section 4);
- `linear`, `cosine`, `knee`, `one_cycle`, `exponential_range` and `hold_then_linear` fill a budget, so they fill what
  the warmup leaves of it (iyer2020, section 5.3.3: warmup, then explore, then exploit);
- `inverse_sqrt` takes the length of the warmup as its own time scale.

Your own schedule needs no change here: the name "package.module:function" is imported, and the function is called as
`function(step, steps_per_epoch, total_steps, **options) -> float`, with the absolute step. Annotate options that are
learning rates with `Rate`: a scale that changes rates then changes them too.
"""

import importlib
import inspect
import math
import numbers
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, NamedTuple, get_type_hints

import numpy as np

from workflow_scripts.base import checks
from workflow_scripts.base.errors import InputError

# Epochs. Times nearer than this are one: 60 epochs of 50,000/96 updates end on a whole update, whatever its last bit.
ROUNDING = 1e-9


def learning_rate(spec: dict, step: int, steps_per_epoch: float, total_steps: int) -> float:
    """The learning rate of update `step` = 1..total_steps.

    Raises InputError if the declaration has problems or the step lies outside the training.
    """
    _check_training(steps_per_epoch, total_steps)
    checks.whole_number("step", step, 0)
    if not 1 <= step <= total_steps:
        raise InputError(f"update {step} lies outside the training; give a step from 1 to {total_steps}")
    schedule, warmup = _resolved(spec)
    return _rate(schedule, warmup, step, steps_per_epoch, total_steps)


def rates(spec: dict, steps_per_epoch: float, total_steps: int) -> np.ndarray:
    """The learning rates of all updates, float64 of shape (total_steps,); entry k-1 belongs to update k.

    Raises InputError if the declaration has problems or does not fit a training of so many updates.
    """
    _check_training(steps_per_epoch, total_steps)
    schedule, warmup = _resolved(spec)
    one_update = 1 / steps_per_epoch  # total_steps are whole, however they were rounded
    if problems := _unfit(schedule, warmup, total_steps * one_update, one_update + ROUNDING):
        raise InputError.together("the learning-rate schedule cannot be used", problems)
    return np.array([_rate(schedule, warmup, k, steps_per_epoch, total_steps) for k in range(1, total_steps + 1)])


def _check_training(steps_per_epoch: float, total_steps: int) -> None:
    checks.number("steps_per_epoch", steps_per_epoch, above=0)
    checks.whole_number("total_steps", total_steps, 0)


def check(spec: dict, epochs: float) -> list[str]:
    """All problems of a declaration for a training of `epochs` epochs, one sentence each; empty if it is sound."""
    schedule, warmup, problems = _read(spec)
    if not _is_number(epochs) or epochs <= 0:
        problems.append(f"epochs: {epochs!r} is not allowed; give a number above 0")
    if problems:
        return problems
    return _unfit(schedule, warmup, epochs, ROUNDING)


def scaled(spec: dict, factor: float) -> dict:
    """The declaration with every learning rate multiplied by `factor`; what is no sound schedule stays as it is."""
    changed = {
        name: rule.scaled(spec[name], factor)
        for name, rule in _rules(spec.get("name")).items()
        if name in spec and rule.holds(spec[name])
    }
    return {**spec, **changed}


def product(rate: float, factor: float) -> float:
    """rate x factor as one would write it: .05 x .4 is .02, not .020000000000000004."""
    return float(f"{rate * factor:.12g}")


def _unfit(schedule: "Schedule", warmup: "Warmup", epochs: float, tolerance: float) -> list[str]:
    """What does not fit a training of `epochs` epochs, which are known up to `tolerance`."""
    found = [*schedule.problems(epochs, warmup.epochs, tolerance)]
    if warmup.epochs > epochs + tolerance:
        found.insert(0, f"warmup: {warmup.epochs:g} epochs do not fit; the training has {epochs:g}")
    return found


class Position(NamedTuple):
    """Where in the training an update stands; `total` and `warmup` are counted in updates."""

    step: int
    steps_per_epoch: float
    total: int
    warmup: int

    @property
    def elapsed(self) -> float:
        """Epochs done before this update."""
        return (self.step - 1) / self.steps_per_epoch

    @property
    def epoch(self) -> int:
        """Index of this update's epoch, from 0."""
        return math.floor(self.elapsed + ROUNDING)

    @property
    def progress(self) -> float:
        """Share of what the warmup leaves that is done with this update: 0 as the warmup ends, 1 at the last update."""
        return (self.step - self.warmup) / max(self.total - self.warmup, 1)

    def updates(self, epochs: float) -> int:
        """A duration in whole updates, to the nearest."""
        return round(epochs * self.steps_per_epoch)


class Rule(NamedTuple):
    """What an option may be, as a test and in words, and what becomes of it where learning rates are multiplied."""

    holds: Callable[[Any], bool]
    words: str
    scaled: Callable[[Any, float], Any] = lambda value, factor: value


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _increases(value: Any) -> bool:
    """Whether a value is a list of increasing numbers above 0."""
    listed = isinstance(value, list | tuple) and all(map(_is_number, value))
    return listed and all(a < b for a, b in zip([0, *value], value, strict=False))


def _is_pieces(value: Any) -> bool:
    """Whether a value is a list of pairs [epochs, rate]."""
    pairs = isinstance(value, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value)
    return pairs and len(value) > 0 and all(_is_number(number) and number >= 0 for pair in value for number in pair)


def _is_parts(value: Any) -> bool:
    """Whether a value is a list of pairs [epochs, schedule]."""
    pairs = isinstance(value, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value)
    return pairs and len(value) > 0 and all(_is_number(n) and n > 0 and isinstance(s, dict) for n, s in value)


Rate = Annotated[float, Rule(lambda v: _is_number(v) and v >= 0, "a number of at least 0", product)]
PositiveRate = Annotated[float, Rule(lambda v: _is_number(v) and v > 0, "a number above 0", product)]
Epochs = Annotated[float, Rule(lambda v: _is_number(v) and v >= 0, "a number of epochs of at least 0")]
Positive = Annotated[float, Rule(lambda v: _is_number(v) and v > 0, "a number above 0")]
Share = Annotated[float, Rule(lambda v: _is_number(v) and 0 <= v <= 1, "a number from 0 to 1")]
Factor = Annotated[float, Rule(lambda v: _is_number(v) and 0 < v <= 1, "a multiplier above 0 and at most 1")]
Growth = Annotated[float, Rule(lambda v: _is_number(v) and v >= 1, "a number of at least 1")]
Milestones = Annotated[list, Rule(_increases, "a list of increasing numbers of epochs above 0")]
Pieces = Annotated[
    list,
    Rule(
        _is_pieces,
        "a list of pairs [epochs, rate] of numbers of at least 0",
        lambda pieces, factor: [[epochs, product(rate, factor)] for epochs, rate in pieces],
    ),
]
Parts = Annotated[
    list,
    Rule(
        _is_parts,
        "a list of pairs [epochs, schedule]",
        lambda parts, factor: [[epochs, scaled(spec, factor)] for epochs, spec in parts],
    ),
]
Per = Annotated[str, Rule(lambda v: v in ("epoch", "step"), "'epoch' or 'step'")]


@dataclass(frozen=True)
class Warmup:
    """Linear warmup over `epochs`, from the share `start` (0 to 1) of the rate that it leads to."""

    epochs: Epochs
    start: Share = 0.0


class Schedule:
    """A schedule is a frozen set of options and a rate at every position."""

    def rate(self, at: Position) -> float:
        """The learning rate at a position; never asked for one inside the warmup, only from its last update on."""
        raise NotImplementedError

    def problems(self, epochs: float, warmup: float, tolerance: float) -> Iterator[str]:
        """What does not fit a training of `epochs` epochs (up to `tolerance`) whose first `warmup` are the warmup."""
        return iter(())


@dataclass(frozen=True)
class Constant(Schedule):
    """One rate throughout."""

    lr: Rate

    def rate(self, at: Position) -> float:
        return self.lr


@dataclass(frozen=True)
class Step(Schedule):
    """Step decay: the rate is multiplied by `factor` after each milestone (gotmare2019, appendix 7.1: 0.2)."""

    lr: Rate
    factor: Factor
    milestones: Milestones

    def rate(self, at: Position) -> float:
        return self.lr * self.factor ** sum(milestone <= at.elapsed + ROUNDING for milestone in self.milestones)

    def problems(self, epochs: float, warmup: float, tolerance: float) -> Iterator[str]:
        for late in (milestone for milestone in self.milestones if milestone >= epochs):
            yield f"milestones: {late:g} is never reached; give numbers below the training's {epochs:g} epochs"


@dataclass(frozen=True)
class Piecewise(Schedule):
    """Constant rates one after the other: pairs [epochs, rate] (iyer2020, tables 1 and 2)."""

    rates: Pieces

    def rate(self, at: Position) -> float:
        end = 0.0
        for duration, rate in self.rates:
            end += duration
            if at.elapsed + ROUNDING < end:
                return rate
        return self.rates[-1][1]

    def problems(self, epochs: float, warmup: float, tolerance: float) -> Iterator[str]:
        covered = sum(duration for duration, _ in self.rates)
        if abs(covered - epochs) > tolerance:
            yield f"rates: the pieces cover {covered:g} epochs; let them add up to the training's {epochs:g}"


@dataclass(frozen=True)
class Linear(Schedule):
    """Linear decay from `lr` to `final`, which is the last update's rate (iyer2020, appendix A)."""

    lr: Rate
    final: Rate = 0.0

    def rate(self, at: Position) -> float:
        return self.final + (self.lr - self.final) * (1 - at.progress)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from `lr` to `final`, which is the last update's rate (iyer2020, appendix A)."""

    lr: Rate
    final: Rate = 0.0

    def rate(self, at: Position) -> float:
        return _cosine(self.lr, self.final, at.progress)


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """SGDR, cosine annealing with warm restarts (gotmare2019, equation 1; Loshchilov & Hutter 2016).

    The first cycle lasts `first_cycle` epochs, each further one `cycle_multiplier` times the one before. T_cur counts
    what has been done since the last restart: whole epochs (`per` "epoch") or updates in epochs (`per` "step").
    """

    lr: Rate
    final: Rate = 0.0
    first_cycle: Positive = 10
    cycle_multiplier: Growth = 2
    per: Per = "epoch"

    def rate(self, at: Position) -> float:
        current, cycle = at.epoch if self.per == "epoch" else at.elapsed, self.first_cycle
        while current >= cycle - ROUNDING:
            current, cycle = current - cycle, cycle * self.cycle_multiplier
        return _cosine(self.lr, self.final, current / cycle)


@dataclass(frozen=True)
class Knee(Schedule):
    """Knee: `lr` for `explore` epochs, then linearly to exactly 0 at the last update (iyer2020, section 4)."""

    lr: Rate
    explore: Epochs

    def rate(self, at: Position) -> float:
        exploited = at.step - at.warmup - at.updates(self.explore)
        if exploited <= 0:
            return self.lr
        return self.lr * (1 - exploited / (exploited + at.total - at.step))

    def problems(self, epochs: float, warmup: float, tolerance: float) -> Iterator[str]:
        if warmup + self.explore > epochs + tolerance:
            before = f" after {warmup:g} of warmup" if warmup else ""
            yield f"explore: {self.explore:g} epochs{before} do not fit; the training has {epochs:g}"


@dataclass(frozen=True)
class Phases(Schedule):
    """Schedules one after the other, each for its own number of epochs and with a warmup of its own: pairs
    [epochs, schedule] (You et al. 2019: BERT's short and long sequences)."""

    phases: Parts

    def rate(self, at: Position) -> float:
        begin = 0
        for number, (epochs, spec) in enumerate(self.phases, 1):
            end = at.total if number == len(self.phases) else begin + at.updates(epochs)
            if at.step <= end:
                return learning_rate(spec, at.step - begin, at.steps_per_epoch, end - begin)
            begin = end
        raise ValueError(f"update {at.step} lies after the last phase")

    def problems(self, epochs: float, warmup: float, tolerance: float) -> Iterator[str]:
        covered = sum(duration for duration, _ in self.phases)
        if abs(covered - epochs) > tolerance:
            yield f"phases: they cover {covered:g} epochs; let them add up to the training's {epochs:g}"
        for number, (duration, spec) in enumerate(self.phases, 1):
            yield from (f"phases: {number}: {problem}" for problem in check(spec, duration))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """One-cycle: up from lr / div_factor to `lr` over 45 % of the training, down again over 45 %, and in the last 10 %
    on to a `final_div`-th of that (iyer2020, appendix A; Smith 2018)."""

    lr: Rate
    div_factor: Growth = 10
    final_div: Growth = 10

    def rate(self, at: Position) -> float:
        low = self.lr / self.div_factor
        return np.interp(at.progress, [0, 0.45, 0.9, 1], [low, self.lr, low, low / self.final_div])


@dataclass(frozen=True)
class ExponentialRange(Schedule):
    """Learning-rate range test: an exponential sweep from `lr_min`, before the first update, to `lr_max`, at the last
    (iyer2020, figure 4; Smith 2017)."""

    lr_min: PositiveRate
    lr_max: PositiveRate

    def rate(self, at: Position) -> float:
        return self.lr_min ** (1 - at.progress) * self.lr_max**at.progress

    def problems(self, epochs: float, warmup: float, tolerance: float) -> Iterator[str]:
        if self.lr_max <= self.lr_min:
            yield f"lr_max: {self.lr_max:g} is not allowed; give a number above lr_min, {self.lr_min:g}"


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """Inverse square root: `lr` at the warmup's last update W, then lr sqrt(W / k) (iyer2020, section 5.3.6)."""

    lr: Rate

    def rate(self, at: Position) -> float:
        return self.lr * math.sqrt(max(at.warmup, 1) / at.step)

    def problems(self, epochs: float, warmup: float, tolerance: float) -> Iterator[str]:
        if warmup == 0:
            yield "warmup: missing; inverse_sqrt decays on the warmup's time scale, so give {epochs: a number above 0}"


@dataclass(frozen=True)
class HoldThenLinear(Schedule):
    """The schedule of curve finding: `lr` to half of the training, then linearly to 1 % of it at nine tenths, and
    constant after (Garipov et al. 2018, whose code steps per epoch; here per update, equal at each epoch's end)."""

    lr: Rate

    def rate(self, at: Position) -> float:
        return self.lr * np.interp(at.progress, [0, 0.5, 0.9, 1], [1, 1, 0.01, 0.01])


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "step": Step,
    "piecewise": Piecewise,
    "linear": Linear,
    "cosine": Cosine,
    "cosine_restarts": CosineRestarts,
    "knee": Knee,
    "one_cycle": OneCycle,
    "phases": Phases,
    "exponential_range": ExponentialRange,
    "inverse_sqrt": InverseSqrt,
    "hold_then_linear": HoldThenLinear,
}


@dataclass(frozen=True)
class Custom(Schedule):
    """A function of the user's, found by its name "package.module:function"."""

    name: str
    function: Callable[..., float]
    options: dict[str, Any]

    def rate(self, at: Position) -> float:
        rate = self.function(at.step, at.steps_per_epoch, at.total, **self.options)
        if not (_is_number(rate) and rate >= 0):
            raise InputError(
                f"the schedule {self.name} gave {rate!r} at update {at.step}; let it give a rate of at least 0"
            )
        return rate


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _rules(name: object) -> dict[str, Rule]:
    """The rules of a schedule's options, by their names; of a user's function those of options annotated so."""
    if name in SCHEDULES:
        return {each.name: each.type.__metadata__[0] for each in fields(SCHEDULES[name])}
    function = _imported(name)[0] if isinstance(name, str) else None
    try:
        hints = get_type_hints(function, include_extras=True) if function else {}
    except Exception:  # whatever a user's annotations raise; they are no part of what is computed
        return {}
    found = {option: getattr(hint, "__metadata__", [None])[0] for option, hint in hints.items()}
    return {option: rule for option, rule in found.items() if isinstance(rule, Rule)}


def _rate(schedule: Schedule, warmup: Warmup, step: int, steps_per_epoch: float, total_steps: int) -> float:
    ramp = round(warmup.epochs * steps_per_epoch)
    rate = schedule.rate(Position(max(step, ramp), steps_per_epoch, total_steps, ramp))
    if step < ramp:
        rate *= warmup.start + (1 - warmup.start) * step / ramp
    return float(rate)


def _resolved(spec: dict) -> tuple[Schedule, Warmup]:
    schedule, warmup, problems = _read(spec)
    if problems:
        raise InputError.together("the learning-rate schedule cannot be used", problems)
    return schedule, warmup


def _read(spec: dict) -> tuple[Schedule | None, Warmup | None, list[str]]:
    """The schedule and the warmup that a declaration means, and its problems apart from the budget."""
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
        return None, None, [f"{spec!r} is not a schedule; give a mapping with a name: {_names()}"]
    options = {key: value for key, value in spec.items() if key not in ("name", "warmup")}
    warmup, warmup_problems = _build(Warmup, spec.get("warmup", {"epochs": 0}), "warmup")
    if spec["name"] in SCHEDULES:
        schedule, problems = _build(SCHEDULES[spec["name"]], options)
    else:
        schedule, problems = _import(spec["name"], options)
    return schedule, warmup, problems + warmup_problems


def _build(kind: type, given: Any, place: str = "") -> tuple[Any, list[str]]:
    """A dataclass of options from the mapping at `place`, or None and the problems."""
    declared = {each.name: each for each in fields(kind)}
    allowed = ", ".join([*declared, "warmup"] if issubclass(kind, Schedule) else declared)
    if not isinstance(given, dict):
        return None, [f"{place}: {given!r} is not allowed; give a mapping of {allowed}"]
    prefix = f"{place}." if place else ""
    problems = [f"{prefix}{key}: unknown option; allowed here: {allowed}" for key in given if key not in declared]
    for name, each in declared.items():
        (rule,) = each.type.__metadata__
        if name not in given and each.default is MISSING:
            problems.append(f"{prefix}{name}: missing; give {rule.words}")
        elif name in given and not rule.holds(given[name]):
            problems.append(f"{prefix}{name}: {given[name]!r} is not allowed; give {rule.words}")
    return (None, problems) if problems else (kind(**given), [])


def _import(name: str, options: dict[str, Any]) -> tuple[Custom | None, list[str]]:
    """A user's function, or None and the problems."""
    function, problems = _imported(name)
    if problems:
        return None, problems
    try:
        inspect.signature(function).bind(1, 1.0, 1, **options)
    except TypeError as error:
        return None, [f"name: {name} cannot be called as (step, steps_per_epoch, total_steps, **options): {error}"]
    return Custom(name, function, options), []


def _imported(name: str) -> tuple[Callable | None, list[str]]:
    """The function package.module:function, or None and the problems."""
    module, colon, attribute = name.partition(":")
    if not colon:
        return None, [f"name: {name!r} is unknown; allowed: {_names()}"]
    try:
        return getattr(importlib.import_module(module), attribute), []
    except Exception as error:  # whatever a user's module raises while it is imported is the user's to read
        return None, [f"name: {name!r} cannot be imported ({error}); give a module on Python's path"]


def _names() -> str:
    return ", ".join(SCHEDULES) + ' or "package.module:function"'
