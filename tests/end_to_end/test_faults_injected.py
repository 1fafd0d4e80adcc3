"""Engines whose system calls are made to fail, or that are killed in the middle of one, by strace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.config import RunConfig
from engine.events import Failed, Finished, SnapshotTaken
from engine.rundir.layout import RunDir
from engine.rundir.liveness import RunStatus, State
from engine.rundir.log import read_events
from engine.rundir.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
EPOCHS = 2
CALLS = "write,fsync,rename,openat,unlink,mkdir,ftruncate"


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=fsync", "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not strace_works(), reason="strace is not installed, or may not trace here")


def engine(run: RunDir, *strace: str) -> subprocess.CompletedProcess[bytes]:
    """Let an engine work on `run` under strace with these options (untraced without any)."""
    prefix = ["strace", "-f", "-qq", "-o", os.devnull, *strace] if strace else []
    command = [*prefix, sys.executable, "-m", "tests.fake_engine", str(run.path)]
    environment = os.environ | {"FAKE_STEPS": "3", "FAKE_STEP_SECONDS": "0"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120)


def new_run(folder: Path, name: str) -> RunDir:
    return RunDir.create(folder / name, RunConfig(dataset="data.json", epochs=EPOCHS))


def weights(run: RunDir) -> bytes:
    return (sorted(run.checkpoints.glob("epoch-*"))[-1] / "weights").read_bytes()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """The run as it is when nothing fails."""
    run = new_run(tmp_path_factory.mktemp("reference"), "whole")
    assert engine(run).returncode == 0
    return run


def check(run: RunDir, reference: RunDir) -> None:
    """Nothing that was reported is lost, nothing is torn; and the next engine ends where the undisturbed one ended."""
    reported = read_events(run.events_file)
    for event in reported:
        if isinstance(event, SnapshotTaken):
            assert (run.path / event.file).is_file()
    for path in run.snapshots.glob("*.safetensors"):
        Snapshot(path).close()
    again = engine(run)
    assert again.returncode == 0, again.stderr
    events = read_events(run.events_file)
    assert events[: len(reported)] == reported
    assert isinstance(events[-1], Finished)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert weights(run) == weights(reference)
    for path in reference.snapshots.iterdir():
        assert path.read_bytes() == (run.snapshots / path.name).read_bytes()


def kill_at(run: RunDir, call: str, number: int, *, only: Path | None = None) -> bool:
    """Kill the engine at its `number`-th such call; False where it ended before."""
    where = ["-P", str(only)] if only else []
    done = engine(run, *where, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}")
    assert done.returncode in (0, -9, 137), done.stderr
    return done.returncode != 0


@pytest.mark.parametrize(("call", "number"), [("fsync", 4), ("fsync", 21), ("rename", 3), ("rename", 7)])
def test_killed_in_a_call(tmp_path: Path, reference: RunDir, call: str, number: int) -> None:
    run = new_run(tmp_path, "run")
    assert kill_at(run, call, number)
    check(run, reference)


def test_killed_while_the_log_is_written(tmp_path: Path, reference: RunDir) -> None:
    run = new_run(tmp_path, "run")
    run.events_file.touch()
    assert kill_at(run, "write", 5, only=run.events_file)
    check(run, reference)


@pytest.mark.parametrize(
    ("call", "error", "number"), [("fsync", "EIO", 12), ("rename", "EIO", 4), ("write", "ENOSPC", 30)]
)
def test_a_call_that_fails(tmp_path: Path, reference: RunDir, call: str, error: str, number: int) -> None:
    run = new_run(tmp_path, "run")
    # From this call on all fail, so that it is not the heartbeat's alone.
    done = engine(run, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}+")
    assert done.returncode in (1, 73), done.stderr
    watch = RunStatus(run)
    watch.update(read_events(run.events_file))
    assert watch.state()[0] in (State.DEAD, State.FAILED)
    check(run, reference)


def test_the_log_is_full_for_a_moment(tmp_path: Path, reference: RunDir) -> None:
    run = new_run(tmp_path, "run")
    run.events_file.touch()
    done = engine(run, "-P", str(run.events_file), "-e", "trace=write", "-e", "inject=write:error=ENOSPC:when=6")
    assert done.returncode == 0, done.stderr
    assert weights(run) == weights(reference)
    events = read_events(run.events_file)
    assert not any(isinstance(event, Failed) for event in events)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("call", CALLS.split(","))
def test_killed_in_every_call(tmp_path: Path, reference: RunDir, call: str) -> None:
    number = 1
    while True:
        run = new_run(tmp_path, f"run-{number}")
        if not kill_at(run, call, number):
            break
        if (run.path / "events.jsonl").exists():
            check(run, reference)
        shutil.rmtree(run.path)
        number += 1 if call != "openat" or number < 20 else 37  # most of these are imports
    assert number > 1 or call == "ftruncate"  # an untroubled run cuts nothing back


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_every_call_fails_once(tmp_path: Path, reference: RunDir, call: str, error: str) -> None:
    number = 1
    survived = 0
    while survived < 3:  # past the last call nothing fails any more
        run = new_run(tmp_path, f"run-{number}")
        done = engine(run, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}")
        survived = survived + 1 if done.returncode == 0 else 0
        if done.returncode:
            check(run, reference)
        else:
            assert weights(run) == weights(reference)
        shutil.rmtree(run.path)
        number += 1
    assert number > 5
