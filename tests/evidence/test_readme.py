"""The README shows what the archive says today: the counts of verdicts, and pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workflow_scripts.commands import verdicts
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.tables import write_table
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.plotting import figure
from workflow_scripts.publishing import claims
from workflow_scripts.stages.judge import judged

ROOT = Path(__file__).parents[2]
PICTURES = sorted((ROOT / "docs" / "images").glob("*/*.png"))  # by scale


@pytest.fixture
def archived(monkeypatch):
    """The plan that draws from a scale's archive."""
    monkeypatch.chdir(ROOT)
    return lambda scale: make_plan(read_config(ROOT, {"scale": scale, "source": "archive"}), ROOT)


def test_the_counts_of_verdicts_are_those_of_the_archive(archived, tmp_path):
    """Where this fails, `python -m workflow_scripts.commands.verdicts --counts` prints what the README should have."""
    plan = archived("reduced")
    write_table(tmp_path / "verdicts.parquet", judged(plan, Sources()), "verdicts")
    counted = verdicts.counts(claims.read(plan, tmp_path / "verdicts.parquet"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"\n\n{counted}\n\n" in readme
    assert f"{len(plan.claims)} claims of the two papers" in readme


def test_it_shows_each_of_its_pictures():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert PICTURES and all(f"]({picture.relative_to(ROOT)})" in readme for picture in PICTURES)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: f"{picture.parent.name}/{picture.stem}")
def test_its_pictures_are_those_that_the_archive_gives(archived, tmp_path, picture):
    """But for the edges of letters, which are another version's of matplotlib."""
    spec = archived(picture.parent.name).artifacts[picture.stem].spec
    drawn, values = figure.draw(spec, Sources(names=spec["names"], runs=spec["runs"]))
    figure.save(drawn, values, spec["number"], {}, tmp_path)
    shown, ours = (np.asarray(Image.open(path).convert("L")) for path in (picture, tmp_path / "figure.png"))
    assert shown.shape == ours.shape and (np.abs(shown.astype(int) - ours) > 64).mean() < 0.01
