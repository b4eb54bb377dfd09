"""Add what has been measured to the archive, from which every figure can be redrawn without training.

    python -m workflow_scripts.commands.archive --config scale=reduced --gaps cifar10="none known"
    python -m workflow_scripts.commands.archive --config scale=reduced --check
    python -m workflow_scripts.commands.archive --config scale=reduced --prune

archive/<scale>/ gets the tidy tables that the declarations ask for and the results have, as they are, with a manifest.
What it has already stays as it is. Afterwards `snakemake --config scale=reduced source=archive` draws from it.
"""

from pathlib import Path

from workflow_scripts.base.arguments import add_config, changes
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import command_line, run
from workflow_scripts.bookkeeping import archive
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import make_plan

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = command_line("commands.archive", __doc__)
    add_config(parser)
    parser.add_argument(
        "--gaps", action="append", default=[], metavar="DATA=TEXT",
        help="what is known to differ of a data set from its publisher's; needed when its first table is added",
    )  # fmt: skip
    parser.add_argument("--replace", action="store_true", help="let other numbers of the same recipe take their place")
    parser.add_argument("--check", action="store_true", help="compare the archive with its checksums, and add nothing")
    parser.add_argument("--prune", action="store_true", help="remove what no declaration asks for, and add nothing")
    given = parser.parse_args()
    plan = make_plan(read_config(ROOT, {**changes(given), "source": "archive"}), ROOT)  # of the archive's checkpoints
    folder = plan.paths.archive
    if given.check:
        print(f"{folder}: {len(archive.verify(folder)['tables'])} tables, each as it was archived")
    elif given.prune:
        print(f"{folder}: removed {len(archive.prune(plan, folder))} tables that no declaration asks for")
    else:
        print(report(folder, archive.add(plan, plan.paths.results, folder, gaps(given.gaps), given.replace)))


def gaps(given: list[str]) -> dict[str, str]:
    """The texts by data set.

    Raises
    ------
    InputError : one is not DATA=TEXT.
    """
    found = {}
    for each in given:
        name, _, text = each.partition("=")
        if not name or not text.strip():
            raise InputError(f'--gaps {each!r} is not DATA=TEXT, such as cifar10="none known"')
        found[name] = text.strip()
    return found


def report(folder: Path, change: archive.Change) -> str:
    """What was done, in words."""
    lines = [f"{folder}: {len(change.added)} tables added, {len(change.same)} as they were"]
    if change.missing:
        lines.append(f"{len(change.missing)} tables that the declarations ask for are not there yet: they are not run")
    lines += [f"{file} stays, though the results have other numbers; --replace takes them" for file in change.left]
    lines += [f"{file} is asked for by no declaration; --prune removes it" for file in change.unasked]
    size = sum(entry["bytes"] for entry in archive.entries(folder))
    return "\n".join([*lines, f"{size / 1e6:.1f} MB in all"])


if __name__ == "__main__":
    run(main)
