"""Devices are leased to one command at a time, whatever dies; none is lost, and nobody waits for what is free."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import yaml

from workflow_scripts.runtime import lease

ROOT = Path(__file__).parents[2]
DEVICES = ("0", "1", "2", "3")  # pretend devices: a lease needs their names alone
PATIENCE = 60  # seconds until a test that waits gives up

WORKER = """
import json, os, sys, time
from pathlib import Path

record, seconds, gate = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]

def note(event):
    line = json.dumps([os.getpid(), event, time.monotonic(), os.environ["CUDA_VISIBLE_DEVICES"]]) + "\\n"
    descriptor = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)

note("start")
time.sleep(seconds)
end = time.monotonic() + 60  # a test that fails leaves nobody behind for long
while gate and not Path(gate[0]).exists() and time.monotonic() < end:
    time.sleep(0.02)
note("end")
"""


class Bench:
    """Leases commands in a folder of their own and keeps who held which device when."""

    def __init__(self, folder: Path):
        self.record, self.locks, self.worker = folder / "record", folder / "locks", folder / "worker.py"
        self.worker.write_text(WORKER)
        self.killed: dict[int, float] = {}
        self.processes: list[subprocess.Popen] = []

    def command(self, *command: str, gpus: int = 1, share: int = 1) -> list[str]:
        options = ["--gpus", str(gpus), "--share", str(share), "--locks", str(self.locks)]
        return [sys.executable, "-m", "workflow_scripts.runtime.lease", *options, "--", *command]

    def start(self, *command: str, gpus: int = 1, share: int = 1, devices=DEVICES, **environment) -> subprocess.Popen:
        process = subprocess.Popen(
            self.command(*command, gpus=gpus, share=share),
            env=surroundings(devices) | environment,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    def work(self, seconds: float = 0.0, gate: Path | None = None, **options) -> subprocess.Popen:
        """A command that notes when it got and gave back its devices, and ends when the file `gate` appears."""
        arguments = [str(self.record), str(seconds), *([str(gate)] if gate else [])]
        return self.start(sys.executable, str(self.worker), *arguments, **options)

    def kill(self, pid: int) -> None:
        self.killed[pid] = time.monotonic()  # until here at least it held what it had
        os.kill(pid, signal.SIGKILL)

    def events(self) -> list[list]:
        return [json.loads(line) for line in self.record.read_text().splitlines()] if self.record.exists() else []

    def started(self) -> set[int]:
        return {pid for pid, event, _, _ in self.events() if event == "start"}

    def spans(self) -> dict[str, list[tuple[float, float]]]:
        """For each device the times from which and until which somebody surely held it, in order."""
        ends = {pid: when for pid, event, when, _ in self.events() if event == "end"}
        spans = defaultdict(list)
        for pid, event, when, devices in self.events():
            for device in devices.split(",") if event == "start" else ():
                spans[device].append((when, ends.get(pid, self.killed.get(pid, when))))
        return {device: sorted(times) for device, times in spans.items()}

    def assert_none_held_twice(self, share: int = 1) -> None:
        """Nor by more than may share it."""
        for device, times in self.spans().items():
            for start, _ in times:
                holders = [span for span in times if span[0] <= start < span[1]]
                assert len(holders) <= share, f"device {device} was given away before it was free: {holders}"

    def assert_none_lost(self, share: int = 1) -> None:
        """All devices can be had at once, and all shares of them."""
        out, _ = self.start("printenv", "CUDA_VISIBLE_DEVICES", gpus=len(DEVICES)).communicate(timeout=PATIENCE)
        assert out.strip() == ",".join(DEVICES)
        before = len(self.started())
        gate = self.record.with_name("all shares")
        jobs = [self.work(gate=gate, gpus=len(DEVICES), share=share) for _ in range(share)]
        until(lambda: len(self.started()) == before + share, "all shares are taken")
        gate.touch()
        for job in jobs:
            ends_well(job)


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    for process in bench.processes:  # those that a failed test left waiting
        process.kill()
        process.communicate()


def surroundings(devices) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "CUDA"))}
    return kept | {"CUDA_VISIBLE_DEVICES": ",".join(devices), "PYTHONPATH": str(ROOT)}


def until(true, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)


def ends_well(process: subprocess.Popen) -> None:
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err


# --- death ---


@pytest.mark.parametrize("share", [1, 3])
def test_forty_jobs_of_which_some_are_killed(bench, share):
    """Killed are jobs that hold a device, or a share of one, and wrappers that wait for one: six each, by kill -9."""
    jobs = [bench.work(0.3 * share, share=share) for _ in range(40)]
    dice = random.Random(0)
    running, waiting = [], []
    while len(running) < 6 or len(waiting) < 6:
        alive = {job.pid: job for job in jobs if job.poll() is None and job.pid not in bench.killed}
        holding = [pid for pid in alive if pid in bench.started()]
        if len(running) < 6 and holding:
            running.append(dice.choice(holding))
            bench.kill(running[-1])
        elif len(waiting) < 6 and (rest := alive.keys() - bench.started()):
            waiting.append(dice.choice(sorted(rest)))
            bench.kill(waiting[-1])
        time.sleep(0.05)
    for job in jobs:
        job.communicate(timeout=PATIENCE)
        assert job.returncode == 0 or job.pid in bench.killed
    assert sum(job.returncode == -signal.SIGKILL for job in jobs) > 6  # some may have ended just before their kill
    assert {job.pid for job in jobs} - set(waiting) <= bench.started()
    assert bench.spans().keys() == set(DEVICES)
    bench.assert_none_held_twice(share)
    bench.assert_none_lost(share)


def test_jobs_of_a_killed_snakemake_keep_their_devices_until_they_end(bench, tmp_path):
    gate = tmp_path / "gate"
    worker = bench.command(sys.executable, str(bench.worker), str(bench.record), "0.1", str(gate))
    (tmp_path / "Snakefile").write_text(
        "rule all:\n    input: expand('done/{n}', n=range(8))\n"
        "rule work:\n    output: touch('done/{n}')\n    resources: gpu=1\n"
        f"    shell: {' '.join(worker)!r}\n"
    )
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "8", "--resources", "gpu=4", "--rerun-incomplete"]

    def start(log: Path) -> subprocess.Popen:
        with log.open("w") as file:
            return subprocess.Popen(
                [*snakemake, "--nolock", "--directory", str(tmp_path), "--snakefile", str(tmp_path / "Snakefile")],
                env=surroundings(DEVICES),
                cwd=ROOT,
                stdout=file,
                stderr=file,
            )

    first = start(tmp_path / "first.log")
    until(lambda: len(bench.started()) == 4, "four jobs run")
    first.kill()
    first.wait()
    orphans = bench.started()
    log = tmp_path / "second.log"
    second = start(log)
    until(lambda: log.read_text().count("waiting for 1 of the GPUs 0, 1, 2, 3") == 4, "four more jobs wait")
    assert bench.started() == orphans
    gate.touch()
    assert second.wait(PATIENCE) == 0, log.read_text()
    assert len(list((tmp_path / "done").iterdir())) == 8
    until(lambda: Counter(event for _, event, _, _ in bench.events()) == {"start": 12, "end": 12}, "all have ended")
    bench.assert_none_held_twice()
    bench.assert_none_lost()


def test_child_that_outlives_its_killed_parent_keeps_the_device(bench, tmp_path):
    pid_file = tmp_path / "pid"
    parent = bench.start("bash", "-c", f"sleep 60 & echo $! > {pid_file}; wait", devices=["7"])
    until(lambda: pid_file.exists() and pid_file.read_text(), "the child runs")
    child = int(pid_file.read_text())
    bench.kill(parent.pid)
    waiting = bench.work(devices=["7"])
    assert "waiting" in waiting.stderr.readline()
    assert waiting.poll() is None
    bench.kill(child)
    ends_well(waiting)
    assert bench.spans()["7"][0][0] >= bench.killed[child]


# --- waiting ---


def test_who_finds_all_devices_taken_says_so_and_waits(bench, tmp_path):
    gate = tmp_path / "gate"
    holders = [bench.work(gate=gate) for _ in DEVICES]
    until(lambda: len(bench.started()) == 4, "all devices are taken")
    late = bench.work()
    assert late.stderr.readline() == f"waiting for 1 of the GPUs 0, 1, 2, 3, which are leased in {bench.locks}\n"
    assert late.pid not in bench.started()
    gate.touch()
    for job in (*holders, late):
        ends_well(job)
    bench.assert_none_held_twice()


def test_those_that_want_several_devices_never_wait_for_each_other(bench):
    jobs = [bench.work(0.05, gpus=gpus) for gpus in (3, 2, 4, 1, 2, 3, 2)]
    for job in jobs:
        ends_well(job)
    held = Counter(devices.count(",") + 1 for _, event, _, devices in bench.events() if event == "start")
    assert held == {3: 2, 2: 3, 4: 1, 1: 1}
    bench.assert_none_held_twice()


def test_no_gpu_hides_all_and_waits_for_none(bench, tmp_path):
    gate = tmp_path / "gate"
    holder = bench.work(gate=gate, gpus=4)
    until(bench.started, "all devices are taken")
    out, err = bench.start("sh", "-c", "echo [$CUDA_VISIBLE_DEVICES]", gpus=0).communicate(timeout=PATIENCE)
    assert (out, err) == ("[]\n", "")
    gate.touch()
    ends_well(holder)


# --- sharing ---


def test_sharers_spread_over_devices_and_are_as_many_as_allowed(bench, tmp_path):
    gate = tmp_path / "gate"

    def held() -> Counter:
        return Counter(devices for _, event, _, devices in bench.events() if event == "start")

    sharing = {"share": 3, "devices": ["0", "1"]}
    jobs = []
    for count in range(1, 7):
        jobs.append(bench.work(gate=gate, **sharing))
        until(lambda: len(bench.started()) == count, f"{count} jobs run")  # noqa: B023 (called at once)
        assert max(held().values()) == -(-count // 2)
    seventh, alone = bench.work(**sharing), bench.work(devices=["0"])
    assert "waiting" in seventh.stderr.readline() and "waiting" in alone.stderr.readline()
    assert len(bench.started()) == 6
    gate.touch()
    for job in (*jobs, seventh, alone):
        ends_well(job)


def test_sharers_fill_as_many_devices_as_they_are_told_before_others(bench, tmp_path):
    gate, options = tmp_path / "gate", ["--gpus", "1", "--share", "2", "--over", "2", "--locks", str(bench.locks), "--"]
    worker = [sys.executable, str(bench.worker), str(bench.record), "0", str(gate)]
    for count in range(1, 7):
        command = [sys.executable, "-m", "workflow_scripts.runtime.lease", *options, *worker]
        bench.processes.append(subprocess.Popen(command, env=surroundings(DEVICES), cwd=ROOT, stderr=subprocess.PIPE))
        until(lambda: len(bench.started()) == count, f"{count} jobs run")  # noqa: B023 (called at once)
    gate.touch()
    for job in bench.processes:
        job.communicate(timeout=PATIENCE)
    assert [devices for _, event, _, devices in bench.events() if event == "start"] == ["0", "1", "0", "1", "2", "3"]


SHARING = """
include: "rules/common.smk"
include: "rules/resources.smk"

rule all:
    input: expand("done/{n}", n=range(10))

rule work:
    output: touch("done/{n}")
    resources: gpu=GPU
    shell: "{LAUNCH} --gpus {resources.gpu} pretend RECORD 0 GATE"
"""


@pytest.mark.parametrize(("options", "expected"), [(["gpu=2"], [4, 4]), (["gpu=1"], [4]), ([], [3, 3, 2, 2])])
def test_snakemake_starts_as_many_runs_on_each_gpu_as_may_share_it(bench, tmp_path, options, expected):
    """Four runs on each of the GPUs that --resources allows; without that, all that are there."""
    root, gate = tmp_path / "checkout", tmp_path / "gate"
    stages = root / "workflow_scripts" / "stages"
    stages.mkdir(parents=True)
    for part in ("rules", "schemas", "papers", "scales", "config.yaml"):
        (root / part).symlink_to(ROOT / part)
    for part in (ROOT / "workflow_scripts").iterdir():
        if part.name != "stages":
            (root / "workflow_scripts" / part.name).symlink_to(part)
    (stages / "__init__.py").touch()
    text = SHARING.replace("RECORD", str(bench.record)).replace("GATE", str(gate))
    (root / "Snakefile").write_text('configfile: "config.yaml"\nfrom pathlib import Path\n' + text)
    (stages / "pretend.py").write_text(WORKER.replace("sys.argv[3:]", "sys.argv[3:4]"))
    names = [f"GPU-test-{os.getpid()}-{number}" for number in range(4)]
    command = [sys.executable, "-m", "snakemake", "--cores", "10", "--snakefile", str(root / "Snakefile")]
    command += ["--directory", str(root), "--config", "training={device: cuda, runs_per_gpu: 4}"]
    log = tmp_path / "log"
    with log.open("w") as file:
        command += ["--resources", *options] if options else []
        snakemake = subprocess.Popen(command, env=surroundings(names), cwd=root, stdout=file, stderr=file)
    bench.processes.append(snakemake)
    until(lambda: len(bench.started()) >= sum(expected) or snakemake.poll() is not None, "the jobs run")
    time.sleep(1)
    held = Counter(devices for _, event, _, devices in bench.events() if event == "start")
    gate.touch()
    assert snakemake.wait(PATIENCE) == 0, log.read_text()
    assert [held[name] for name in names if held[name]] == expected
    assert "waiting" not in log.read_text()
    for path in lease.LOCKS.glob(f"GPU-test-{os.getpid()}-*"):
        path.unlink()


def test_who_does_not_share_is_alone(bench, tmp_path):
    gate = tmp_path / "gate"
    alone = bench.work(gate=gate, devices=["0"])
    until(bench.started, "the device is taken")
    sharer = bench.work(share=4, devices=["0"])
    assert "waiting" in sharer.stderr.readline()
    gate.touch()
    ends_well(alone), ends_well(sharer)
    bench.assert_none_held_twice()


# --- devices and where they are known ---


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("2,0", ["2", "0"]),
        (" GPU-8932f937 , GPU-a1", ["GPU-8932f937", "GPU-a1"]),
        ("MIG-GPU-8932f937/1/0", ["MIG-GPU-8932f937/1/0"]),
        ("1,1,0", ["1", "0"]),
        ("0,-1,1", ["0"]),
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_devices_are_those_of_cuda_visible_devices(monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert lease.devices() == expected


def test_devices_of_any_name_are_leased(bench):
    names = ["GPU-8932f937-d72c", "MIG-GPU-8932f937/1/0", "MIG-c6d4f1ef-42e4"]
    out, _ = bench.start("printenv", "CUDA_VISIBLE_DEVICES", gpus=3, devices=names).communicate(timeout=PATIENCE)
    assert out.strip().split(",") == names
    assert len(list(bench.locks.iterdir())) == 3


def test_leases_hold_between_pipelines_wherever_they_run(tmp_path):
    """Nothing tells two pipelines of each other but the machine: not their folders, nor their TMPDIR."""
    name, gate = f"GPU-test-{os.getpid()}", tmp_path / "gate"
    command = [sys.executable, "-m", "workflow_scripts.runtime.lease", "--gpus", "1", "--"]

    def start(pipeline: str, *rest: str) -> subprocess.Popen:
        folder = tmp_path / pipeline
        folder.mkdir()
        environment = surroundings([name]) | {"TMPDIR": str(folder)}
        return subprocess.Popen([*command, *rest], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)

    holder = start("a", "sh", "-c", f"touch {tmp_path}/held; until [ -e {gate} ]; do sleep 0.02; done")
    until((tmp_path / "held").exists, "the device is taken")
    late = start("b", "true")
    assert "waiting" in late.stderr.readline()
    gate.touch()
    ends_well(holder), ends_well(late)
    (lease.LOCKS / f"{name}.lock").unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for two users")
@pytest.mark.parametrize(("first", "second"), [(0, 65534), (65534, 0), (65534, 65533)])
def test_leases_hold_between_users(monkeypatch, first, second):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o777)
    children = []

    def lease_as(user: int, count: int, seconds: float = 0.0) -> int:
        """A child that leases as `user`, with a umask that hides its files, and then touches the file of its number."""
        children.append(os.fork())
        if children[-1] == 0:
            try:
                os.setuid(user)
                os.umask(0o077)
                lease.lease(count, folder / "locks")
                (folder / str(len(children))).touch()
                time.sleep(seconds)
            finally:
                os._exit(0)
        return children[-1]

    def has(number: int) -> bool:
        return (folder / str(number)).exists()

    try:
        holder = lease_as(first, 1, PATIENCE)
        until(lambda: has(1), "the first user has a device")
        lease_as(second, 1)
        until(lambda: has(2), "the second user has the other")
        lease_as(second, 2)
        time.sleep(0.5)
        assert not has(3)
        os.kill(holder, signal.SIGKILL)
        until(lambda: has(3), "the second user has both")
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        shutil.rmtree(folder)


def test_slurm_jobs_lease_among_their_own_devices(bench, tmp_path):
    """Slurm may count the devices of each job from 0: equal names are one device within a job's step alone."""
    gate = tmp_path / "gate"
    holder = bench.work(gate=gate, devices=["0"], SLURM_JOB_ID="11", SLURM_STEP_ID="0")
    until(bench.started, "the device is taken")
    ends_well(bench.work(devices=["0"], SLURM_JOB_ID="12", SLURM_STEP_ID="0"))
    ends_well(bench.work(devices=["0"], SLURM_JOB_ID="11", SLURM_STEP_ID="1"))
    sibling = bench.work(devices=["0"], SLURM_JOB_ID="11", SLURM_STEP_ID="0")
    assert "waiting" in sibling.stderr.readline()
    gate.touch()
    ends_well(holder), ends_well(sibling)


def test_cluster_profile_asks_for_a_device_where_the_rules_do():
    """A login node shows no GPU, so there the rules ask for none by themselves."""
    files = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    rules = re.split(r"^rule ", files, flags=re.MULTILINE)
    leasing = {text.split(":")[0] for text in rules if "{LAUNCH} --gpus {resources.gpu}" in text}
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
    assert {rule for rule, resources in profile["set-resources"].items() if "gpu" in resources} == leasing


# --- the command, and what cannot be had ---


def test_becomes_the_command(bench):
    process = bench.start("sh", "-c", 'echo $$ "$@"; exit 7', "sh", "a b", "--", "--gpus")
    out, _ = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == (f"{process.pid} a b -- --gpus\n", 7)


@pytest.mark.parametrize(("devices", "seen"), [(["0", "1"], "0, 1"), ([], "none")])
def test_more_than_there_are_is_told_in_one_sentence(bench, devices, seen):
    process = bench.start("true", gpus=3, devices=devices)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert err == (
        f"error: --gpus 3 is more than can be seen here ({seen}); lower the rule's resource gpu (--resources gpu=N, or "
        "set-resources in the profile), or mend CUDA_VISIBLE_DEVICES\n"
    )


def test_command_that_is_not_there_is_told(bench):
    process = bench.start("no-such-command")
    assert process.communicate(timeout=PATIENCE)[1] == (
        "error: the command 'no-such-command' cannot be run: No such file or directory\n"
    )


@pytest.mark.parametrize(("option", "value", "least"), [("gpus", -1, 0), ("gpus", "all", 0), ("share", 0, 1)])
def test_numbers_are_checked(bench, option, value, least):
    process = bench.start("true", **{option: value})
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert f"argument --{option}: '{value}' is no whole number from {least}" in err
