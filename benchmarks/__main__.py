"""Time ours against the straightforward versions and write one table of ratios.

Each benchmark first asserts that both ways come to the same numbers. Nothing else should run on the machine meanwhile.
"""

import argparse
import importlib
import os
import platform
from pathlib import Path

import torch

from workflow_scripts.base.files import write_text

NAMES = ("training", "sweep", "svcca", "landscape", "sharpness", "translation", "bert")


def table(rows: list[dict]) -> str:
    """Rows {"what", "ours_s", "usual_s", "ratio"} as Markdown."""
    lines = [f"| {row['what']} | {row['ours_s']:.3g} | {row['usual_s']:.3g} | {row['ratio']:.1f} |" for row in rows]
    return "\n".join(["| what | ours (s) | usual (s) | ratio |", "|---|--:|--:|--:|", *lines, ""])


def machine() -> str:
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} cores ({platform.machine()}){gpu}, torch {torch.__version__}, float32"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", choices=[[], *NAMES], help=f"of {', '.join(NAMES)}; or all")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller rows: two minutes, not ten")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks.md"), help="default: %(default)s")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in arguments.names or NAMES:
        rows += importlib.import_module(f"benchmarks.bench_{name}").rows(arguments.quick)
    write_text(arguments.out, f"Measured on {machine()}.\n\n{table(rows)}")
    print(f"\n{table(rows)}\nThe table stands in {arguments.out}.")


if __name__ == "__main__":
    main()
