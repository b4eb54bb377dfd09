"""Collect the wheels that a machine without a network needs; `make wheelhouse` runs this.

What is collected is the closure of the direct requirements over what the wheels themselves say they need, at the
versions of requirements.lock. Environment markers are read for the machine that the wheels are for, not for this one.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

from pip._vendor.packaging.markers import default_environment
from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
from pip._vendor.packaging.utils import canonicalize_name

ENVS = Path(__file__).parent
REQUIREMENTS = "requirements.txt"  # in the wheelhouse: what `make env WHEELHOUSE=...` installs
NOT_FOR_RUNNING = ("# The site", "# For people", "# Tests and style")  # sections of requirements.in
SYSTEM_TORCH = {"torch", "torchvision"}
# Of ipykernel and IPython, which run without: a debugger and completion, for people alone.
FOR_PEOPLE = {"debugpy", "jedi"}
GLIBC = range(39, 16, -1)  # of the manylinux tags that pip is asked for, newest first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, required=True, help="the folder; wheels that it has already stay")
    parser.add_argument("--lock", type=Path, default=ENVS / "requirements.lock")
    parser.add_argument("--python", default=f"{sys.version_info[0]}.{sys.version_info[1]}", help="such as 3.12")
    parser.add_argument("--machine", default="x86_64", help="x86_64 or aarch64, with Linux")
    parser.add_argument("--system-torch", action="store_true", help="leave torch, torchvision and CUDA out")
    parser.add_argument("--everything", action="store_true", help="also what the site, tests and people need")
    parser.add_argument("--installed", type=Path, help="what the machine has, as `pip freeze` or by name, a line each")
    arguments = parser.parse_args()
    target = Target(arguments.python, arguments.machine)
    present = read_installed(arguments.installed) if arguments.installed else {}
    if arguments.system_torch:
        present |= dict.fromkeys(SYSTEM_TORCH)
    if not arguments.everything:
        present |= dict.fromkeys(FOR_PEOPLE)
    wheels = collect(arguments.into, read_lock(arguments.lock), roots(arguments.everything), target, present)
    lines = [f"{name}=={version} --hash=sha256:{sha256(path)}" for name, version, path in wheels]
    about = f"# For Python {arguments.python} on Linux, {arguments.machine}; made by `make wheelhouse`.\n"
    (arguments.into / REQUIREMENTS).write_text(about + "\n".join(lines) + "\n")
    size = sum(path.stat().st_size for *_, path in wheels) / 1e6
    print(f"{arguments.into}: {len(wheels)} wheels, {size:.1f} MB")


class Target:
    """The machine that the wheels are for."""

    def __init__(self, python: str, machine: str):
        self.python, self.machine = python, machine
        self.environment = default_environment() | {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "platform_machine": machine,
        }

    def wants(self, requirement: Requirement, extras: set[str] = frozenset()) -> bool:
        """Whether a requirement counts there, for a package that is asked for with these extras."""
        marker = requirement.marker
        return marker is None or any(marker.evaluate(self.environment | {"extra": e}) for e in (extras or {""}))

    def pip_options(self) -> list[str]:
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in GLIBC] + [f"manylinux2014_{self.machine}"]
        platforms = [option for tag in tags for option in ("--platform", tag)]
        return ["--python-version", self.python, "--implementation", "cp", "--only-binary=:all:", *platforms]


def read_lock(path: Path) -> dict[str, list[tuple[Requirement, list[str]]]]:
    """By name the entries of a lock, each with the digests that it allows."""
    entries: dict[str, list] = {}
    for line in path.read_text().replace("\\\n", " ").splitlines():
        digests = re.findall(r"--hash=(\S+)", line)
        if text := re.sub(r"(^|\s)#.*|--hash=\S+", "", line).strip():
            requirement = Requirement(text)
            entries.setdefault(canonicalize_name(requirement.name), []).append((requirement, digests))
    return entries


def roots(everything: bool) -> list[Requirement]:
    """The direct requirements, of what runs or of everything."""
    found, section = [], ""
    for line in (ENVS / "requirements.in").read_text().splitlines():
        section = line if line.startswith("#") else section
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text and (everything or not section.startswith(NOT_FOR_RUNNING)):
            found.append(Requirement(text))
    return found


def read_installed(path: Path) -> dict[str, str | None]:
    """By name the version of what the machine has; None where the list does not say."""
    lines = [re.sub(r"\s*#.*", "", line).strip() for line in path.read_text().splitlines()]
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)(?:\s*==\s*(\S+)| @ .*)?", line) for line in lines if line]
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def collect(
    folder: Path, lock: dict, wanted: list[Requirement], target: Target, present: dict[str, str | None]
) -> list[tuple[str, str, Path]]:
    """Fetch wheel after wheel, and what they say they need, until nothing is missing: (name, version, file) of each."""
    folder.mkdir(parents=True, exist_ok=True)
    done: dict[str, tuple[str, str, Path]] = {}
    extras: dict[str, set[str]] = {}
    seen: set[tuple[str, frozenset]] = set()
    while wanted:
        now = [r for r in wanted if target.wants(r) and not is_present(r, present)]
        for requirement in now:
            extras.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
        names = dict.fromkeys(canonicalize_name(r.name) for r in now)
        done |= fetch([name for name in names if name not in done], folder, lock, target)
        wanted = []
        for name in names:
            key = (name, frozenset(extras[name]))
            if key not in seen:
                seen.add(key)
                wanted += needs(done[name][2], target, extras[name])
    return [done[name] for name in sorted(done)]


def is_present(requirement: Requirement, present: dict[str, str | None]) -> bool:
    """Whether the machine has what is required, in a version that will do."""
    name = canonicalize_name(requirement.name)
    version = present.get(name)
    fits = name in SYSTEM_TORCH or version is None or requirement.specifier.contains(version, prereleases=True)
    return name in present and fits


def needs(wheel: Path, target: Target, extras: set[str]) -> Iterator[Requirement]:
    """What a wheel says it needs on the target."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        declared = message_from_string(archive.read(metadata).decode()).get_all("Requires-Dist") or []
    for text in declared:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            sys.exit(f"{wheel.name} needs {text!r}, which cannot be understood")
        if target.wants(requirement, {"", *extras}):
            requirement.marker = None
            yield requirement


def fetch(names: list[str], folder: Path, lock: dict, target: Target) -> dict[str, tuple[str, str, Path]]:
    """Download the locked versions, and build those that are published as source alone."""
    entries = {name: entry_of(name, lock, target) for name in names}
    absent = [name for name in names if not wheel_of(*entries[name][:2], folder)]
    if absent and not download(absent, entries, folder, target):
        for name in absent:
            if not download([name], entries, folder, target):
                build(name, entries[name][1], folder)
    return {name: (name, entries[name][1], wheel_of(name, entries[name][1], folder)) for name in names}


def entry_of(name: str, lock: dict, target: Target) -> tuple[str, str, list[str]]:
    """Name, version and digests of the lock's entry that counts on the target."""
    for requirement, digests in lock.get(name, []):
        if target.wants(requirement):
            return name, next(iter(requirement.specifier)).version, digests
    sys.exit(f"{name} is needed, but the lock does not name it for this target; run `make lock`")


def wheel_of(name: str, version: str, folder: Path) -> Path | None:
    """The wheel of a version in the folder, if there is one."""
    for path in folder.glob("*.whl"):
        its_name, its_version = path.name.split("-")[:2]
        if canonicalize_name(its_name) == name and its_version == version:
            return path
    return None


def download(names: list[str], entries: dict, folder: Path, target: Target) -> bool:
    """Whether pip found a wheel of every one."""
    lines = []
    for name in names:
        _, version, digests = entries[name]
        lines.append(f"{name}=={version} " + " ".join(f"--hash={digest}" for digest in digests))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        options = ["--no-deps", "--quiet", "--dest", folder, *target.pip_options()]
        # What is not found in one batch is tried one by one, so pip's complaint would be reported too early.
        done = run_pip("download", *options, "--requirement", file.name, check=False)
    return done.returncode == 0


def build(name: str, version: str, folder: Path) -> None:
    """A wheel of a package that is published as source alone, which must fit every machine."""
    print(f"{name} {version} is published as source alone; building it")
    run_pip("wheel", "--no-deps", "--quiet", "--wheel-dir", folder, f"{name}=={version}")
    wheel = wheel_of(name, version, folder)
    if wheel is None or not wheel.name.endswith("-none-any.whl"):
        sys.exit(f"there is no wheel of {name} {version} for the target, and what was built fits this machine alone")


def run_pip(*arguments: object, check: bool = True) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode:
        sys.exit(done.stderr.strip())
    return done


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
