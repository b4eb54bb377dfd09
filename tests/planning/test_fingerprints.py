"""The identities of what is declared stay: a change of the code that alters one would have everything trained again."""

from pathlib import Path

import pytest

from workflow_scripts.planning.plan import make_plan
from workflow_scripts.recipes.canonical import fingerprint
from workflow_scripts.recipes.schema import read_yaml

ROOT = Path(__file__).parents[2]

# Of all runs on images, or of translation, and of all analyses of these. A change of papers/ or scales/ that is meant
# changes them too.
DIGESTS = {
    ("demo", "gotmare2019"): "647617206beb",
    ("demo", "iyer2020"): "48f590db82f4",
    ("paper", "gotmare2019"): "e47317943c20",
    ("paper", "iyer2020"): "4a831ee19ba9",
}


TRANSLATION = {"demo": "e8bc479e6720", "reduced": "d3e55020d9f8", "paper": "3272ba9b1c57"}


def planned(scale, paper):
    return make_plan({**read_yaml(ROOT / "config.yaml"), "scale": scale, "papers": [paper]}, ROOT)


@pytest.mark.parametrize(("scale", "paper"), DIGESTS)
def test_identities_stay(scale, paper):
    assert digest(planned(scale, paper), None) == DIGESTS[scale, paper]


@pytest.mark.parametrize("scale", TRANSLATION)
def test_identities_of_translation_stay(scale):
    assert digest(planned(scale, "iyer2020"), "translation") == TRANSLATION[scale]


def digest(plan, task):
    runs = {id for id, run in plan.runs.items() if run.recipe.get("task") == task}
    data = {plan.runs[id].recipe["data"] for id in runs}
    return fingerprint([sorted(runs), sorted(id for id, each in plan.analyses.items() if each.data in data)])
