"""A configuration is understood however users write it, and what cannot be is one sentence."""

import argparse
import json
from pathlib import Path

import pytest

from workflow_scripts.base.arguments import changes
from workflow_scripts.base.errors import InputError
from workflow_scripts.planning.configuration import complete, read_config
from workflow_scripts.planning.plan import make_plan

ROOT = Path(__file__).parents[2]


def test_tilde_is_the_home_in_every_path(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {"results": "~/r", "data": {"folder": "~/d", "sources": {"birds": "~/b"}}}
    config = complete(given, ROOT)
    assert config["results"] == f"{tmp_path}/r"
    assert config["data"] == {"folder": f"{tmp_path}/d", "sources": {"birds": f"{tmp_path}/b"}}


def test_what_is_empty_or_left_out_is_as_in_config_yaml():
    whole = read_config(ROOT, {})
    assert complete({"training": None, "data": {"sources": None}}, ROOT) == complete(whole, ROOT) == complete({}, ROOT)


@pytest.mark.parametrize("number", [2, 2.0, "2", "2.0"])
def test_whole_numbers_are_whole_however_they_are_written(number):
    config = complete({"training": {"workers": number, "gpus": {"imagenet": number}}}, ROOT)
    assert json.dumps([config["training"]["workers"], config["training"]["gpus"]]) == '[2, {"imagenet": 2}]'


def test_a_folder_of_a_paper_may_end_in_a_slash():
    plan = make_plan(read_config(ROOT, {"papers": ["gotmare2019/"]}), ROOT)
    assert list(plan.titles) == ["gotmare2019"]
    assert all(id.startswith("gotmare2019_") for id in plan.artifacts)


@pytest.mark.parametrize("scale", [str(ROOT / "scales" / "demo"), "../scales/demo", "demo.yaml"])
def test_a_scale_is_named_and_no_path(scale):
    with pytest.raises(InputError, match="allowed are the files of scales/: demo, paper, reduced"):
        make_plan(read_config(ROOT, {"scale": scale}), ROOT)


def test_later_files_win_over_earlier_and_changes_over_files(tmp_path):
    for name, results in (("a.yaml", "one"), ("b.yaml", "two")):
        (tmp_path / name).write_text(f"results: {results}\ntraining: {{runs_per_gpu: 3}}\n")
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    config = read_config(ROOT, {"training": {"workers": 1}}, files)
    assert config["results"] == "two" and config["training"]["runs_per_gpu"] == 3 and config["training"]["workers"] == 1


@pytest.mark.parametrize("text", ["- scale: demo\n", "demo\n"])
def test_a_file_that_is_no_mapping_is_told(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=r"a\.yaml is no mapping of keys of config\.yaml"):
        read_config(ROOT, {}, [tmp_path / "a.yaml"])


@pytest.mark.parametrize("change", [{"colour": None}, {"training": {"workers:2": None}}])
def test_an_empty_key_that_nobody_knows_is_told(change):
    """`--config training={workers:2}`, without the space, is the key "workers:2" without a value."""
    with pytest.raises(InputError, match=r"has the unknown key 'colour'|has the unknown key 'workers:2'"):
        make_plan(read_config(ROOT, change), ROOT)


def test_a_change_that_is_no_yaml_is_told():
    given = argparse.Namespace(config=["papers=[gotmare2019"])
    with pytest.raises(InputError, match=r"'papers=\[gotmare2019': the value is not valid YAML"):
        changes(given)
