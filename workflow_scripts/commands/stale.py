"""What the folder of results holds: what is current, what an older commit made that is as good, and what is stale.

    python -m workflow_scripts.commands.stale                  # lists, and deletes nothing
    python -m workflow_scripts.commands.stale --all            # what is not stale too
    python -m workflow_scripts.commands.stale --remove         # deletes what it lists as stale, and nothing else

Stale is what no declaration asks for, at no scale and for no paper: results of an older engine, of recipes that were
changed since, and what rests on those. Snakemake never uses them, for every recipe and engine has paths of its own. A
folder that is half made or not of this project is reported as unknown and stays.
"""

from collections import Counter
from pathlib import Path

from workflow_scripts.base.arguments import add_config, changes
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import command_line, run
from workflow_scripts.bookkeeping.inventory import OUTDATED, REUSED, STALE, UNKNOWN, Inventory, Item, all_plans, remove
from workflow_scripts.evidence import provenance
from workflow_scripts.planning.configuration import read_config

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = command_line("commands.stale", __doc__)
    add_config(parser)
    parser.add_argument("--all", action="store_true", help="list also what is not stale")
    parser.add_argument("--remove", action="store_true", help="delete what is listed as stale")
    given = parser.parse_args()
    inventory = Inventory(all_plans(read_config(ROOT, changes(given), given.configfile), ROOT))
    shown = inventory.items if given.all else [i for i in inventory.items if i.state in (STALE, OUTDATED, UNKNOWN)]
    for item in shown:
        print(line(item))
    print(summary(inventory))
    stale = inventory.of(STALE)
    if not given.remove:
        if stale:
            print("nothing was deleted; --remove deletes what is stale")
        return
    if any(Path(".snakemake/locks").glob("*")):
        raise InputError("Snakemake is at work in this folder; delete nothing until it ends (or snakemake --unlock)")
    busy = remove(stale)
    for item in busy:
        print(f"{item.folder} stays: a process is at work on it")
    print(f"deleted {len(stale) - len(busy)} folders")


def line(item: Item) -> str:
    """A row of the list."""
    commit = item.commit[:10] if item.made else ""
    parts = "; ".join(filter(None, [item.why, ", ".join(item.names)]))
    return f"{item.state:8}  {size(item.bytes):>9}  {commit:10}  {item.kind:10}  {item.folder}  {parts}".rstrip()


def summary(inventory: Inventory) -> str:
    """How much of each state there is, and the commits whose results are reused."""
    counted, weighed = Counter(), Counter()
    for item in inventory.items:
        counted[item.state] += 1
        weighed[item.state] += item.bytes
    parts = [f"{number} {state} ({size(weighed[state])})" for state, number in counted.items()]
    commits = Counter(item.commit[:10] for item in inventory.of(REUSED))
    if commits:
        parts.append(
            "reused of commits " + ", ".join(f"{commit} ({number})" for commit, number in commits.most_common())
        )
    code = provenance.git()
    if code["commit"] == provenance.UNKNOWN:
        parts.append(f"the commit of this code is unknown ({code['reason']}), so nothing counts as made by it")
    return f"{inventory.paths.results}: {', '.join(parts) or 'nothing'}"


def size(bytes: int) -> str:
    """In words."""
    return f"{bytes / 1e9:.2f} GB" if bytes >= 1e9 else f"{bytes / 1e6:.1f} MB"


if __name__ == "__main__":
    run(main)
