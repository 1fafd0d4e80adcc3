"""Memory that the app gives back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FREED = """
import sys
import numpy as np
import psutil
from tui.terminal.memory import give_back_large_blocks

assert give_back_large_blocks()
process = psutil.Process()
for megabytes in (30, 20, 10, 5, 2, 1):
    kept = [np.ones(1000) for _ in range(100)]
    blocks = [np.ones(megabytes << 17) for _ in range(3)]
    held = process.memory_info().rss
    small = np.ones(100)
    del blocks
    assert held - process.memory_info().rss > 2.5 * (megabytes << 20), megabytes
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone")
def test_large_blocks_are_given_back_when_they_are_freed() -> None:
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
