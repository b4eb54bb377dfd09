"""The processes of a workflow, as Linux tells of them: which there are, what they do, and how one is killed."""

import contextlib
import dataclasses
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STAGES = [path.stem for path in (Path(__file__).parents[2] / "workflow_scripts" / "stages").glob("[a-z]*.py")]
MARK = "CLOSER_LOOK_FAULTS"  # an environment variable that every descendant inherits, orphans too


@dataclass(frozen=True)
class Process:
    """A process; its number and the moment of its birth name it for good.

    stage : the stage of the pipeline that it runs, "kernel" for a notebook's, "" for anything else.
    worker : what computes for it where it is a launcher, a child of the warm process; that dies with its launcher.
    """

    pid: int
    parent: int
    born: str
    stage: str
    worker: int | None = None

    def alive(self) -> bool:
        state = _state(self.pid)
        return state is not None and state[0] not in "ZX" and state[2] == self.born

    def opened(self) -> Iterator[str]:
        """Paths of the files that it holds open."""
        with contextlib.suppress(OSError):  # it ended
            for descriptor in Path(f"/proc/{self.worker or self.pid}/fd").iterdir():
                with contextlib.suppress(OSError):  # it closed the file
                    yield str(descriptor.readlink())

    def writes(self) -> str | None:
        """The half-written file that it holds open."""
        return next((path for path in self.opened() if path.endswith(".part")), None)

    def trains(self) -> bool:
        """Whether it works on a fingerprint of the store."""
        return any("/store/" in path and path.endswith("/lock") for path in self.opened())

    def kill(self, how: signal.Signals, patience: float = 20.0) -> bool:
        """Send a signal; whether the process was alive until then and ended by it."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(handle, how)
            return bool(select.select([handle], [], [], patience)[0])
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)


def marked(mark: str) -> list[Process]:
    """Every living process that was started with the mark in its environment."""
    found, warm = [], {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        state = _state(int(folder.name))
        if state is not None and state[0] not in "ZX":
            found.append(Process(int(folder.name), int(state[1]), state[2], _stage(command)))
            if command[1:4] == ["-m", "workflow_scripts.runtime.warm", "serve"] and (output := _output(folder.name)):
                warm[output] = int(folder.name)
    return [dataclasses.replace(each, worker=warm.get(_output(each.pid))) if each.stage else each for each in found]


def _output(pid: int | str) -> str | None:
    """What a process writes to: of a stage its log, which its launcher and what computes for that share alone."""
    try:
        return str(Path(f"/proc/{pid}/fd/2").readlink())
    except OSError:
        return None


def _stage(command: list[str]) -> str:
    """What a command line runs: a stage, by itself or by a launcher, or a notebook's kernel."""
    module = command[2] if command[1:2] == ["-m"] and len(command) > 2 else ""
    if module == "workflow_scripts.runtime.launch":
        return next((word for word in command[3:] if word in STAGES), "")
    if module == "ipykernel_launcher" or (module == "workflow_scripts.runtime.warm" and command[3:4] == ["run"]):
        return "kernel"
    name = module.removeprefix("workflow_scripts.stages.")
    return name if name in STAGES else ""


def _state(pid: int) -> tuple[str, str, str] | None:
    """State, parent and moment of birth of a process, or None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], fields[1], fields[19]
