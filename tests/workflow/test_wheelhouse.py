"""What a machine without a network is given: what its packages need there, and not what it has."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.workflow.test_environment import make

ENVS = Path(__file__).parents[2] / "envs"


@pytest.fixture(scope="module")
def wheelhouse():
    spec = importlib.util.spec_from_file_location("wheelhouse", ENVS / "wheelhouse.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(folder, name, *needs, version="1.0"):
    """A wheel of one empty module."""
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {n}" for n in needs)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def folder(tmp_path):
    """Wheels: alpha needs beta, gamma on an older Python, delta for an extra, and what every machine has."""
    wheel(tmp_path, "alpha", "beta", "gamma; python_version < '3.12'", "delta; extra == 'more'", "present>=2")
    for name in ("beta", "gamma", "delta", "present"):
        wheel(tmp_path, name, version="3.0" if name == "present" else "1.0")
    return tmp_path


@pytest.mark.parametrize(
    ("python", "root", "installed", "found"),
    [
        ("3.12", "alpha", {"present": None}, {"alpha", "beta"}),
        ("3.11", "alpha", {"present": "2.5"}, {"alpha", "beta", "gamma"}),
        ("3.12", "alpha[more]", {"present": "2.0", "beta": None}, {"alpha", "delta"}),
        ("3.12", "alpha", {"present": "1.9"}, {"alpha", "beta", "present"}),  # what is there is too old
    ],
)
def test_what_is_needed_there_and_not_there_is_collected(wheelhouse, folder, python, root, installed, found):
    lock = {
        path.name.split("-")[0]: [(Requirement("{}=={}".format(*path.name.split("-")[:2])), [])]
        for path in folder.glob("*.whl")
    }
    target = wheelhouse.Target(python, "x86_64")
    wheels = wheelhouse.collect(folder, lock, [wheelhouse.Requirement(root)], target, installed)
    assert {name for name, *_ in wheels} == found
    assert all(path.name.startswith(f"{name}-{version}-") for name, version, path in wheels)


def test_a_list_of_what_is_there_is_read_as_pip_writes_it(wheelhouse, tmp_path):
    (tmp_path / "there.txt").write_text("Foo_Bar==1.2\nplain\nlocal @ file:///x\n# a comment\n-e git+x\n")
    assert wheelhouse.read_installed(tmp_path / "there.txt") == {"foo-bar": "1.2", "plain": None, "local": None}


def test_the_locks_entry_for_the_machine_is_taken(wheelhouse):
    lock = wheelhouse.read_lock(ENVS / "requirements.lock")
    assert all(digests for entries in lock.values() for _, digests in entries)
    name, version, digests = wheelhouse.entry_of("aiohttp", lock, wheelhouse.Target("3.12", "x86_64"))
    assert name == "aiohttp" and version and digests
    with pytest.raises(SystemExit, match="aiohttp is needed"):
        wheelhouse.entry_of("aiohttp", lock, wheelhouse.Target("3.11", "x86_64"))


def test_what_runs_needs_neither_site_nor_tests(wheelhouse):
    running, everything = ({r.name for r in wheelhouse.roots(all)} for all in (False, True))
    assert {"snakemake", "papermill", "ipykernel", "torch"} <= running
    assert {"sphinx", "pytest", "jupyter"} <= everything - running


def test_an_environment_is_made_from_the_folder_alone_beside_the_systems_torch(folder):
    """No pip in it, no index; torch and its neighbours come from the Python that made it."""
    path = folder / "beta-1.0-py3-none-any.whl"
    digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
    (folder / "requirements.txt").write_text(f"beta==1.0 --hash=sha256:{digest}\n")
    given = (f"VENV={folder / 'env'}", f"PYTHON={sys.executable}")
    done = make("env", f"WHEELHOUSE={folder}", "SYSTEM_TORCH=1", *given, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert done.returncode == 0, done.stderr
    found = "import beta, torch, sys; print(sys.prefix, torch.__file__)"
    told = subprocess.run([folder / "env/bin/python", "-c", found], capture_output=True, text=True, check=True).stdout
    assert told.split()[0] == str(folder / "env") and sys.prefix in told.split()[1]
    assert make("-q", "env", *given).returncode == 0  # remembered, without naming the folder again


def test_a_python_without_torch_is_told(tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    (tmp_path / "requirements.txt").write_text("")
    given = (f"WHEELHOUSE={tmp_path}", "SYSTEM_TORCH=1", f"PYTHON={bare / 'bin/python'}", f"VENV={tmp_path / 'env'}")
    done = make("env", *given)
    assert done.returncode and "SYSTEM_TORCH=1 needs torch and torchvision in" in done.stderr
    assert not (tmp_path / "env").exists()
