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
        if error.filename is None and error.errno is None:
            raise
        where = f" at {os.fspath(error.filename)}" if error.filename is not None else ""
        sys.exit(f"error: {error.strerror}{where}; nothing half-written was left behind, so mend this and run again")
