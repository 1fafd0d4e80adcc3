"""A run's folder: layout, names, permissions, damaged and hostile files, commands, owners."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from engine.config import RunConfig
from engine.errors import UsageError, WriteError
from engine.events import CommandDone, Failed, Paused, Phase, Resumed, Stopped, Warned
from engine.rundir import liveness, process
from engine.rundir.commands import clear_commands, send_command, take_commands
from engine.rundir.eval_set import EvalSet
from engine.rundir.layout import RunDir, RunInfo, is_run_dir, list_runs
from engine.rundir.liveness import (
    DEAD_SECONDS,
    GONE_SECONDS,
    REBOOTED_SECONDS,
    SILENT_SECONDS,
    RunStatus,
    State,
    has_ended,
    is_live,
)
from engine.rundir.log import EventLog
from engine.rundir.ownership import Ownership
from engine.rundir.place import next_run_path
from engine.rundir.process import Owner, read_owner, start_time
from engine.rundir.status import RunFollower, current_state
from engine.storage.atomic_io import replace_file
from engine.storage.safe_open import read_small
from tests.fake_run import append_events, fake_set, make_run, run_started, seem_alive
from tests.waiting import Clock

CONFIG = RunConfig(dataset="data.json")


def test_a_new_run_is_private_and_holds_what_was_asked(tmp_path: Path) -> None:
    os.umask(os.umask(0o022))
    run = RunDir.create(tmp_path / "runs" / "one", CONFIG)
    assert run.config == CONFIG
    assert run.info is None
    assert run.path.stat().st_mode & 0o777 == 0o700
    for path in run.path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(WriteError, match="there is a run already"):
        RunDir.create(run.path, CONFIG)


def test_an_empty_folder_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir(mode=0o755)
    RunDir.create(tmp_path / "one", CONFIG)
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["", "snapshots", "checkpoints", "commands"])
def test_planted_folders_are_refused(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if name:
        run = RunDir.create(tmp_path / "run", CONFIG)
        (run.path / name).rmdir()
        (run.path / name).symlink_to(elsewhere)
        with pytest.raises(WriteError, match="symbolic link"):
            Ownership(run)
    else:
        (tmp_path / "run").symlink_to(elsewhere)
        with pytest.raises(WriteError, match="symbolic link"):
            RunDir.create(tmp_path / "run", CONFIG)
    assert list(elsewhere.iterdir()) == []


def test_planted_files_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=2, snapshots=1)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("lock", "owner.json", "heartbeat"):
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).symlink_to(victim)
    with pytest.raises(WriteError, match="symbolic link"):
        Ownership(run)
    (run.path / "lock").unlink()
    with Ownership(run):
        assert not run.owner_file.is_symlink()
    assert victim.read_text() == "precious"
    run.config_file.rename(tmp_path / "config.json")
    run.config_file.symlink_to(tmp_path / "config.json")
    assert not is_run_dir(run.path)
    with pytest.raises(UsageError, match="can't be read"):
        run.config  # noqa: B018 - reading it is the test


@pytest.mark.parametrize("name", ["../other", "/etc/passwd", "a/../../b", "", "x\0y", ".."])
def test_names_that_lead_out_of_a_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not inside the run"):
        RunDir(tmp_path).inside(name)


def test_names_that_stay_in_a_run(tmp_path: Path) -> None:
    assert RunDir(tmp_path).inside("checkpoints/epoch-0001") == tmp_path / "checkpoints" / "epoch-0001"


@pytest.mark.parametrize("dataset", ["../../etc/passwd", "a/b\n\x1b[31m.json", "....json", "/", "ü" * 300, "-rf.json"])
def test_run_names_stay_in_the_runs_folder(tmp_path: Path, dataset: str) -> None:
    path = next_run_path(RunConfig(dataset=dataset, runs_dir=str(tmp_path)))
    assert path.parent == tmp_path
    assert len(path.name) < 80
    assert path.name.isascii()
    assert path.name.isprintable()
    assert not path.name.startswith(".")
    RunDir.create(path, CONFIG)
    assert list_runs(tmp_path) == [path]


def test_runs_are_listed_newest_first_without_links_and_strangers(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "nothing") == []
    for number, name in enumerate(("b", "a", "c")):
        run = RunDir.create(tmp_path / "runs" / name, CONFIG)
        os.utime(run.config_file, (1000 + number, 1000 + number))
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "file").write_text("")
    assert [path.name for path in list_runs(tmp_path / "runs")] == ["c", "a", "b"]


def test_damaged_and_newer_descriptions(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=2, snapshots=1)
    whole = run.run_file.read_bytes()
    info = run.info
    assert isinstance(info, RunInfo)
    run.run_file.write_bytes(whole[:-20])
    with pytest.raises(UsageError, match=r"run\.json: can't be read"):
        run.info  # noqa: B018 - reading it is the test
    run.run_file.write_bytes(whole.replace(b'"schema": 1', b'"schema": 2, "mood": "fine"'))
    assert run.info == msgspec.structs.replace(info, schema=2)
    run.run_file.write_bytes(b'{"schema": 2, "settings": {}}')
    assert run.info is None
    run.run_file.write_bytes(b"[" * 100_000)
    with pytest.raises(UsageError, match="can't be read"):
        run.info  # noqa: B018 - reading it is the test
    with run.run_file.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match="can't be read"):
        run.info  # noqa: B018 - reading it is the test
    with pytest.raises(WriteError, match="exists already"):
        run.write_info(info)


def test_reading_never_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_small(tmp_path / "pipe", 10)
    (tmp_path / "file").write_bytes(b"12345678901")
    with pytest.raises(OSError, match="too large"):
        read_small(tmp_path / "file", 10)
    assert read_small(tmp_path / "file", 11) == b"12345678901"


def test_commands_arrive_once_and_in_order(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", CONFIG)
    sent = [(send_command(run, name), name) for name in ("pause", "resume", "checkpoint", "stop")]
    assert [(command.id, command.command) for command in take_commands(run)] == sent
    assert take_commands(run) == []
    with pytest.raises(UsageError, match="no command 'dance'"):
        send_command(run, "dance")  # type: ignore[arg-type] # what the test is about
    assert list(run.commands.iterdir()) == []


def test_what_is_no_command_is_removed(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", CONFIG)
    secret = tmp_path / "secret"
    secret.write_text('{"id": "x", "command": "stop"}')
    (run.commands / "1.json").write_text("not json")
    (run.commands / "2.json").write_text('{"id": "x", "command": "rm -rf"}')
    (run.commands / "3.json").symlink_to(secret)
    os.mkfifo(run.commands / "4.json")
    (run.commands / "5.json").mkdir()
    (run.commands / "6.json").write_text('{"id": "x", "command": "stop"}' + " " * 5000)
    (run.commands / "7.json").write_text('{"id": "other", "command": "pause", "from": "a newer version"}')
    (run.commands / ".8.json.1.tmp").write_text('{"id": "x", "comm')
    assert [(command.id, command.command) for command in take_commands(run)] == [("7", "pause")]
    assert sorted(path.name for path in run.commands.iterdir()) == [".8.json.1.tmp", "5.json"]
    assert secret.exists()
    assert take_commands(RunDir(tmp_path / "nowhere")) == []


def test_a_flood_of_commands_does_not_hold_up_a_step(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", CONFIG)
    for number in range(250):
        (run.commands / f"{number:03}.json").write_text('{"id": "x", "command": "pause"}')
    assert len(take_commands(run)) == 100
    clear_commands(run)
    assert take_commands(run) == []


def test_an_owner_is_known_by_more_than_its_number(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", CONFIG)
    with Ownership(run):
        owner = read_owner(run)
        assert owner == Owner.of(os.getpid())
        assert is_live(run)
    assert owner is not None
    for changed in (
        msgspec.structs.replace(owner, started=owner.started + 10),
        msgspec.structs.replace(owner, pid=2**22 + 1),
    ):
        replace_file(run.owner_file, msgspec.json.encode(changed))
        assert not is_live(run)
    assert start_time(2**22 + 1) is None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heart beats, and is looked at, twenty times as often."""
    monkeypatch.setattr(liveness, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr("engine.rundir.ownership.HEARTBEAT_SECONDS", 0.1)


def be_elsewhere(monkeypatch: pytest.MonkeyPatch, host: str = "another-host", boot: str = "another-boot") -> None:
    """From now on this process is a reader on another host."""
    monkeypatch.setattr("platform.node", lambda: host)
    monkeypatch.setattr(process, "_boot_id", lambda: boot)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of whoever watches an engine."""
    made = Clock()
    monkeypatch.setattr(liveness, "time", made)
    return made


def test_seen_from_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    run = RunDir.create(tmp_path / "run", CONFIG)
    Ownership(run).release()
    append_events(run, run_started(fake_set(2).dataset, CONFIG))
    be_elsewhere(monkeypatch)
    watch = RunStatus(run)
    watch.update([run_started(fake_set(2).dataset, CONFIG)])
    clock.asleep = lambda: replace_file(run.heartbeat_file, b"%d\n" % (10 * clock.now))  # the engine's heart beats
    assert is_live(run)
    assert watch.state() == (State.LIVE, "")
    clock.asleep = lambda: None  # from here on it stands still
    last = clock.now
    seen = []
    for seconds in (SILENT_SECONDS, SILENT_SECONDS + 1, DEAD_SECONDS, DEAD_SECONDS + 1):
        clock.now = last + seconds
        seen.append(watch.state()[0])
    assert seen == [State.LIVE, State.SILENT, State.SILENT, State.DEAD]
    assert "no sign of life from" in watch.state()[1]
    last = clock.now
    assert not is_live(run)
    assert clock.now >= last + DEAD_SECONDS  # that long it takes to prove
    with Ownership(run):  # takes over, now that the other one is known to be dead
        assert is_live(run)
    append_events(run, Stopped(step=1, epoch=0.1, reason="test"))
    be_elsewhere(monkeypatch, "third-host")
    last = clock.now
    assert not is_live(run)
    assert clock.now == last  # it said so itself: there is nothing to wait for


@pytest.mark.usefixtures("quick")
def test_a_live_engine_elsewhere_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir.create(tmp_path / "run", CONFIG)
    with Ownership(run):
        be_elsewhere(monkeypatch)
        monkeypatch.setattr("engine.rundir.ownership.fcntl.lockf", lambda *_: None)  # locks that do not cross hosts
        with pytest.raises(UsageError, match="is at work on this run"):
            Ownership(run)


def test_after_a_reboot_the_run_is_soon_known_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    run = RunDir.create(tmp_path / "run", CONFIG)
    Ownership(run).release()
    monkeypatch.setattr(process, "_boot_id", lambda: "next-boot")
    began = clock.now
    assert not is_live(run)
    assert REBOOTED_SECONDS <= clock.now - began < DEAD_SECONDS / 2


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir.create(tmp_path / "run", CONFIG)

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("engine.rundir.ownership.fcntl.lockf", no_locks)
    with Ownership(run):
        assert is_live(run)
    seem_alive(run, pid=1)
    with pytest.raises(UsageError, match=r"process 1\) is at work"):
        Ownership(run)


def test_states_and_their_reasons(tmp_path: Path, clock: Clock) -> None:
    run = make_run(tmp_path, live=True, examples=2, snapshots=1)
    watch = RunStatus(run)
    assert watch.state() == (State.STARTING, "the engine is coming up")
    watch.update([run_started(fake_set(2).dataset, CONFIG)])
    assert watch.state() == (State.LIVE, "")
    watch.update([Paused(step=1)])
    assert watch.state() == (State.PAUSED, "")
    watch.update([Resumed(step=1)])
    assert watch.state() == (State.LIVE, "")
    replace_file(run.owner_file, b"garbage")
    assert watch.state() == (State.STARTING, "waiting for the engine")
    run.owner_file.unlink()
    watch.update([Failed(message="no room.", hint="Make some.")])
    assert watch.state() == (State.FAILED, "no room. Make some.")
    watch.update([Stopped(step=1, epoch=0.1, reason="asked to stop")])
    assert watch.state() == (State.STOPPED, "asked to stop; it can be resumed")
    # What comes late, or from a newer version, is no sign of an engine at work.
    watch.update([CommandDone(id="1", command="pause", outcome="the run is stopping"), Warned(message="late")])
    assert watch.state() == (State.STOPPED, "asked to stop; it can be resumed")
    watch.update([Phase(name="reading")])
    assert watch.state()[0] is not State.STOPPED
    watch.update([Stopped(step=1, epoch=0.1, reason="asked to stop")])
    run.path.rename(tmp_path / "gone")
    assert watch.state()[0] is State.STOPPED  # a network file system may lose sight of it for a moment
    clock.now += GONE_SECONDS + 1
    assert watch.state() == (State.DEAD, "the run's folder is gone or can't be read")
    (tmp_path / "gone").rename(run.path)
    assert watch.state()[0] is State.STOPPED


def test_scores_of_several_windows(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=3, snapshots=2, windows=3)
    eval_set = EvalSet(run)
    assert [list(eval_set.features_of(number)) for number in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    for feature in range(9):
        tokens = eval_set.tokens(feature)
        texts = eval_set.token_texts(tokens)
        assert len(texts) == len(tokens)
        assert texts[0] == "[CLS]"
        assert texts[-1] == "[SEP]"
    gold = [eval_set.tokens(feature).gold_start >= 0 for feature in range(9)]
    assert any(gold)
    with pytest.raises(KeyError):
        eval_set.index_of("nobody")
    eval_set.close()


def test_a_follower_reads_each_event_once_and_knows_the_end(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=2, snapshots=3)
    late = CommandDone(id="1", command="stop", outcome="the run is stopping")
    with EventLog(run.events_file) as log:
        log.append(late)
    follower = RunFollower(run)
    look = follower.poll()
    assert look.events[-1].type == "command"
    assert look.state is State.FINISHED
    assert not look.at_end  # there may be more to read
    look = follower.poll()
    assert (look.events, look.at_end) == ((), True)
    assert current_state(run) == (State.FINISHED, "")
    assert has_ended(run)
