"""The description of a prepared data set, whatever its form: a JSON file beside what it describes."""

import json
from pathlib import Path

from workflow_scripts.base.errors import InputError

DESCRIPTION = "dataset.json"
CHECKSUMS = "SHA256SUMS"


def read_fields(folder: Path) -> dict:
    """What the description of a prepared data set says.

    Raises
    ------
    InputError : it is missing, or is no JSON mapping with a name and checksums.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise InputError(
            f"{path} is missing, so {folder} is no prepared data set; make one with "
            f"`python -m workflow_scripts.stages.prepare_data NAME --out {folder}`"
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not a description that preparing writes ({error}); prepare it again") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("sha256"), dict) or "name" not in fields:
        raise InputError(f"{path} is not a description that preparing writes; prepare it again")
    return fields


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a prepared data set, by name; raises as `read_fields`."""
    return read_fields(folder)["sha256"]


def is_text(folder: Path) -> bool:
    """Whether a prepared data set is text; raises as `read_fields`."""
    return read_fields(folder).get("form") in ("parallel", "questions", "documents")
