"""Where a result came from: the code, the packages, the machine, the runs."""

import functools
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "safetensors",
    "matplotlib", "seaborn", "papermill", "snakemake",
)  # fmt: skip

UNKNOWN = "unknown"  # a commit that cannot be read; it equals no other
EXPORTED = "commit.txt"  # beside this module; an archive's has the commit that it is of
COMMIT = re.compile("[0-9a-f]{40,64}")


def collect(
    *,
    scale: str,
    data: str | None = None,
    device: str | None = None,
    seeds: Iterable[int] = (),
    fingerprints: Iterable[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Describe how a result is being made, as a mapping that JSON can hold.

    Parameters
    ----------
    scale : "demo", "reduced" or "paper".
    data : name of the data set, if there is one.
    device : what the tensors are on, such as "cpu" or "cuda (NVIDIA H100)"; None where nothing is computed on tensors.
    seeds, fingerprints : of every run that the result rests on, in any order.
    more : anything else worth keeping, such as the settings of an analysis.

    Returns
    -------
    dict with "git" (see there), "python", "packages", "platform", "time" (UTC, ISO 8601) and all of the above.
    """
    return {
        "git": dict(git()),
        "python": platform.python_version(),
        "packages": dict(package_versions()),
        "platform": platform.platform(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "scale": scale,
        "data": data,
        "device": device,
        "seeds": sorted(set(seeds)),
        "fingerprints": sorted(set(fingerprints)),
        **more,
    }


def as_markdown(provenance: Mapping[str, Any]) -> str:
    """A table of two columns for a notebook."""
    lines = ["| | |", "|:--|:--|"]
    for name, value in provenance.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {item}" for key, item in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        lines.append(f"| {name} | {'–' if value in (None, '') else value} |")
    return "\n".join(lines)


@functools.cache
def package_versions() -> Mapping[str, str]:
    """Versions of those of `PACKAGES` that are installed, without importing them."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@functools.cache
def git(folder: Path = Path(__file__).parent) -> Mapping[str, str | bool]:
    """Commit and dirty flag of the code in `folder`, from the repository that tracks it or the archive it was part of.

    Code that is merely inside somebody's repository (a virtual environment in it, say) is not that repository's.
    Dirty means that a tracked file differs from the commit or that there is a new file git does not ignore; of an
    archive (`git archive`, or a forge's download) nobody can say it.

    Returns
    -------
    dict with "commit" and "dirty", each "unknown" where it cannot be read, and then a "reason".
    """
    try:
        if not _ask_git(folder, "ls-files", "."):
            raise RuntimeError("no git repository tracks the code")
        commit = _ask_git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_ask_git(folder, "status", "--porcelain"))}
    except (OSError, RuntimeError) as error:
        reason = "git is not installed" if isinstance(error, FileNotFoundError) else str(error)
    if exported := _exported(folder / EXPORTED):
        return {"commit": exported, "dirty": "unknown", "reason": "the code is an archive of this commit"}
    return {"commit": UNKNOWN, "dirty": UNKNOWN, "reason": reason}


def _ask_git(folder: Path, *arguments: str) -> str:
    """What git answers; a RuntimeError with its complaint where it refuses."""
    # A hook sets GIT_DIR and its like, which would point at another repository than the code's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # Git refuses repositories of other owners, whose settings may run programs; this code of theirs runs already.
    trusted = ("-c", "safe.directory=*")
    asked = subprocess.run(
        ["git", "-C", folder, *trusted, "--no-optional-locks", *arguments],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    if asked.returncode:
        raise RuntimeError(" ".join(asked.stderr.split())[:200] or f"git ended with status {asked.returncode}")
    return asked.stdout.strip()


def _exported(file: Path) -> str | None:
    """The commit that `git archive` wrote into a file (.gitattributes: export-subst), or None."""
    try:
        found = COMMIT.fullmatch(file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None
    return found and found[0]
