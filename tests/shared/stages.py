"""A stage as its command line runs it, in this process."""

import contextlib
import importlib
import io
import sys

from workflow_scripts.base.stage import run


def call_stage(name, *arguments):
    """Run a stage in this process as its command line does; its exit status (or sentence) and what it printed."""
    module = importlib.import_module(f"workflow_scripts.{name}" if "." in name else f"workflow_scripts.stages.{name}")
    before, printed, told = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = [f"workflow_scripts/{name}.py", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
            run(module.main)
    except SystemExit as end:
        return end.code or 0, printed.getvalue() + told.getvalue()
    finally:
        sys.argv = before
    return 0, printed.getvalue() + told.getvalue()
