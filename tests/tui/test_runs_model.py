"""The list of runs, and the line on GPUs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.events import Failed, Phase, Stopped
from engine.rundir.comparison import read_score
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.snapshot import Snapshot, snapshot_name
from tests.fake_run import append_events, make_run
from tui.model.followed_runs import RunsFolder
from tui.model.gpu import Gpu, GpuMeter, gpu_brief, gpu_line
from tui.model.run_rows import progress_text, summary


def test_runs_are_followed(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    make_run(runs, name="done", examples=6, snapshots=3, tokens=20)
    live = make_run(runs, name="live", examples=6, snapshots=2, tokens=20, live=True)
    folder = RunsFolder(runs)
    rows = {row.name: row for row in folder.poll()}
    assert rows["done"].state is State.FINISHED
    assert progress_text(rows["done"]) == "2/2"
    assert rows["done"].best is not None
    assert rows["done"].model == "all-MiniLM-L6-v2"
    assert rows["live"].state is State.LIVE
    append_events(live, Phase(name="training", done=3, total=4))
    assert {row.name: row.reason for row in folder.poll()}["live"] == "training 75 %"
    live.owner_file.unlink()
    append_events(live, Failed(message="The disk is full.", hint="Make room."))
    failed = {row.name: row for row in folder.poll()}["live"]
    assert (failed.state, failed.reason) == (State.FAILED, "The disk is full. Make room.")
    assert summary(folder.poll()) == "2 runs: 1 finished, 1 failed"


def test_the_best_score_is_of_all_examples(tmp_path: Path) -> None:
    make_run(tmp_path, name="young", examples=10, snapshots=1, tokens=20, sampled=(0,), live=True)
    make_run(tmp_path, name="old", examples=10, snapshots=3, tokens=20, sampled=(2,))
    rows = {row.name: row for row in RunsFolder(tmp_path).poll()}
    assert rows["young"].best is None
    with Snapshot(tmp_path / "old" / snapshot_name(1)) as snapshot:
        assert rows["old"].best == snapshot.info.metrics.mean_accuracy
    score = read_score(RunDir(tmp_path / "old"))
    assert score.metrics == snapshot.info.metrics


def test_a_stopped_run_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, name="one", examples=4, snapshots=2, tokens=20, live=True)
    run.owner_file.unlink()
    append_events(run, Stopped(step=3, epoch=0.3, reason="asked to"))
    row = RunsFolder(tmp_path).poll()[0]
    assert row.state is State.STOPPED
    assert "asked to" in row.reason


def test_a_folder_that_is_not_there_or_holds_a_damaged_run(tmp_path: Path) -> None:
    assert RunsFolder(tmp_path / "none").poll() == []
    assert summary([]) == "no runs"
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text("{")
    assert RunsFolder(tmp_path).poll() == []


class NoDriver(Exception):
    pass


def fake_library(*, fails: str = "nothing") -> SimpleNamespace:
    def fail(name: str, value: object) -> object:
        def call(*_: object) -> object:
            if fails == name:
                raise NoDriver
            return value

        return call

    return SimpleNamespace(
        NVMLError=NoDriver,
        nvmlInit=fail("init", None),
        nvmlDeviceGetCount=fail("count", 2),
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=(handle + 1) << 30, total=40 << 30),
        nvmlDeviceGetName=lambda handle: b"A100",
        nvmlDeviceGetUtilizationRates=fail("load", SimpleNamespace(gpu=87)),
        nvmlDeviceGetTemperature=fail("temperature", 64),
    )


def test_two_gpus_in_one_line() -> None:
    gpus = GpuMeter(fake_library()).read()
    assert gpus == [Gpu("A100", 1 << 30, 40 << 30, 87, 64), Gpu("A100", 2 << 30, 40 << 30, 87, 64)]
    assert gpu_line(gpus) == "2 × A100 · 3.0 of 80 GiB · load 87 % · 64 °C"
    assert gpu_brief(gpus) == "GPU 87 % 3/80G 64 °C"
    assert gpu_brief([Gpu("T4", 0, 1 << 30, None)]) == "GPU 0/1G"
    assert gpu_line([Gpu("T4", 0, 1 << 30, 3), Gpu("T4", 0, 1 << 30, 90)]) == "2 × T4 · 0.0 of 2 GiB · load 3 to 90 %"


def test_a_driver_that_does_not_tell_the_load() -> None:
    library = fake_library(fails="load")
    assert gpu_line(GpuMeter(library).read()) == "2 × A100 · 3.0 of 80 GiB · 64 °C"


def test_a_driver_that_does_not_tell_the_temperature() -> None:
    assert gpu_line(GpuMeter(fake_library(fails="temperature")).read()) == "2 × A100 · 3.0 of 80 GiB · load 87 %"


@pytest.mark.parametrize("fails", ["init", "count"])
def test_no_gpu_is_no_line(fails: str) -> None:
    meter = GpuMeter(fake_library(fails=fails))
    assert meter.read() == []
    assert meter.read() == []
    assert gpu_line([]) == gpu_brief([]) == ""
