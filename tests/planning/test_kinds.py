"""The record of each kind of analysis agrees with its stage, its rule, its schema and its tables."""

from pathlib import Path

import pytest

from workflow_scripts.evidence.tables import KINDS as TABLES
from workflow_scripts.planning.kinds import KINDS
from workflow_scripts.planning.paths import Paths
from workflow_scripts.recipes.schema import read_yaml

ROOT = Path(__file__).parents[2]
RULES = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_record_is_of_what_is_there(kind):
    allowed = read_yaml(ROOT / "schemas" / "analyses.schema.yaml")["properties"]
    assert kind.plural in allowed and kind.name in allowed["defaults"]["properties"]
    rule = RULES.partition(f"rule {kind.name}:")[2].partition("\nrule ")[0]
    assert f' {kind.stage}"' in rule
    written = Paths(Path("results"), Path("data")).tables(kind.name, "0")
    for key, table in written.items():
        assert Path(table).name in rule and kind.contents_of(key) in TABLES


def test_a_recipe_has_the_engine_of_its_kind(declared):
    found = {analysis.kind: analysis.recipe["engine"] for analysis in declared.plan().analyses.values()}
    assert found and found == {name: KINDS[name].engine for name in found}
