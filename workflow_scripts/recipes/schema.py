"""Check a YAML document against its JSON schema and tell every problem in a user's words."""

import contextlib
import functools
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from workflow_scripts.base.errors import InputError

if TYPE_CHECKING:
    import jsonschema


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):
    """YAML as users write it: a key that stands twice is an error, and 5e-4 is a number."""


MERGE = "tag:yaml.org,2002:merge"  # of the key <<


def _mapping_without_repeats(loader: yaml.Loader, node: yaml.MappingNode) -> dict:
    seen: set = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a word or number", key_node.start_mark)
        if key_node.tag == MERGE:
            continue
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)  # puts what << names first, so that a mapping's own keys win
    return {loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value}


def _finite_number(loader: yaml.Loader, node: yaml.ScalarNode) -> float:
    number = loader.construct_yaml_float(node)
    if not math.isfinite(number):
        raise yaml.constructor.ConstructorError(None, None, f"{node.value} is no finite number", node.start_mark)
    return number


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_repeats)
_Loader.add_constructor("tag:yaml.org,2002:float", _finite_number)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_yaml(path: Path) -> object:
    """Parse a YAML file. Raises InputError with the line where it is not YAML or where it is missing."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; restore it or correct the name that leads to it") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line} is not valid YAML: {getattr(error, 'problem', error)}") from None


def whole_numbers(document: object) -> object:
    """A document in which a number without a fraction is an integer, however it was written: 200.0 epochs are 200."""
    if isinstance(document, dict):
        return {key: whole_numbers(value) for key, value in document.items()}
    if isinstance(document, list):
        return [whole_numbers(value) for value in document]
    return int(document) if isinstance(document, float) and document.is_integer() else document


def validator(schema: dict) -> "jsonschema.Draft202012Validator":
    """What tells the errors of a document by a JSON schema."""
    with _without_uri_grammar():
        from jsonschema import Draft202012Validator

    return Draft202012Validator(schema)


@contextlib.contextmanager
def _without_uri_grammar() -> Iterator[None]:
    """Keep jsonschema from its optional grammar of URIs: building that costs more than drawing a figure."""
    unwanted = "rfc3987_syntax" not in sys.modules
    if unwanted:
        sys.modules["rfc3987_syntax"] = None
    try:
        yield
    finally:
        if unwanted:
            del sys.modules["rfc3987_syntax"]


@functools.cache
def _validator(root: Path, name: str) -> "jsonschema.Draft202012Validator":
    return validator(read_yaml(root / "schemas" / f"{name}.schema.yaml"))


def problems(document: object, name: str, where: str, root: Path) -> list[str]:
    """Sentences, one for each place where `document` breaks `schemas/<name>.schema.yaml`; `where` names the file."""
    errors = sorted(_validator(root, name).iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    return list(dict.fromkeys(_sentence(error, where) for error in errors))  # of each missing key, one error


def _sentence(error: "jsonschema.ValidationError", where: str) -> str:
    if error.context and error.validator in ("anyOf", "oneOf"):
        from jsonschema.exceptions import best_match

        closest = best_match([error])
        if closest is not error and closest.validator != "type":
            return _sentence(closest, where)
    place = f"{where}: " + (".".join(map(str, error.absolute_path)) or "the document")
    value = json.dumps(error.instance, ensure_ascii=False, default=str)
    value = value if len(value) <= 80 else value[:77] + "..."
    meant = error.schema.get("description") if isinstance(error.schema, dict) else None
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            unknown = sorted(map(str, set(error.instance) - set(known)))
            return f"{place} has the unknown key {', '.join(map(repr, unknown))}; allowed are {', '.join(known)}"
        case "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            return f"{place} lacks the key {', '.join(map(repr, missing))}"
        case "enum":
            return f"{place} is {value}; allowed are {', '.join(map(str, error.validator_value))}"
        case "type":
            return f"{place} is {value}; it must be {meant or f'of type {error.validator_value}'}"
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            bound = {
                "minimum": "at least",
                "exclusiveMinimum": "above",
                "maximum": "at most",
                "exclusiveMaximum": "below",
            }
            return f"{place} is {value}; it must be {bound[error.validator]} {error.validator_value}"
        case "pattern":
            return f"{place} is {value}; it must look like {meant or error.validator_value}"
        case _:
            return f"{place} is {value}: {'it must be ' + meant if meant else error.message}"
