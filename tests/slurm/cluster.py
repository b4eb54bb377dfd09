"""A real Slurm on this machine, of two nodes with two pretend GPUs each, that lives as long as its `with` block.

`python tests/slurm/cluster.py snakemake --workflow-profile profiles/slurm` runs one command with it.

The daemons are Debian's (`apt-get install --no-install-recommends slurm-wlm munge`); they need root, and neither systemd
nor cgroups nor a configured Slurm. Pretend GPUs are links to /dev/null: jobs see CUDA_VISIBLE_DEVICES and no GPU.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "setpriv")
CONFIGURATION = Path("/etc/slurm/slurm.conf")  # the one place where srun looks within a job
PREFIX = "closer-look-slurm-"
GPUS = 2
PATIENCE = 30  # seconds until the nodes have to be up

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=300
KillWait=2
InactiveLimit=0
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=16000 Gres=gpu:{gpus}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=16000 Gres=gpu:{gpus}
PartitionName=test Nodes=n1,n2 Default=YES MaxTime=60 OverSubscribe=NO
"""


def why_not() -> str | None:
    """Why no Slurm can be started here, or None."""
    missing = [name for name in COMMANDS if shutil.which(name, path=search_path()) is None]
    if missing:
        return f"Slurm is not installed here ({', '.join(missing)} not found; apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "a Slurm for tests is started by root alone"
    if CONFIGURATION.exists() and not left_behind():
        return f"this machine has a Slurm of its own ({CONFIGURATION})"
    return None


def search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def left_behind() -> bool:
    """Whether the configuration is that of a test that was killed."""
    return CONFIGURATION.is_symlink() and CONFIGURATION.readlink().parent.name.startswith(PREFIX)


@contextlib.contextmanager
def cluster() -> Iterator[Path]:
    """Start the daemons, give the folder of their logs once both nodes are idle, and stop them; one at a time."""
    if reason := why_not():
        raise RuntimeError(reason)
    with contextlib.ExitStack() as stack:
        turn = stack.enter_context(open(Path(tempfile.gettempdir()) / f"{PREFIX}turn", "w"))  # noqa: PTH123
        fcntl.flock(turn, fcntl.LOCK_EX)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))  # short, since sockets have short names
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        configure(folder)
        stack.enter_context(linked(folder / "slurm.conf"))
        key, state = folder / "munge.key", ["--pid-file", f"{folder}/munged.pid", "--seed-file", f"{folder}/munge.seed"]
        logs = ["--log-file", f"{folder}/munged.log"]
        stack.enter_context(
            daemon(folder, "munged", "--foreground", "--force", "--key-file", key, "--socket", folder / "munge.socket", *state, *logs)
        )
        wait_for(lambda: (folder / "munge.socket").exists(), "munged", folder)
        stack.enter_context(daemon(folder, "slurmctld", "-D", "-i", "-f", folder / "slurm.conf"))
        for node in ("n1", "n2"):
            stack.enter_context(daemon(folder, "slurmd", "-D", "-N", node, "-f", folder / "slurm.conf"))
        wait_for(lambda: told("sinfo", "--noheader", "--Node", "--format=%T").split() == ["idle"] * 2, "the nodes", folder)
        try:
            yield folder
        finally:
            told("scancel", "--full", "--signal=KILL", "--user=root")
            told("scancel", "--user=root")
