"""How every stage and command starts: arguments in, one clear sentence out when something is wrong."""

import argparse
import os
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.base.errors import InputError

COST = re.compile(r"^finished in ([\d.]+) s; CPU ([\d.]+) s; peak memory (\d+) MiB$", re.MULTILINE)


def command_line(module: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """The parser of a stage or command; texts of --help keep their line ends.

    Parameters
    ----------
    module : below workflow_scripts, such as "stages.train".
    """
    return argparse.ArgumentParser(
        prog=f"python -m workflow_scripts.{module}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(main: Callable[[], None]) -> None:
    """Run a command's `main`; tell an `InputError`, a full disk or a missing right in one sentence and exit with 1."""
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # who read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno is None:
            raise
        place = error.filename2 or error.filename  # of a copy, the target
        where = f" at {os.fspath(place)}" if place is not None else ""
        what = os.strerror(error.errno)
        sys.exit(f"error: {what}{where}; nothing half-written was left behind, so mend this and run again")


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage's `main` as `run` does, and close its log with what it cost."""
    started = time.monotonic()
    run(main)
    print(Cost.of_this_process(time.monotonic() - started), file=sys.stderr)


@dataclass(frozen=True)
class Cost:
    """What a stage took, with the processes that it started: seconds, CPU seconds, and MiB of the largest process."""

    seconds: float
    cpu_seconds: float
    memory: int

    def __str__(self) -> str:
        return f"finished in {self.seconds:.2f} s; CPU {self.cpu_seconds:.2f} s; peak memory {self.memory} MiB"

    @classmethod
    def of_this_process(cls, seconds: float) -> "Cost":
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss: bytes there, else KiB
        cpu = sum(each.ru_utime + each.ru_stime for each in used)
        return cls(seconds, cpu, round(max(each.ru_maxrss for each in used) / unit))

    @classmethod
    def read(cls, log: Path) -> "Cost | None":
        """What the last stage that closed this log took; None where none has."""
        found = COST.findall(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else []
        return cls(float(found[-1][0]), float(found[-1][1]), int(found[-1][2])) if found else None
