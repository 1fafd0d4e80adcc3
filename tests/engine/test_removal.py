"""What is removed of a run, and what never is."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from engine.errors import UsageError, WriteError
from engine.events import Stopped
from engine.rundir.checkpoints import MANIFEST, checkpoints, drop_state, is_unchanged
from engine.rundir.layout import RunDir
from engine.rundir.ownership import Ownership, without_engine
from engine.rundir.removal import check_removable, disk_use, plan_pruning, prune, remove_run
from tests.fake_run import append_events, make_run
from tests.faulty_disk import FaultyDisk, PowerCut
from tests.kept_weights import keep_weights


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A finished run of three epochs, the last the best."""
    return make_run(tmp_path, examples=12, snapshots=4, tokens=20)


@pytest.fixture
def stopped(tmp_path: Path) -> RunDir:
    """A run that can be resumed, of three epochs, the last the best."""
    made = make_run(tmp_path, name="stopped", examples=12, snapshots=4, tokens=20, live=True)
    made.owner_file.unlink()
    append_events(made, Stopped(step=30, epoch=3.0, reason="asked to"))
    return made


def test_a_run_goes_and_its_neighbours_stay(run: RunDir, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    (run.snapshots / "link").symlink_to(outside)
    (run.commands / "file").symlink_to(outside / "mine")
    beside = sorted(path.name for path in tmp_path.iterdir() if path.name != run.name)
    remove_run(run.path)
    assert sorted(path.name for path in tmp_path.iterdir()) == beside
    assert (outside / "mine").read_text() == "mine"


def test_what_is_no_run_is_refused(run: RunDir, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(run.path)
    with pytest.raises(UsageError, match="symbolic link"):
        remove_run(link)
    with pytest.raises(UsageError, match="not the folder of a run"):
        remove_run(tmp_path)
    for number in range(7):
        (run.path / f"report-{number}.html").write_text("mine")
    with pytest.raises(UsageError, match=r"report-0.html, .*report-4.html and 2 more"):
        remove_run(run.path)
    assert (run.path / "report-0.html").read_text() == "mine"
    assert run.config.epochs == 3


def test_what_a_killed_writer_left_is_the_runs(run: RunDir) -> None:
    (run.path / ".owner.json.77.tmp").write_text("")
    (run.path / ".reserve").write_text("room for the last words of an engine")
    assert check_removable(run.path).path == run.path


def test_a_live_run_is_refused(tmp_path: Path) -> None:
    live = make_run(tmp_path, examples=6, snapshots=2, tokens=20, live=True)
    with pytest.raises(UsageError, match=r"at work.*Stop it first"):
        remove_run(live.path)
    with pytest.raises(UsageError, match="at work"), without_engine(live):
        pass
    assert len(list(live.snapshots.iterdir())) == 2


def test_no_engine_comes_while_a_run_changes(run: RunDir) -> None:
    """The lock is between processes: the engine would be another one."""
    with without_engine(run):
        child = os.fork()
        if not child:
            try:
                Ownership(run)
            except UsageError:
                os._exit(3)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert not run.owner_file.exists()


def test_disk_use_counts_a_file_of_two_names_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_bytes(os.urandom(200_000))
    one = disk_use(tmp_path)
    assert 200_000 <= one < 300_000
    os.link(tmp_path / "in" / "file", tmp_path / "in" / "twin")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert disk_use(tmp_path) - one < 10_000
    assert disk_use(tmp_path / "none") == 0


def weight_bytes(run: RunDir) -> int:
    return sum(path.stat().st_size for path in run.checkpoints.glob("epoch-*/*") if path.name != MANIFEST)


def test_only_the_best_weights_stay(run: RunDir) -> None:
    for epoch in (1, 2):
        keep_weights(run, epoch)
    best = keep_weights(run, 3)
    before = sum(
        path.stat().st_size for path in run.checkpoints.rglob("*.*") if path.is_file() and path.name != MANIFEST
    )
    plan = plan_pruning(run)
    assert [weights.folder.name for weights in plan.dropped] == ["epoch-0001", "epoch-0002"]
    assert [weights.folder for weights in plan.kept] == [weights.folder for weights in plan.stateless] == [best]
    prune(plan)
    after = sum(
        path.stat().st_size for path in run.checkpoints.rglob("*.*") if path.is_file() and path.name != MANIFEST
    )
    assert before - after == plan.size > 0
    ((folder, manifest),) = checkpoints(run).items()
    assert folder == best
    assert not manifest.resumable
    assert all(is_unchanged(folder / name, entry) for name, entry in manifest.files.items())
    assert plan_pruning(run).size == 0


def test_a_run_that_can_be_resumed_keeps_what_it_needs(stopped: RunDir) -> None:
    third = keep_weights(stopped, 3)
    drop_state(third, checkpoints(stopped)[third])
    last = keep_weights(stopped, 4)  # without a snapshot, so never the best
    assert plan_pruning(stopped).size == 0
    plan = plan_pruning(stopped, force=True)
    assert [weights.folder for weights in plan.dropped] == [last]
    prune(plan)
    assert list(checkpoints(stopped)) == [third]


def test_nothing_goes_where_checkpoints_changed_since(run: RunDir) -> None:
    keep_weights(run, 1)
    keep_weights(run, 2)
    plan = plan_pruning(run)
    best = keep_weights(run, 3)
    with pytest.raises(UsageError, match="changed"):
        prune(plan)
    assert len(checkpoints(run)) == 3
    assert best in checkpoints(run)


def test_a_half_written_checkpoint_is_left_alone(run: RunDir) -> None:
    damaged = keep_weights(run, 1)
    (damaged / MANIFEST).unlink()
    keep_weights(run, 2)
    prune(plan_pruning(run))
    assert damaged.is_dir()
    assert plan_pruning(make_run(run.path.parent, name="bare", examples=6, snapshots=2, tokens=20)).size == 0


@pytest.mark.parametrize("fault", ["cut", errno.EIO], ids=str)
def test_whatever_fails_every_checkpoint_is_whole(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str | int
) -> None:
    """Pruning ends at its N-th operation, for every N: the best weights are there, and all that count are whole."""
    keep_weights(run, 1)
    best = keep_weights(run, 3).name
    for fail_at in range(1, 100):
        copy = RunDir(tmp_path / f"copy-{fail_at}")
        shutil.copytree(run.path, copy.path)
        plan, disk = plan_pruning(copy), FaultyDisk(copy.path, fail_at, fault)
        with monkeypatch.context() as patch, suppress(PowerCut, WriteError):
            for module in ("engine.storage.atomic_io", "engine.rundir.ownership"):
                patch.setattr(f"{module}.operations", disk)
            prune(plan)
        disk.close_all()
        left = checkpoints(copy)
        assert copy.checkpoints / best in left
        for folder, manifest in left.items():
            assert all(is_unchanged(folder / name, entry) for name, entry in manifest.files.items())
        if not disk.fired:
            assert [folder.name for folder in left] == [best]
            assert fail_at > 8
            return
    raise AssertionError("pruning never passed untouched")
