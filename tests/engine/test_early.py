"""An engine's process that is started before its run is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.early import EarlyEngine
from engine.errors import ExitCode
from tests.waiting import until

ROOT = Path(__file__).parents[2]
WAITS = r"""
import os, sys
from pathlib import Path
from engine.early import WAIT, wait_for_run
# Each line by one write: the two reach the log by different ways.
os.write(1, f"before {sys.argv[2] == WAIT}\n".encode())
wait_for_run(Path(sys.argv[1]))
os.write(1, f"after {os.getcwd()} {os.environ['COLOUR']} {sys.stdin.read()!r}\n".encode())
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable module `early_worker`, which waits and then says what it sees."""
    (tmp_path / "packages").mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path / "packages")]))
    path = tmp_path / "packages" / "early_worker.py"
    path.write_text(WAITS)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield fd
    os.close(fd)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_works_in_its_run_once_that_is_there(module: Path, log: int, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with EarlyEngine("early_worker", tmp_path / "run", {"COLOUR": "green"}) as early:
        early.begin(log)
    assert early.process.wait() == 0
    words = ["after " + f"{tmp_path / 'run'} green ''", "before True"]
    until(lambda: len((tmp_path / "log").read_text().splitlines()) >= 2)
    assert sorted((tmp_path / "log").read_text().splitlines()) == words


def test_the_words_of_one_that_died_before_are_kept(module: Path, log: int, tmp_path: Path) -> None:
    module.write_text("raise SystemExit('no torch here')")
    with EarlyEngine("early_worker", tmp_path / "run", {}) as early:
        assert early.process.wait() == 1
        early.begin(log)
    until(lambda: (tmp_path / "log").read_text() == "no torch here\n")


def test_it_ends_with_a_run_that_is_refused(module: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="refused"), EarlyEngine("early_worker", tmp_path / "run", {}) as early:
        raise ValueError("refused")
    assert early.process.returncode == -signal.SIGKILL


def test_it_ends_where_its_starter_is_no_more(module: Path, tmp_path: Path) -> None:
    code = (
        "import time; from pathlib import Path; from engine.early import EarlyEngine\n"
        f"print(EarlyEngine('early_worker', Path({str(tmp_path / 'run')!r}), {{}}).process.pid, flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert not is_gone(pid)
        starter.kill()
    until(lambda: is_gone(pid))


def test_the_real_engine_waits_too(tmp_path: Path, log: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "run").mkdir()
    with EarlyEngine("engine.learning.worker", tmp_path / "run", {}) as early:
        early.begin(log)
    assert early.process.wait() == ExitCode.USAGE
    assert "config.json: can't be read" in (tmp_path / "log").read_text()
