"""Packs: what was packed is what arrives; what is damaged, or would replace something else, is not put into place."""

import tarfile

import pytest

from workflow_scripts.base.errors import InputError
from workflow_scripts.commands import pack
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import make_plan


def plan_in(folder):
    config = read_config(pack.ROOT, {"results": str(folder / "results"), "data": {"folder": str(folder / "data")}})
    return make_plan(config, pack.ROOT)


@pytest.fixture
def packed(tmp_path):
    """A machine with a finished run's table, one that nobody asks for and a checkpoint; its pack."""
    plan = plan_in(tmp_path / "there")
    run = next(iter(plan.runs))
    for path in (plan.paths.metrics(run), plan.paths.run(run) / "recipe.json", plan.paths.metrics("0" * 12)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {path.name}")
    plan.paths.checkpoints(run).mkdir()
    (plan.paths.checkpoints(run) / "epoch-200.safetensors").write_text("weights")
    pack.pack(pack.table_files(plan), tmp_path / "tables.tar")
    return tmp_path / "tables.tar", run


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_tables_and_recipes_travel_and_checkpoints_stay(packed, tmp_path):
    file, run = packed
    plan = plan_in(tmp_path / "here")
    assert pack.unpack(file, plan, replace=False) == 2
    expected = {f"results/runs/{run}/{name}": f"this is {name}" for name in ("metrics.parquet", "recipe.json")}
    assert files_in(tmp_path / "here") == expected
    assert pack.unpack(file, plan, replace=False) == 2  # again, to the same end
    assert files_in(tmp_path / "here") == expected


def test_another_file_of_the_name_stays_unless_it_may_be_replaced(packed, tmp_path):
    file, run = packed
    plan = plan_in(tmp_path / "here")
    pack.unpack(file, plan, replace=False)
    plan.paths.metrics(run).write_text("other numbers")
    with pytest.raises(InputError, match=r"metrics\.parquet is there with other contents; --replace"):
        pack.unpack(file, plan, replace=False)
    assert plan.paths.metrics(run).read_text() == "other numbers"
    pack.unpack(file, plan, replace=True)
    assert plan.paths.metrics(run).read_text() == "this is metrics.parquet"


def test_a_damaged_pack_changes_nothing(packed, tmp_path):
    file, _ = packed
    file.write_bytes(file.read_bytes().replace(b"this is metrics", b"this was metric"))
    with pytest.raises(InputError, match=r"metrics\.parquet is missing or damaged"):
        pack.unpack(file, plan_in(tmp_path / "here"), replace=False)
    assert files_in(tmp_path / "here") == {}


@pytest.mark.parametrize("name", ["../evil", "config.yaml", "data/../../evil"])
def test_a_name_that_leads_elsewhere_is_refused(packed, tmp_path, name):
    file, _ = packed
    pack.pack({name: file}, tmp_path / "bad.tar")
    with pytest.raises(InputError, match=r"bad\.tar (is no pack|holds)"):
        pack.unpack(tmp_path / "bad.tar", plan_in(tmp_path / "here"), replace=False)
    assert not (tmp_path / "evil").exists() and files_in(tmp_path / "here") == {}


def test_what_is_no_pack_is_told(tmp_path):
    (tmp_path / "x.tar").write_text("nothing")
    with tarfile.open(tmp_path / "y.tar", "w"):
        pass
    for name in ("x.tar", "y.tar", "z.tar"):
        with pytest.raises(InputError, match=rf"{name} is no pack"):
            pack.unpack(tmp_path / name, plan_in(tmp_path / "here"), replace=False)


def test_data_that_is_not_prepared_is_told_with_the_command(tmp_path):
    plan = plan_in(tmp_path)
    with pytest.raises(InputError, match=r"digits must be prepared first: snakemake --cores 1 .*/dataset\.json"):
        pack.data_files(plan, pack.targets(plan, ["gotmare2019_figure_2"]))
    with pytest.raises(InputError, match="no artifact 'figure_2'"):
        pack.targets(plan, ["figure_2"])
