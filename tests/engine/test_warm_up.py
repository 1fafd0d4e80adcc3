"""What an engine's process settles before torch comes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.learning import warm_up
from engine.learning.warm_up import starting_engines
from tests.waiting import Clock

SHARE = "import os; from engine.learning.warm_up import share_processors as s; s(); print(os.environ.get({!r}))"


def spin_setting(variable: str, **environment: str) -> str:
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
    assert spin_setting("GOMP_SPINCOUNT") == "1000"


@pytest.mark.usefixtures("busy")
def test_what_the_user_chose_stays() -> None:
    assert spin_setting("GOMP_SPINCOUNT", GOMP_SPINCOUNT="77") == "77"
    assert spin_setting("GOMP_SPINCOUNT", OMP_WAIT_POLICY="ACTIVE") == "None"


def test_the_processes_of_this_start_are_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def looked(interval: float) -> float:
        clock.now += interval
        return 90.0  # of both processors: this process and its parent had one each half of the time

    spent = iter([7.0, 7.0 + warm_up.LOOK_SECONDS])
    monkeypatch.setattr(warm_up, "time", clock)
    monkeypatch.setattr(warm_up, "_seconds_of", lambda processes: next(spent))
    monkeypatch.setattr(psutil, "cpu_percent", looked)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    assert warm_up.others_at_work() == pytest.approx(40)


def test_an_engine_that_has_just_started_is_seen_before_it_works(tmp_path: Path) -> None:
    package = tmp_path / "engine" / "learning"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()  # a package comes before one of the same name that is on PYTHONPATH
    (package / "worker.py").write_text("print('up', flush=True); input()")  # of an engine's name, and idle
    other = subprocess.Popen(
        [sys.executable, "-m", "engine.learning.worker", "run-1"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"up\n"
        assert other.pid in starting_engines()
        assert spin_setting("GOMP_SPINCOUNT") == "1000"
        other.kill()
    assert not {other.pid, os.getpid()} & set(starting_engines())
