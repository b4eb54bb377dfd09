"""The kinds of table. Adding one is adding a file here and its keys to schemas/panel.schema.yaml.

Each module has

    values(spec, tables) -> DataFrame      the numbers, unrounded
    draw(spec, numbers) -> DataFrame       the table as it is read: text, with one or two lines of column headings
    caption(spec, tables) -> list[str]     how to read it, and a paragraph for each further note

`spec` is the specification of plotting/spec.py and `tables` a `evidence.sources.Sources`. What all kinds share is in
plotting/table.py; docs/panels.md has their keys.
"""

import importlib
import pkgutil
from types import ModuleType

KINDS = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def module(kind: str) -> ModuleType:
    """The module that draws tables of `kind`, one of `KINDS`."""
    return importlib.import_module(f"{__name__}.{kind}")
