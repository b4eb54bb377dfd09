"""Provenance names the commit of the code, says when the code differs from it, and never costs an import of torch."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.evidence import provenance

ROOT = Path(__file__).parents[2]
IDENTITY = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def run_git(folder, *arguments):
    return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit, of a package `code` and a rule to ignore `made`."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("1\n")
    (tmp_path / ".gitignore").write_text("made\n")
    run_git(tmp_path, "init", "-q")
    run_git(tmp_path, "add", "-A")
    run_git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def ask(folder):
    return dict(provenance.git.__wrapped__(folder))


def test_commit_of_a_clean_repository(repository):
    assert ask(repository / "code") == {"commit": run_git(repository, "rev-parse", "HEAD"), "dirty": False}


@pytest.mark.parametrize("name", ["code/a.py", "code/new.py"])
def test_a_changed_or_new_file_makes_it_dirty(name, repository):
    (repository / name).write_text("2\n")
    assert ask(repository / "code")["dirty"] is True


def test_an_ignored_file_does_not_make_it_dirty(repository):
    (repository / "made").write_text("result\n")
    assert ask(repository / "code")["dirty"] is False


def test_code_that_only_lies_in_a_repository_is_not_its(repository):
    (repository / "made").mkdir()
    (repository / "made" / "b.py").write_text("1\n")
    reason = "no git repository tracks the code"
    assert ask(repository / "made") == {"commit": "unknown", "dirty": "unknown", "reason": reason}


def test_outside_of_a_repository_it_says_why(tmp_path, monkeypatch):
    found = ask(tmp_path)
    assert (found["commit"], found["dirty"]) == ("unknown", "unknown") and "not a git repository" in found["reason"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask(tmp_path)["reason"] == "git is not installed"


def test_a_repository_of_another_owner_is_read(repository, monkeypatch):
    real, shim = shutil.which("git"), repository.parent / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {real} "$@"\n')
    shim.chmod(0o755)
    commit = run_git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    refused = subprocess.run(["git", "-C", repository, "status"], capture_output=True, text=True)
    assert "dubious ownership" in refused.stderr
    assert ask(repository / "code") == {"commit": commit, "dirty": False}


def test_an_exported_archive_knows_its_commit(repository, tmp_path_factory):
    """As this project's own .gitattributes and commit.txt have it."""
    for name in (".gitattributes", "workflow_scripts/evidence/commit.txt"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, repository / name)
    run_git(repository, "add", "-A")
    run_git(repository, "commit", "-qm", "second")
    place = tmp_path_factory.mktemp("exported")
    run_git(repository, "archive", "-o", place / "code.tar", "HEAD")
    shutil.unpack_archive(place / "code.tar", place, filter="data")
    commit = run_git(repository, "rev-parse", "HEAD")
    assert ask(repository / "workflow_scripts" / "evidence")["dirty"] is False
    found = ask(place / "workflow_scripts" / "evidence")
    assert (found["commit"], found["dirty"]) == (commit, "unknown")
    (repository / ".git").rename(repository / "elsewhere")
    assert ask(repository / "workflow_scripts" / "evidence")["commit"] == "unknown"


def test_a_hooks_environment_does_not_mislead(repository, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other")
    run_git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert len(ask(repository / "code")["commit"]) == 40


def test_collected_facts_survive_json_and_do_not_depend_on_order():
    facts = provenance.collect(scale="demo", data="digits", device="cpu", seeds=[2, 1, 2], fingerprints={"b", "a"}, x=1)
    assert json.loads(json.dumps(facts)) == facts
    assert (facts["seeds"], facts["fingerprints"], facts["x"]) == ([1, 2], ["a", "b"], 1)
    assert facts["packages"]["numpy"] == np.__version__ == metadata.version("numpy")
    assert facts["python"] == sys.version.split()[0]
    assert facts["time"].endswith("+00:00")


def test_every_fact_is_in_the_notebooks_table():
    facts = provenance.collect(scale="demo", seeds=[7])
    text = provenance.as_markdown(facts)
    assert all(f"| {name} |" in text for name in facts) and "| seeds | 7 |" in text


def test_it_imports_neither_torch_nor_pandas():
    code = (
        "import sys; from workflow_scripts.evidence.provenance import collect; collect(scale='demo'); "
        "sys.exit(bool({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
