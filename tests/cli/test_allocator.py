"""Freed memory is kept: the next large array costs no new pages."""

import subprocess
import sys

import pytest

_ARRAYS = """
import resource
import sys

import numpy as np

from factcheck.cli.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(8_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone can be told")
def test_large_arrays_are_allocated_from_what_was_freed() -> None:
    def faults(way: str) -> int:
        command = [sys.executable, "-c", _ARRAYS, way]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    kept, given_back = faults("keep"), faults("give back")
    assert kept < given_back / 10
