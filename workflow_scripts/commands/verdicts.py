"""Print the verdicts on the papers' claims as Markdown: every claim that was run, or how many have which verdict.

snakemake --cores all verdicts --config scale=reduced source=archive
python -m workflow_scripts.commands.verdicts --config scale=reduced source=archive
python -m workflow_scripts.commands.verdicts --config scale=reduced source=archive --counts     # as the README shows
"""

from pathlib import Path

from workflow_scripts.base.arguments import add_config, changes
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import command_line, run
from workflow_scripts.evidence.tables import VERDICTS
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.publishing import claims

ROOT = Path(__file__).parents[2]
COLUMNS = ("claim", "section", "verdict", "effect", "95 % interval", "expected", "p, corrected", "n")


def main() -> None:
    parser = command_line("commands.verdicts", __doc__)
    add_config(parser)
    parser.add_argument("--counts", action="store_true", help="print the numbers of verdicts alone, as the README has")
    given = parser.parse_args()
    plan = make_plan(read_config(ROOT, changes(given)), ROOT)
    place = plan.paths.verdicts(plan.scale.name)
    if not place.exists():
        raise InputError(f"there are no verdicts at {place}; make them with `snakemake --cores all verdicts`")
    print((counts if given.counts else table)(claims.read(plan, place)))


def table(judged: list[dict]) -> str:
    """A table for each paper, of the claims that were run, under the number of each verdict."""
    parts = []
    for paper in dict.fromkeys(claim["of"] for claim in judged):
        own = [claim for claim in judged if claim["of"] == paper]
        counted = ", ".join(f"{number} {verdict}" for verdict, number in claims.counts(own).items())
        rows = [_row(claim) for claim in own if claim["verdict"] != "not run"]
        lines = [f"| {' | '.join(COLUMNS)} |", f"|{'|'.join(['---'] * len(COLUMNS))}|", *rows] if rows else []
        parts.append("\n".join([f"**{paper}**: {counted}", "", *lines]))
    return "\n\n".join(parts)


def counts(judged: list[dict]) -> str:
    """How many claims of each paper have which verdict, by our tables and by the numbers that it prints and shows."""
    papers = dict.fromkeys(claim["of"] for claim in judged)
    ours = {paper: claims.counts([claim for claim in judged if claim["of"] == paper]) for paper in papers}
    own = {
        f"{paper}, by its own numbers": claims.counts([c["paper"] for c in judged if c["of"] == paper and c["paper"]])
        for paper in papers
    }
    rows = {**ours, **{name: counted for name, counted in own.items() if counted}}
    shown = [verdict for verdict in VERDICTS if any(verdict in counted for counted in rows.values())]
    lines = [f"| paper | {' | '.join(shown)} |", f"|---|{'--:|' * len(shown)}"]
    for name, counted in rows.items():
        lines.append(f"| {name} | {' | '.join(str(counted.get(verdict, 0)) for verdict in shown)} |")
    return "\n".join(lines)


def _row(claim: dict) -> str:
    effect = f"{claim['what']} {claim['effect']}".strip()
    cells = ("says", "section", "verdict", None, "interval", "rule", "p", "n")
    return f"| {' | '.join(effect if key is None else claim[key] for key in cells)} |"


if __name__ == "__main__":
    run(main)
