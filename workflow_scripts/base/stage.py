"""How every stage starts: arguments in, one clear sentence out when something is wrong."""

import os
import sys
from collections.abc import Callable

from workflow_scripts.base.errors import InputError


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; tell an `InputError`, a full disk or a missing right in one sentence and exit with 1."""
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno is None:
            raise
        place = error.filename2 or error.filename  # of a copy, the target
        where = f" at {os.fspath(place)}" if place is not None else ""
        what = os.strerror(error.errno)
        sys.exit(f"error: {what}{where}; nothing half-written was left behind, so mend this and run again")
