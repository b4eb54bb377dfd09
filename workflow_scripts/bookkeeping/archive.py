"""The archive: measured tidy tables that ship with the repository, so that figures need no training.

archive/<scale>/ is laid out as the folder of results is, with nothing but tables. Its manifest.json says of each table
what made it and how long that took, with a checksum; and of each data set what is known to differ from its publisher's.
Of a BERT checkpoint that trainings begin with it says what that is, and config.json tells what kind of network.
"""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import whole_file, write_text
from workflow_scripts.base.stage import Cost
from workflow_scripts.datasets.description import digests
from workflow_scripts.evidence.tables import read_facts, read_table
from workflow_scripts.models.language.bert_config import CONFIG, checkpoint_digests
from workflow_scripts.planning.kinds import KINDS
from workflow_scripts.planning.plan import Plan
from workflow_scripts.recipes.canonical import fingerprint
from workflow_scripts.recipes.needs import needed_folder

MANIFEST = "manifest.json"
MOST = 20_000_000  # bytes of an archive
NO_GAPS = "none known"  # of a data set that is its publisher's, as far as anybody knows


@dataclass(frozen=True)
class Wanted:
    """A table that a plan asks for.

    file : below the folder of results, as below the archive. id : fingerprint of its recipe. names : of declarations.
    contents : what evidence/tables.py calls such a table. checkpoint : name of the BERT folder that it begins with.
    """

    file: str
    id: str
    kind: str
    names: tuple[str, ...]
    data: str
    contents: str
    checkpoint: str | None = None


@dataclass
class Change:
    """What adding to an archive did, by file; `left` are tables that it has already with other numbers."""

    added: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)


def wanted(plan: Plan) -> list[Wanted]:
    """Every table that the declarations ask for at the plan's scale, sensitivities included."""
    found = []
    for id, run in plan.runs.items():
        place, begins = f"runs/{id}/metrics.parquet", needed_folder(run.recipe)
        found.append(Wanted(place, id, "run", run.names, run.recipe["data"], "metrics", begins))
    for id, each in plan.analyses.items():
        kind = KINDS[each.kind]
        for key, file in kind.tables.items():
            place = f"{kind.name}/{id}/{file}"
            begins = needed_folder(each.recipe)
            found.append(Wanted(place, id, kind.name, (each.name,), each.data, kind.contents_of(key), begins))
    return found


def read_manifest(folder: Path) -> dict:
    """The manifest of an archive; an empty one where there is none.

    Raises
    ------
    InputError : it is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {"tables": {}, "data": {}}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return {"tables": dict(manifest["tables"]), "data": dict(manifest["data"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no manifest of an archive ({error}); restore it with git checkout") from None


def verify(folder: Path) -> dict:
    """The manifest, once every table is as it says and nothing else is there.

    Raises
    ------
    InputError : with every table that is missing, changed, or not in the manifest, reported together.
    """
    manifest = read_manifest(folder)
    problems, known = [], {file: entry["sha256"] for file, entry in manifest["tables"].items()}
    sums = {name: data["sha256"] or {} for name, data in manifest["data"].items()}
    known |= {f"checkpoints/{name}/{CONFIG}": found[CONFIG] for name, found in sums.items() if CONFIG in found}
    for file, digest in known.items():
        path = folder / file
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif checksum(path) != digest:
            problems.append(f"{path} is not what was archived: its checksum differs")
    here = [*folder.rglob("*.parquet"), *folder.glob("checkpoints/*/*")]
    strange = {path.relative_to(folder).as_posix() for path in here} - known.keys()
    problems += [f"{folder / file} is not in {MANIFEST}" for file in sorted(strange)]
    if problems:
        raise InputError.together(f"The archive {folder} is damaged; restore it with git checkout", problems)
    return manifest


def add(plan: Plan, results: Path, folder: Path, gaps: Mapping[str, str], replace: bool = False) -> Change:
    """Add to an archive what the plan asks for and the results have.

    Parameters
    ----------
    folder : archive/<scale>.
    gaps : by data set, what is known to differ from its publisher's; needed once for each.
    replace : whether a table of the same recipe with other numbers takes the place of the one that is there.

    Raises
    ------
    InputError : the archive is damaged or would be too large, a table is of another recipe, or nobody has said what is
        known of a data set. Nothing is changed then.
    """
    manifest = verify(folder)
    new = _new(plan, results, folder, manifest["tables"], replace)
    used = {entry["data"] for entry in new.entries.values()} | new.begun.keys()
    data = _data(plan, manifest["data"], used, gaps)
    problems = [*new.problems, *data.problems, *_other_checkpoints(new.begun, manifest["data"], data.described)]
    tables = {**manifest["tables"], **new.entries}
    size = sum(entry["bytes"] for entry in tables.values())
    if size > MOST:
        problems.append(f"{folder} would hold {size / 1e6:.1f} MB; more than {MOST / 1e6:.0f} MB are too much for git")
    if problems:
        raise InputError.together(f"Nothing was added to {folder}", problems)
    copies = {folder / file: results / file for file in new.entries}
    copies |= {plan.paths.archived_checkpoint(name): plan.scale.checkpoints[name] / CONFIG for name in new.begun}
    for copy, source in copies.items():
        if copy != source:
            with whole_file(copy) as temporary:
                shutil.copyfile(source, temporary)
    if new.entries or data.described != manifest["data"]:
        _write(folder, tables, data.described)
    return new.change


@dataclass
class _New:
    """What results have that an archive lacks.

    entries : of the manifest, by file. begun : by the name of a checkpoint, the checksums that tables beginning with it
    have of it; None where a table says nothing of it.
    """

    change: Change = field(default_factory=Change)
    entries: dict[str, dict] = field(default_factory=dict)
    begun: dict[str, list[dict | None]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def _new(plan: Plan, results: Path, folder: Path, archived: Mapping[str, dict], replace: bool) -> _New:
    """Compare every table that is asked for with the archive's; `archived` are the tables of its manifest."""
    new, asked = _New(), wanted(plan)
    for table in asked:
        source, before = results / table.file, archived.get(table.file)
        if not source.exists():
            (new.change.same if before else new.change.missing).append(table.file)
            continue
        digest = checksum(source)
        if before and (before["sha256"] == digest or not replace):
            same = before["sha256"] == digest or _same_numbers(source, folder / table.file, table.contents)
            (new.change.same if same else new.change.left).append(table.file)
            continue
        try:
            status, made = read_facts(source)
            new.entries[table.file] = _entry(table, source, results, digest, status["state"], made)
            if table.checkpoint:
                new.begun.setdefault(table.checkpoint, []).append(made.get("pretrained"))
        except InputError as error:
            new.problems.append(str(error))
    new.change.added = list(new.entries)
    new.change.unasked = sorted(archived.keys() - {table.file for table in asked})
    return new


def _same_numbers(one: Path, two: Path, contents: str) -> bool:
    """Whether two tables say the same; made at another time, they still differ in their bytes."""
    first, second = (read_table(path, contents) for path in (one, two))
    return first.frame.equals(second.frame) and first.status == second.status


def prune(plan: Plan, folder: Path) -> list[str]:
    """Remove what no declaration asks for any more; the files that were removed."""
    manifest = verify(folder)
    gone = sorted(manifest["tables"].keys() - {table.file for table in wanted(plan)})
    for file in gone:
        (folder / file).unlink()
        parent = (folder / file).parent
        if not any(parent.iterdir()):
            parent.rmdir()
    if gone:
        _write(folder, {f: e for f, e in manifest["tables"].items() if f not in gone}, manifest["data"])
    return gone


def _write(folder: Path, tables: Mapping[str, dict], data: Mapping[str, dict]) -> None:
    """The manifest, sorted, a line for each table: a new table is one new line of a diff."""
    lines = [f"  {json.dumps(file)}: {json.dumps(tables[file], sort_keys=True)}" for file in sorted(tables)]
    sets = [
        f"  {json.dumps(name)}: {json.dumps(data[name], sort_keys=True, ensure_ascii=False)}" for name in sorted(data)
    ]
    write_text(
        folder / MANIFEST,
        '{"data": {\n' + ",\n".join(sets) + '\n},\n"tables": {\n' + ",\n".join(lines) + "\n}}\n",
    )


def _entry(table: Wanted, source: Path, results: Path, digest: str, state: str, made: Mapping) -> dict:
    """What the manifest says of a table that is as it should be; `state` and what `made` it are the table's own."""
    read_table(source, table.contents)
    of = fingerprint(made["recipe"]) if "recipe" in made else "an unknown recipe"
    if of != table.id:
        raise InputError(f"{source} was made from {of} and not from {table.id}, which {table.names[0]} asks for")
    return {
        "sha256": digest,
        "bytes": source.stat().st_size,
        "id": table.id,
        "kind": table.kind,
        "names": list(table.names),
        "state": state,
        "commit": made["git"]["commit"],
        "dirty": made["git"]["dirty"],
        "data": made["data"],
        "device": made["device"],
        "seconds": _seconds(table, made, results),
        "time": made["time"],
    }


def _seconds(table: Wanted, made: Mapping, results: Path) -> float | None:
    """How long it took: a training says so itself, of an analysis its log does."""
    if "seconds" in made:
        return round(made["seconds"], 1)
    logs = results / "logs" / table.kind
    if (cost := Cost.read(logs / f"{table.id}.log")) is not None:
        return round(cost.seconds, 1)
    timed = logs / f"{table.id}.benchmark.tsv"  # of results of older commits
    if not timed.exists():
        return None
    with timed.open(encoding="utf-8", newline="") as file:
        return round(float(next(csv.DictReader(file, delimiter="\t"))["s"]), 1)


@dataclass(frozen=True)
class _Data:
    described: dict[str, dict]
    problems: list[str]


def _data(plan: Plan, before: Mapping[str, dict], used: set[str], gaps: Mapping[str, str]) -> _Data:
    """What is known of data sets and checkpoints; a set that was made smaller has the gaps of what it was made from."""
    described, problems = dict(before), []
    for name in sorted(used | before.keys()):
        origin = name.partition("-")[0]
        known = gaps.get(origin, before.get(name, {}).get("gaps"))
        if known is None:
            problems.append(
                f"nobody has said what is known to differ of {origin} from its publisher's: "
                f'--gaps {origin}="{NO_GAPS}", or what it is'
            )
            continue
        described[name] = {"gaps": known, "sha256": _digests(plan, name) or before.get(name, {}).get("sha256")}
    return _Data(described, problems)


def _other_checkpoints(
    begun: Mapping[str, list[dict | None]], before: Mapping[str, dict], described: Mapping[str, dict]
) -> Iterator[str]:
    """Checkpoints that are not the same for all tables that begin with them, in a sentence each; begun as of `_New`."""
    for name, found in begun.items():
        now = described.get(name, {}).get("sha256")
        if any(each not in (None, now) for each in [*found, before.get(name, {}).get("sha256")]):
            yield f"tables begin with another {name} than config.yaml names now; an archive has those of one alone"


def _digests(plan: Plan, name: str) -> dict[str, str]:
    """SHA-256 of the files of a data set or checkpoint, where it is here."""
    if name in plan.config["data"]["sources"] and name in plan.scale.checkpoints:
        return checkpoint_digests(plan.scale.checkpoints[name])
    described = plan.paths.dataset(name)
    return digests(described.parent) if described.exists() else {}


def entries(folder: Path) -> Iterator[dict]:
    """The manifest's tables, each with its file."""
    for file, entry in read_manifest(folder)["tables"].items():
        yield {"file": file, **entry}
