"""What an engine's process settles before torch comes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

SHARE = "import os; from engine.learning.warm_up import share_processors as s; s(); print(os.environ.get({!r}))"


def told(variable: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    code = SHARE.format(variable)
    done = subprocess.run([sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def busy() -> Iterator[None]:
    """Every processor is kept busy by others."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        while psutil.cpu_percent(interval=0.1) < 90:
            pass
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.usefixtures("busy")
def test_threads_that_wait_yield_where_others_keep_the_processors_busy() -> None:
    assert told("GOMP_SPINCOUNT") == "1000"


@pytest.mark.usefixtures("busy")
def test_what_the_user_chose_stays() -> None:
    assert told("GOMP_SPINCOUNT", GOMP_SPINCOUNT="77") == "77"
    assert told("GOMP_SPINCOUNT", OMP_WAIT_POLICY="ACTIVE") == "None"
