"""Imports run one way, as docs/architecture.md says."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow_scripts"
# From the bottom up; a folder imports from those of lower layers, and from those of its own.
LAYERS = [
    ("base",),
    ("recipes",),
    ("evidence", "datasets", "models"),
    ("runtime",),
    ("generation",),
    ("tasks",),
    ("training", "landscape", "representation"),
    ("planning", "plotting", "bookkeeping", "publishing"),
    ("stages", "commands"),
]
LEVEL = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path, at_start=False):
    """What a file imports, as (package, folder): wherever in it, or only as it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if at_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[:2] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names] if node.module == "workflow_scripts" else [""]
            yield from (f"{node.module}.{name}".split(".")[:2] for name in names)


def folder_of(path):
    return path.relative_to(PACKAGE).parts[0]


def test_every_folder_has_its_layer():
    assert {folder_of(path) for path in FILES} - {"__init__.py"} <= set(LEVEL)


@pytest.mark.parametrize("folder", LEVEL)
def test_imports_run_one_way(folder):
    upward = [
        f"{path.relative_to(ROOT)} imports {'.'.join(names)}"
        for path in FILES
        if folder_of(path) == folder
        for names in imported(path)
        if names[0] == "workflow_scripts" and len(names) > 1 and LEVEL.get(names[1], 0) > LEVEL[folder]
    ]
    assert not upward, "\n".join(upward)


@pytest.mark.parametrize("folder", ["planning", "plotting", "recipes", "evidence", "base"])
def test_what_is_read_while_planning_or_drawing_needs_no_torch(folder):
    found = [
        str(path)
        for path in FILES
        if folder_of(path) == folder
        and any(names[0] in ("torch", "torchvision") for names in imported(path, at_start=True))
    ]
    assert not found


def test_only_a_price_knows_snakemake():
    found = {path.name for path in FILES if any(names[0] == "snakemake" for names in imported(path))}
    assert found <= {"price.py"}


def test_the_engine_knows_no_image_and_no_word():
    for name in ("engine", "progress", "kept", "history", "snapshot", "job", "attempt"):
        names = [".".join(parts) for parts in imported(PACKAGE / "training" / f"{name}.py")]
        source = (PACKAGE / "training" / f"{name}.py").read_text(encoding="utf-8")
        assert "torchvision" not in names
        assert "datasets.images" not in source and "datasets.text" not in source and "models.vision" not in source
