"""What was reported as saved survives the failure of any single operation, and a power cut before any of them."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.config import RunConfig
from engine.errors import UserError, WriteError
from engine.events import AnyEvent, Finished, Metrics, SnapshotTaken, Step
from engine.rundir import log
from engine.rundir.layout import RunDir
from engine.rundir.log import EventLog, read_events
from engine.rundir.snapshot import COLUMNS, Snapshot, SnapshotInfo, snapshot_event, snapshot_name, write_snapshot
from engine.storage import atomic_io as durable
from tests.fake_run import fake_set, run_started
from tests.faulty_disk import FaultyDisk, PowerCut

DATASET = fake_set(3).dataset
CONFIG = RunConfig(dataset="data.json", epochs=2)


class Reported:
    """What was reported to the program as safe, and all that it tried to write."""

    def __init__(self) -> None:
        self.created = False
        self.events: list[AnyEvent] = []
        self.tried: list[AnyEvent] = []
        self.snapshots: list[int] = []
        self.state: bytes | None = None
        self.states_tried: list[bytes] = []
        self.checkpoints: list[str] = []


def info(index: int) -> SnapshotInfo:
    metrics = Metrics(examples=3, start_accuracy=0.5, end_accuracy=0.5, exact_match=50.0, f1=50.0)
    return SnapshotInfo(index=index, label=f"epoch {index}", step=index, epoch=index, time=1.0, metrics=metrics)


def logits(index: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.arange(20, dtype=np.float32) + index


def life_of_a_run(root: Path, reported: Reported) -> None:
    """Everything an engine writes, once or twice, through the real writers."""
    run = RunDir.create(root / "runs" / "one", CONFIG)
    reported.created = True
    events = EventLog(run.events_file)

    def tell(event: AnyEvent, *, lasts: bool = True) -> None:
        reported.tried.append(msgspec.structs.replace(event, seq=len(reported.tried) + 1, time=1.0))
        events.append(msgspec.structs.replace(event, time=1.0))
        if lasts:
            reported.events.append(reported.tried[-1])

    tell(run_started(DATASET, CONFIG))
    for index in range(2):
        columns = {name: np.zeros(3) for name in COLUMNS}
        write_snapshot(run.path, info(index), logits(index), -logits(index), columns)
        reported.snapshots.append(index)
        tell(msgspec.structs.replace(snapshot_event(info(index)), time=1.0))
        tell(
            Step(
                step=index,
                epoch=0.1,
                loss=1.0,
                learning_rate=1e-3,
                grad_norm=1.0,
                examples_per_second=1.0,
                tokens_per_second=1.0,
                memory=1,
            ),
            lasts=False,
        )
        state = b"state %d " % index * 50
        reported.states_tried.append(state)
        durable.replace_file(run.path / "state.json", state)
        reported.state = state
        checkpoint = run.checkpoints / f"epoch-{index:04}"
        durable.make_folder(checkpoint)
        durable.replace_file(checkpoint / "model.safetensors", b"weights")
        durable.replace_file(checkpoint / "MANIFEST.json", b"{}")
        reported.checkpoints.append(checkpoint.name)
        if index:
            reported.checkpoints.remove("epoch-0000")
            durable.remove_folder(run.checkpoints / "epoch-0000")
    tell(Finished(step=2, epoch=2.0, seconds=1.0))
    events.close()


def check(root: Path, reported: Reported) -> None:
    """What must hold on any disk that `life_of_a_run` left behind; then a second engine resumes it."""
    run = RunDir(root / "runs" / "one")
    if reported.created:
        assert run.config == CONFIG
    found = read_events(run.events_file)
    known = {event.seq: event for event in reported.tried}
    assert [event.seq for event in found] == sorted({event.seq for event in found})
    for event in found:
        assert event == known[event.seq]
    missing = [event for event in reported.events if event not in found]
    assert not missing
    for index in (*reported.snapshots, *(e.index for e in found if isinstance(e, SnapshotTaken))):
        assert (run.path / snapshot_name(index)).is_file()
    if run.snapshots.is_dir():
        for path in run.snapshots.glob("*.safetensors"):
            with Snapshot(path) as snapshot:
                index = snapshot.info.index
                assert path.name == Path(snapshot_name(index)).name
                np.testing.assert_array_equal(snapshot.logits()[0], logits(index))
                np.testing.assert_array_equal(snapshot.logits()[1], -logits(index))
    if reported.state is not None:
        assert (run.path / "state.json").read_bytes() in reported.states_tried[
            reported.states_tried.index(reported.state) :
        ]
    for name in reported.checkpoints:
        assert (run.checkpoints / name / "MANIFEST.json").read_bytes() == b"{}"
    if run.checkpoints.is_dir():
        for manifest in run.checkpoints.glob("[!.]*/MANIFEST.json"):
            assert (manifest.parent / "model.safetensors").read_bytes() == b"weights"
    if run.path.is_dir():
        again = EventLog(run.events_file)
        added = again.append(Finished(step=9, epoch=2.0, seconds=2.0))
        again.close()
        after = read_events(run.events_file)
        assert after[: len(found)] == found
        assert after[-1] == added
        for event in after[len(found) : -1]:  # a record that lacked nothing but its newline
            assert event == known[event.seq]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FULL_DISK_SECONDS", 0.0)
    monkeypatch.setattr(log, "RESERVE_BYTES", 64)


def every_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str | int
) -> Iterator[tuple[FaultyDisk, Reported, BaseException | None]]:
    """Live the run again and again, with the fault one operation later each time, until it passes untouched."""
    for fail_at in range(1, 1000):
        root = tmp_path / f"disk-{fail_at}"
        root.mkdir()
        disk, reported = FaultyDisk(root, fail_at, fault), Reported()
        caught: BaseException | None = None
        with monkeypatch.context() as patch:
            patch.setattr(durable, "operations", disk)
            try:
                life_of_a_run(root, reported)
            except (PowerCut, WriteError) as error:
                caught = error
        yield disk, reported, caught
        disk.close_all()
        if not disk.fired:
            assert caught is None
            assert fail_at > 50
            return
    raise AssertionError("the run never passed untouched")


@pytest.mark.parametrize("fault", ["cut", "cut-half"])
def test_power_cut_before_or_in_every_operation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str) -> None:
    rng = random.Random(7)
    for disk, reported, _ in every_fault(monkeypatch, tmp_path, fault):
        for luck in ("none", "all", "some", "some", "some"):
            check(disk.after_power_cut(tmp_path / "image", luck, rng), reported)
        check(disk.root, reported)  # the process was killed, the machine lives


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EDQUOT, "half"], ids=str)
def test_failure_of_every_operation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str | int) -> None:
    survived = 0
    for disk, reported, caught in every_fault(monkeypatch, tmp_path, fault):
        survived += disk.fired and caught is None
        if isinstance(caught, UserError):
            assert str(disk.root) in caught.message
        check(disk.after_power_cut(tmp_path / "image", "none", random.Random(1)), reported)
        check(disk.root, reported)
    if fault != errno.EIO:
        assert survived > 5  # a disk that is full for a moment ends no run when the log is written


def test_the_check_itself_sees_a_missing_sync(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the fsync before a rename the simulated power cut must leave a torn file, or it proves nothing."""
    lost = 0
    replace: Callable[..., None] = durable.replace_file
    monkeypatch.setattr(
        durable, "replace_file", lambda path, chunks, **_: replace(path, chunks, sync=False), raising=True
    )
    monkeypatch.setattr("engine.storage.tensors.replace_file", durable.replace_file)
    for disk, reported, _ in every_fault(monkeypatch, tmp_path, "cut"):
        try:
            check(disk.after_power_cut(tmp_path / "image", "none", random.Random(1)), reported)
        except (AssertionError, UserError, OSError):
            lost += 1
    assert lost > 5


def test_a_replaced_file_is_old_or_new_for_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.replace_file(path, b"old")
    with path.open("rb") as reader:
        durable.replace_file(path, [b"ne", memoryview(b"w")])
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_created_files_overwrite_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("precious")
    with pytest.raises(WriteError, match="exists already"):
        durable.create_file(path, b"other")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(WriteError, match="exists already"):
        durable.create_file(link, b"other")
    assert path.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_planted_links_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "events.jsonl").symlink_to(victim)
    with pytest.raises(WriteError, match="symbolic link"):
        durable.AppendFile(tmp_path / "events.jsonl")
    # A link in place of the file itself is replaced, not followed; one in place of the temporary file is refused.
    (tmp_path / "out").symlink_to(victim)
    durable.replace_file(tmp_path / "out", b"new")
    assert not (tmp_path / "out").is_symlink()
    (tmp_path / f".second.{os.getpid()}.tmp").symlink_to(victim)
    with pytest.raises(WriteError, match="symbolic link"):
        durable.replace_file(tmp_path / "second", b"new")
    (tmp_path / "folder").symlink_to(tmp_path)
    with pytest.raises(WriteError, match="symbolic link"):
        durable.make_folder(tmp_path / "folder")
    assert victim.read_text() == "precious"


def test_a_tail_that_cannot_be_cut_back_goes_before_the_next_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Stubborn(durable.Operations):
        writes = 0
        truncates = 0

        def write(self, fd: int, data: bytes | memoryview) -> int:
            self.writes += 1
            if self.writes == 2:
                os.write(fd, data[:3])
                raise OSError(errno.EIO, "broken")
            return super().write(fd, data)

        def truncate(self, fd: int, size: int) -> None:
            self.truncates += 1
            if self.truncates == 1:
                raise OSError(errno.EIO, "broken")
            super().truncate(fd, size)

    monkeypatch.setattr(durable, "operations", Stubborn())
    file = durable.AppendFile(tmp_path / "log")
    file.append(b"one\n")
    with pytest.raises(WriteError):
        file.append(b"torn\n")
    file.append(b"two\n")
    file.close()
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"
