"""`bertqa-tui remove` and `prune`, as people and scripts call them, and against a live engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from engine.events import RunStarted
from engine.launch import start
from engine.rundir.checkpoints import checkpoints
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.log import read_events
from engine.rundir.process import read_owner
from engine.rundir.verdicts import give_verdict
from tests.fake_run import make_run
from tests.kept_weights import keep_weights
from tests.tiny_run import tiny_config
from tui.cli.main import main


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make_run(tmp_path / "runs", name="one", examples=12, snapshots=4, tokens=20)


@pytest.fixture(autouse=True)
def _runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("BERTQA_RUNS_DIR", str(tmp_path / "runs"))


def test_nothing_goes_unasked(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    keep_weights(run, 1)
    keep_weights(run, 2)
    for words in (["remove", "one"], ["prune", "--keep-best"]):
        done = subprocess.run(
            [sys.executable, "-m", "tui.cli", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert "no terminal to ask on. --yes" in done.stderr
    assert main(["prune"]) == 2
    assert "--keep-best" in capsys.readouterr().err
    assert len(checkpoints(run)) == 2


def test_an_answer_other_than_yes_keeps_it(
    run: RunDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.data.examples import read_examples

    give_verdict(run, "validation", read_examples(run.examples_file).eval[0], "keep")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", lambda question, default: False)
    assert main(["remove", "one"]) == 0
    said = capsys.readouterr().out
    assert "iB in all, with your verdicts on 1 label." in said
    assert "Nothing was deleted." in said
    assert run.path.is_dir()
    monkeypatch.setattr("click.confirm", lambda question, default: True)
    assert main(["remove", "one"]) == 0
    assert "removed one" in capsys.readouterr().out
    assert not run.path.exists()


def test_pruning_says_what_goes(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(run.path.parent, name="live", examples=6, snapshots=2, tokens=20, live=True)
    for epoch in (1, 2, 3):
        keep_weights(run, epoch)
    assert main(["prune", "live", "--keep-best", "--yes"]) == 2
    assert "at work" in capsys.readouterr().err
    assert main(["prune", "--keep-best", "--yes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "live: an engine is at work, left alone" in lines
    goes = [line.split("  goes   ")[1] for line in lines if "  goes   " in line]
    assert [words.split(" (")[0] for words in goes] == ["epoch 1", "epoch 2", "the optimizer's state of epoch 3"]
    assert [folder.name for folder in checkpoints(run)] == ["epoch-0003"]
    assert main(["prune", "--keep-best", "--yes"]) == 0
    assert "Nothing to prune." in capsys.readouterr().out


def test_a_live_engine_and_then_a_resumed_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real processes: a live run is refused; a stopped one is pruned and resumed; killed, it is removed."""
    config = msgspec.structs.replace(
        tiny_config(tmp_path), keep_weights="all", epochs=40, early_snapshots=False, run_dir=str(tmp_path / "runs/real")
    )
    run = start(config)
    assert main(["remove", "real", "--yes"]) == 2
    assert "at work" in capsys.readouterr().err
    while len(checkpoints(run.directory)) < 2:
        assert run.is_live()
    run.stop()
    assert run.wait() is State.STOPPED
    while run.is_live():
        pass
    newest = list(checkpoints(run.directory))[-1]
    assert main(["prune", "real", "--keep-best", "--yes"]) == 0
    kept = checkpoints(run.directory)
    assert newest in kept
    assert kept[newest].resumable
    # Besides those to resume from, which are two where a stop came inside an epoch, the best alone stays.
    assert sum(not manifest.resumable for manifest in kept.values()) <= 1
    assert main(["resume", "real", "--detach"]) == 0
    # Killed before it writes that it goes on, the run would still be a stopped one.
    while sum(isinstance(event, RunStarted) for event in read_events(run.directory.events_file)) < 2:
        assert run.is_live()
    owner = read_owner(run.directory)
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    while run.is_live():
        pass
    assert run.state()[0] is State.DEAD
    assert main(["remove", "real", "--yes"]) == 0
    assert not run.path.exists()
