"""The kinds of table. Each is a module with values, draw and caption, as told at the top of plotting/table.py."""

import importlib
from types import ModuleType

MODULES = {"summary": "table", "paper_table": "paper_table", "trend": "trend_table"}
KINDS = tuple(MODULES)


def module(kind: str) -> ModuleType:
    """The module that draws tables of `kind`, a key of `MODULES`."""
    return importlib.import_module(f"workflow_scripts.plotting.{MODULES[kind]}")
