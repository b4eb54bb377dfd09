"""The kills find their victims, also where a warm process computes for a launcher."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.processes import MARK, Process, marked
from workflow_scripts.runtime import warm

ROOT = Path(__file__).parents[2]
STAGE = """
import time
from pathlib import Path
with open(Path("half.part"), "w"):
    time.sleep(60)
"""


def until(found):
    end = time.monotonic() + 30
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return value


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("warmed", [True, False])
def test_a_launchers_stage_is_found_and_killed(tmp_path, monkeypatch, how, warmed):
    mark = f"{os.getpid()}-{tmp_path.name}"
    (tmp_path / "workflow_scripts" / "stages").mkdir(parents=True)
    (tmp_path / "workflow_scripts" / "stages" / "__init__.py").touch()
    (tmp_path / "workflow_scripts" / "stages" / "train.py").write_text(STAGE)
    for part in (ROOT / "workflow_scripts").iterdir():
        if part.name != "stages":
            (tmp_path / "workflow_scripts" / part.name).symlink_to(part)
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def start():
        command = [sys.executable, "-m", "workflow_scripts.runtime.launch", "--gpus", "0", "train", "--job", "x"]
        with (tmp_path / "log").open("w") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def writing() -> Process | None:
        return next((each for each in marked(mark) if each.stage == "train" and each.writes()), None)

    if warmed:
        with warm.started(packages=()) as place:
            until(place.exists)
            launcher = start()
            victim = until(writing)
            assert victim.pid == launcher.pid != victim.worker
            assert victim.kill(how) and launcher.wait() == -how
            until(lambda: not Path(f"/proc/{victim.worker}/fd/2").exists())
    else:
        launcher = start()
        victim = until(writing)
        assert victim.pid == launcher.pid and victim.worker is None
        assert victim.kill(how) and launcher.wait() == -how
