"""What Snakemake prints of jobs: lines where there is no terminal, and bars where there is one."""

import contextlib
import logging
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

from snakemake_interface_logger_plugins.common import LogEvent

from tests.shared.checkout import snakemake
from workflow_scripts.runtime.job_lines import LONG, TAIL, JobLines, time_left

ROOT = Path(__file__).parents[2]
DIGITS, BIRDS = "data/digits/dataset.json", "data/birds/dataset.json"


def test_a_job_is_one_line_and_one_that_fails_shows_its_reason(tmp_path, tiny_source):
    birds = tmp_path / "birds"
    shutil.copytree(tiny_source, birds)
    (birds / "y_test.npy").write_bytes((birds / "y_train.npy").read_bytes())
    sources = f"data={{sources: {{birds: {birds}}}}}"
    done = snakemake("--cores", "1", "--config", sources, "--", DIGITS, BIRDS, directory=tmp_path)
    assert done.returncode == 1
    of_jobs = done.stderr.partition("Job stats:")[2]
    assert re.search(r"^\d\d:\d\d:\d\d [01] of 2 done: prepare the data set digits$", of_jobs, re.MULTILINE), of_jobs
    assert of_jobs.count("digits") == 1
    for of_snakemake in ("jobid", "Reason:", "Select jobs", "Execute 1 jobs", "steps ("):
        assert of_snakemake not in of_jobs
    failed = re.search(
        r"^\S+ Error in rule prepare_data: prepare the data set birds\n(( .*\n)+)", of_jobs, re.MULTILINE
    )
    assert "results/logs/data/birds.log:" in failed[1] and "checksum" in failed[1], of_jobs
    whole = next((tmp_path / ".snakemake" / "log").glob("*.log")).read_text()
    assert "reason: " in whole.lower() and "Finished jobid" in whole  # Snakemake's own log keeps everything


def test_a_dry_run_tells_the_reason_of_every_job(tmp_path):
    done = snakemake("-n", "--", DIGITS, directory=tmp_path)
    assert f"Reason: Missing output files: {DIGITS}" in done.stdout


def test_on_a_terminal_bars_show_the_time_that_is_left(tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", tmp_path]
    with subprocess.Popen([*command, "--cores", "1", "--logger", "rich", "--", DIGITS], stdout=theirs, stderr=theirs,
                          cwd=ROOT, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"}) as running:  # fmt: skip
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # Linux's way to say that nobody has the other end any more
            while part := os.read(ours, 1 << 16):
                shown += part
    os.close(ours)
    plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown).decode()
    assert running.returncode == 0, plain
    assert re.search(r"prepare data .* 0% \d:\d\d:\d\d -:--:--", plain), plain  # nothing is known yet
    assert re.search(r"prepare data .* 100% \d:\d\d:\d\d 0:00:00", plain), plain


def record(event, **facts):
    """A record as Snakemake makes it."""
    return logging.makeLogRecord({"event": event, "msg": "as Snakemake says it", **facts})


def test_an_executors_reason_and_the_end_of_a_log_are_shown(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    lines = JobLines(logging.Formatter(), 3)
    lines.format(record(LogEvent.JOB_INFO, jobid=7, rule_msg="train it", rule_name="train"))
    failed = {"jobid": 7, "rule_name": "train", "log": [str(log), "gone.log"], "aux": {"external_jobid": 12}}
    printed = lines.format(record(LogEvent.JOB_ERROR, rule_msg="SLURM status is: 'TIMEOUT'", **failed)).splitlines()
    assert printed[0].endswith("Error in rule train: train it")
    assert {"    SLURM status is: 'TIMEOUT'", "    external_jobid: 12", f"    {log}:", "    gone.log:"} <= set(printed)
    assert sum(line.strip().startswith("line ") for line in printed) == TAIL and "      line 99" in printed
    assert "cannot be read: No such file" in printed[-1]


def test_the_end_of_a_long_job_is_a_line_and_of_a_short_one_none(monkeypatch):
    lines, now = JobLines(logging.Formatter(), 2), [0.0]
    monkeypatch.setattr("workflow_scripts.runtime.job_lines.time.monotonic", lambda: now[0])
    for number in (1, 2):
        begun = record(LogEvent.JOB_INFO, jobid=number, rule_msg=f"do {number}", rule_name="work")
        assert lines.filter(begun) and lines.format(begun).endswith(f"0 of 2 done: do {number}")
    ends = [record(LogEvent.JOB_FINISHED, job_id=number) for number in (1, 2)]
    now[0] = LONG
    assert not lines.filter(ends[0])
    now[0] = 3 * LONG
    assert lines.filter(ends[1]) and lines.format(ends[1]).endswith("took 3 min: do 2")


def test_what_is_no_job_is_printed_as_ever():
    lines = JobLines(logging.Formatter(), 1)
    said = record(None)
    assert lines.filter(said) and lines.format(said) == "as Snakemake says it"
    assert not lines.filter(record(LogEvent.PROGRESS, done=1, total=4))
    after = record(LogEvent.JOB_INFO, jobid=1, rule_msg=None, rule_name="work")
    assert lines.format(after).endswith("1 of 4 done: work")


def test_time_left_is_at_the_pace_so_far():
    assert time_left(0, 4, 60.0) == time_left(1, 4, None) == "-:--:--"
    assert (
        time_left(1, 4, 60.0) == "0:03:00"
        and time_left(3, 310, 36.0) == "1:01:24"
        and time_left(4, 4, 9.0) == "0:00:00"
    )
