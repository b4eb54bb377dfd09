"""Write docs/panels.md, the keys of all kinds of panels and tables, from schemas/panel.schema.yaml.

python -m workflow_scripts.commands.panels
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.base.files import write_text
from workflow_scripts.base.stage import command_line, run
from workflow_scripts.planning.kinds import KINDS
from workflow_scripts.plotting import panels, tables
from workflow_scripts.recipes.schema import read_yaml

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "panels.md"
INTRODUCTION = """\
# Panels and tables
<!-- Made by `python -m workflow_scripts.commands.panels` from schemas/panel.schema.yaml: change that, not this. -->

What a panel of a figure or the contents of a table may say in `papers/<paper>/artifacts.yaml`; all other keys are
refused before anything runs. Keys in bold are needed.

Where a path of a table is asked for, artifacts.yaml has the name of what makes it, and planning puts in the path:
`run: mode_G` or `run: student/3` (of its third trial), `runs: explore_30` (of all trials; `trials: 4` takes the first
four), and of an analysis by its kind, such as `curve: GA`: OF_ONE; of all trials OF_TRIALS.
`digitised: figure_2` names histograms of the paper's reported_histograms.csv, `papers_minimum: [id, row, column]` a
number of its reported.csv.

A figure may say how its panels are laid out: `layout: {columns: 3, panel_size: [3.4, 2.5]}`, in inches.
"""


def main() -> None:
    parser = command_line("commands.panels", __doc__)
    parser.parse_args()
    write_text(DOCUMENT, document())
    print(f"wrote {DOCUMENT}")


def document() -> str:
    """The whole page in Markdown."""
    definitions = read_yaml(panels.SCHEMA)["$defs"]
    of_one, of_trials = (
        ", ".join(f"`{kind.name}:`" for kind in KINDS.values() if kind.of_trials == which) for which in (False, True)
    )
    parts = [INTRODUCTION.replace("OF_ONE", of_one).replace("OF_TRIALS", of_trials)]
    for heading, kinds in (("Panels", panels.KINDS), ("Tables", tables.KINDS)):
        parts.append(f"## {heading}\n")
        parts += [_section(kind, definitions) for kind in kinds]
    return "\n".join(parts)


def _section(kind: str, definitions: Mapping[str, Any]) -> str:
    described = definitions[kind]
    lines = [f"### {kind}", described["description"], "", "| key | what it is | values |", "|:--|:--|:--|"]
    lines += [f"| {key} | {what} | {values} |" for key, what, values in _keys(described, definitions)]
    return "\n".join(lines) + "\n"


def _keys(described: Mapping[str, Any], definitions: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, ...]]:
    """(key, what it is, its values) of a mapping, and of the mappings within it."""
    for name, given in described["properties"].items():
        if name == "kind":
            continue
        node = _looked_up(given, definitions)
        key = f"`{inside}{name}`"
        yield (
            (f"**{key}**" if name in described.get("required", []) else key),
            node.get("description", ""),
            _values(node),
        )
        within = _looked_up(node.get("items", node), definitions)
        if "properties" in within:
            yield from _keys(within, definitions, f"{inside}{name}{'[]' if 'items' in node else ''}.")


def _looked_up(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A node with what it refers to; what stands beside the reference comes first."""
    if "$ref" not in node:
        return dict(node)
    return {**_looked_up(definitions[node["$ref"].rpartition("/")[2]], definitions), **node}


def _values(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(node["enum"])
    if "enum" in node.get("items", {}):
        return f"list of {', '.join(node['items']['enum'])}"
    names = {
        "array": "list",
        "object": "mapping",
        "string": "text",
        "boolean": "true, false",
        "integer": "whole number",
    }
    text = names.get(node.get("type"), node.get("type", ""))
    ends = (node.get("minimum"), node.get("maximum"))
    return f"{text}, {ends[0]} to {ends[1]}" if None not in ends else text


if __name__ == "__main__":
    run(main)
