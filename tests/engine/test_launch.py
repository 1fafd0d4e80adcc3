"""Engines as processes of their own: started, followed, paused, stopped, killed, resumed."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import msgspec
import psutil
import pytest

from engine import RunConfig, attach, launch, resume, start
from engine.data.examples import split_bytes
from engine.errors import DataError, ModelError, UsageError, WriteError
from engine.events import AnyEvent, CommandDone, Failed, Finished, RunStarted, SnapshotTaken, Step, Stopped
from engine.launch import Run
from engine.models import locate_model
from engine.rundir import liveness
from engine.rundir.commands import send_command
from engine.rundir.layout import DataIdentity, ModelIdentity, RunDir, RunInfo, data_identity, versions
from engine.rundir.liveness import DEAD_SECONDS, SILENT_SECONDS, RunStatus, State, is_live
from engine.rundir.log import read_events
from engine.rundir.ownership import Ownership
from engine.rundir.process import Owner, is_alive_here, read_owner
from engine.rundir.status import POLL_SECONDS, RunFollower
from engine.storage.atomic_io import replace_file
from tests.fake_run import fake_set
from tests.waiting import Clock, until

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0


@pytest.fixture(autouse=True)
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WORKER", "tests.fake_engine")
    monkeypatch.setattr(launch, "POLL_SECONDS", 0.02)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.02")


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    (tmp_path / "data.json").write_bytes(split_bytes(fake_set(4, tokens=20).dataset))
    return RunConfig(dataset=str(tmp_path / "data.json"), epochs=3, run_dir=str(tmp_path / "run"))


def is_in(run: Run, state: State) -> bool:
    return run.state()[0] is state


def went_on(run: Run, steps: int) -> bool:
    """Whether more than `steps` steps are in the log, or the engine has ended."""
    return sum(isinstance(event, Step) for event in events_of(run)) > steps or not is_live(run.directory)


def events_of(run: Run) -> list[AnyEvent]:
    return read_events(run.directory.events_file)


def engine_pid(run: Run) -> int:
    owner = read_owner(run.directory)
    assert owner is not None
    return owner.pid


def at_work(run: Run) -> int:
    """Wait until the engine trains; returns its pid."""
    until(lambda: any(event.type == "step" for event in events_of(run)))
    return engine_pid(run)


def fill(path: Path) -> None:
    """Write `path` until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def final_weights(run: Run) -> bytes:
    return (sorted(run.directory.checkpoints.glob("epoch-*"))[-1] / "weights").read_bytes()


async def test_start_follow_and_look(config: RunConfig) -> None:
    run = start(config)
    scores = []
    seen: list[AnyEvent] = []
    async for event in run.events():
        seen.append(event)
        if isinstance(event, SnapshotTaken):
            scores.append(run.snapshot(event.index).scores("fake-1"))
    assert isinstance(seen[-1], Finished)
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert len(scores) == 4
    assert scores[0].tokens[0] == "[CLS]"
    assert len(scores[0].tokens) == len(scores[0].start_logits) == len(scores[0].end_logits)
    assert scores[-1].gold == scores[-1].predicted
    assert run.wait() is State.FINISHED
    assert run.state() == (State.FINISHED, "")
    with pytest.raises(FileNotFoundError):
        run.snapshot(99)
    with pytest.raises(KeyError):
        run.snapshot(0).scores("nobody")


def test_the_engine_stands_alone(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.2")
    run = start(config)
    pid = at_work(run)
    assert os.getsid(pid) == pid != os.getsid(0)
    process = psutil.Process(pid)
    assert process.terminal() is None
    assert process.cwd() == str(run.path)
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    for number in (1, 2):
        assert os.readlink(f"/proc/{pid}/fd/{number}") == str(run.directory.engine_log)
    # Nothing of this process's other files is held open there.
    opened = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
    assert all(name.startswith((str(run.path), "/dev/null")) for name in opened), opened
    os.kill(pid, signal.SIGHUP)
    before = len(events_of(run))
    until(lambda: len(events_of(run)) > before)
    run.stop()
    assert run.wait() is State.STOPPED
    for path in [run.path, *run.path.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_ended_engine_is_no_zombie(config: RunConfig) -> None:
    run = start(config)
    run.wait()
    until(lambda: not psutil.pid_exists(engine_pid(run)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_and_the_run_is_resumed(config: RunConfig, number: signal.Signals) -> None:
    run = start(config)
    os.kill(at_work(run), number)
    assert run.wait() is State.STOPPED
    assert isinstance(events_of(run)[-1], Stopped)
    again = resume(run.path)
    assert again.wait() is State.FINISHED
    with pytest.raises(UsageError, match="finished"):
        resume(run.path)


def test_a_second_signal_ends_at_once(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "20")
    run = start(config)
    assert run.is_live()  # `start` came back with the first step still to be done
    until(lambda: bool(events_of(run)))
    pid = engine_pid(run)
    until(lambda: psutil.Process(pid).status() == "sleeping")
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.1)
    os.kill(pid, signal.SIGTERM)
    assert run.wait() is State.DEAD
    assert not any(isinstance(event, Step | Stopped) for event in events_of(run)), "it ended its step first"


def test_commands_are_acknowledged(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STEPS", "500")
    run = start(config)
    at_work(run)

    def answered(ident: str) -> bool:
        return any(isinstance(event, CommandDone) and event.id == ident for event in events_of(run))

    for ask, state in ((run.pause, State.PAUSED), (run.resume, State.LIVE), (run.stop, State.STOPPED)):
        ident = ask()
        until(partial(answered, ident))
        until(partial(is_in, run, state))
    assert os.listdir(run.directory.commands) == []


def test_commands_to_a_dead_engine_do_not_reach_the_next_one(config: RunConfig) -> None:
    run = start(config)
    os.kill(at_work(run), signal.SIGKILL)
    run.wait()
    send_command(run.directory, "stop")
    assert resume(run.path).wait() is State.FINISHED


def test_an_engine_that_torchrun_started_does_not_obey_what_the_last_one_was_asked(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(config)
    os.kill(at_work(run), signal.SIGKILL)
    run.wait()
    send_command(run.directory, "stop")
    command = [sys.executable, "-m", "tests.fake_engine", str(run.path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    assert run.state()[0] is State.FINISHED


def test_an_engine_is_no_task_of_the_step_that_it_is_started_in(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.setenv(name, "4")
    run = start(config)
    variables = psutil.Process(at_work(run)).environ()
    assert not variables.keys() & {"RANK", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"}
    run.stop()
    run.wait()


def test_kill_at_many_moments_ends_with_the_same_weights(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.1")
    whole = start(msgspec.structs.replace(config, run_dir=str(tmp_path / "whole")))
    run = start(config)
    kills = 0
    for pause in (0.0, 0.03, 0.07, 0.12, 0.2):
        steps = sum(event.type == "step" for event in events_of(run))
        until(partial(went_on, run, steps))
        time.sleep(pause)
        try:
            os.kill(engine_pid(run), signal.SIGKILL)
        except ProcessLookupError:
            break
        kills += 1
        until(lambda: not is_live(run.directory))
        if run.state()[0] is State.FINISHED:
            break
        assert run.state()[0] is State.DEAD
        resume(run.path)
    assert kills >= 2
    assert run.wait() is State.FINISHED
    assert whole.wait() is State.FINISHED
    assert final_weights(run) == final_weights(whole)
    for path in sorted(whole.directory.snapshots.iterdir()):
        assert path.read_bytes() == (run.directory.snapshots / path.name).read_bytes()
    assert sum(isinstance(event, RunStarted) for event in events_of(run)) == kills + 1


def test_a_dead_engine_is_seen_at_the_first_look(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STEPS", "1000")
    run = start(config)
    pid = at_work(run)
    follower = RunFollower(run.directory)
    assert run.state() == (State.LIVE, "")
    assert follower.poll().state is State.LIVE
    os.kill(pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")
    assert run.state()[0] is State.DEAD
    assert follower.poll().state is State.DEAD
    assert POLL_SECONDS <= 2  # so soon does a viewer look
    assert str(pid) in run.state()[1]
    assert "without a word" in run.state()[1]


def test_an_engine_that_never_comes_up_says_why(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CRASH", "cannot import torch: no such library")
    run = start(config)
    assert run.wait() is State.DEAD
    assert "cannot import torch: no such library" in run.state()[1]
    with pytest.raises(WriteError, match="there is a run already"):
        start(config)
    monkeypatch.delenv("FAKE_CRASH")
    assert resume(run.path).wait() is State.FINISHED


def test_two_engines_on_one_run(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STEPS", "300")
    run = start(config)
    pid = at_work(run)
    with pytest.raises(UsageError, match="at work on this run"):
        resume(run.path)
    second = subprocess.run(
        [sys.executable, "-m", "tests.fake_engine", str(run.path)], cwd=ROOT, capture_output=True, text=True
    )
    assert second.returncode == 2
    assert "another engine is at work" in second.stderr
    # Two launchers at the same moment: the one that lost has put its engine's name into owner.json.
    replace_file(run.directory.owner_file, msgspec.json.encode(Owner("here", "boot", "ns", 1, 1.0)))
    until(lambda: engine_pid(run) == pid)
    run.stop()
    assert run.wait() is State.STOPPED
    events = events_of(run)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


def test_the_starter_may_die(config: RunConfig, tmp_path: Path) -> None:
    """The process that started an engine, or one that looks on, is killed with its whole group."""
    code = (
        "import sys, time; from engine import launch; from engine.config import RunConfig\n"
        "launch.WORKER = 'tests.fake_engine'\n"
        f"run = launch.start(RunConfig(dataset={config.dataset!r}, epochs=3, run_dir={config.run_dir!r}))\n"
        "print('started', flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"started\n"
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    assert attach(config.run_dir or "").wait() is State.FINISHED


def test_a_suspended_engine_is_silent_and_comes_back(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STEPS", "300")
    run = start(config)
    pid = at_work(run)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    clock = Clock()
    monkeypatch.setattr(liveness, "time", clock)
    try:
        watch = RunStatus(run.directory)
        watch.update(events_of(run))
        assert watch.state()[0] is State.LIVE
        clock.now += SILENT_SECONDS + 1
        assert watch.state()[0] is State.SILENT
        assert f"kill -CONT {pid}" in watch.state()[1]
        clock.now += DEAD_SECONDS
        assert watch.state()[0] is State.SILENT  # not dead: it is on this host, and it is there
        with pytest.raises(UsageError, match="at work"):
            resume(run.path)
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: watch.state()[0] is State.LIVE)
    run.stop()
    assert run.wait() is State.STOPPED


def test_a_clock_that_steps_back_changes_nothing(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STEPS", "300")
    run = start(config)
    pid = at_work(run)
    real = time.time
    for shift, ask, state in ((-86_400.0, run.pause, State.PAUSED), (86_400.0, run.resume, State.LIVE)):
        monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
        owner = read_owner(run.directory)
        assert owner is not None
        assert is_alive_here(owner)
        ask()
        until(partial(is_in, run, state))
        assert run.state() == (state, "")
    os.kill(pid, signal.SIGTERM)
    assert run.wait() is State.STOPPED


def test_a_pid_that_was_given_again_is_not_the_engine(config: RunConfig) -> None:
    run = RunDir.create(Path(config.run_dir or ""), config)
    owner = Owner.of(os.getpid())
    replace_file(run.owner_file, msgspec.json.encode(msgspec.structs.replace(owner, started=owner.started - 100)))
    assert not is_live(run)
    replace_file(run.owner_file, msgspec.json.encode(owner))
    assert is_live(run)


async def test_two_hundred_viewers(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "POLL_SECONDS", 0.25)
    run = start(config)

    async def view() -> list[int]:
        return [event.seq async for event in attach(run.path).events()]

    seen = await asyncio.wait_for(asyncio.gather(*(view() for _ in range(200))), DEADLINE)
    assert all(numbers == seen[0] for numbers in seen)
    assert isinstance(events_of(run)[-1], Finished)
    assert seen[0] == list(range(1, len(seen[0]) + 1))


def test_a_vanished_run_folder(config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.rundir.liveness.GONE_SECONDS", 0.3)
    run = start(config)
    pid = at_work(run)
    run.path.rename(tmp_path / "elsewhere")
    assert run.wait() is State.DEAD
    watch = RunStatus(run.directory)
    until(lambda: "gone" in watch.state()[1])
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")
    assert "folder is gone" in (tmp_path / "elsewhere" / "engine.log").read_text()


def test_a_file_size_limit_ends_the_run_with_its_reason(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAKE_STEPS", "50")
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # its own file would meet the limit
    starter = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
from engine import launch; from engine.config import RunConfig
launch.WORKER = 'tests.fake_engine'
run = launch.start(RunConfig(dataset={config.dataset!r}, epochs=3, run_dir={config.run_dir!r}))
run.wait()
"""
    subprocess.run([sys.executable, "-c", starter], cwd=ROOT, check=True)
    run = attach(config.run_dir or "")
    state, reason = run.state()
    assert state in (State.FAILED, State.DEAD)
    assert "file size limit" in reason
    events = events_of(run)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert resume(run.path).wait() is State.FINISHED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_ends_the_run_with_its_reason_and_resume_goes_on(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(mount)], capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.decode().strip()}")
    try:
        monkeypatch.setenv("FAKE_STEPS", "60")
        run = start(msgspec.structs.replace(config, run_dir=str(mount / "run")))
        at_work(run)
        ballast = mount / "ballast"
        fill(ballast)
        assert run.wait() is State.FAILED
        last = events_of(run)[-1]
        assert isinstance(last, Failed)
        assert "disk is full: make room" in last.hint
        assert last.exit_code == 73
        events = events_of(run)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        ballast.unlink()
        assert resume(run.path).wait() is State.FINISHED
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a read-only file system")
async def test_a_read_only_run_is_shown_and_not_resumed(config: RunConfig, tmp_path: Path) -> None:
    run = start(config)
    assert run.wait() is State.FINISHED
    pid = engine_pid(run)
    until(lambda: not psutil.pid_exists(pid))  # as long as it ends, a signal still reaches it
    whole = events_of(run)
    mount = tmp_path / "frozen"
    mount.mkdir()
    flags = ["mount", "--bind", "-o", "ro", str(run.path), str(mount)]
    done = subprocess.run(flags, capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.decode().strip()}")
    try:
        frozen = attach(mount)
        assert [event async for event in frozen.events()] == whole
        assert frozen.snapshot(1).scores("fake-0").tokens
        with pytest.raises(UsageError, match="finished"):
            resume(mount)
        with pytest.raises(WriteError, match="read-only"):
            frozen.stop()
        with pytest.raises(WriteError, match="read-only"):
            Ownership(RunDir(mount))
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_folder_that_cannot_be_written(config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot write"):
        start(msgspec.structs.replace(config, run_dir=str(tmp_path / "file" / "run")))
    with pytest.raises(WriteError, match="cannot write"):
        start(msgspec.structs.replace(config, run_dir="/proc/nowhere/run"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("precious")
    with pytest.raises(WriteError, match="not empty"):
        start(msgspec.structs.replace(config, run_dir=str(tmp_path / "home")))


def test_a_stop_that_cannot_be_written_is_a_signal(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STEPS", "300")
    run = start(config)
    at_work(run)
    run.directory.commands.rmdir()
    with pytest.raises(WriteError, match="cannot write"):
        run.pause()
    assert run.stop() == ""
    assert run.wait() is State.STOPPED
    with pytest.raises(WriteError, match="cannot write"):
        run.stop()


def test_resume_refuses_what_changed(config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STEPS", "300")
    run = start(config)
    os.kill(at_work(run), signal.SIGKILL)
    run.wait()
    data = Path(config.dataset)
    before = data_identity(data)
    info = RunInfo(
        config=config,
        lr=1e-3,
        max_answer_length=30,
        allow_null=False,
        data=(before,),
        model=ModelIdentity("all-MiniLM-L6-v2", None, None, 1),
        versions=versions() | {"torch": "1.0"},
        host="h",
        device="cpu",
        precision="fp32",
        world_size=1,
        created=1.0,
    )
    run.directory.write_info(info)
    with pytest.raises(UsageError, match=r"torch was 1\.0 and is"):
        resume(run.path)
    run.directory.run_file.unlink()
    run.directory.write_info(msgspec.structs.replace(info, versions=versions()))
    data.write_text("{ }")
    with pytest.raises(UsageError, match=r"data\.json changed \(\d+ bytes then, 3 now\)") as caught:
        resume(run.path)
    assert "--force" in caught.value.hint
    data.unlink()
    with pytest.raises(UsageError, match="can't be read"):
        resume(run.path)
    assert isinstance(before, DataIdentity)
    forced = resume(run.path, force=True)
    forced.stop()
    assert forced.wait() is State.STOPPED


def test_attach_refuses_what_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "nul\0"):
        with pytest.raises(UsageError, match="not the folder of a run"):
            attach(path)


def test_relative_names_are_the_starters(config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(locate_model(config).path, tmp_path / "model")
    run = start(msgspec.structs.replace(config, dataset="data.json", model="model", run_dir=None, runs_dir="all"))
    assert run.directory.config.dataset == str(tmp_path / "data.json")
    assert run.directory.config.model == str(tmp_path / "model")
    assert run.path.parent == tmp_path / "all"
    assert run.wait() is State.FINISHED


def test_a_start_that_fails_leaves_no_folder(config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    for wrong, error in (
        ({"dataset": str(tmp_path / "bad.json")}, DataError),
        ({"dataset": str(tmp_path / "nothing.json")}, DataError),
        ({"probe": "nobody asked this"}, DataError),
        ({"model": str(tmp_path / "no-model")}, ModelError),
    ):
        with pytest.raises(error):
            start(msgspec.structs.replace(config, **wrong))
        assert not (tmp_path / "run").exists()


def test_the_starter_leaves_what_it_checked(config: RunConfig) -> None:
    run = start(config)
    info = run.directory.start_info
    assert info is not None
    assert info.data == (data_identity(Path(config.dataset)),)
    assert not info.allow_null
    assert info.weights is not None
    files = locate_model(config, known=info.weights)
    assert files.sha256 == info.weights.sha256
    assert run.wait() is State.FINISHED


def test_weights_that_another_process_hashed_are_not_hashed_again(config: RunConfig, tmp_path: Path) -> None:
    shutil.copytree(locate_model(config).path, tmp_path / "model")
    files = locate_model(msgspec.structs.replace(config, model=str(tmp_path / "model")))
    assert files.mark() is None
    digest = files.sha256
    mark = files.mark()
    assert mark is not None
    other = locate_model(msgspec.structs.replace(config, model=str(tmp_path / "model")))
    other.believe(msgspec.structs.replace(mark, sha256="believed"))
    assert other.sha256 == "believed"
    weights = files.weights[0]
    os.utime(weights, ns=(1, 1))  # written since: the mark counts no more
    changed = locate_model(msgspec.structs.replace(config, model=str(tmp_path / "model")))
    changed.believe(msgspec.structs.replace(mark, sha256="believed"))
    assert changed.sha256 == digest
