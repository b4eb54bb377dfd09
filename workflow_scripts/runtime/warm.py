"""Start stages from a process that has already imported their packages.

At small scales importing torch takes longer than many stages compute. So as the workflow starts, it starts one process
that imports everything (`started`). A job's launcher hands it the stage's command, environment, folder and open files
(`run`), and it forks a child that becomes the stage: a process of its own, with the outputs, the log and the exit
status that it would have had anyway. A child ends when its launcher does, and all of this when the workflow does.

Imported are packages, and of this library what makes pages of notebooks: what computes and draws is read by each job
as it starts, since its provenance names the commit that is checked out then.

Nothing depends on it: without such a process (on a cluster, or in a stage that is run alone) a stage starts afresh.
Launchers that come before it is ready wait, as two starts of torch beside the first would take longer.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import NoReturn

VARIABLE = "CLOSER_LOOK_WARM"  # the socket's path, for the launchers of the workflow's jobs
PAGE = "workflow_scripts.runtime.page"
DRAWING = (
    "pandas", "pandas.io.formats.style", "pyarrow.parquet", "scipy.stats", "matplotlib.figure",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "seaborn", "papermill", "nbclient",
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.debugger", "jupyter_client", "black", PAGE,
)  # fmt: skip
# An optimizer imports torch._dynamo as it is made, which takes as long as torch itself.
COMPUTING = ("torch", "torch._dynamo", "safetensors.torch", "sklearn.manifold", "tqdm")
LANGUAGE = ("sacrebleu", "sacremoses", "tokenizers")
# Libraries read it as they are loaded; torch is given it by each stage.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
SIZE = struct.Struct("!I")
TAKEN = b"+"  # a request that was read
SECONDS = 10.0  # that either side waits for the other's part of a request
ATTENTION = 1.0  # seconds after which the end of a kernel's notebook is seen


@contextlib.contextmanager
def started(packages: tuple[str, ...] = (*COMPUTING, *DRAWING)) -> Iterator[Path]:
    """A warm process, known to every launcher that this process starts; it ends with this process, whatever ends it."""
    with tempfile.TemporaryDirectory(prefix="closer-look-") as folder:
        place, root = Path(folder) / "warm", str(Path(__file__).parents[2])
        reading, writing = os.pipe()  # only this process holds the end for writing, so its death can be read
        command = [sys.executable, "-m", __name__, "serve", str(place), str(reading), *packages]
        path = os.pathsep.join([root, *_python_path(os.environ)])
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": path, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        process = Popen(command, stdin=DEVNULL, stdout=DEVNULL, pass_fds=[reading], env=environment)
        os.close(reading)
        os.environ[VARIABLE] = str(place)
        try:
            yield place
        finally:
            del os.environ[VARIABLE]
            os.close(writing)
            process.wait()


def run(module: str, arguments: list[str], parent: int | None = None) -> int | None:
    """Run `python -m module arguments` as a child of the warm process; its exit status, or None where there is none.

    A status below 0 is the signal that ended it, as of `subprocess`; that of SIGKILL too where `parent`, the number of
    the process that started this one, has ended meanwhile.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            line.connect(os.environ[VARIABLE])
        except (KeyError, OSError):
            return None
        asked = {"module": module, "arguments": arguments, "folder": str(Path.cwd()), "group": os.getpgrp()}
        request = json.dumps({**asked, "environment": dict(os.environ), "mask": _umask()}).encode()
        try:
            socket.send_fds(line, [SIZE.pack(len(request))], [0, 1, 2])
            line.sendall(request)
            if line.recv(1) != TAKEN:  # once it has imported everything
                return None
        except OSError:
            return None
        answer = _answered(line, parent)
    return struct.unpack("!i", answer)[0] if len(answer) == SIZE.size else -signal.SIGKILL


def _answered(line: socket.socket, parent: int | None) -> bytes:
    """The answer once the child has ended; nothing where `parent` has."""
    line.settimeout(None if parent is None else ATTENTION)
    while True:
        try:
            return line.recv(SIZE.size)
        except TimeoutError:
            if os.getppid() != parent:
                return b""


def become_module(module: str, arguments: list[str], parent: int | None = None) -> NoReturn:
    """Turn this process into `python -m module arguments`: by the warm process or, where there is none, afresh.

    parent : where there is a warm process, as of `run`.
    """
    status = run(module, arguments, parent)
    if status is None:
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def listening(place: str) -> socket.socket:
    """A socket at which launchers may already wait."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(place)
    listener.listen(128)
    return listener


def serve(listener: socket.socket, lifeline: int) -> tuple[dict, list[int], socket.socket]:
    """Fork a child for each request until `lifeline` closes; returns in the children alone, with what each is asked."""
    ended, noted = os.pipe()
    os.set_blocking(noted, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(noted, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the workflow decides when it ends
    lines: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        for file in (listener, lifeline, ended):
            selector.register(file, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == lifeline:
                    os._exit(0)
                elif key.fileobj == ended:
                    os.read(ended, 4096)
                    _answer(lines)
                elif (asked := _accept(listener)) is not None:
                    request, files, line = asked
                    if (child := os.fork()) == 0:
                        for other in lines.values():
                            other.close()
                        listener.close()
                        os.close(lifeline)
                        return request, files, line
                    lines[child] = line
                    for file in files:
                        os.close(file)


def _accept(listener: socket.socket) -> tuple[dict, list[int], socket.socket] | None:
    """A request, its three open files and the line to answer on; None of one that went away meanwhile."""
    line, _ = listener.accept()
    line.settimeout(SECONDS)
    files: list[int] = []
    try:
        head, files, _, _ = socket.recv_fds(line, SIZE.size, 3)
        left, parts = SIZE.unpack(head)[0], []
        while left:
            parts.append(line.recv(min(left, 1 << 16)))
            if not parts[-1]:
                raise ConnectionError
            left -= len(parts[-1])
        line.settimeout(None)
        line.sendall(TAKEN)
        return json.loads(b"".join(parts)), files, line
    except (OSError, struct.error, ValueError):
        for file in files:
            os.close(file)
        line.close()
        return None


def _answer(lines: dict[int, socket.socket]) -> None:
    """Tell the launchers of all children that have ended how they did."""
    while lines:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        with contextlib.suppress(OSError), lines.pop(child) as line:
            line.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))


def become(request: dict, files: list[int], line: socket.socket) -> None:
    """Run what is asked for, as if this process had been started for it."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    with contextlib.suppress(OSError):  # a launcher of another session, such as a notebook's
        os.setpgid(0, request["group"])
    os.chdir(request["folder"])
    os.umask(request["mask"])
    given = _python_path(request["environment"])
    others = [path for path in sys.path[1:] if path not in (*given, *_python_path(os.environ))]
    sys.path[:] = [request["folder"], *given, *others]
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.stdout, sys.stderr = (
        open(number, "w", encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115 (until the process ends)
        for number, errors in ((1, "strict"), (2, "backslashreplace"))
    )
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    sys.argv = [request["module"], *request["arguments"]]
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()
    status = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    # What an interpreter does as it ends, less taking torch apart, which takes a second.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _python_path(environment: Mapping[str, str]) -> list[str]:
    return list(filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)))


def _end_with(line: socket.socket) -> None:
    """Die when the launcher does: its end of the line closes."""
    with contextlib.suppress(OSError):
        line.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """`serve PLACE LIFELINE PACKAGES ...`, or `kernel MODULE ARGUMENTS ...`.

    A kernel ends when what executes its notebook does, as it would by itself were it a child of that process.
    """
    if sys.argv[1] == "kernel":
        become_module(sys.argv[2], sys.argv[3:], int(os.environ["JPY_PARENT_PID"]))
    place, lifeline, *packages = sys.argv[2:]
    listener = listening(place)
    for package in packages:
        with contextlib.suppress(ImportError):  # a stage that needs it will say so itself
            importlib.import_module(package)
    if PAGE in sys.modules:
        sys.modules[PAGE].rehearse()
    gc.freeze()  # what is imported stays: no collection of a child goes through it
    become(*serve(listener, int(lifeline)))


if __name__ == "__main__":
    main()
