"""`make gpu-check`: options that make no sense are refused, and a stage ends at its limit with what it has."""

import sys

import pytest

from workflow_scripts.base.errors import InputError
from workflow_scripts.commands import gpu_check


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gpu_check.stages("1,5"), "stages 1 to 4"),
        (lambda: gpu_check.stages("one"), "stages 1 to 4"),
        (lambda: gpu_check.numbers(["4"]), "not STAGE=SECONDS"),
        (lambda: gpu_check.numbers(["9=10"]), "not STAGE=SECONDS"),
        (lambda: gpu_check.figure_command("gotmare2019_figure_2", None), "not SCALE=TARGET"),
    ],
)
def test_an_option_that_makes_no_sense_is_told(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_a_command_and_what_it_started_end_at_the_limit_and_what_they_wrote_stays(tmp_path):
    child = "import time; print('child begins', flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    outcome = gpu_check.limited([sys.executable, "-c", parent], 3, tmp_path / "log")
    assert "ended at its limit of 3 s" in outcome
    assert "child begins" in (tmp_path / "log").read_text()


def test_how_a_command_ended_is_told(tmp_path):
    assert gpu_check.limited([sys.executable, "-c", "print(1)"], 60, tmp_path / "log") == "done"
    assert gpu_check.limited([sys.executable, "-c", "raise SystemExit(3)"], 60, tmp_path / "log").endswith("status 3")
    assert gpu_check.limited([sys.executable, "-c", ""], 0, tmp_path / "log") == "no time left"
