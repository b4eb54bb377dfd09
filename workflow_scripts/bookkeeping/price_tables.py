"""Tables of what artifacts cost: README.md has that of all artifacts, docs/price.md the rates that it rests on."""

from collections.abc import Iterable

from workflow_scripts.base.errors import InputError
from workflow_scripts.bookkeeping.operations import Operations, Work
from workflow_scripts.bookkeeping.rates import Rates, short
from workflow_scripts.planning.artifacts import Artifact
from workflow_scripts.planning.plan import Plan

BEGIN = "<!-- Made by `python -m workflow_scripts.commands.price --table`: run that, do not edit. -->"
END = "<!-- End of what it made. -->"
HEADER = """\
| target | what it shows | trainings | curves | other analyses | PFLOP | GPU hours | disk GB |
|:--|:--|--:|--:|--:|--:|--:|--:|"""


def costs(plan: Plan, rates: Rates) -> str:
    """A row for the artifacts of a paper that rest on the same work, and one for all of a paper but sensitivities."""
    operations, rows = Operations(plan), [HEADER]
    for paper, title in plan.titles.items():
        artifacts = [artifact for artifact in plan.artifacts.values() if artifact.spec["paper"] == paper]
        rows.append(f"| **{title}** | | | | | | | |")
        for alike in _alike(operations, artifacts):
            rows.append(_row(_targets(alike), _titles(alike), operations.needed([alike[0].id]).values(), rates))
        everything = [artifact.id for artifact in artifacts if not artifact.sensitivity]
        rows.append(_row("all but sensitivities", "", operations.needed(everything).values(), rates))
    return "\n".join(rows)


def networks_rates(plan: Plan, rates: Rates) -> str:
    """Where the rate of each network comes from that the artifacts rest on."""
    needed = Operations(plan).needed([id for id, artifact in plan.artifacts.items() if not artifact.sensitivity])
    networks = sorted({work.network for work in needed.values() if work.network})
    rows = (f"| {short(network)} | {rates.described(network)} |" for network in networks)
    return "\n".join(["| network | rate |", "|:--|:--|", *rows])


def inserted(document: str, table: str) -> str:
    """A document with this table in place of the one between the two marks.

    Raises
    ------
    InputError : the marks are missing.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"a document has no place for its table of costs; put {BEGIN} and {END} there")
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def _alike(operations: Operations, artifacts: Iterable[Artifact]) -> list[list[Artifact]]:
    """Artifacts that rest on the same work, together; sensitivities apart."""
    found: dict[tuple, list[Artifact]] = {}
    for artifact in artifacts:
        key = artifact.sensitivity, frozenset(operations.needed([artifact.id]))
        found.setdefault(key, []).append(artifact)
    return list(found.values())


def _targets(artifacts: list[Artifact]) -> str:
    return ", ".join(f"`{artifact.id}`" for artifact in artifacts)


def _titles(artifacts: list[Artifact]) -> str:
    titles = "; ".join(dict.fromkeys(artifact.spec["title"] for artifact in artifacts))
    return f"*sensitivity*: {titles}" if artifacts[0].sensitivity else titles


def _row(targets: str, titles: str, works: Iterable[Work], rates: Rates) -> str:
    works = list(works)
    counts = [sum(work.rule == rule for work in works) for rule in ("train", "curve")]
    counts.append(len(works) - sum(counts))
    sums = [sum(work.operations for work in works) / 1e15, sum(map(rates.hours, works))]
    sums.append(sum(work.disk for work in works) / 1e9)
    return f"| {targets} | {titles} | {' | '.join([*map(str, counts), *map(plain, sums)])} |"


def plain(value: float) -> str:
    """Two digits, without an exponent where there are more before the point."""
    return f"{value:.2g}" if value < 10 else f"{float(f'{value:.2g}'):.0f}"
