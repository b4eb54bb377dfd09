"""The locks agree with each other and with what runs here; `make` builds an environment once, whole or not at all."""

import ast
import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
CODE = ("workflow_scripts", "tests", "benchmarks")


# --- the locks ---


@functools.cache
def requirements(name: str) -> tuple[Requirement, ...]:
    """Read a file of requirements with its comments and hashes left out."""
    text = (ENVS / name).read_text().replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*|--hash=\S+", "", line).strip() for line in text.splitlines())
    return tuple(Requirement(line) for line in lines if line)


def pins(name: str, platform: str = "linux") -> dict[str, str]:
    """Give {package: version} of a lock for this Python on a platform."""
    environment = {"sys_platform": platform}
    wanted = [r for r in requirements(name) if r.marker is None or r.marker.evaluate(environment)]
    assert all(len(r.specifier) == 1 and next(iter(r.specifier)).operator == "==" for r in wanted)
    versions = {r.name: next(iter(r.specifier)).version for r in wanted}
    assert len(versions) == len(wanted), f"{name} pins a package twice"
    return versions


def direct() -> set[str]:
    return {requirement.name for requirement in requirements("requirements.in")}


def test_lock_satisfies_every_direct_requirement():
    locked = pins("requirements.lock")
    unmet = [str(r) for r in requirements("requirements.in") if not r.specifier.contains(locked.get(r.name, "0"))]
    assert not unmet


def test_every_entry_of_the_lock_has_hashes():
    entries = re.split(r"\n(?=[a-z])", (ENVS / "requirements.lock").read_text())[1:]
    assert len(entries) == len(requirements("requirements.lock")) > 100
    assert [entry.split()[0] for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry)] == []


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_cpu_lock_is_the_lock_without_cuda(platform):
    whole, cpu = pins("requirements.lock", platform), pins("requirements-cpu.lock", platform)
    cuda = whole.keys() - cpu.keys()
    assert all(name.startswith(("nvidia-", "cuda-")) or name == "triton" for name in cuda)
    assert not any(name.startswith(("nvidia-", "cuda-")) or name == "triton" for name in cpu)
    built_for_cpu = {} if platform == "darwin" else {name: whole[name] + "+cpu" for name in ("torch", "torchvision")}
    assert cpu == {name: version for name, version in whole.items() if name not in cuda} | built_for_cpu


def test_conda_file_equals_the_lock():
    *conda, pip = yaml.safe_load((ENVS / "environment.yaml").read_text())["dependencies"]
    assert [package.split()[0] for package in conda] == ["python", "pip"]
    locked = pins("requirements.lock")
    assert sorted(pip["pip"]) == sorted(f"{name}=={locked[name]}" for name in direct())


@pytest.mark.parametrize("name", sorted(path.name for path in ENVS.glob("[!.]*.*")))
def test_no_file_names_an_index(name):
    assert not re.search(r"://|index-url|find-links|trusted-host", (ENVS / name).read_text())


def test_this_environment_is_the_locked_one():
    lock = "requirements-cpu.lock" if importlib.metadata.version("torch").endswith("+cpu") else "requirements.lock"
    locked = pins(lock, sys.platform)
    installed = {name: importlib.metadata.version(name) for name in direct()}
    assert installed == {name: locked[name] for name in direct()}, f"not what {lock} says: run `make env`"


def imported(path: Path) -> set[str]:
    """Give the top-level names that a Python file imports from outside itself."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_every_import_is_a_direct_requirement():
    providers = importlib.metadata.packages_distributions()
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    own = {*CODE, *(path.stem for path in (ROOT / "tests").iterdir())}
    foreign = {(name, path) for path in files for name in imported(path) - own - sys.stdlib_module_names}
    undeclared = [
        f"{path.relative_to(ROOT)} imports {name}"
        for name, path in sorted(foreign)
        if direct().isdisjoint(map(canonicalize_name, providers.get(name, [])))
    ]
    assert not undeclared, "name them in envs/requirements.in, then `make lock`"


# --- make ---


def make(*arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    """Run make without the settings of a make that may be running these tests."""
    ours = {
        "PYTHON",
        "VENV",
        "TORCH",
        "TORCH_CPU_INDEX",
        "LOCK",
        "CORES",
        "SNAKEMAKE",
        "PYTEST",
        "WHEELHOUSE",
        "SYSTEM_TORCH",
    }
    outer = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL"}
    inherited = {key: value for key, value in os.environ.items() if key not in ours | outer}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=folder, env=inherited | environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """What make needs of the repository, in a folder whose name has a space, with locks that need no network."""
    folder = tmp_path_factory.mktemp("make") / "closer look"
    (folder / "workflow_scripts").mkdir(parents=True)
    shutil.copy(ROOT / "workflow_scripts/__init__.py", folder / "workflow_scripts")
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "empty.lock").write_text("# nothing\n")
    (folder / "other.lock").write_text("# nothing else\n")
    (folder / "broken.lock").write_text("no-such-package==1.0 --hash=sha256:" + "0" * 64 + "\n")
    return folder


@pytest.fixture(scope="module")
def built(checkout) -> Path:
    result = make("env", "LOCK=empty.lock", f"PYTHON={sys.executable}", folder=checkout)
    assert result.returncode == 0, result.stderr
    return checkout


def fake_python(path: Path, version: str) -> Path:
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit\nexit 1\n')
    path.chmod(0o755)
    return path


def test_help_lists_every_target():
    listed = re.findall(r"^  ([a-z-]+) ", make().stdout, flags=re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1].split()
    assert sorted(listed) == sorted(phony)


def test_demo_makes_environment_results_and_report_in_turn(checkout):
    told = make("-n", "demo", "CORES=3", "LOCK=empty.lock", "VENV=none", folder=checkout).stdout
    steps = ["-m venv", "--require-hashes", "--cores 3 all site\n", "site/index.html"]
    positions = [told.find(step) for step in steps]
    assert -1 not in positions
    assert positions == sorted(positions)


def test_torch_cpu_takes_the_cpu_lock_and_its_index():
    told = make("-n", "env", "TORCH=cpu", "TORCH_CPU_INDEX=file:///wheels", "VENV=none").stdout
    assert '--extra-index-url file:///wheels -r "envs/requirements-cpu.lock"' in told


def test_unknown_torch_is_told():
    result = make("env", "TORCH=gpu")
    assert result.returncode
    assert "TORCH is 'gpu': say TORCH=default or TORCH=cpu" in result.stderr


def test_old_python_is_told(checkout):
    old = fake_python(checkout / "old-python", "3.8.10")
    result = make("env", f"PYTHON={old}", "VENV=never", "LOCK=empty.lock", folder=checkout)
    assert result.returncode
    assert f"Closer Look needs Python 3.11 or newer, but '{old}' is 'Python 3.8.10'" in result.stderr
    assert not (checkout / "never").exists()


def test_newer_python_is_found_where_python3_is_old(checkout):
    tools = checkout / "tools"
    tools.mkdir()
    fake_python(tools / "python3", "3.9.2")
    fake_python(tools / "python3.13", "3.13.0")  # installed but broken
    (tools / "python3.12").symlink_to(sys.executable)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    told = make("-n", "env", "VENV=none", "LOCK=empty.lock", folder=checkout, PATH=path).stdout
    assert '"python3.12" -m venv' in told


def test_second_call_has_nothing_to_do(built):
    assert make("-q", "env", "LOCK=empty.lock", folder=built).returncode == 0


def test_environment_finds_the_project_from_anywhere(built, tmp_path):
    found = "import workflow_scripts; print(workflow_scripts.__file__)"
    python = built / ".venv/bin/python"
    where = subprocess.run([python, "-c", found], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert Path(where.strip()) == built / "workflow_scripts/__init__.py"


def test_recipes_run_inside_the_environment(built):
    (built / "show.py").write_text("import os, sys; print(sys.prefix, os.getenv('PYTHONPATH'))")
    result = make("demo", "LOCK=empty.lock", "SNAKEMAKE=python show.py", folder=built, PYTHONPATH="/shadows")
    assert result.stdout.count(f"\n{built}/.venv None\n") == 1, result.stderr


def test_a_home_that_cannot_be_written_hinders_nothing(built, tmp_path):
    """Caches then have a place of their own; a home that can be written keeps them."""
    (built / "show.py").write_text("import os; print('cache', *map(os.getenv, ('XDG_CACHE_HOME', 'MPLCONFIGDIR')))")
    seen = [
        make("demo", "LOCK=empty.lock", "SNAKEMAKE=python show.py", folder=built, HOME=str(home)).stdout
        for home in (tmp_path / "nowhere", tmp_path)
    ]
    assert "closer-look-cache/matplotlib" in seen[0] and "\ncache None None\n" in seen[1]


def test_changed_lock_asks_for_a_new_environment(built):
    assert make("-q", "env", "LOCK=other.lock", folder=built).returncode == 1


def test_moved_checkout_asks_for_a_new_environment(built, tmp_path):
    moved = shutil.copytree(built, tmp_path / "moved", symlinks=True)
    assert make("-q", "env", "LOCK=empty.lock", folder=moved).returncode == 1


def test_half_made_environment_is_not_taken_for_whole(checkout):
    broken = ("env", "LOCK=broken.lock", "VENV=half", f"PYTHON={sys.executable}")
    assert make(*broken, folder=checkout, PIP_NO_INDEX="1").returncode
    assert (checkout / "half/bin/python").exists()
    assert make("-q", *broken, folder=checkout).returncode == 1


def test_torch_choice_is_remembered(checkout):
    (checkout / "chosen").mkdir()
    (checkout / "chosen/whole-cpu-1").touch()
    assert "--extra-index-url" in make("-n", "env", "VENV=chosen", "LOCK=empty.lock", folder=checkout).stdout


def test_folder_that_is_no_environment_is_kept(checkout):
    (checkout / "mine").mkdir()
    (checkout / "mine/thesis.txt").write_text("years of work")
    result = make("env", "VENV=mine", "LOCK=empty.lock", f"PYTHON={sys.executable}", folder=checkout)
    assert result.returncode
    assert "mine is no virtual environment and stays as it is" in result.stderr
    assert (checkout / "mine/thesis.txt").read_text() == "years of work"


def test_clean_keeps_data_and_larger_scales(checkout):
    for folder in ("results/demo", "results/full", "data/digits"):
        (checkout / folder).mkdir(parents=True)
    assert make("clean", "LOCK=empty.lock", folder=checkout).returncode == 0
    left = {str(path.relative_to(checkout)) for top in ("results", "data") for path in (checkout / top).iterdir()}
    assert left == {"results/full", "data/digits"}
