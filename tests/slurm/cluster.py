"""A real Slurm on this machine, of two nodes with two pretend GPUs each, that lives as long as its `with` block.

`python tests/slurm/cluster.py snakemake --workflow-profile profiles/slurm` runs one command with it.

The daemons are Debian's (`apt-get install --no-install-recommends slurm-wlm munge`); they need root, and neither
systemd nor cgroups nor a configured Slurm. Pretend GPUs are links to /dev/null: jobs see CUDA_VISIBLE_DEVICES, no GPU.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "setpriv")
CONFIGURATION = Path("/etc/slurm/slurm.conf")  # the one place where srun looks within a job
PREFIX = "closer-look-slurm-"
NODES = ("n1", "n2")
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
PartitionName=test Nodes=n1,n2 Default=YES
EnforcePartLimits=ALL
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
    """Start the daemons, give the folder of their logs once both nodes are idle, and stop them; one cluster at a time.

    Raises
    ------
    RuntimeError : Slurm cannot be started here, or did not come up.
    """
    if reason := why_not():
        raise RuntimeError(reason)
    with contextlib.ExitStack() as stack:
        turn = stack.enter_context(Path(f"/tmp/{PREFIX}turn").open("w"))
        fcntl.flock(turn, fcntl.LOCK_EX)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))  # a short path, as sockets have short names
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        configure(folder)
        stack.enter_context(linked(folder / "slurm.conf"))
        files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "seed", "log")]
        stack.enter_context(daemon(folder, "munged", "--foreground", f"--socket={folder}/munge.socket", *files))
        wait((folder / "munge.socket").exists, "munged has not come up", folder)
        stack.enter_context(daemon(folder, "slurmctld", "-D", "-i", "-f", f"{folder}/slurm.conf"))
        for node in NODES:
            stack.enter_context(daemon(folder, "slurmd", "-D", "-N", node, "-f", f"{folder}/slurm.conf"))
        stack.callback(end_jobs, folder)
        wait(lambda: told("sinfo", "-hNo", "%T").split() == ["idle"] * len(NODES), "the nodes are not up", folder)
        yield folder


def configure(folder: Path) -> None:
    """Write the configuration, a secret, and the pretend GPUs."""
    folder.chmod(0o755)
    (folder / "state").mkdir()
    for number in range(GPUS):
        (folder / f"nvidia{number}").symlink_to("/dev/null")
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/nvidia[0-{GPUS - 1}]\n")
    (folder / "slurm.conf").write_text(
        SLURM_CONF.format(folder=folder, host=socket.gethostname().split(".")[0], ports=free_ports(3), gpus=GPUS)
    )
    key = folder / "munge.key"
    key.touch(0o400)
    key.write_bytes(os.urandom(128))


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def linked(configuration: Path) -> Iterator[None]:
    """Let Slurm's commands find the configuration, and nothing be left of that."""
    made = [folder for folder in (CONFIGURATION.parent,) if not folder.exists()]
    CONFIGURATION.parent.mkdir(exist_ok=True)
    if left_behind():
        CONFIGURATION.unlink()
    CONFIGURATION.symlink_to(configuration)
    try:
        yield
    finally:
        CONFIGURATION.unlink()
        for folder in made:
            folder.rmdir()


@contextlib.contextmanager
def daemon(folder: Path, name: str, *arguments: str) -> Iterator[None]:
    """Run a daemon; the kernel ends it should this process be killed."""
    path = shutil.which(name, path=search_path())
    with (folder / f"{name}.out").open("a") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", path, *arguments], stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def told(*command: str) -> str:
    """What a command of Slurm prints; nothing where it fails, as while the controller comes up."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def end_jobs(folder: Path) -> None:
    """Cancel what still runs, so that the daemons leave no processes behind."""
    told("scancel", "--user=root")
    wait(lambda: not told("squeue", "-h", "-t", "pending,running,completing"), "jobs do not end", folder)


def wait(true: Callable[[], bool], trouble: str, folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            logs = "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in sorted(folder.glob("*.[lo]*")))
            raise RuntimeError(f"{trouble} within {PATIENCE} s\n{logs}")
        time.sleep(0.1)


if __name__ == "__main__":
    with cluster():
        sys.exit(subprocess.run(sys.argv[1:], check=False).returncode)
