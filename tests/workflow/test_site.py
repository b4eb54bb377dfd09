"""The site as a reader without a network sees it: made by the workflow from an archive, opened in a real browser."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.shared.browser import chromium, needs_chromium
from tests.shared.checkout import ROOT, snakemake
from tests.shared.declarations import Declarations
from workflow_scripts.bookkeeping import archive
from workflow_scripts.commands.verdicts import table
from workflow_scripts.evidence import provenance
from workflow_scripts.evidence.tables import read_table, write_table
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.publishing import claims
from workflow_scripts.recipes.schema import read_yaml

# A paper of two figures and a table: one figure has its run, the other has not, the table has both.
RUNS = """
defaults:
  data: digits
  model: vgg16
  initialisation: {variance: 1.0}
  optimizer: {name: sgd, momentum: 0.9, weight_decay: 5e-4}
  schedule: {name: constant, lr: 0.02}
  batch_size: 20
  epochs: 2
  augment: true
  evaluate_every: 1
  seed: 1
experiments:
  both:
    about: One that was run, and one that was not
    runs:
      here: {trials: 2}
      gone: {seed: 5}
"""
ARTIFACTS = """
artifacts:
  figure_2:
    number: Figure 2
    section: "10"
    title: Accuracy & <loss> of *one* run
    caption: It was run.
    template: figure
    panels: [{kind: training_curve, metric: accuracy, split: test, series: [{label: here, run: here/1}]}]
  figure_1:
    number: Figure 1
    section: "2"
    title: Sharpness of a run that nobody made
    caption: It was not run.
    template: figure
    panels: [{kind: training_curve, metric: accuracy, split: test, series: [{label: gone, run: gone}]}]
  table_1:
    number: Table 1
    section: A.1
    title: Both
    caption: One of them.
    template: table
    table:
      kind: summary
      quantity: accuracy
      statistics: [mean]
      rows: [{label: Here, runs: here, reported: {mean: [table_1, here, accuracy]}}, {label: Gone, runs: gone}]
"""
CLAIMS = """
claims:
  here_is_good:
    says: The run is better than a coin.
    section: "2"
    shown_in: [figure_2]
    against: It is no better.
    judge: {kind: difference, of: {runs: here, quantity: accuracy}, minus: {value: 50}, expected: above, threshold: 0}
  gone_is_better:
    says: The other run is better still.
    section: "2"
    shown_in: [figure_1, table_1]
    against: It is worse.
    judge:
      kind: difference
      of: {runs: gone, quantity: accuracy}
      minus: {runs: here, quantity: accuracy}
      expected: above
      threshold: 0
"""
SCALE = {"about": "for this test", "data": {}, "samples_per_epoch": 40, "batch_factor": 1, "trials_at_most": None,
         "runs_per_job": 1, "mem_mb": 1500, "models": {}, "experiments": {}, "analyses": {}}  # fmt: skip
REPORTED = "id,row,column,value,std,n,unit,source,note\ntable_1,here,accuracy,90.50,0.10,2,percent,table 1,\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A clone with a paper of its own and an archive of the runs that were made."""
    root = tmp_path_factory.mktemp("clone")
    for name in ("rules", "workflow_scripts", "notebooks", "report", "envs", "schemas", "docs"):
        (root / name).symlink_to(ROOT / name)
    for name in ("Snakefile", "README.md"):
        shutil.copy(ROOT / name, root)
    config = {**read_yaml(ROOT / "config.yaml"), "scale": "tiny", "papers": ["two"], "source": "archive"}
    paper = {"title": "A paper of two figures", "authors": "N. Obody", "venue": "Nowhere 2020"}
    for name, content in {
        "config.yaml": yaml.safe_dump(config), "scales/tiny.yaml": yaml.safe_dump(SCALE),
        "papers/two/paper.yaml": yaml.safe_dump(paper), "papers/two/runs.yaml": RUNS,
        "papers/two/analyses.yaml": "defaults: {}\n", "papers/two/artifacts.yaml": ARTIFACTS,
        "papers/two/claims.yaml": CLAIMS, "papers/two/reported.csv": REPORTED,
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    fill_archive(config, root)
    return root


def fill_archive(config, root):
    plan = make_plan({**config, "source": "results"}, root)
    for run in plan.runs.values():
        if "two/gone" in run.names:
            continue
        values = [
            (run.id, step, float(step), "test", "accuracy", 50.0 + 20 * step + run.recipe["seed"]) for step in (1, 2)
        ]
        frame = pd.DataFrame(values, columns=["run", "step", "epoch", "split", "metric", "value"])
        made = provenance.collect(scale="tiny", data="digits", device="cpu", seeds=[1], fingerprints=[run.id])
        path = root / "elsewhere" / "runs" / run.id / "metrics.parquet"
        write_table(path, frame, "metrics", provenance={**made, "recipe": dict(run.recipe), "seconds": 1.0})
    archive.add(plan, root / "elsewhere", root / "archive" / "tiny", {"digits": "a gap in the digits"})
    shutil.rmtree(root / "elsewhere")


@pytest.fixture(scope="module")
def site(checkout):
    """The site, and all else, made from the archive alone."""
    done = snakemake("--cores", 2, "all", "site", directory=checkout, root=checkout)
    assert done.returncode == 0, done.stderr[-3000:]
    return checkout / "results" / "tiny" / "site"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def pages(site):
    """Pages of the site, without those of notebooks, which are opened by themselves."""
    found = [path for path in site.rglob("*.html") if path.relative_to(site).parts[0] not in ("artifacts", "_static")]
    assert len(found) > 10
    return sorted(found)


def test_everything_is_drawn_and_judged_without_training(checkout, site):
    results = checkout / "results"
    assert not (results / "runs").exists() and not (checkout / "data").exists()
    values = pd.read_csv(results / "tiny" / "two" / "figure_1" / "values.csv")
    assert values["note"].str.contains("not run").all()
    drawn = pd.read_csv(results / "tiny" / "two" / "figure_2" / "values.csv")
    assert drawn["value"].tolist() == [71.0, 91.0]
    verdicts = read_table(results / "tiny" / "verdicts.parquet", "verdicts").frame.set_index("claim")["verdict"]
    assert verdicts["two/here_is_good"] == "supported" and verdicts["two/gone_is_better"] == "not run"


def test_verdicts_are_printed_as_markdown(checkout, site, monkeypatch):
    monkeypatch.chdir(checkout)
    config = read_yaml(checkout / "config.yaml")
    plan = make_plan(config, checkout)
    printed = table(claims.read(plan, plan.paths.verdicts("tiny"))).splitlines()
    assert printed[0] == "**two**: 1 supported, 1 not run"
    rows = [line for line in printed if line.startswith("| The run is better than a coin.")]
    assert len(rows) == 1 and " supported " in rows[0] and rows[0].count("|") == printed[2].count("|")


def test_sphinx_has_nothing_to_complain_of(checkout, site):
    log = (checkout / "results" / "logs" / "site.log").read_text()
    assert "WARNING" not in log and "ERROR" not in log, log


def test_it_says_what_it_is_and_what_is_missing(site):
    text = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in pages(site)}
    first = re.sub("<[^>]+>", "", text["index.html"])
    assert "a gap in the digits" in first and "scale=tiny source=archive" in first
    assert "gone" in text["missing.html"] and "The other run is better still" in text["missing.html"]
    assert "a coin" in text["papers/two/figure_2.html"] and "supported" in text["papers/two/figure_2.html"]
    assert "Not run: gone" in text["papers/two/figure_1.html"] and "90.5" in text["papers/two/table_1.html"]
    assert "2 finished" in text["papers/two/table_1.html"] and "constant (lr 0.02)" in text["papers/two/table_1.html"]
    assert text["papers/two/table_1.html"].count("One of them.") == 1  # the caption, which the table has too when alone
    assert "two/figure_2/figure.png" in text["index.html"]  # the first picture of what was run
    order = [text["papers/two/index.html"].index(f'href="{name}.html"') for name in ("figure_1", "figure_2", "table_1")]
    assert order == sorted(order)  # section 2 before 10 before A.1


@needs_chromium
def test_every_page_opens_from_its_file(site, browser):
    """No error of a script, no request to anywhere but the site's own files, every picture visible."""
    browser.execute_cdp_cmd("Network.enable", {})
    for page in pages(site):
        browser.get(page.as_uri())
        errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not errors, (page, errors)
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        outside = [name for name in loaded if not name.startswith((site.as_uri(), "data:"))]
        assert not outside, (page, outside)
        broken = browser.execute_script(
            "return [...document.images].filter(image => !(image.complete && image.naturalWidth && image.alt !== null"
            " && (image.loading === 'lazy' || image.getBoundingClientRect().width))).map(image => image.src)"
        )
        assert not broken, (page, broken)


@needs_chromium
def test_every_page_fits_a_phone(site, browser):
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        for page in pages(site):
            browser.get(page.as_uri())
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= 390, (page, wide)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@needs_chromium
def test_links_resolve(site, browser):
    anchors = {}
    for page in pages(site):
        browser.get(page.as_uri())
        links = browser.execute_script("return [...document.links].map(link => link.href)")
        for link in links:
            target, _, anchor = link.partition("#")
            if target.startswith("file:"):
                path = Path(target.removeprefix("file://").replace("%20", " "))
                assert path.is_file(), (page, link)
                anchors.setdefault(path, set()).add(anchor)
            else:
                assert target.startswith("https://") or target == "javascript:void(0)", (page, link)
    for path, wanted in anchors.items():
        if path.suffix == ".html" and wanted - {""}:
            text = path.read_text(encoding="utf-8")
            assert not [anchor for anchor in wanted - {""} if f'id="{anchor}"' not in text], path


@needs_chromium
@pytest.mark.parametrize(
    ("words", "wanted"), [("Figure 2", "papers/two/figure_2"), ("sharpness", "papers/two/figure_1")]
)
def test_search_finds(site, browser, words, wanted):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(f"{(site / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
    found = "return [...document.querySelectorAll('#search-results li a')].map(link => link.href)"
    WebDriverWait(browser, 15).until(
        lambda browser: any(wanted in link for link in browser.execute_script(found)), f"{words} is not found"
    )


@needs_chromium
def test_light_and_dark(site, browser):
    """The reader's choice changes the page, and a verdict stays readable on either."""
    browser.get((site / "verdicts.html").as_uri())
    seen = {}
    for mode in ("light", "dark"):
        browser.execute_script(f"document.documentElement.dataset.theme = '{mode}'")
        style = "const style = selector => getComputedStyle(document.querySelector(selector));"
        style += "return [style('body').backgroundColor, style('.verdict').color]"
        seen[mode] = browser.execute_script(style)
    assert seen["light"][0] != seen["dark"][0] and seen["light"][1] != seen["dark"][1]


def test_data_that_has_to_be_named_keeps_nothing_else_from_the_site(tmp_path):
    """At the papers' scale the site needs everything that does not rest on ImageNet, unless that is named."""
    declared = Declarations(tmp_path)
    papers = {"papers": ["iyer2020"]}
    assert "imagenet" in declared.plan("paper", **papers).not_named()
    assert not declared.plan("demo", **papers).not_named()
    for split in ("train", "val"):
        (tmp_path / "pictures" / split / "bird").mkdir(parents=True)
    named = {"data": {"folder": "data", "sources": {"imagenet": str(tmp_path / "pictures")}}}
    assert "imagenet" not in declared.plan("paper", **papers, **named).not_named()
    wanted = snakemake("-n", "site", "--config", "scale=paper", directory=tmp_path).stdout
    assert "imagenet" not in wanted and "site" in wanted
