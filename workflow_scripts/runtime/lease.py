"""Run a command with a GPU of its own: `python -m workflow_scripts.runtime.lease --gpus 1 -- COMMAND ...`.

The workflow's scheduler counts GPUs but assigns none. This wrapper locks a file for each device that it leases, sets
CUDA_VISIBLE_DEVICES and becomes the command. Any death frees the lock; a forked child that outlives the command keeps
it until it dies too (one that closes the files it inherits, as children of Python's subprocess do, does not). Leased
are the devices of an existing CUDA_VISIBLE_DEVICES; while all are taken it waits, and `--gpus 0` hides all of them.

With `--share N` up to N commands, all of which allow it, run on one device; a command without it has its own alone.
They are spread over all devices, or, with `--over M`, over the first M before another is begun.

Leases hold between all pipelines and all users of a machine, so the lock files lie in a folder of /tmp that is open to
all: not below the results, which machines may share, nor in $TMPDIR, which may differ between two shells. Within a
Slurm job the devices that Slurm assigned are leased among its own commands, since Slurm may count each job's from 0.
"""

import argparse
import contextlib
import fcntl
import itertools
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.stage import command_line, run

LOCKS = Path("/tmp/closer-look-leases")
POLL_SECONDS = 0.2
NO_DEVICE = ("", "-1", "NoDevFiles")


def devices() -> list[str]:
    """Names of the devices that may be leased: those of CUDA_VISIBLE_DEVICES, or all that the machine has.

    As CUDA does, numbers count the devices that this machine or container shows, and what stands after -1 is hidden.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]
    names = (name.strip() for name in visible.split(","))
    return list(dict.fromkeys(itertools.takewhile(lambda name: name not in NO_DEVICE, names)))


def lease(count: int, locks: Path = LOCKS, share: int = 1, over: int | None = None) -> list[str]:
    """Wait until `count` devices are free and take them; the locks are held by this process and what it becomes.

    Parameters
    ----------
    share : how many leases that allow it a device takes. over : the devices that they are spread over before they
        begin with another as many; None is all.

    Raises
    ------
    InputError : more devices are asked for than there are.
    """
    available = devices()
    if len(available) < count:
        raise InputError(
            f"--gpus {count} is more than can be seen here ({', '.join(available) or 'none'}); lower the rule's "
            "resource gpu (--resources gpu=N, or set-resources in the profile), or mend CUDA_VISIBLE_DEVICES"
        )
    step = over or len(available)
    groups = (available[start : start + step] for start in range(0, len(available), step))
    places = [place for group in groups for place in itertools.product(range(share), group)]
    for attempt in itertools.count():
        held: dict[str, list[int]] = {}
        for slot, name in places:
            if len(held) < count and name not in held and (taken := take(locks, name, slot, share)):
                held[name] = taken
        if len(held) == count:
            return [name for name in available if name in held]
        for descriptor in itertools.chain(*held.values()):  # never wait while holding: two could wait for each other
            os.close(descriptor)
        if attempt == 0:
            names = ", ".join(available)
            print(f"waiting for {count} of the GPUs {names}, which are leased in {locks}", file=sys.stderr, flush=True)
        time.sleep(POLL_SECONDS * random.uniform(0.5, 1.5))


def take(locks: Path, name: str, slot: int, share: int) -> list[int]:
    """Descriptors that hold a slot of a device, or none where it is taken.

    Who shares a device locks it shared and one of its slots alone; who does not locks the device alone.
    """
    path = locks / (scope() + quote(name, safe=""))
    device = lock(path.with_name(f"{path.name}.lock"), fcntl.LOCK_SH if share > 1 else fcntl.LOCK_EX)
    if device is None or share == 1:
        return [] if device is None else [device]
    alone = lock(path.with_name(f"{path.name}.{slot}.lock"), fcntl.LOCK_EX)
    if alone is None:
        os.close(device)
        return []
    return [device, alone]


def scope() -> str:
    """Where a device's name holds: on the machine, or in the step of the Slurm job that was assigned the device."""
    if "SLURM_JOB_ID" not in os.environ or "CUDA_VISIBLE_DEVICES" not in os.environ:
        return ""
    return f"slurm-{os.environ['SLURM_JOB_ID']}-{os.environ.get('SLURM_STEP_ID', 'batch')}."


def lock(path: Path, kind: int) -> int | None:
    """An inheritable descriptor that locks a file, or None where another process holds it."""
    with contextlib.suppress(FileExistsError), open_to_all():
        path.parent.mkdir(0o1777, exist_ok=True)  # as /tmp: anyone makes files, nobody removes another's
        path.touch(0o444, exist_ok=False)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:  # a clean-up of /tmp removed the file before it was locked
        os.close(descriptor)
        return None
    os.set_inheritable(descriptor, True)
    return descriptor


@contextlib.contextmanager
def open_to_all() -> Iterator[None]:
    """Give what is made the rights that are asked for, whatever the user's umask."""
    mask = os.umask(0)
    try:
        yield
    finally:
        os.umask(mask)


def whole_number(least: int) -> Callable[[str], int]:
    """A type of argument."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least}")
        return int(text)

    return parse


def add_leasing(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which devices to lease."""
    parser.add_argument("--gpus", type=whole_number(0), required=True, help="devices to lease; 0 hides all of them")
    parser.add_argument(
        "--share", type=whole_number(1), default=1, help="leases that a device takes (default: %(default)s)"
    )
    parser.add_argument(
        "--over", type=whole_number(1), metavar="M", help="devices that are shared before others (default: all)"
    )
    parser.add_argument("--locks", type=Path, default=LOCKS, help="folder of the lock files (default: %(default)s)")


def lease_for_this_process(given: argparse.Namespace) -> None:
    """Wait for the devices that the arguments of `add_leasing` ask for, and let this process see them alone.

    Raises
    ------
    InputError : more devices are asked for than there are.
    """
    names = lease(given.gpus, given.locks, given.share, given.over) if given.gpus else []
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)


def main() -> None:
    parser = command_line("runtime.lease", __doc__)
    add_leasing(parser)
    parser.add_argument("command", nargs="+", help="the command and its arguments")
    arguments = parser.parse_args()
    lease_for_this_process(arguments)
    sys.stdout.flush()
    try:
        os.execvp(arguments.command[0], arguments.command)
    except OSError as error:
        raise InputError(f"the command {arguments.command[0]!r} cannot be run: {error.strerror}") from None


if __name__ == "__main__":
    run(main)
