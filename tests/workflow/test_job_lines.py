"""What Snakemake prints of jobs where there is no terminal."""

import re
import shutil

from tests.shared.checkout import snakemake

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
