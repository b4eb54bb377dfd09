"""A stage that the warm process starts is the stage that a shell would start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workflow_scripts.runtime import page, warm

# What a process is, as it sees itself.
MIRROR = """
import json, os, sys
mask = os.umask(0)
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ["SEEN"], mask, __name__, os.getpgrp()]))
print("to stderr", file=sys.stderr)
"""
ENDS = {
    "": 0,
    "import sys; sys.exit(7)": 7,
    "import sys; sys.exit('a sentence')": 1,
    "1 / 0": 1,
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": -signal.SIGTERM,
    "import atexit; atexit.register(print, 'last words')": 0,
    "print('without a line end', end='')": 0,
}
# How an import goes on, and whether the package is there then.
WHILE_IMPORTING = {"": True, "import nothing": False, "import os; os._exit(1)": False}
SLEEPER = """
import os, time
from pathlib import Path
Path(os.environ["SEEN"]).write_text(str(os.getpid()))
time.sleep(60)
"""


LAUNCHER = "import sys; from workflow_scripts.runtime.warm import become_module; become_module('shown', sys.argv[1:])"
NOTEBOOK = """
import os, subprocess, sys
command = [sys.executable, "-m", "workflow_scripts.runtime.warm", "kernel", "shown"]
environment = {**os.environ, "JPY_PARENT_PID": str(os.getpid())}
subprocess.run(command, env=environment, start_new_session=True)
"""


@pytest.fixture(scope="module")
def place():
    with warm.started(packages=()) as place:
        wait_for(place.exists)
        yield place


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def lives(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def launch(folder, code, *arguments, through, **more):
    """Start the code as a module, by the warm process or by Python itself, as a shell would."""
    (folder / "shown.py").write_text(code)
    command = [sys.executable, *(["-c", LAUNCHER] if through else ["-m", "shown"])]
    root = Path(warm.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{root}", "SEEN": str(folder / "seen"), **more}
    if not through:
        environment.pop(warm.VARIABLE, None)
    return subprocess.Popen(
        [*command, *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_it_sees_what_it_would_see(place, tmp_path):
    told = []
    for through in (True, False):
        process = launch(tmp_path, MIRROR, "--a", "b c", through=through)
        out, err = process.communicate()
        told.append(json.loads(out))
        assert err == "to stderr\n"
    assert told[0] == told[1]
    assert told[0][:2] == [["--a", "b c"], str(tmp_path)]


@pytest.mark.parametrize("code", ENDS)
def test_it_ends_as_it_would_end(place, tmp_path, code):
    ends = []
    for through in (True, False):
        process = launch(tmp_path, code, through=through)
        out, err = process.communicate()
        ends.append((process.returncode, out, err.strip().splitlines()[-1:]))
    assert ends[0] == ends[1]
    assert ends[0][0] == ENDS[code]


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_launcher(place, tmp_path, signal_):
    process = launch(tmp_path, SLEEPER, through=True)
    wait_for(lambda: (tmp_path / "seen").exists() and (tmp_path / "seen").read_text())
    child = int((tmp_path / "seen").read_text())
    assert child != process.pid and lives(child)
    process.send_signal(signal_)
    wait_for(lambda: not lives(child))


def test_it_is_of_the_launchers_process_group(place, tmp_path):
    process = launch(tmp_path, MIRROR, through=True)
    assert json.loads(process.communicate()[0])[-1] == os.getpgrp()


def test_everything_ends_when_the_workflow_is_killed(tmp_path):
    code = (
        "import time; from workflow_scripts.runtime import warm\n"
        "with warm.started(packages=()) as place:\n"
        "    while not place.exists(): time.sleep(.02)\n"
        "    print(place, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    place = process.stdout.readline().strip()
    (server,) = (
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if place.encode() in (folder / "cmdline").read_bytes()
    )
    process.kill()
    wait_for(lambda: not lives(server))


def test_a_request_that_is_broken_off_harms_nobody(place, tmp_path):
    import socket

    for rubbish in (b"", b"\x00\x00\x01\x00{"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.connect(str(place))
            line.sendall(rubbish)
    process = launch(tmp_path, "", through=True)
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("ending", "known"), [("", True), ("import os; os._exit(1)", False), ("import nothing", False)]
)
def test_who_comes_before_it_is_ready_waits(tmp_path, monkeypatch, ending, known):
    """For what it imports; where it comes to nothing, the stage starts afresh, and without such a package warm."""
    (tmp_path / "slow.py").write_text(f"import time; time.sleep(2)\n{ending}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv(warm.VARIABLE, "")  # of the others, once this has ended
    with warm.started(packages=("slow",)) as place:
        wait_for(place.exists)
        process = launch(tmp_path, "import sys; print('slow' in sys.modules)", through=True)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, f"{known}\n", "")


def test_a_page_does_not_depend_on_pages_before():
    template = page.NOTEBOOKS / "table.ipynb"
    first = page.as_page(template, "One & two")
    page.rehearse()
    assert page.as_page(template, "One & two") == first and "<title>One &amp; two</title>" in first


def test_without_a_warm_process_it_starts_afresh(tmp_path, monkeypatch):
    monkeypatch.setenv(warm.VARIABLE, str(tmp_path / "nothing"))
    process = launch(tmp_path, MIRROR, "x", through=True)
    assert json.loads(process.communicate()[0])[0] == ["x"] and process.returncode == 0


def test_a_kernel_ends_with_what_executes_its_notebook(place, tmp_path):
    """It is in a session of its own, so that nothing else would reach it."""
    (tmp_path / "shown.py").write_text(SLEEPER)
    path = os.pathsep.join([str(tmp_path), str(Path(warm.__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": path, "SEEN": str(tmp_path / "seen")}
    notebook = subprocess.Popen([sys.executable, "-c", NOTEBOOK], cwd=tmp_path, env=environment)
    wait_for(lambda: (tmp_path / "seen").exists() and (tmp_path / "seen").read_text())
    kernel = (tmp_path / "seen").read_text()
    assert lives(kernel)
    notebook.kill()
    notebook.wait()
    wait_for(lambda: not lives(kernel))
