"""A process that trains keeps the memory that it has freed."""

import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import torch
from workflow_scripts.runtime.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
step = lambda: sum(torch.ones(each << 20).sum() for each in (3, 10, 1, 7))
step(), step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another C library")
def test_freed_memory_is_not_asked_for_again():
    pages = {
        way: int(subprocess.run([sys.executable, "-c", COUNT, way], check=True, capture_output=True, text=True).stdout)
        for way in ("kept", "given back")
    }
    assert pages["kept"] < pages["given back"] / 20
