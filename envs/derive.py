"""Derive requirements-cpu.lock and environment.yaml from requirements.lock; `make lock` runs this after uv."""

import re
from pathlib import Path

ENVS = Path(__file__).parent
CUDA_ONLY = re.compile(r"(nvidia|cuda)-|triton$")
BUILT_FOR_CPU = {"torch", "torchvision"}

CPU_HEADER = """\
# Made by `make lock`: requirements.lock without CUDA, for `make env TORCH=cpu`.
# It has no hashes, since PyTorch's CPU wheels come from PyTorch's own index.
"""
CONDA_HEADER = """\
# Made by `make lock`: the direct dependencies at the versions of requirements.lock.
# conda env create -f envs/environment.yaml && conda activate closer-look && pip install --no-deps -e .
name: closer-look
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python >=3.11,<3.14
  - pip
  - pip:
"""


def read_lock(text: str) -> dict[str, tuple[str, str]]:
    """Give {name: (version, environment marker or "")} in the lock's order."""
    entries = re.findall(r"^([a-z0-9-]+)==(\S+)(?: ; (.*?))? \\$", text, flags=re.MULTILINE)
    return {name: (version, marker) for name, version, marker in entries}


def cpu_lines(name: str, version: str, marker: str) -> list[str]:
    """Give the lines of the CPU lock for one entry; PyTorch marks its CPU wheels `+cpu` except on macOS."""
    if name in BUILT_FOR_CPU:
        return [
            f"{name}=={version} ; sys_platform == 'darwin'",
            f"{name}=={version}+cpu ; sys_platform != 'darwin'",
        ]
    return [f"{name}=={version}" + (f" ; {marker}" if marker else "")]


def main() -> None:
    lock = read_lock((ENVS / "requirements.lock").read_text())
    lines = [line for name, entry in lock.items() if not CUDA_ONLY.match(name) for line in cpu_lines(name, *entry)]
    (ENVS / "requirements-cpu.lock").write_text(CPU_HEADER + "\n".join(lines) + "\n")

    direct = re.findall(r"^[a-z0-9-]+", (ENVS / "requirements.in").read_text(), flags=re.MULTILINE)
    pins = [f"      - {name}=={lock[name][0]}\n" for name in sorted(direct)]
    (ENVS / "environment.yaml").write_text(CONDA_HEADER + "".join(pins))


if __name__ == "__main__":
    main()
