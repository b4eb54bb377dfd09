"""The workflow as a module of another one."""

from pathlib import Path

from tests.shared.checkout import snakemake

ROOT = Path(__file__).parents[2]
IMPORTER = f"""
configfile: {str(ROOT / "config.yaml")!r}

module closer:
    snakefile: {str(ROOT / "Snakefile")!r}
    config: config

use rule * from closer as closer_*

rule mine:
    default_target: True
    input: "results/demo/iyer2020/figure_4a/figure.png"
"""


def test_another_workflow_imports_this_one_and_draws_a_figure(tmp_path):
    (tmp_path / "Snakefile").write_text(IMPORTER)
    done = snakemake("--cores", "1", root=tmp_path, directory=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "demo" / "iyer2020" / "figure_4a" / "figure.png").exists()
