"""Carry prepared data to a machine without a network, and its tables back.

    python -m workflow_scripts.commands.pack data gotmare2019_figure_2 --config scale=reduced --out data.tar
    python -m workflow_scripts.commands.pack tables --config scale=reduced --out tables.tar
    python -m workflow_scripts.commands.pack unpack data.tar          # or tables.tar

`data` packs the prepared data sets that targets need (all, where none is named), `tables` every finished table and
recipe that a scale asks for, without checkpoints. `unpack` compares every file with the checksums that came along, then
puts them where config.yaml has data and results; `workflow_scripts.commands.archive` adds them to the archive.
"""

import io
import tarfile
import tempfile
from pathlib import Path

from workflow_scripts.base.arguments import add_config, changes
from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import link_or_copy, whole_file
from workflow_scripts.base.stage import command_line, run
from workflow_scripts.bookkeeping.archive import wanted
from workflow_scripts.datasets.description import CHECKSUMS
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import Plan, make_plan

ROOT = Path(__file__).parents[2]
PLACES = ("data", "results")  # first parts of the names in a pack


def main() -> None:
    parser = command_line("commands.pack", __doc__)
    parser.add_argument("what", choices=("data", "tables", "unpack"))
    parser.add_argument("names", nargs="*", help="artifacts; for unpack the files that were carried")
    add_config(parser)
    parser.add_argument("--out", type=Path, help="the file to write")
    parser.add_argument(
        "--replace", action="store_true", help="let files that are carried replace others of their name"
    )
    given = parser.parse_args()
    plan = make_plan(read_config(ROOT, {**changes(given), "source": "results"}), ROOT)
    if given.what == "unpack":
        for name in given.names:
            print(f"{name}: {unpack(Path(name), plan, given.replace)} files")
        return
    if given.out is None:
        raise InputError(f"pack {given.what} needs the file to write; name it with --out")
    files = data_files(plan, targets(plan, given.names)) if given.what == "data" else table_files(plan)
    pack(files, given.out)
    print(f"{given.out}: {len(files)} files, {given.out.stat().st_size / 1e6:.1f} MB")


def targets(plan: Plan, names: list[str]) -> list:
    """The artifacts by name; all of them where none is named.

    Raises
    ------
    InputError : there is no such artifact.
    """
    if unknown := [name for name in names if name not in plan.artifacts]:
        raise InputError(f"there is no artifact {unknown[0]!r}; `snakemake --list` names them")
    return [plan.artifacts[name] for name in names or plan.artifacts]


def data_files(plan: Plan, artifacts: list) -> dict[str, Path]:
    """The prepared data sets of artifacts, by their names in the pack.

    Raises
    ------
    InputError : some are not prepared yet.
    """
    names = {run.recipe["data"] for artifact in artifacts for run in artifact.runs}
    names |= {analysis.data for artifact in artifacts for analysis in artifact.analyses}
    folders = {name: plan.paths.dataset(name).parent for name in sorted(names)}
    if missing := [name for name in folders if not plan.paths.dataset(name).exists()]:
        files = " ".join(str(plan.paths.dataset(name)) for name in missing)
        raise InputError(f"{', '.join(missing)} must be prepared first: snakemake --cores 1 {files}")
    return {f"data/{name}/{path.name}": path for name, folder in folders.items() for path in sorted(folder.iterdir())}


def table_files(plan: Plan) -> dict[str, Path]:
    """The finished tables and recipes that a plan asks for, by their names in the pack."""
    found = {}
    for table in wanted(plan):
        path = plan.paths.results / table.file
        for each in (path, path.parent / "recipe.json"):
            if path.exists() and each.exists():
                found[f"results/{each.relative_to(plan.paths.results)}"] = each
    return found


def pack(files: dict[str, Path], out: Path) -> None:
    """Write a tar file of these, with their checksums first."""
    sums = "".join(f"{checksum(path)}  {name}\n" for name, path in files.items()).encode()
    with whole_file(out) as temporary, tarfile.open(temporary, "w") as archive:
        first = tarfile.TarInfo(CHECKSUMS)
        first.size = len(sums)
        archive.addfile(first, io.BytesIO(sums))
        for name, path in files.items():
            archive.add(path.resolve(), name)


def unpack(file: Path, plan: Plan, replace: bool) -> int:
    """Check a pack and put its files into place; how many there are.

    Raises
    ------
    InputError : it is no pack, a file in it is damaged or has a strange name, or another file of that name is there;
        nothing is changed then.
    """
    places = {"data": plan.paths.data, "results": plan.paths.results}
    plan.paths.results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=plan.paths.results, prefix=".unpack-") as scratch:
        sums = extracted(file, Path(scratch))
        moves, problems = [], []
        for name, digest in sums.items():
            source, (place, _, below) = Path(scratch) / name, name.partition("/")
            target = places[place] / below
            if not source.is_file() or checksum(source) != digest:
                problems.append(f"{name} is missing or damaged in it")
            elif target.exists() and checksum(target) != digest and not replace:
                problems.append(f"{target} is there with other contents; --replace takes what was carried")
            else:
                moves.append((source, target))
        if problems:
            raise InputError.together(f"{file} cannot be unpacked", problems)
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(target) as temporary:
                link_or_copy(source, temporary)
    return len(moves)


def extracted(file: Path, folder: Path) -> dict[str, str]:
    """Extract a pack into a folder; the digests that it tells, by name.

    Raises
    ------
    InputError : it is no pack, or a name in it leads out of data and results.
    """
    try:
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
        lines = (folder / CHECKSUMS).read_text().splitlines()
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{file} is no pack that this command wrote ({error})") from None
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if strange := [name for name in sums if Path(name).parts[0] not in PLACES or ".." in Path(name).parts]:
        raise InputError(f"{file} holds {strange[0]!r}, which belongs neither to data nor to results")
    return sums


if __name__ == "__main__":
    run(main)
