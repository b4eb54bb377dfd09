"""config.yaml and what users change of it, brought into one form."""

import copy
import re
from collections.abc import Iterable
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.recipes.merge import merge
from workflow_scripts.recipes.schema import read_yaml, whole_numbers

WHOLE = re.compile(r"\d+(\.0*)?")  # a whole number in words


def read_config(root: Path, changes: dict, files: Iterable[Path] = ()) -> dict:
    """config.yaml with further files over it and changes over these; of a section they replace the keys that they name.

    Raises
    ------
    InputError : a file is missing or no YAML mapping.
    """
    config = read_yaml(root / "config.yaml")
    for path in files:
        config = merge(config, _mapping(read_yaml(Path(path)) or {}, path))
    return merge(config, changes)


def complete(config: dict, root: Path) -> dict:
    """A configuration as planning needs it, of one that Snakemake merged or that another workflow hands over.

    What is left out, or empty, is as in config.yaml; `~` in paths is the home; 2.0 is 2, and so are "2" and "2.0", as
    Snakemake makes words of the numbers in `--config training='{runs_per_gpu: 4}'`; a paper's folder may end in "/". Of
    what has another form than a configuration's nothing is changed: the schema names it.
    """
    standard = read_yaml(root / "config.yaml")
    whole = standard | whole_numbers(_said(config, standard))
    for section, defaults in standard.items():
        if isinstance(defaults, dict) and isinstance(whole[section], dict):
            whole[section] = defaults | _said(whole[section], defaults)
    whole = copy.deepcopy(whole)
    if isinstance(whole["training"], dict):
        whole["training"] = _numbers(whole["training"])
    if isinstance(whole["papers"], list):
        whole["papers"] = [name.rstrip("/") if isinstance(name, str) else name for name in whole["papers"]]
    whole["results"] = _expanded(whole["results"])
    if isinstance(whole["data"], dict):
        whole["data"]["folder"] = _expanded(whole["data"]["folder"])
        if isinstance(whole["data"]["sources"], dict):
            whole["data"]["sources"] = {name: _expanded(path) for name, path in whole["data"]["sources"].items()}
    return whole


def _mapping(document: object, path: Path) -> dict:
    if not isinstance(document, dict):
        raise InputError(f"{path} is no mapping of keys of config.yaml, such as `scale: paper`")
    return document


def _said(section: dict, defaults: dict) -> dict:
    """What is not left empty; a key that nobody knows stays, so that the schema names it."""
    return {key: value for key, value in section.items() if value is not None or key not in defaults}


def _expanded(path: object) -> object:
    return str(Path(path).expanduser()) if isinstance(path, str) and path.startswith("~") else path


def _numbers(section: object) -> object:
    """Whole numbers that were given as words turned into numbers."""
    if isinstance(section, dict):
        return {key: _numbers(value) for key, value in section.items()}
    return int(section.partition(".")[0]) if isinstance(section, str) and WHOLE.fullmatch(section) else section
