"""Read what is declared: the configuration, the scale, and the papers' folders; check each against its schema."""

import csv
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.planning.configuration import complete
from workflow_scripts.recipes.schema import problems, read_yaml, whole_numbers

PAPER_FILES = ("paper", "runs", "analyses", "artifacts")
OPTIONAL_FILES = ("claims",)
COUNTING_FILES = ("runs", "analyses")


@dataclass(frozen=True)
class PaperDeclaration:
    """The documents of one paper's folder, as they were read.

    claims : empty where the folder has none.
    reported : keys (id, row, column) of the numbers that the paper prints, in reported.csv.
    """

    name: str
    folder: Path
    paper: dict
    runs: dict
    analyses: dict
    artifacts: dict
    claims: dict
    reported: frozenset[tuple[str, str, str]]


@dataclass(frozen=True)
class Declarations:
    """Everything that was declared, schema-checked and not yet resolved."""

    root: Path
    config: dict
    scale: dict
    papers: tuple[PaperDeclaration, ...]


def read(config: dict, root: Path) -> Declarations:
    """Read all declarations that `config` names.

    Parameters
    ----------
    config : the configuration as Snakemake merged it (config.yaml, --configfile, --config).
    root : the repository's root.

    Raises
    ------
    InputError : with every problem that the schemas find, reported together.
    """
    root = Path(root)
    config = complete(config, root)
    found = problems(config, "config", "config.yaml", root)
    if found:
        raise InputError.together("The configuration cannot be used", found)
    scale_file = root / "scales" / f"{config['scale']}.yaml"
    known = sorted(path.stem for path in (root / "scales").glob("*.yaml"))
    if config["scale"] not in known:
        raise InputError(
            f"config.yaml: scale is {config['scale']!r}; allowed are the files of scales/: {', '.join(known)}"
        )
    scale = whole_numbers(read_yaml(scale_file))
    found += problems(scale, "scale", f"scales/{scale_file.name}", root)
    papers = []
    for name in config["papers"]:
        documents, paper_problems = _read_paper(root, name)
        found += paper_problems
        papers.append(
            PaperDeclaration(name, root / "papers" / name, **documents, reported=read_reported(root / "papers" / name))
        )
    if found:
        raise InputError.together("The declarations cannot be used", found)
    return Declarations(root, config, scale, tuple(papers))


def _read_paper(root: Path, name: str) -> tuple[dict, list[str]]:
    folder = root / "papers" / name
    known = sorted(path.name for path in (root / "papers").iterdir() if path.is_dir())
    if name not in known:
        raise InputError(f"config.yaml: papers names {name!r}; allowed are the folders of papers/: {', '.join(known)}")
    documents = {kind: read_yaml(folder / f"{kind}.yaml") for kind in PAPER_FILES}
    optional = {kind: folder / f"{kind}.yaml" for kind in OPTIONAL_FILES}
    documents |= {kind: read_yaml(path) for kind, path in optional.items() if path.exists()}
    documents |= {kind: whole_numbers(documents[kind]) for kind in COUNTING_FILES}
    found = []
    for kind, document in documents.items():
        found += problems(document, kind, f"papers/{name}/{kind}.yaml", root)
    return {kind: {} for kind in OPTIONAL_FILES} | documents, found


def read_reported(folder: Path) -> frozenset[tuple[str, str, str]]:
    """Keys (id, row, column) of the numbers that a paper prints; none where the folder has no reported.csv."""
    path = folder / "reported.csv"
    if not path.exists():
        return frozenset()
    with path.open(encoding="utf-8", newline="") as file:
        return frozenset((row["id"], row["row"], row["column"]) for row in csv.DictReader(file))
