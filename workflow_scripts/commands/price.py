"""What artifacts would cost before any of it is spent, and what would be trained again, and why.

    python -m workflow_scripts.commands.price --config scale=paper                    # everything
    python -m workflow_scripts.commands.price gotmare2019_figure_3 --config scale=paper
    python -m workflow_scripts.commands.price --table                     # the tables of README and docs/price.md

The first table has each artifact as if nothing were there, shared work counted once in its sum; "still to be done" is
what `snakemake -n` would run, less what is finished in the store. Hours are those of one device: at the rate of the
finished trainings of the same network on that kind of device where the folder of results has some, else at --rate, else
as an H100 was benchmarked with the network, else at an assumed rate; which of these is reported for each network. The
decompositions of SVCCA are not counted.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.base.arguments import add_config, changes
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import write_text
from workflow_scripts.base.stage import command_line, run
from workflow_scripts.bookkeeping.differences import nearest
from workflow_scripts.bookkeeping.inventory import STALE, Inventory, all_plans
from workflow_scripts.bookkeeping.operations import Operations, Work
from workflow_scripts.bookkeeping.price_tables import costs, inserted, networks_rates, plain
from workflow_scripts.bookkeeping.rates import ASSUMED, Rates, short
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import Plan, make_plan
from workflow_scripts.runtime.lease import devices
from workflow_scripts.runtime.store import Store
from workflow_scripts.training.job import epochs_left

ROOT = Path(__file__).parents[2]
SPELLING = "nothing but how its fingerprint was written"
COLUMNS = ("jobs", "trainings", "curves", "analyses", "PFLOP", "hours", "disk GB")
WIDTHS = (5, 10, 7, 9, 9, 9, 9)
ALL = "all of these together"


@dataclass(frozen=True)
class Pending:
    """A job that Snakemake would run: its rule, its identity (of a run or analysis) and why."""

    rule: str
    id: str | None
    why: str


def main() -> None:
    parser = command_line("commands.price", __doc__)
    parser.add_argument("targets", nargs="*", help="artifacts by name; all but sensitivities where none is given")
    add_config(parser)
    parser.add_argument(
        "--device",
        choices=list(ASSUMED),
        default="cuda" if devices() else "cpu",
        help="price for (default, by what is here: %(default)s)",
    )
    parser.add_argument("--rate", type=float, help="operations a second of networks without trainings in the results")
    parser.add_argument("--table", action="store_true", help="write the tables of README and docs/price.md anew")
    given = parser.parse_args()
    if given.table:
        for path, table in tables_of_papers().items():
            write_text(path, inserted(path.read_text(encoding="utf-8"), table))
            print(f"wrote the table of {path}")
        return
    config = read_config(ROOT, changes(given), given.configfile)
    plan = make_plan(config, ROOT)
    if unknown := [target for target in given.targets if target not in plan.artifacts]:
        raise InputError(f"there is no artifact {', '.join(unknown)}; allowed are {', '.join(plan.artifacts)}")
    targets = given.targets or [id for id, artifact in plan.artifacts.items() if not artifact.sensitivity]
    operations, inventory = Operations(plan), Inventory(all_plans(config, ROOT), runs_alone=True)
    rates = Rates(inventory.items, operations, given.device, given.rate)
    needed = operations.needed(targets)
    priced = [(id, row(*counted(plan, operations.needed([id]), 1), rates)) for id in targets]
    if len(targets) > 1:
        priced.append((ALL, row(*counted(plan, needed, len(targets)), rates)))
    networks = sorted({work.network for work in needed.values() if work.network})
    print(f"scale {plan.scale.name}, hours of one device ({given.device})\n\n{line('', COLUMNS)}")
    for name, cells in priced:
        print(line(name, cells))
    jobs = would_run(targets, changes(given), given.configfile)
    epochs = {job.id: left_of(plan, job.id) for job in jobs if job.rule == "train"}
    print(line("still to be done", row(len(jobs), still(plan, needed, jobs, epochs), rates)))
    print("\nThe hours are from rates that are")
    for network in networks:
        print(f"  {short(network):40} {rates.described(network)}")
    if missing := to_be_named(plan, needed):
        print(f"\n{missing}")
    for reason in reasons(plan, jobs, epochs, inventory):
        print(reason)


def tables_of_papers() -> dict[Path, str]:
    """By document, what it says of all papers at their own scale on a GPU, as if nothing were there."""
    plan = next(plan for plan in all_plans(read_config(ROOT, {}), ROOT) if plan.scale.name == "paper")
    rates = Rates([], Operations(plan), "cuda")
    return {ROOT / "README.md": costs(plan, rates), ROOT / "docs" / "price.md": networks_rates(plan, rates)}


def counted(plan: Plan, needed: dict[tuple[str, str], Work], artifacts: int) -> tuple[int, list[Work]]:
    """Number of jobs, with those that prepare data and draw, and the work in them."""
    return len(needed) + len(data_of(plan, needed)) + artifacts, list(needed.values())


def data_of(plan: Plan, needed: Iterable[tuple[str, str]]) -> set[str]:
    """The data sets of work by rule and identity."""
    return {plan.runs[id].recipe["data"] if rule == "train" else plan.analyses[id].data for rule, id in needed}


def to_be_named(plan: Plan, needed: Iterable[tuple[str, str]]) -> str:
    """A sentence on what this work rests on and config.yaml has to name first; empty where there is nothing."""
    missing = sorted({name for data in data_of(plan, needed) for name in plan.to_be_named(data)})
    if not missing:
        return ""
    return (
        f"What rests on {', '.join(missing)} can be priced but not run: name them in config.yaml's data.sources first "
        '(README.md, "Your own").'
    )


def row(jobs: int, works: list[Work], rates: Rates) -> tuple[str, ...]:
    """The cells of a row, as `COLUMNS` names them."""
    rules = Counter(work.rule for work in works)
    operations, disk = (sum(getattr(work, what) for work in works) for what in ("operations", "disk"))
    hours = sum(map(rates.hours, works))
    trainings = rules.pop("train", 0)
    counts = (jobs, trainings, rules["curve"], rules.total())
    return (*map(str, counts), f"{operations / 1e15:.3g}", plain(hours), plain(disk / 1e9))


def line(name: str, cells: Sequence[str]) -> str:
    """A row of the table."""
    return " ".join([f"{name:40}", *(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))])


def would_run(targets: list[str], changed: dict, files: Sequence[Path] = ()) -> list[Pending]:
    """The jobs that Snakemake itself would run here for these artifacts, and its reasons.

    Raises
    ------
    InputError : Snakemake cannot plan them.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

    try:
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(config=changed, configfiles=[path.resolve() for path in files]),
                snakefile=ROOT / "Snakefile",
                workdir=Path.cwd(),
            )
            workflow.dag(DAGSettings(targets=set(targets))).execute_workflow(executor="dryrun")
            dag = workflow._workflow.dag  # the one place that knows the reasons
            jobs = [job for job in dag.needrun_jobs(exclude_finished=False) if job.rule.name not in targets]
            return [
                Pending(job.rule.name, job.wildcards_dict.get("id"), "; ".join(dag.reason(job).get_names()))
                for job in jobs
            ]
    except WorkflowError as error:
        raise InputError(f"Snakemake cannot tell what is still to be done: {error}") from None


def left_of(plan: Plan, id: str) -> int:
    """Epochs of a run that are still to be trained; its job takes the rest from the store."""
    run = plan.runs[id]
    return epochs_left(Store(plan.paths.store, id, {}), run.job)


def still(plan: Plan, needed: dict[tuple[str, str], Work], jobs: list[Pending], epochs: dict[str, int]) -> list[Work]:
    """The work in these jobs, less the epochs that have been trained."""
    found = [needed[job.rule, job.id] for job in jobs if job.rule != "train" and (job.rule, job.id) in needed]
    return found + [
        needed["train", id].part(left / plan.runs[id].recipe["epochs"]) for id, left in epochs.items() if left
    ]


def reasons(plan: Plan, jobs: list[Pending], epochs: dict[str, int], inventory: Inventory) -> list[str]:
    """Why there is something to be done, by rule; of trainings that there was one much like before."""
    lines = ["\nNothing is to be run." if not jobs else "\nTo be run, and why"]
    for (rule, why), number in sorted(Counter((job.rule, job.why) for job in jobs).items()):
        lines.append(f"  {number:4} {rule}: {why}")
    if finished := sum(left == 0 for left in epochs.values()):
        lines.append(f"{finished} of the trainings are finished in the store and not trained again.")
    stale = [(item.id, item.recipe) for item in inventory.of(STALE) if item.recipe]
    for job in jobs:
        if not epochs.get(job.id):
            continue
        run, whole = plan.runs[job.id], plan.runs[job.id].recipe["epochs"]
        if epochs[job.id] < whole:
            lines.append(f"  {run.names[0]} goes on after epoch {whole - epochs[job.id]} of {whole}")
        elif (plan.paths.store / job.id).exists():
            lines.append(f"  {run.names[0]} is trained again: {job.why}")
        elif like := nearest(run.recipe, stale):
            lines.append(f"  {run.names[0]} is trained anew: unlike in {like[0]}, {'; '.join(like[1]) or SPELLING}")
    return lines


if __name__ == "__main__":
    run(main)
