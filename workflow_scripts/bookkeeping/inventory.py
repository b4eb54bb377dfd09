"""What the folder of results holds, and whether any declaration still asks for it.

A result's path holds the fingerprint of its recipe, and the recipe the number of the engine that it is for. So a result
that a declaration asks for is as good as a new one, whichever commit made it; one that none asks for is stale.
"""

import functools
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.description import digests
from workflow_scripts.evidence import provenance
from workflow_scripts.evidence.tables import read_facts
from workflow_scripts.planning.kinds import KINDS, OF_TRIALS
from workflow_scripts.planning.plan import Plan, make_plan
from workflow_scripts.recipes import engine, places
from workflow_scripts.recipes.canonical import canonical, fingerprint
from workflow_scripts.recipes.identity import curve_training, measurement
from workflow_scripts.runtime.store import Store

ENGINES = {kind.name: kind.engine for kind in KINDS.values()}
COMMIT = re.compile(r"commit ([0-9a-f]{40})")  # as a notebook tells it
UNSEEN = object()  # stands for the checksum of a file that is not here
CURRENT, REUSED, OUTDATED, STALE, UNKNOWN = "current", "reused", "outdated", "stale", "unknown"


@dataclass
class Item:
    """A folder of results.

    kind : "run", a kind of analysis, "artifact", or "work" for unfinished and finished work in the store.
    names : of the declarations that ask for it, each with its scale. recipe : what made it, where that is known.
    made : its table's provenance, or a notebook's {"git": {"commit"}}. diverged : whether that table says so.
    state : "current" (made by this commit, or work that would be gone on with), "reused" (made by another one, same
        engine), "outdated" (a picture that Snakemake draws anew), "stale" (no declaration asks for it) or "unknown"
        (not ours, or half made).
    why : the state in words. bytes : on the disk, and of files with several names counted once for all items.
    """

    kind: str
    folder: Path
    names: list[str] = field(default_factory=list)
    recipe: dict = field(default_factory=dict)
    made: dict = field(default_factory=dict)
    diverged: bool = False
    state: str = STALE
    why: str = ""
    bytes: int = 0

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def commit(self) -> str:
        """That made it; "unknown" where nothing tells."""
        return self.made.get("git", {}).get("commit", provenance.UNKNOWN)


class Inventory:
    """Everything in the folder of results of a configuration, item by item.

    plans : of every scale and of all papers: what one of them asks for is not stale. runs_alone : leave out the rest,
        for which checkpoints have to be read.
    """

    def __init__(self, plans: list[Plan], runs_alone: bool = False):
        self.plans, self.paths = plans, plans[0].paths
        self._digests: dict[Path, str] = {}
        results = self.paths.results
        self.items = list(self._runs())
        if not runs_alone:
            self.items += [*self._analyses(), *self._work(), *self._artifacts(results)]
        gone = {item.id for item in self.items if item.kind == "run" and item.state == STALE}
        for item in self.items:
            if item.state == STALE and not item.why:
                item.why = reason(item, gone)
        _weigh(self.items)

    def of(self, state: str) -> list[Item]:
        return [item for item in self.items if item.state == state]

    def _runs(self) -> Iterator[Item]:
        wanted = _by_id((plan, id, run.names) for plan in self.plans for id, run in plan.runs.items())
        for folder in _folders(self.paths.run("*")):
            item = Item("run", folder, wanted.get(folder.name, []))
            yield _judged(item, self.paths.metrics(folder.name))

    def _analyses(self) -> Iterator[Item]:
        wanted = _by_id((plan, id, [each.name]) for plan in self.plans for id, each in plan.analyses.items())
        for kind in KINDS:
            for folder in _folders(self.paths.analysis(kind, "*")):
                item = Item(kind, folder, wanted.get(folder.name, []))
                yield _judged(item, Path(self.paths.tables(kind, folder.name)["table"]))

    def _work(self) -> Iterator[Item]:
        """Of runs by their own identity; of curves and measurements by what the files that are here give."""
        wanted = _by_id((plan, id, run.names) for plan in self.plans for id, run in plan.runs.items())
        asked = [
            (plan, f"{each.kind} {each.name}", identity)
            for plan in self.plans
            for each in plan.analyses.values()
            for identity in self._works_of(each)
        ]
        complete = [each for each in asked if not _has_unknown(each[2])]
        wanted |= _by_id((plan, fingerprint(identity), [name]) for plan, name, identity in complete)
        incomplete = [each for each in asked if _has_unknown(each[2])]
        for folder in _folders(self.paths.store / "*"):
            item = Item("work", folder, wanted.get(folder.name, []))
            try:
                identity = json.loads((folder / "identity.json").read_text(encoding="utf-8"))
                item.recipe = identity.get("recipe", identity) | {"kind": _kind_of(identity)}
            except (OSError, ValueError):
                yield _unknown(item, "its identity.json is missing or damaged")
                continue
            if item.names:
                finished = (folder / "finished.json").exists() or item.recipe["kind"] == "curve"
                item.state, item.why = CURRENT, "" if finished else "goes on from its snapshot"
            elif maybe := [(plan, name) for plan, name, asked in incomplete if self._may_be(asked, identity)]:
                plan, name = maybe[0]
                _unknown(
                    item, f"may be of {plan.scale.name}: {name}, whose data or checkpoints are not here to compare"
                )
            yield item

    def _works_of(self, analysis) -> list[dict]:
        """The identities of an analysis' work, with UNSEEN for checksums of what is not here."""
        recipe = analysis.recipe
        if analysis.kind == "curve":
            ends = [self._digest(recipe[key]) for key in ("start", "end")]
            described = self.paths.dataset(recipe["data"])
            images = digests(described.parent) if described.exists() else UNSEEN
            return [curve_training(recipe, ends, images)]
        if analysis.kind in OF_TRIALS:
            return [measurement(analysis.kind, recipe, self._digest(trial)) for trial in recipe["runs"]]
        return []

    def _digest(self, end: dict) -> object:
        """SHA-256 of the checkpoint {run, at}, or UNSEEN where it is not here."""
        folders = self.paths.run(end["run"]), self.paths.store / end["run"]
        for path in (places.checkpoint(folder, end["at"]) for folder in folders):
            if path.exists():
                return self._digest_of(path)
        return UNSEEN

    def _digest_of(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = checksum(path)
        return self._digests[path]

    def _may_be(self, asked: object, found: object) -> bool:
        """Whether work that was found is what is asked for, as far as one can see.

        A checkpoint that is not here can be none of those that are: no two runs end alike.
        """
        if asked is UNSEEN:
            return not isinstance(found, str) or found not in self._present
        if isinstance(asked, dict) and isinstance(found, dict):
            return asked.keys() == found.keys() and all(self._may_be(asked[key], found[key]) for key in asked)
        if isinstance(asked, list | tuple) and isinstance(found, list):
            return len(asked) == len(found) and all(map(self._may_be, asked, found))
        return canonical(asked) == canonical(found)

    @functools.cached_property
    def _present(self) -> set[str]:
        """SHA-256 of all checkpoints of runs that are here."""
        return {self._digest_of(path) for path in places.runs(self.paths.results).glob("*/checkpoints/*.safetensors")}

    def _artifacts(self, results: Path) -> Iterator[Item]:
        declared = {
            plan.paths.artifact(plan.scale.name, artifact.spec["paper"], artifact.name): artifact
            for plan in self.plans
            for artifact in plan.artifacts.values()
        }
        for folder in sorted(path.parent for path in results.glob("*/*/*/spec.json")):
            item, artifact = Item("artifact", folder), declared.get(folder)
            if artifact is not None:
                item.names = [f"{artifact.spec['scale']}: {artifact.id}"]
                drawn = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
                notebook = folder / "notebook.ipynb"
                found = COMMIT.search(notebook.read_text(encoding="utf-8")) if notebook.exists() else None
                item.made = {"git": {"commit": found.group(1)}} if found else {}
                item.state = _by_commit(item)
                if canonical(drawn) != canonical(artifact.spec):
                    item.state, item.why = OUTDATED, "drawn from another declaration; Snakemake draws it anew"
            else:
                item.why = "no declaration asks for it any more"
            yield item


def all_plans(config: dict, root: Path) -> list[Plan]:
    """The plan of every scale, of all papers that there are.

    Raises
    ------
    InputError : one of them cannot be made, so nobody can say what it asks for.
    """
    papers = sorted(path.parent.name for path in (root / "papers").glob("*/paper.yaml"))
    scales = sorted(path.stem for path in (root / "scales").glob("*.yaml"))
    return [make_plan({**config, "papers": papers, "scale": scale}, root) for scale in scales]


def reason(item: Item, gone: set[str]) -> str:
    """Why something is stale. gone : the runs that are."""
    kind = item.recipe.get("kind", item.kind)
    made, current = item.recipe.get("engine"), engine.of_training(item.recipe) if kind == "run" else ENGINES.get(kind)
    if None not in (made, current) and made != current:
        return f"made by engine {made} of {kind}, which is {current} now"
    if item.kind != "run" and (of := sorted(id for id in gone if id in canonical(item.recipe) and id != item.id)):
        return f"made from the run {of[0]}, which is stale"
    return "no declaration asks for it any more"


def remove(items: Iterable[Item]) -> list[Item]:
    """Delete the folders of these items; those of work that a process is at stay, and are returned."""
    busy = []
    for item in items:
        try:
            if item.kind == "work":
                with Store(item.folder.parent, item.id, {}).held(wait=False):
                    shutil.rmtree(item.folder)
            else:
                shutil.rmtree(item.folder)
        except BlockingIOError:
            busy.append(item)
    return busy


def _by_id(asked: Iterable[tuple[Plan, str, list[str]]]) -> dict[str, list[str]]:
    """What asks for an identity: names with their scales."""
    found: dict[str, list[str]] = {}
    for plan, id, names in asked:
        found.setdefault(id, []).extend(f"{plan.scale.name}: {name}" for name in names)
    return found


def _has_unknown(identity: object) -> bool:
    """Whether a part of an identity cannot be seen here."""
    if isinstance(identity, dict):
        return any(map(_has_unknown, identity.values()))
    if isinstance(identity, list | tuple):
        return any(map(_has_unknown, identity))
    return identity is UNSEEN


def _folders(pattern: Path) -> list[Path]:
    return sorted(path for path in pattern.parent.glob(pattern.name) if path.is_dir() and not path.name.startswith("."))


def _judged(item: Item, table: Path) -> Item:
    """With the state that its table tells."""
    if not table.exists():
        return _unknown(item, f"{table.name} is missing, so it is half made")
    try:
        status, item.made = read_facts(table)
    except InputError:
        return _unknown(item, f"{table.name} is damaged")
    item.recipe, item.diverged = item.made.get("recipe", {}), status["state"] == "diverged"
    if item.names:
        item.state = _by_commit(item)
    return item


def _by_commit(item: Item) -> str:
    commit = provenance.git()["commit"]
    return CURRENT if commit != provenance.UNKNOWN and item.commit == commit else REUSED


def _unknown(item: Item, why: str) -> Item:
    item.state, item.why = UNKNOWN, why
    return item


def _kind_of(identity: dict) -> str:
    """Of work in the store."""
    return identity.get("kind", "curve" if "ends" in identity else "run")


def _weigh(items: list[Item]) -> None:
    """Bytes on the disk. A file's several names count where they are needed: what is stale comes last."""
    seen: set[tuple[int, int]] = set()
    for item in sorted(items, key=lambda item: item.state == STALE):
        for path in item.folder.rglob("*"):
            facts = path.lstat()
            if (facts.st_dev, facts.st_ino) not in seen:
                seen.add((facts.st_dev, facts.st_ino))
                item.bytes += facts.st_blocks * 512
