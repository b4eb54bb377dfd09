"""What Snakemake prints of its jobs where nothing draws progress bars: a line as each begins, not six or more.

Snakemake can print less only by leaving out what failed or how far it is (`--quiet`), and `--logger rich` prints
nothing of jobs to a file. Snakemake's own log file, which it names at its end, keeps everything.
"""

import datetime
import logging
import time
from collections.abc import Sequence
from pathlib import Path

LONG = 60.0  # seconds: the end of a job that took longer is a line too
TAIL = 20  # lines of a failed job's log
SELECTING = "Select jobs to execute..."  # a record of Snakemake's that has no event
UNPRINTED = ("job_started", "progress")


class JobLines(logging.Formatter):
    """Filter and formatter of Snakemake's log records in one, since what is left out tells what is done.

    others : formats every record that is not of a job. total : jobs of the workflow.
    """

    def __init__(self, others: logging.Formatter, total: int):
        super().__init__()
        self.others = others
        self.begun: dict[int, tuple[str, float]] = {}  # by a job's number: what it does, and when it began
        self.done, self.total = 0, total

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is printed; also notes how far the workflow is."""
        event = _event(record)
        if event == "progress":
            self.done, self.total = record.done, record.total
        elif event == "job_finished":
            return time.monotonic() - self.begun.get(record.job_id, ("", time.monotonic()))[1] > LONG
        return event not in UNPRINTED and record.msg != SELECTING

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record."""
        event = _event(record)
        if event == "job_info":
            what = record.rule_msg or record.rule_name
            self.begun[record.jobid] = what, time.monotonic()
            return f"{_clock()} {self.done} of {self.total} done: {what}"
        if event == "job_finished":
            what, begun = self.begun[record.job_id]
            return f"{_clock()} took {(time.monotonic() - begun) / 60:.0f} min: {what}"
        if event == "job_error":
            what = self.begun.get(record.jobid, (record.rule_name, 0.0))[0]
            facts = [str(record.rule_msg or ""), *(f"{name}: {value}" for name, value in record.aux.items())]
            lines = [line for fact in facts for line in fact.splitlines() if line.strip()]
            return "\n    ".join([f"{_clock()} Error in rule {record.rule_name}: {what}", *lines, *_tails(record.log)])
        return self.others.format(record)


def print_job_lines(handlers: Sequence[logging.Handler], total: int) -> None:
    """Let Snakemake's handler of the terminal, if it is among these, print a workflow of `total` jobs so."""
    for handler in handlers:
        if handler.name == "DefaultStreamHandler":
            lines = JobLines(handler.formatter, total)
            handler.addFilter(lines)
            handler.setFormatter(lines)


def show_time_left(handlers: Sequence[logging.Handler]) -> None:
    """Let the bars of `--logger rich`, which show how long they have been there, show the time that is left too."""
    for handler in handlers:
        if (bars := getattr(handler, "progress", None)) is not None:
            from rich.progress import ProgressColumn

            class TimeLeft(ProgressColumn):
                """Rich's own knows no time before two jobs have ended, and then only that between their ends."""

                def render(self, task):
                    return time_left(task.completed, task.total, task.elapsed)

            bars.columns = (*bars.columns, TimeLeft())


def time_left(done: int, total: int, elapsed: float | None) -> str:
    """h:mm:ss until all are done, at the pace of those that are; dashes while none is."""
    if not done or elapsed is None:
        return "-:--:--"
    return str(datetime.timedelta(seconds=round(elapsed * (total - done) / done)))


def _event(record: logging.LogRecord) -> str:
    """The name of what happened, "" where Snakemake gives it none."""
    return getattr(getattr(record, "event", None), "value", "")


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _tails(logs: Sequence[str]) -> list[str]:
    """Where each log is, and its last lines."""
    lines = []
    for log in logs:
        try:
            text = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            text = [f"(cannot be read: {error.strerror})"]
        lines += [f"{log}:", *(f"  {line}" for line in text[-TAIL:] or ["(empty)"])]
    return lines
