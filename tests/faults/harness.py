"""Run the workflow, kill its jobs and Snakemake itself at random points, let it finish, and compare what it made.

    python -m tests.faults.harness --kills 50 --reference /tmp/undisturbed --directory /tmp/killed

The moments are drawn in units of progress: the first kill of a kind may come as soon as there is a process of it, the
last when nine tenths of the kind's work are done, so that the kills are spread over the workflow however fast it runs.
After each failed or killed run Snakemake is started again, as docs/faults.md tells users to. It needs Linux.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.processes import MARK, Process, marked
from tests.faults.verdict import problems

ROOT = Path(__file__).parents[2]
ANALYSES = ("curve", "plane", "similarity", "embedding", "sharpness", "fisher", "range_test")
TRAINED = ("store/*/finished.json",)
MEASURED = tuple(f"{kind}/*/{kind}.parquet" for kind in ANALYSES)
DRAWN = ("*/*/*/notebook.html",)
# The kinds of kill: what counts the work done there, and the longest wait, in seconds, after a victim was chosen.
KINDS = {
    "training": (TRAINED, 3.0),
    "checkpoint writing": (TRAINED, 0.0),
    "evaluation": (MEASURED, 3.0),
    "notebook rendering": (DRAWN, 4.0),
    "Snakemake": ((*TRAINED, *MEASURED, *DRAWN), 10.0),
}
HOWS = (signal.SIGTERM, signal.SIGKILL)


def command(directory: Path, *arguments: str) -> list[str]:
    """Snakemake in a directory of its own, by the interpreter that runs this."""
    return [sys.executable, "-m", "snakemake", "--snakefile", f"{ROOT}/Snakefile", "--directory", f"{directory}",
            *arguments]  # fmt: skip


@dataclass
class Harness:
    """One workflow and the kills that it is going to suffer."""

    directory: Path
    reference: Path
    arguments: Sequence[str]
    kills: int
    chance: random.Random
    done: Counter = field(default_factory=Counter)  # (kind, signal) → kills
    runs: int = 0
    unexplained: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.mark = f"{os.getpid()}-{self.chance.getrandbits(32):08x}"
        self.total = {kind: self.work(self.reference, kind) for kind in KINDS}
        kinds = [kind for kind in KINDS if self.total[kind]]
        self.planned: dict[str, list[tuple[float, signal.Signals]]] = {kind: [] for kind in kinds}
        for number in range(self.kills):
            turn, index = divmod(number, len(kinds))
            # Both signals by turns for each kind, and from kind to kind.
            self.planned[kinds[index]].append((self.chance.uniform(0.0, 0.9), HOWS[(turn + index + 1) % 2]))
        for moments in self.planned.values():
            moments.sort(reverse=True)  # the next one is the last
        self.condemned: dict[str, tuple[Process, float]] = {}

    @staticmethod
    def work(directory: Path, kind: str) -> int:
        """How much of a kind's work is done."""
        return sum(len(list((directory / "results").glob(pattern))) for pattern in KINDS[kind][0])

    def due(self, kind: str) -> bool:
        """Whether the next kill of this kind may come."""
        moments = self.planned.get(kind)
        return bool(moments) and self.work(self.directory, kind) >= int(moments[-1][0] * self.total[kind])

    def urgent(self, kind: str) -> bool:
        """Whether as many kills are still to come as there are victims."""
        return self.total[kind] - self.work(self.directory, kind) <= len(self.planned[kind])

    # --- one run of Snakemake after the other ---

    def finish(self) -> None:
        """Start Snakemake until it has ended well and every kill is done, or none is possible any more."""
        self.directory.mkdir(parents=True, exist_ok=True)
        while True:
            before = sum(self.done.values())
            status, log = self.run()
            errors, kills = log.count("Error in rule"), sum(self.done.values()) - before
            if errors > kills or (status and not kills):
                self.unexplained.append(log[-4000:])
            if status == 0 or len(self.unexplained) > 3:
                break
            if status == -signal.SIGKILL:
                subprocess.run(command(self.directory, *self.arguments, "--unlock"), cwd=ROOT, check=True,
                               capture_output=True)  # fmt: skip
        deadline = time.monotonic() + 300
        while marked(self.mark) and time.monotonic() < deadline:  # jobs that outlive a killed Snakemake
            time.sleep(0.2)

    def run(self) -> tuple[int, str]:
        """Run Snakemake once, with kills; its exit status and what it printed."""
        self.runs += 1
        log = self.directory / f"run-{self.runs}.log"
        # What killed processes leave in the folder for temporary files is not looked for elsewhere.
        temporary = self.directory / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {**os.environ, MARK: self.mark, "TMPDIR": str(temporary)}
        with log.open("w") as output:
            process = subprocess.Popen(
                command(self.directory, *self.arguments), cwd=ROOT, env=environment, stdout=output, stderr=output
            )
            asked = None
            while process.poll() is None:
                asked = self.strike(process.pid) or asked
                time.sleep(0.02)
        text = log.read_text(errors="replace")
        # Asked to end by SIGTERM, Snakemake lets its jobs end, says so and then fails; very early it just dies.
        if asked and (process.returncode in (-asked, 128 + asked) or "Will exit after finishing" in text):
            self.count("Snakemake", asked)
        return process.returncode, text

    # --- kills ---

    def strike(self, snakemake: int) -> signal.Signals | None:
        """Kill what is due; the signal that Snakemake itself was sent, if it was."""
        if not any(map(self.due, KINDS)):
            time.sleep(0.1)
            return None
        alive, sent = marked(self.mark), None
        for kind in filter(self.due, KINDS):
            how = self.planned[kind][-1][1]
            if kind == "checkpoint writing":
                self.catch_writing(alive, how)
                continue
            victim = self.chosen(kind, [each for each in alive if self.fits(each, kind, snakemake)])
            if victim is None:
                continue
            if kind == "Snakemake":
                sent = how
                os.kill(snakemake, how)
                self.wait_for_end(victim)
            else:
                shells = [each for each in alive if each.pid == victim.parent and each.pid != snakemake]
                # Where the shell of a job dies, what it ran goes on without anyone waiting for it.
                if self.chance.choice([*shells, victim, victim]).kill(how):
                    self.count(kind, how)
        return sent

    def fits(self, process: Process, kind: str, snakemake: int) -> bool:
        """Whether killing this process now is a kill of this kind."""
        if kind == "Snakemake":
            return process.pid == snakemake
        if kind == "notebook rendering":
            return process.stage in ("artifact", "kernel")
        if kind == "training":
            return process.stage in ("train", "curve") and process.trains()
        return process.stage in ANALYSES and not process.trains()

    def chosen(self, kind: str, candidates: list[Process]) -> Process | None:
        """The victim whose moment has come. One is chosen as soon as there is any, and then has some time left."""
        victim, moment = self.condemned.get(kind, (None, 0.0))
        if victim not in candidates:
            self.condemned.pop(kind, None)
            if candidates:
                wait = self.chance.uniform(0.0, KINDS[kind][1] / (4 if self.urgent(kind) else 1))
                self.condemned[kind] = self.chance.choice(candidates), time.monotonic() + wait
            return None
        if time.monotonic() < moment:
            return None
        del self.condemned[kind]
        return victim

    def catch_writing(self, alive: list[Process], how: signal.Signals) -> None:
        """Watch the trainings closely for a moment. Who is caught writing must leave half a file to be counted so."""
        trainings = [each for each in alive if each.stage in ("train", "curve")]
        deadline = time.monotonic() + 0.2
        while trainings and time.monotonic() < deadline:
            for process in trainings:
                half = process.writes()
                if half is not None and process.kill(how):
                    self.count("checkpoint writing" if Path(half).exists() else "training", how)
                    return

    def wait_for_end(self, process: Process) -> None:
        """Let Snakemake end in peace: its jobs of the moment may take a while."""
        while process.alive():
            time.sleep(0.05)

    def count(self, kind: str, how: signal.Signals) -> None:
        """A kill that was planned has been done."""
        if self.planned[kind]:
            self.planned[kind].pop()
        self.done[kind, how] += 1
        print(f"{sum(self.done.values()):3d}. {how.name} during {kind}", flush=True)

    # --- what came of it ---

    def problems(self) -> list[str]:
        """What is wrong after all: nothing, if the workflow can be relied on."""
        found = problems(self.directory, self.reference)
        return found + [f"a run of Snakemake failed without a kill:\n{text}" for text in self.unexplained]

    @property
    def missed(self) -> int:
        """Kills that found no victim: a matter of luck where there is little work."""
        return self.kills - sum(self.done.values())

    def table(self) -> str:
        """The kills by kind and signal, in Markdown."""
        lines = ["| killed during | SIGTERM | SIGKILL |", "|:--|--:|--:|"]
        lines += [f"| {kind} | {self.done[kind, HOWS[0]]} | {self.done[kind, HOWS[1]]} |" for kind in KINDS]
        return "\n".join(lines)


def undisturbed(directory: Path, arguments: Sequence[str]) -> None:
    """Run the workflow in peace, unless that has been done."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(command(directory, *arguments), cwd=ROOT, check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.harness", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the kills (default: %(default)s)")
    parser.add_argument("--cores", default="2", help="default: %(default)s")
    parser.add_argument("--targets", nargs="+", default=[], help="default: every artifact")
    parser.add_argument("--config", nargs="+", default=["scale=demo"], help="for Snakemake (default: %(default)s)")
    parser.add_argument("--directory", type=Path, help="empty, to be run in (default: a temporary one)")
    parser.add_argument("--reference", type=Path, help="an uninterrupted run's, made if missing (default: temporary)")
    given = parser.parse_args()
    arguments = [*given.targets, "--cores", given.cores, "--config", *given.config]
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        reference = (given.reference or Path(temporary) / "reference").resolve()
        undisturbed(reference, arguments)
        directory = (given.directory or Path(temporary) / "killed").resolve()
        started = time.monotonic()
        harness = Harness(directory, reference, arguments, given.kills, random.Random(given.seed))
        harness.finish()
        print(harness.table())
        print(f"{harness.runs} runs of Snakemake in {(time.monotonic() - started) / 60:.0f} minutes")
        if found := harness.problems() + ([f"{harness.missed} kills found no victim"] if harness.missed else []):
            sys.exit("\n".join(["What is wrong:", *found]))
        print("All tables, checkpoints and plotted values are those of the uninterrupted run; no lock, no half a file.")


if __name__ == "__main__":
    main()
