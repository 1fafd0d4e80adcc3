"""How a run ends: early, where nothing gets better, and with the user's command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from engine.config import RunConfig
from engine.errors import ExitCode
from engine.events import Failed, Finished, Metrics, SnapshotTaken, Step, Stopped, Warned
from engine.launch import Run, resume, start
from engine.learning import on_finish
from engine.learning.on_finish import outcome, run_on_finish
from engine.rundir.checkpoints import checkpoints
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.log import read_events
from engine.rundir.process import read_owner
from tests.tiny_run import events_of, tiny_config
from tests.waiting import until

METRICS = Metrics(examples=4, start_accuracy=0.5, end_accuracy=0.5, exact_match=25.0, f1=37.5)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """Nothing is learned at this rate: the first epoch stays the best."""
    made = tiny_config(tmp_path_factory.mktemp("endings"), count=8)
    return msgspec.structs.replace(made, epochs=6, lr=1e-12, early_snapshots=False, early_stopping_patience=2)


def finished(run: Run) -> Finished:
    (ending,) = [event for event in events_of(run) if isinstance(event, Finished)]
    return ending


def test_a_run_ends_early_where_nothing_gets_better(config: RunConfig, tmp_path: Path) -> None:
    run = start(msgspec.structs.replace(config, run_dir=str(tmp_path / "run")))
    assert run.wait() is State.FINISHED
    labels = [event.label for event in events_of(run) if isinstance(event, SnapshotTaken)]
    assert labels == ["untrained", "epoch 1", "epoch 2", "epoch 3"]
    assert finished(run).reason == "early stopping: no better F1 for 2 epochs"
    assert run.state() == (State.FINISHED, finished(run).reason)


def test_the_best_weights_are_kept_also_where_only_the_last_were_asked_for(config: RunConfig, tmp_path: Path) -> None:
    run = start(msgspec.structs.replace(config, run_dir=str(tmp_path / "run"), keep_weights="last"))
    run.wait()
    steps = {event.step: event.metrics.f1 for event in events_of(run) if isinstance(event, SnapshotTaken)}
    best = max((f1, step) for step, f1 in steps.items() if step)[1]
    kept = {manifest.step for manifest in checkpoints(run.directory).values()}
    assert best in kept
    assert finished(run).step in kept


def test_a_run_killed_at_its_early_end_ends_there_when_it_is_resumed(config: RunConfig, tmp_path: Path) -> None:
    run = start(msgspec.structs.replace(config, run_dir=str(tmp_path / "run")))
    run.wait()
    until(lambda: not run.is_live(), "the engine's end")
    log = run.directory.events_file
    lines = log.read_bytes().splitlines(keepends=True)
    assert b'"finished"' in lines[-1]
    log.write_bytes(b"".join(lines[:-1]))  # as if it had been killed before its last word
    again = resume(run.path)
    assert again.wait() is State.FINISHED
    assert finished(again).reason.startswith("early stopping")
    assert finished(again).step == 3 * 2


def test_the_command_is_told_how_the_run_ended(config: RunConfig, tmp_path: Path) -> None:
    command = 'env | grep ^BERTQA_RESULT_ > "$BERTQA_RESULT_RUN/told"; exit 3'
    made = msgspec.structs.replace(
        config, run_dir=str(tmp_path / "run"), epochs=1, early_stopping_patience=None, on_finish=command
    )
    run = start(made)
    assert run.wait() is State.FINISHED  # whatever becomes of the command
    told = dict(line.split("=", 1) for line in (run.path / "told").read_text().splitlines())
    assert told["BERTQA_RESULT_STATE"] == "finished"
    assert told["BERTQA_RESULT_EXIT_CODE"] == "0"
    metrics = finished(run).metrics
    assert metrics is not None
    assert told["BERTQA_RESULT_F1"] == f"{metrics.f1:.2f}"
    assert [e.message for e in events_of(run) if isinstance(e, Warned)][-1:] == ["--on-finish ended with exit code 3."]


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_finish, "LIMIT_SECONDS", 1.0)
    ending = Stopped(step=1, epoch=0.5, reason="stopped by SIGTERM")
    problem = run_on_finish("sleep 600 & echo $! > child; wait", RunDir(tmp_path), ending, None)
    assert "took longer than 1 s" in problem
    child = int((tmp_path / "child").read_text())
    until(lambda: is_gone(child), "the end of the command's child")


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_outcome_of_every_ending(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    done = Finished(step=8, epoch=2.0, seconds=1.0, metrics=METRICS)
    assert outcome(run, done, None) == {
        "BERTQA_RESULT_RUN": str(tmp_path),
        "BERTQA_RESULT_STATE": "finished",
        "BERTQA_RESULT_EXIT_CODE": "0",
        "BERTQA_RESULT_MESSAGE": "",
        "BERTQA_RESULT_EM": "25.00",
        "BERTQA_RESULT_F1": "37.50",
    }
    stopped = outcome(run, Stopped(step=1, epoch=0.1, reason="stopped\0 by SIGTERM"), None)
    assert stopped["BERTQA_RESULT_EXIT_CODE"] == str(int(ExitCode.STOPPED))
    assert stopped["BERTQA_RESULT_MESSAGE"] == "stopped by SIGTERM"
    assert "BERTQA_RESULT_F1" not in stopped
    failed = outcome(run, Failed(message="no room", exit_code=73), METRICS)
    assert (failed["BERTQA_RESULT_STATE"], failed["BERTQA_RESULT_EXIT_CODE"]) == ("failed", "73")
    assert json.loads(failed["BERTQA_RESULT_F1"]) == 37.5


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU])
def test_time_is_nearly_up(config: RunConfig, tmp_path: Path, number: signal.Signals) -> None:
    """Batch systems say so by SIGUSR1 or SIGUSR2, or by what the user names."""
    many = msgspec.structs.replace(
        config, run_dir=str(tmp_path / "run"), epochs=500, early_stopping_patience=None, stop_signal="SIGXCPU"
    )
    run = start(many)
    until(lambda: any(isinstance(event, Step) for event in events_of(run)), "the first step")
    owner = read_owner(run.directory)
    assert owner is not None
    os.kill(owner.pid, number)
    assert run.wait() is State.STOPPED
    (ending,) = [event for event in events_of(run) if isinstance(event, Stopped)]
    assert ending.reason == f"stopped by {number.name}"
    assert max(manifest.step for manifest in checkpoints(run.directory).values()) == ending.step


def test_train_passes_it_on(config: RunConfig, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    command = [sys.executable, "-P", "-m", "tui.cli", "train", config.dataset, "--run-dir", str(run.path)]
    command += ["--model", config.model, "--epochs", "500", "--max-length", "128", "--doc-stride", "32"]
    job = subprocess.Popen([*command, "--device", "cpu", "--precision", "fp32"], stdout=subprocess.PIPE)
    until(lambda: any(isinstance(event, Step) for event in read_events(run.events_file)), "the first step")
    job.send_signal(signal.SIGUSR1)
    output, _ = job.communicate(timeout=170)
    assert job.returncode == ExitCode.STOPPED, output
    assert isinstance(read_events(run.events_file)[-1], Stopped)
