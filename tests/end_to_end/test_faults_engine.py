"""Real engines on a tiny model: killed, stopped and resumed, they end with the same weights, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file

from engine import RunConfig, attach, resume, start
from engine.errors import ExitCode
from engine.events import CheckpointSaved, Failed, Finished, RunStarted, SnapshotTaken, Step, Stopped
from engine.launch import Run
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.log import read_events
from engine.rundir.process import read_owner
from engine.rundir.snapshot import COLUMNS, Snapshot
from tests.tiny_run import tiny_config
from tests.waiting import until

DEADLINE = 120.0
HAS_STRACE = shutil.which("strace") is not None
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    return tiny_config(tmp_path_factory.mktemp("tiny"))


def new_run(config: RunConfig, path: Path) -> RunDir:
    return RunDir.create(path, msgspec.structs.replace(config, run_dir=str(path)))


def engine(run: RunDir, *strace: str) -> subprocess.CompletedProcess[bytes]:
    """Let an engine work on `run` under strace with these options (untraced without any)."""
    prefix = ["strace", "-f", "-qq", "-o", os.devnull, *strace] if strace else []
    command = [*prefix, sys.executable, "-P", "-m", "engine.learning.worker", str(run.path)]
    return subprocess.run(command, cwd=run.path, capture_output=True, timeout=DEADLINE)


@pytest.fixture(scope="module")
def reference(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """The run as it is when nothing fails."""
    run = new_run(config, tmp_path_factory.mktemp("reference") / "run")
    done = engine(run)
    assert done.returncode == 0, done.stderr
    return run


def newest_weights(run: RunDir) -> bytes:
    return (sorted(run.checkpoints.glob("epoch-*"))[-1] / "model.safetensors").read_bytes()


def check_same(run: RunDir, reference: RunDir) -> None:
    """The finished `run` holds what `reference` holds: weights, and every number of every snapshot."""
    events = read_events(run.events_file)
    assert isinstance(events[-1], Finished)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert newest_weights(run) == newest_weights(reference)
    names = sorted(path.name for path in reference.snapshots.glob("[!.]*"))
    assert sorted(path.name for path in run.snapshots.glob("[!.]*")) == names
    for name in names:
        with Snapshot(run.snapshots / name) as ours, Snapshot(reference.snapshots / name) as theirs:
            assert msgspec.structs.replace(ours.info, time=0.0) == msgspec.structs.replace(theirs.info, time=0.0)
            for mine, other in zip(ours.logits(), theirs.logits(), strict=True):
                np.testing.assert_array_equal(mine, other)
            for column in COLUMNS:
                np.testing.assert_array_equal(ours.column(column), theirs.column(column))


def check_told(run: RunDir) -> None:
    """Everything the log tells of as saved is there and whole (checkpoints: the newest)."""
    events = read_events(run.events_file)
    for event in events:
        if isinstance(event, SnapshotTaken):
            Snapshot(run.inside(event.file)).close()
    saved = [event for event in events if isinstance(event, CheckpointSaved)]
    if saved:
        manifest = json.loads((run.inside(saved[-1].path) / "MANIFEST.json").read_bytes())
        for name, entry in manifest["files"].items():
            assert (run.inside(saved[-1].path) / name).stat().st_size == entry["size"]


def killed_in(run: RunDir, call: str, number: int, *only: str) -> bool:
    """Kill the engine in its `number`-th such call; False where it ended before."""
    done = engine(run, *only, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}")
    assert done.returncode in (0, -9, 137), done.stderr
    return done.returncode != 0


def engine_pid(run: Run) -> int:
    owner = read_owner(run.directory)
    assert owner is not None
    return owner.pid


@pytest.mark.skipif(not HAS_STRACE, reason="strace is not installed")
def test_killed_while_a_checkpoint_is_written(tmp_path: Path, config: RunConfig, reference: RunDir) -> None:
    run = new_run(config, tmp_path / "run")
    assert killed_in(run, "rename", 18)  # the first nine are of other files, and a checkpoint takes about six
    assert list(run.checkpoints.glob(".*.tmp/*")), "it was not in the middle of a checkpoint"
    check_told(run)
    again = resume(run.path)
    assert again.wait() is State.FINISHED
    events = read_events(run.events_file)
    begun = [event for event in events if isinstance(event, RunStarted)]
    assert len(begun) == 2
    assert begun[1].resumed_from_step
    check_same(run, reference)


def test_stopped_by_a_signal_and_resumed(tmp_path: Path, config: RunConfig, reference: RunDir) -> None:
    run = start(msgspec.structs.replace(config, run_dir=str(tmp_path / "run")))
    until(lambda: any(isinstance(event, Step) for event in read_events(run.directory.events_file)))
    pid = engine_pid(run)
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGTERM)
    assert run.wait() is State.STOPPED
    stopped = read_events(run.directory.events_file)[-1]
    assert isinstance(stopped, Stopped)
    assert "SIGTERM" in stopped.reason
    check_told(run.directory)
    until(lambda: not process.is_running())
    assert resume(run.path).wait() is State.FINISHED
    check_same(run.directory, reference)


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not HAS_STRACE, reason="strace is not installed")
@pytest.mark.parametrize(("call", "stride"), [("rename", 3), ("fsync", 5), ("unlink", 2), ("mkdir", 1), ("write", 60)])
def test_killed_in_many_calls(tmp_path: Path, config: RunConfig, reference: RunDir, call: str, stride: int) -> None:
    kills = 0
    for number in range(1, 10_000, stride):
        run = new_run(config, tmp_path / f"run-{number}")
        if not killed_in(run, call, number):
            break
        kills += 1
        check_told(run)
        done = engine(run)
        assert done.returncode == 0, done.stderr
        check_same(run, reference)
        shutil.rmtree(run.path)
    assert kills > 0


@pytest.mark.long
@pytest.mark.skipif(not HAS_STRACE, reason="strace is not installed")
def test_killed_while_the_log_is_written(tmp_path: Path, config: RunConfig, reference: RunDir) -> None:
    for number in (1, 9, 23, 31):
        run = new_run(config, tmp_path / f"run-{number}")
        run.events_file.touch()
        assert killed_in(run, "write", number, "-P", str(run.events_file))
        check_told(run)
        assert engine(run).returncode == 0
        check_same(run, reference)


@pytest.mark.long
@pytest.mark.skipif(not HAS_STRACE, reason="strace is not installed")
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EDQUOT"])
@pytest.mark.parametrize(("call", "number"), [("fsync", 12), ("fsync", 40), ("rename", 20)])
def test_a_disk_that_fails_is_told_and_resumed(
    tmp_path: Path, config: RunConfig, reference: RunDir, call: str, number: int, error: str
) -> None:
    run = new_run(config, tmp_path / "run")
    done = engine(run, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}..{number + 9}")
    events = read_events(run.events_file)
    assert done.returncode == ExitCode.CANNOT_WRITE, done.stderr
    assert b"cannot write" in done.stderr
    assert isinstance(events[-1], Failed) or call == "fsync"  # the last word needs a disk that syncs
    check_told(run)
    assert engine(run).returncode == 0
    check_same(run, reference)


@pytest.mark.long
def test_suspended_for_a_while(tmp_path: Path, config: RunConfig, reference: RunDir) -> None:
    run = start(msgspec.structs.replace(config, run_dir=str(tmp_path / "run")))
    until(lambda: any(isinstance(event, Step) for event in read_events(run.directory.events_file)))
    pid = engine_pid(run)
    os.kill(pid, signal.SIGSTOP)
    watch_state: list[State] = []
    from engine.rundir.liveness import RunStatus

    watch = RunStatus(run.directory)
    watch.update(read_events(run.directory.events_file))
    deadline = time.monotonic() + 65
    while time.monotonic() < deadline:
        watch_state.append(watch.state()[0])
        time.sleep(1)
    os.kill(pid, signal.SIGCONT)
    assert list(dict.fromkeys(watch_state)) == [State.LIVE, State.SILENT]
    assert attach(run.path).wait() is State.FINISHED
    check_same(run.directory, reference)


BATCH_JOB = """
if [ -e "$RUN/config.json" ]; then
    bertqa-tui resume "$RUN" --plain &
else
    bertqa-tui train "$DATA" --run-dir "$RUN" --model "$MODEL" $OPTIONS &
fi
work=$!
trap 'kill -TERM $work' TERM
wait $work
wait $work
exit $?
"""


@pytest.mark.long
def test_a_batch_job_that_runs_into_its_time_limit(tmp_path: Path, config: RunConfig, reference: RunDir) -> None:
    """The script of the README under `nohup`: SIGTERM, exit 75, and the same script again ends the run."""
    run = RunDir(tmp_path / "run")
    options = (
        f"--epochs {config.epochs} --batch-size 4 --max-length 128 --doc-stride 32 --device cpu --precision fp32 "
        "--keep-weights last"
    )
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RUN": str(run.path),
        "DATA": config.dataset,
        "MODEL": config.model,
        "OPTIONS": options,
    }
    script = ["nohup", "bash", "-c", BATCH_JOB]
    job = subprocess.Popen(script, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=tmp_path)
    until(lambda: any(isinstance(event, Step) for event in read_events(run.events_file)))
    job.send_signal(signal.SIGHUP)
    job.send_signal(signal.SIGTERM)
    output, _ = job.communicate(timeout=DEADLINE)
    assert job.returncode == ExitCode.STOPPED, output
    assert isinstance(read_events(run.events_file)[-1], Stopped)
    again = subprocess.run(script, env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=DEADLINE)
    assert again.returncode == 0, again.stderr
    assert "finished" in again.stdout
    assert "\x1b" not in again.stdout
    check_same(run, reference)


@pytest.mark.long
def test_numbers_that_overflow_are_told(tmp_path: Path, config: RunConfig) -> None:
    model = tmp_path / "model"
    shutil.copytree(config.model, model)
    weights = load_file(model / "model.safetensors")
    weights["qa_outputs.weight"] = weights["qa_outputs.weight"] * np.float32(1e38)
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    run = new_run(msgspec.structs.replace(config, model=str(model)), tmp_path / "run")
    assert engine(run).returncode == ExitCode.RUN_FAILED
    failed = read_events(run.events_file)[-1]
    assert isinstance(failed, Failed)
    assert "not a finite number at step 1" in failed.message
    assert "--lr" in failed.hint


@pytest.mark.long
def test_nothing_is_left_behind(tmp_path: Path, config: RunConfig) -> None:
    """No child of an engine outlives it, whether it is killed or ends."""
    run = start(msgspec.structs.replace(config, run_dir=str(tmp_path / "run"), epochs=400))
    until(lambda: any(isinstance(event, Step) for event in read_events(run.directory.events_file)))
    process = psutil.Process(engine_pid(run))
    children = process.children(recursive=True)
    process.kill()
    until(lambda: run.state()[0] is State.DEAD)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
