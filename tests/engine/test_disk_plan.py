"""What a run says that it will write is what it writes; half of it in float16, with answers and metrics exact."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.config import RunConfig
from engine.errors import WriteError
from engine.events import RunStarted, SnapshotTaken
from engine.rundir.disk_plan import DiskPlan, check_room
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import COLUMNS, Snapshot
from tests.engine.test_learning_run import new_run, work
from tests.tiny_run import tiny_config
from tui.plain.event_lines import event_line


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    made = tiny_config(tmp_path_factory.mktemp("tiny"))
    return msgspec.structs.replace(made, early_snapshots=False, epochs=2)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("keep", "track_train"), [("all", True), ("last", False)])
def test_a_run_writes_what_it_said(tmp_path: Path, config: RunConfig, keep: Any, track_train: bool) -> None:
    run = new_run(config, tmp_path / "run", keep_weights=keep, track_train=track_train)
    (began,) = [event for event in work(run) if isinstance(event, RunStarted)]
    assert began.snapshots == 3
    scores = size_of(run.snapshots) + (size_of(run.train_snapshots) if track_train else 0)
    assert began.snapshot_bytes == pytest.approx(scores, rel=0.2)
    assert began.checkpoint_bytes == pytest.approx(size_of(run.checkpoints), rel=0.2)
    assert "; writes " in (event_line(began) or "")
    assert "3 snapshots (" in (event_line(began) or "")


def test_scores_in_float16_leave_answers_and_metrics_exact(tmp_path: Path, config: RunConfig) -> None:
    whole, half = new_run(config, tmp_path / "32"), new_run(config, tmp_path / "16", snapshot_dtype="float16")
    taken, of_half = (
        [event for event in work(run) if isinstance(event, SnapshotTaken)] for run in (whole, half)
    )  # fmt: skip
    assert len(taken) == 3
    for one, other in zip(taken, of_half, strict=True):
        assert one.metrics == other.metrics
        with Snapshot(whole.path / one.file) as exact, Snapshot(half.path / other.file) as rounded:
            assert (exact.rounded, rounded.rounded) == (False, True)
            assert exact.calibration == rounded.calibration
            for name in COLUMNS:
                np.testing.assert_array_equal(exact.column(name), rounded.column(name), err_msg=name)
            for ours, theirs in zip(rounded.logits(), exact.logits(), strict=True):
                assert ours.dtype == np.float32
                np.testing.assert_allclose(ours, theirs, rtol=2**-11, atol=1e-7)
        saved = (whole.path / one.file).stat().st_size - (half.path / other.file).stat().st_size
        assert saved >= 4 * len(theirs)


def test_what_does_not_fit_is_refused_before_the_first_step(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(config, tmp_path / "run")
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=100_000))
    with pytest.raises(WriteError, match=r"100 kB free, and the run needs .* 3 snapshots") as refused:
        work(run)
    assert "--snapshot-dtype float16" in refused.value.hint
    assert not list(run.snapshots.iterdir()) + list(run.checkpoints.iterdir())


def test_what_is_written_already_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir.create(tmp_path / "run", RunConfig(dataset="x"))
    plan = DiskPlan(snapshots=2, snapshot_bytes=2000, checkpoint_bytes=3000, peak_bytes=6000)
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=4500))
    with pytest.raises(WriteError):
        check_room(run, plan)
    (run.snapshots / "0000.safetensors").write_bytes(bytes(1500))
    check_room(run, plan)
