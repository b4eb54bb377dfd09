"""Start a stage as a job of the workflow: `python -m workflow_scripts.runtime.launch --gpus 1 STAGE ARGUMENTS ...`.

It leases devices for the stage to see alone, or shares of them (`workflow_scripts/runtime/lease.py`), and then becomes
the stage. With several devices it becomes torchrun, which starts a process of the stage for each of them. Where the
workflow has started a warm process, the stage is a child of that; it ends when the launcher does.
"""

import argparse
import os
import sys
from typing import NoReturn

from workflow_scripts.base.stage import command_line, run
from workflow_scripts.runtime import lease, warm

STAGES = "workflow_scripts.stages"
TOGETHER = ("torch.distributed.run", "--standalone", "--nproc-per-node")


def launch(stage: str, arguments: list[str], processes: int = 1) -> NoReturn:
    """Become a stage, or torchrun of several processes of it. Devices must have been leased before."""
    module = f"{STAGES}.{stage}"
    sys.stdout.flush()
    if processes > 1:  # long enough that its start does not matter
        command = [sys.executable, "-m", *TOGETHER, str(processes), "-m", module, *arguments]
        os.execv(sys.executable, command)
    warm.become_module(module, arguments)


def main() -> None:
    parser = command_line("runtime.launch", __doc__)
    lease.add_leasing(parser)
    parser.add_argument("stage", help="a module of workflow_scripts/stages")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the stage")
    given = parser.parse_args()
    lease.lease_for_this_process(given)
    launch(given.stage, given.arguments, given.gpus)


if __name__ == "__main__":
    run(main)
