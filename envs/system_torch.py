"""Let an environment use the torch of the Python that makes it: `make env SYSTEM_TORCH=1` runs this with that Python.

python envs/system_torch.py                 is torch there, in a version that will do?
python envs/system_torch.py SITE-PACKAGES   let the environment with these find that Python's packages too
"""

import site
import sys
from pathlib import Path

OLDEST = (2, 11)


def check() -> None:
    try:
        import torch
        import torchvision  # noqa: F401
    except ImportError as error:
        sys.exit(f"SYSTEM_TORCH=1 needs torch and torchvision in '{sys.executable}' ({error}); name another PYTHON")
    if tuple(map(int, torch.__version__.split(".")[:2])) < OLDEST:
        sys.exit(f"SYSTEM_TORCH=1 needs torch 2.11 or newer, but '{sys.executable}' has {torch.__version__}")


def link(packages: Path) -> None:
    """Not `venv --system-site-packages`, which passes over the packages of a Python that is of an environment."""
    lines = [f"import site; site.addsitedir({folder!r})\n" for folder in site.getsitepackages()]
    (packages / "system-torch.pth").write_text("".join(lines))


if __name__ == "__main__":
    link(Path(sys.argv[1])) if len(sys.argv) > 1 else check()
