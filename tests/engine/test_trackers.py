"""`--report-to`: trackers get what the run's log holds, and nothing that they do reaches the run."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from engine import RunConfig, launch, resume, start
from engine.data.examples import split_bytes
from engine.errors import UsageError
from engine.events import AnyEvent, Finished, SnapshotTaken, Step
from engine.launch import Run
from engine.rundir.layout import TRACKERS, RunDir
from engine.rundir.liveness import State
from engine.rundir.log import read_events
from engine.rundir.removal import remove_run
from engine.trackers.base import Row
from engine.trackers.mirror import COLUMNS, mirror, predictions
from engine.trackers.registry import open_tracker, tools_of
from tests.fake_run import append_events, fake_set, fake_steps, make_run
from tests.waiting import until

ROOT = Path(__file__).parents[2]


class Notebook:
    """A tracker that keeps what it is given."""

    def __init__(self) -> None:
        self.values: list[tuple[int, float, dict[str, float]]] = []
        self.tables: list[tuple[int, list[Row]]] = []
        self.closed = False

    def scalars(self, values: Mapping[str, float], step: int, time: float) -> None:
        self.values.append((step, time, dict(values)))

    def table(self, columns: Sequence[str], rows: Sequence[Row], step: int) -> None:
        assert tuple(columns) == COLUMNS
        self.tables.append((step, list(rows)))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make_run(tmp_path, examples=6, snapshots=4, tokens=30)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """Of a run with an engine that takes no time, and with trackers of packages in `tmp_path/packages`."""
    monkeypatch.setattr(launch, "WORKER", "tests.fake_engine")
    (tmp_path / "packages").mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path / 'packages'}")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    (tmp_path / "data.json").write_bytes(split_bytes(fake_set(4, tokens=20).dataset))
    return RunConfig(dataset=str(tmp_path / "data.json"), epochs=2, run_dir=str(tmp_path / "run"))


def events_of(run: RunDir) -> list[AnyEvent]:
    return read_events(run.events_file)


def test_a_tracker_gets_every_curve_and_the_predictions(run: RunDir) -> None:
    notebook = Notebook()
    assert mirror(run, "wandb", lambda: notebook) == 0
    events = events_of(run)
    steps = [event for event in events if isinstance(event, Step)]
    snapshots = [event for event in events if isinstance(event, SnapshotTaken)]
    losses = {step: values["train/loss"] for step, _, values in notebook.values if "train/loss" in values}
    assert losses == {event.step: event.loss for event in steps}
    f1 = [(step, time, values["eval/f1"]) for step, time, values in notebook.values if "eval/f1" in values]
    assert f1 == [(event.step, event.time, event.metrics.f1) for event in snapshots]
    assert [step for step, _ in notebook.tables] == [event.step for event in snapshots]
    assert [row[0] for row in notebook.tables[0][1]] == [f"fake-{number}" for number in range(6)]
    assert all(len(row) == len(COLUMNS) for _, rows in notebook.tables for row in rows)
    assert notebook.closed


def test_samples_are_curves_of_their_own(tmp_path: Path) -> None:
    run = make_run(tmp_path, name="sampled", examples=10, snapshots=3, tokens=20, sampled=(1,))
    notebook = Notebook()
    assert mirror(run, "wandb", lambda: notebook) == 0
    steps = {
        name: [step for step, _, values in notebook.values if f"{name}/f1" in values]
        for name in ("eval", "eval_sample")
    }
    assert steps == {"eval": [0, 20], "eval_sample": [10]}
    assert [[row[0] for row in rows] for _, rows in notebook.tables][1] == ["fake-0", "fake-5"]


def test_a_first_look_is_no_value_of_a_curve(tmp_path: Path) -> None:
    run = make_run(tmp_path, name="young", examples=10, snapshots=1, tokens=20, sampled=(0,))
    notebook = Notebook()
    assert mirror(run, "wandb", lambda: notebook) == 0
    assert not notebook.tables
    assert not [values for _, _, values in notebook.values if any("eval" in name for name in values)]


def test_what_was_reported_is_not_reported_again(run: RunDir) -> None:
    assert mirror(run, "wandb", Notebook) == 0
    again, other = Notebook(), Notebook()
    assert mirror(run, "wandb", lambda: again) == 0
    assert (again.values, again.tables) == ([], [])
    assert mirror(run, "trackio", lambda: other) == 0
    assert other.values


def test_a_tracker_that_raises_is_a_line(run: RunDir) -> None:
    class Broken(Notebook):
        def scalars(self, values: Mapping[str, float], step: int, time: float) -> None:
            raise SystemExit("no room")

    def refuse() -> Notebook:
        raise ImportError("half installed")

    lines: list[str] = []
    assert mirror(run, "wandb", Broken, tell=lines.append) == 1
    assert mirror(run, "wandb", refuse, tell=lines.append) == 1
    assert lines == [
        "wandb: SystemExit: no room; the run itself goes on",
        "wandb: ImportError: half installed; the run itself goes on",
    ]


def test_a_tracker_that_hangs_is_left_behind(run: RunDir) -> None:
    let_go = threading.Event()

    class Hung(Notebook):
        def scalars(self, values: Mapping[str, float], step: int, time: float) -> None:
            let_go.wait()

    lines: list[str] = []
    try:
        assert mirror(run, "wandb", Hung, tell=lines.append, patience=0.1) == 1
    finally:
        let_go.set()
    assert lines == ["wandb: took nothing for 0.1 s and was left behind; the run itself goes on"]


def test_tensorboards_own_reader_reads_it_back(run: RunDir) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    done = subprocess.run(
        [sys.executable, "-m", "engine.trackers", str(run.path), "tensorboard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    reader = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"tensors": 0})
    reader.Reload()

    def curve(name: str) -> list[Any]:
        return [(e.step, e.wall_time, float(make_ndarray(e.tensor_proto))) for e in reader.Tensors(name)]

    events = events_of(run)
    assert curve("train/loss") == [
        (e.step, pytest.approx(e.time), pytest.approx(e.loss)) for e in events if isinstance(e, Step)
    ]
    assert curve("eval/f1") == [
        (e.step, pytest.approx(e.time), pytest.approx(e.metrics.f1)) for e in events if isinstance(e, SnapshotTaken)
    ]
    assert {"train/learning_rate", "train/grad_norm", "eval/exact_match", "eval/loss"} <= set(reader.Tags()["tensors"])
    texts = reader.Tensors("predictions")
    snapshots = [event for event in events if isinstance(event, SnapshotTaken)]
    assert [(text.step, text.wall_time) for text in texts] == [(e.step, pytest.approx(e.time)) for e in snapshots]
    head, *rows = make_ndarray(texts[-1].tensor_proto).tolist()
    assert [cell.decode() for cell in head] == list(COLUMNS)
    wanted = predictions(run, snapshots[-1].index)
    assert [[re.sub(r"\\(.)", r"\1", cell.decode()) for cell in row] for row in rows] == [
        [cell if isinstance(cell, str) else f"{cell:.1f}" for cell in row] for row in wanted
    ]
    remove_run(run.path)  # the tracker's files are the run's
    assert not run.path.exists()


def test_tensorboard_shows_a_prediction_as_it_is() -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from engine.trackers.tensorboard import as_markdown

    assert as_markdown("2 * [3] <b>\nx_y_z") == r"2 \* \[3\] &lt;b&gt; x\_y\_z"
    assert as_markdown(33.333) == "33.3"


def reported_by(run: RunDir, tool: str, **environment: str) -> None:
    """Report the run by the real library, in a process without a network."""
    done = subprocess.run(
        [sys.executable, "-m", "engine.trackers", str(run.path), tool],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(run.path.parent), "HF_HUB_OFFLINE": "1", **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_trackios_own_file_holds_it(run: RunDir, tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason="the extra `trackio` is not installed")
    reported_by(run, "trackio", TRACKIO_DIR=str(tmp_path / "trackio"))
    with closing(sqlite3.connect(tmp_path / "trackio" / "bertqa-tui.db")) as database:
        logged = database.execute("select step, metrics from metrics where run_name = ?", (run.name,)).fetchall()
    values = [(step, json.loads(found)) for step, found in logged]
    events = events_of(run)
    losses = {step: found["train/loss"] for step, found in values if "train/loss" in found}
    assert losses == {e.step: pytest.approx(e.loss) for e in events if isinstance(e, Step)}
    tables = [found["predictions"]["_value"] for _, found in values if "predictions" in found]
    assert len(tables) == 4
    assert [tuple(row.values()) for row in tables[-1]] == predictions(run, 3)
    append_events(
        run, *fake_steps(3, 10, 4), Finished(step=40, epoch=4.0, seconds=1.0)
    )  # as after a resume: the same run goes on
    reported_by(run, "trackio", TRACKIO_DIR=str(tmp_path / "trackio"))
    with closing(sqlite3.connect(tmp_path / "trackio" / "bertqa-tui.db")) as database:
        (found,) = database.execute("select count(distinct run_id), max(step) from metrics").fetchall()
    assert found == (1, 40)


def test_wandbs_own_files_hold_it(run: RunDir) -> None:
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    reported_by(run, "wandb", WANDB_API_KEY="")
    (folder,) = (run.path / "wandb").glob("offline-run-*")
    (history,) = folder.glob("*.wandb")
    assert history.read_bytes().count(b"train/grad_norm") >= sum(isinstance(e, Step) for e in events_of(run))
    tables = {
        int(path.name.split("_")[1]): json.loads(path.read_text()) for path in folder.rglob("predictions_*.table.json")
    }
    assert sorted(tables) == [0, 10, 20, 30]
    assert tables[30]["columns"] == list(COLUMNS)
    assert [tuple(row) for row in tables[30]["data"]] == predictions(run, 3)
    append_events(run, *fake_steps(3, 10, 4), Finished(step=40, epoch=4.0, seconds=1.0))
    reported_by(run, "wandb", WANDB_API_KEY="")
    first, second = sorted((run.path / "wandb").glob("offline-run-*"))
    assert first == folder
    assert second.name.split("-")[3:] == first.name.split("-")[3:]  # the same run, resumed
    remove_run(run.path)
    assert not run.path.exists()


def test_the_mirror_to_tensorboard_needs_no_torch() -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    code = (
        "import sys, engine.trackers.mirror, engine.trackers.tensorboard\n"
        "assert not {'torch', 'transformers', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("tool", ["wandb", "trackio"])
def test_what_wandb_and_trackio_are_sent(run: RunDir, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    sent: list[Any] = []
    stub: Any = ModuleType(tool)

    def begin(**options: Any) -> Any:
        sent.append(("init", options))
        return stub

    stub.init = begin
    stub.log = lambda values, step: sent.append((step, values))
    stub.finish = lambda: sent.append("finish")
    stub.Table = lambda **options: SimpleNamespace(**options)
    monkeypatch.setitem(sys.modules, tool, stub)
    monkeypatch.delitem(sys.modules, f"engine.trackers.{tool}", raising=False)
    assert mirror(run, tool, lambda: open_tracker(run, tool)) == 0
    monkeypatch.delitem(sys.modules, f"engine.trackers.{tool}", raising=False)
    (_, options), *logged, end = sent
    assert end == "finish"
    assert (options["project"], options["name"]) == ("bertqa-tui", run.name)
    assert options["config"]["epochs"] == run.config.epochs
    assert options.get("mode") == ("offline" if tool == "wandb" else None)
    assert sum("train/loss" in values for _, values in logged) == sum(isinstance(e, Step) for e in events_of(run))
    assert sum("predictions" in values for _, values in logged) == 4


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def init(**_): raise OSError('no such server')", "OSError: no such server"),
        ("import os\ndef init(**_): os._exit(9)", ""),
        ("import time\ndef init(**_): time.sleep(600)", None),
    ],
)
def test_a_run_ends_well_whatever_its_tracker_does(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str | None
) -> None:
    (tmp_path / "packages" / "wandb.py").write_text(body + "\n")
    started: list[subprocess.Popen[bytes]] = []
    real = launch._start_process

    def note(*arguments: Any) -> subprocess.Popen[bytes]:
        started.append(real(*arguments))
        return started[-1]

    monkeypatch.setattr(launch, "_start_process", note)
    run = start(replace(config, report_to="wandb"))
    try:
        assert run.wait() is State.FINISHED
        assert isinstance(events_of(run.directory)[-1], Finished)
        assert len(started) == 2
        log = run.path / "report-wandb.log"
        if said is None:
            assert started[1].poll() is None  # it hangs, alone
        else:
            until(lambda: started[1].poll() is not None)
            assert said in log.read_text()
            assert "Traceback" not in log.read_text()
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_live_run_is_mirrored_and_goes_on_after_a_stop(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    run = start(replace(config, epochs=4, report_to="tensorboard"))
    until(lambda: any(isinstance(event, Step) for event in events_of(run.directory)))
    run.stop()
    assert run.wait() is State.STOPPED
    until(lambda: reported(run) == events_of(run.directory)[-1].seq)
    resume(run.path)
    assert run.wait() is State.FINISHED
    until(lambda: reported(run) == events_of(run.directory)[-1].seq)
    reader = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"tensors": 0})
    reader.Reload()
    steps = [event.step for event in reader.Tensors("train/loss")]
    assert sorted(set(steps)) == sorted({event.step for event in events_of(run.directory) if isinstance(event, Step)})


def reported(run: Run) -> int:
    from engine.rundir.layout import read_json
    from engine.trackers.mirror import Reported

    try:
        return read_json(run.path / "reported-tensorboard.json", Reported).seq
    except UsageError:
        return 0


@pytest.mark.parametrize(("option", "tools"), [(None, ()), ("none", ()), ("", ())])
def test_no_tracker(option: str | None, tools: tuple[str, ...]) -> None:
    assert tools_of(option) == tools


def test_trackers_that_are_not_there_are_refused_before_anything_starts(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.trackers.registry.find_spec", lambda name: None if name == "wandb" else object())
    assert tools_of(" tensorboard,trackio , tensorboard") == ("tensorboard", "trackio")
    with pytest.raises(UsageError, match="there is no such tracker"):
        tools_of("tensorboard,mlflow")
    with pytest.raises(UsageError, match="wandb is not installed"):
        start(replace(config, report_to="wandb"))
    assert config.run_dir is not None
    assert not Path(config.run_dir).exists()
    assert TRACKERS == ("tensorboard", "trackio", "wandb")
