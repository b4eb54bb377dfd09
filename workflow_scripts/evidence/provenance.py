"""Where a result came from: the code, the packages, the machine, the runs."""

import functools
import os
import platform
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
    dict with "git" (commit, dirty), "python", "packages", "platform", "time" (UTC, ISO 8601) and all of the above.
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
    """Commit and dirty flag of the repository that tracks the code in `folder`; both "unknown" outside of one.

    Code that merely lies inside somebody's repository (a virtual environment in it, say) is not that repository's.
    Dirty means that a tracked file differs from the commit or that there is a new file git does not ignore.
    """
    try:
        if not _ask_git(folder, "ls-files", "."):
            raise FileNotFoundError(folder)
        commit = _ask_git(folder, "rev-parse", "HEAD")
        dirty = bool(_ask_git(folder, "status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": "unknown"}
    return {"commit": commit, "dirty": dirty}


def _ask_git(folder: Path, *arguments: str) -> str:
    # A hook sets GIT_DIR and its like, which would point at another repository than the code's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    asked = subprocess.run(
        ["git", "-C", folder, "--no-optional-locks", *arguments],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return asked.stdout.strip()
