"""Labels of checkpoints are read in one place, and the schemas accept nothing else."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.base.errors import InputError
from workflow_scripts.recipes.labels import Label
from workflow_scripts.recipes.schema import read_yaml

ROOT = Path(__file__).parents[2]
LABELS = st.one_of(
    st.builds(Label, st.sampled_from(["epoch", "iteration"]), st.integers(0, 10**6)),
    st.just(Label("best")),
    st.builds(Label, st.just("average"), st.integers(1, 10**6)),
)
STRANGE = [
    "",
    "epoch",
    "epoch-",
    "epoch-1.5",
    "epoch--1",
    "epoch-01",
    "Epoch-1",
    "best-1",
    "average-0",
    "epoch-1\n",
    "../epoch-1",
]


@given(LABELS)
def test_a_label_is_read_as_it_is_written(label):
    assert Label.parse(str(label)) == label


@pytest.mark.parametrize("text", STRANGE)
def test_what_is_no_label_is_said_to_be_none(text):
    assert Label.found(text) is None
    with pytest.raises(InputError, match="is no label of a checkpoint; allowed are epoch-30"):
        Label.parse(text)


def test_where_in_a_training_a_label_is():
    assert Label.parse("epoch-30").epochs(200, 500) == 30
    assert Label.parse("iteration-200").epochs(200, 500) == 0.4
    assert {Label.parse(text).epochs(200, 500) for text in ("best", "average-5")} == {200}
    assert [Label.parse(text).is_of_update for text in ("epoch-3", "iteration-0", "best", "average-5")] == [
        True,
        True,
        False,
        False,
    ]


def patterns(node):
    """The patterns of a schema that are about labels."""
    if isinstance(node, dict):
        if "epoch" in str(node.get("pattern", "")):
            yield node["pattern"]
        for value in node.values():
            yield from patterns(value)


@pytest.mark.parametrize("name", ["runs", "analyses"])
def test_the_schemas_accept_labels_and_nothing_else(name):
    found = list(patterns(read_yaml(ROOT / "schemas" / f"{name}.schema.yaml")))
    assert found
    for pattern in found:
        before = "run@" if "@" in pattern else ""
        assert re.search(pattern, f"{before}epoch-30") and re.search(pattern, f"{before}iteration-0")
        accepted = [text for text in STRANGE if text and text != "epoch-1\n" and re.search(pattern, before + text)]
        assert accepted == []
