"""Run a command with a GPU of its own: `python -m workflow_scripts.lease --gpus 1 --locks DIR -- COMMAND ...`.

The workflow's scheduler counts GPUs but assigns none. This wrapper takes a lock file for each device that it leases,
sets CUDA_VISIBLE_DEVICES and becomes the command; the lock follows the process and is freed by any death. It leases
among the devices of an existing CUDA_VISIBLE_DEVICES, waits while all are taken, hides all devices for `--gpus 0`, and
leaves everything as it is inside a Slurm job, where Slurm has assigned the devices.
"""

import argparse
import fcntl
import os
import sys
import time
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import run

POLL_SECONDS = 0.2


def devices() -> list[str]:
    """Names of the devices that may be leased: those of CUDA_VISIBLE_DEVICES, or all that the machine has."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    return sorted((path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")), key=int)


def lease(count: int, locks: Path) -> list[str]:
    """Wait until `count` devices are free and take them; the locks are held by this process and what it becomes."""
    available = devices()
    if len(available) < count:
        raise InputError(
            f"{count} GPUs are asked for and this machine shows {len(available)}; lower --resources gpu or "
            "mend CUDA_VISIBLE_DEVICES"
        )
    locks.mkdir(parents=True, exist_ok=True)
    held: dict[str, int] = {}
    while len(held) < count:
        for name in available:
            if name not in held and len(held) < count and (descriptor := take(locks / f"{name}.lock")) is not None:
                held[name] = descriptor
        if len(held) < count:
            for descriptor in held.values():  # never wait while holding: two that want two each would wait for ever
                os.close(descriptor)
            held.clear()
            time.sleep(POLL_SECONDS)
    return list(held)


def take(path: Path) -> int | None:
    """An inheritable descriptor that holds the lock, or None where another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.set_inheritable(descriptor, True)
    return descriptor


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workflow_scripts.lease", description=__doc__)
    parser.add_argument("--gpus", type=int, required=True, help="devices to lease; 0 hides all of them")
    parser.add_argument("--locks", type=Path, required=True, help="folder of the lock files, shared by all that lease")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    if "SLURM_JOB_ID" not in os.environ:
        names = lease(arguments.gpus, arguments.locks) if arguments.gpus > 0 else []
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
    sys.stdout.flush()
    os.execvp(arguments.command[0], arguments.command)


if __name__ == "__main__":
    run(main)
