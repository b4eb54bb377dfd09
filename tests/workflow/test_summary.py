"""What a run of the workflow says at its end."""

import os

import pandas as pd
import pytest

from tests.shared.declarations import Declarations
from workflow_scripts.bookkeeping.summary import summary
from workflow_scripts.evidence.tables import write_table

STEPS = {"step": [1], "epoch": [1.0], "split": ["test"], "metric": ["accuracy"], "value": [50.0]}


@pytest.fixture
def plan(tmp_path):
    return Declarations(tmp_path).plan(results=str(tmp_path / "results"))


def trained(plan, *names, diverged=()):
    for run in plan.runs.values():
        if run.names[0].partition("/")[2] in names:
            status = {"state": "diverged", "run": run.id, "step": 1, "epoch": 1.0, "reason": "the loss became NaN"}
            status = status if run.names[0] in diverged else None
            write_table(plan.paths.metrics(run.id), pd.DataFrame({"run": [run.id], **STEPS}), "metrics", status)


def draw(plan, artifact, at):
    """Leave a drawn artifact, made `at` seconds after another."""
    page = plan.paths.artifact(plan.scale.name, "gotmare2019", artifact.name) / "notebook.html"
    page.parent.mkdir(parents=True)
    page.touch()
    os.utime(page, (at, at))
    return page.parent


def test_it_says_what_is_drawn_and_what_diverged_or_is_missing(plan):
    figures = [plan.artifacts["gotmare2019_figure_15"], plan.artifacts["gotmare2019_figure_4"]]
    trained(plan, "resnet18", "resnet32", "small_batch", diverged=["gotmare2019/resnet32"])
    folder = draw(plan, figures[0], 1)
    assert summary(plan, figures).splitlines() == [
        "Drawn: 1 of 2 figures and tables, at scale demo.",
        "Not drawn: gotmare2019_figure_4.",
        "Runs that are missing: gotmare2019/resnet18_warmup, gotmare2019/resnet18_freeze, gotmare2019/resnet32_warmup, "
        "gotmare2019/resnet32_freeze, gotmare2019/large_batch, gotmare2019/large_batch_warmup and 1 more.",
        "Runs that diverged: gotmare2019/resnet32.",
        f"Look at {folder}.",
    ]


def test_it_sends_to_the_site_that_shows_what_was_drawn(plan):
    figures = [plan.artifacts["gotmare2019_figure_15"], plan.artifacts["gotmare2019_figure_4"]]
    folders = [draw(plan, figure, at) for figure, at in zip(figures, (10, 20), strict=True)]
    site = plan.paths.site("demo") / "index.html"
    places = {None: folders[0].parent.parent, 15: folders[0].parent.parent, 20: site, 30: site}
    for at, place in places.items():
        if at is not None:
            site.parent.mkdir(parents=True, exist_ok=True)
            site.touch()
            os.utime(site, (at, at))
        assert summary(plan, figures).splitlines()[-1] == f"Look at {place}."
