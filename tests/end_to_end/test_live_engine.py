"""A real engine on a tiny model, from its start to its end, steered from other processes as a user does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine import RunConfig, resume, start
from engine.events import CommandDone, Finished, Paused, Resumed, RunStarted, SnapshotTaken, Step, Stopped
from engine.launch import Run
from engine.rundir.liveness import State
from engine.rundir.snapshot import Snapshot
from tests.tiny_run import events_of, tiny_config
from tests.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    made = tiny_config(tmp_path_factory.mktemp("tiny"))
    return msgspec.structs.replace(made, early_snapshots=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.launch.POLL_SECONDS", 0.02)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def bertqa(*arguments: str | Path, folder: Path) -> str:
    """The output of a command about the runs in `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", *map(str, arguments), "--runs-dir", str(folder)],
        cwd=folder,
        env=os.environ | {"XDG_CONFIG_HOME": str(folder / "config")},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def listed(folder: Path) -> dict[str, Any]:
    """The one run that `bertqa-tui runs` tells of."""
    (line,) = bertqa("runs", "--json", folder=folder).splitlines()
    return dict(json.loads(line))


def answer(run: Run, ident: str) -> str:
    """Wait for what became of a command."""

    def found() -> list[str]:
        return [event.outcome for event in events_of(run) if isinstance(event, CommandDone) and event.id == ident]

    until(lambda: bool(found()))
    return found()[0]


def test_paused_resumed_stopped_and_gone_on_with(tmp_path: Path, config: RunConfig) -> None:
    run = start(msgspec.structs.replace(config, run_dir=str(tmp_path / "run"), epochs=40))
    # By other processes, which wait for the engine's answer; it is asked while it is still coming up.
    assert bertqa("pause", "run", folder=tmp_path) == "pause: pauses after this step\n"
    until(lambda: run.state()[0] is State.PAUSED)
    row = listed(tmp_path)
    assert (row["name"], row["state"], row["epochs"]) == ("run", "paused", 40)
    assert bertqa("resume", "run", folder=tmp_path) == "resume: goes on\n"

    # By this one, in the midst of training.
    first = next(event.step for event in events_of(run) if isinstance(event, Paused))
    until(lambda: any(isinstance(event, Step) and event.step > first for event in events_of(run)))
    assert answer(run, run.pause()) == "pauses after this step"
    until(lambda: run.state()[0] is State.PAUSED)
    at = [event.step for event in events_of(run) if isinstance(event, Paused)][-1]
    assert first < at
    assert answer(run, run.pause()) == "paused already"
    assert [event.step for event in events_of(run) if isinstance(event, Step)][-1] == at  # it stands still
    assert answer(run, run.resume()) == "goes on"
    until(lambda: any(isinstance(event, Step) and event.step > at for event in events_of(run)))
    assert answer(run, run.stop()) == "stops after this step"
    assert run.wait() is State.STOPPED
    stopped = events_of(run)[-1]
    assert isinstance(stopped, Stopped)
    assert at < stopped.step < 240
    assert stopped.reason == "stopped on request"
    assert listed(tmp_path)["state"] == "stopped"

    assert resume(run.path).wait() is State.FINISHED
    events = events_of(run)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    begun = [event.resumed_from_step for event in events if isinstance(event, RunStarted)]
    assert begun == [None, stopped.step]
    assert [event.step for event in events if isinstance(event, Resumed)] == [first, at]
    # No step is lost or done twice, and no snapshot either.
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 241))
    assert [event.index for event in events if isinstance(event, SnapshotTaken)] == list(range(41))
    assert isinstance(events[-1], Finished)
    row = listed(tmp_path)
    assert (row["state"], row["epoch"]) == ("finished", 40.0)


def test_two_processes_learn_what_one_does(tmp_path: Path, config: RunConfig) -> None:
    """`--devices 2` over gloo; batches of three leave the second process less to do, and at last nothing."""
    small = msgspec.structs.replace(config, batch_size=3, epochs=2)
    data = json.loads(Path(config.dataset).read_text())
    data["train"]["data"] = data["train"]["data"][:10]
    (tmp_path / "data.json").write_text(json.dumps(data))
    small = msgspec.structs.replace(small, dataset=str(tmp_path / "data.json"))
    one = start(msgspec.structs.replace(small, run_dir=str(tmp_path / "one")))
    two = start(msgspec.structs.replace(small, run_dir=str(tmp_path / "two"), devices=2))
    assert one.wait() is State.FINISHED, one.state()
    assert two.wait() is State.FINISHED, two.state()
    infos = [run.directory.info for run in (one, two)]
    assert [info.world_size for info in infos if info is not None] == [1, 2]
    losses, norms, rates = [], [], []
    for run in (one, two):
        steps = [event for event in events_of(run) if isinstance(event, Step)]
        assert [step.step for step in steps] == list(range(1, 9))
        losses.append([step.loss for step in steps])
        norms.append([step.grad_norm for step in steps])
        rates.append([step.learning_rate for step in steps])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-3)
    assert rates[1] == rates[0]
    assert len(set(losses[0])) == 8, "the losses never changed: nothing is compared"
    names = [sorted(path.name for path in run.directory.snapshots.glob("[!.]*")) for run in (one, two)]
    assert names[0] == names[1] != []
    for name in names[0]:
        with Snapshot(one.directory.snapshots / name) as mine, Snapshot(two.directory.snapshots / name) as theirs:
            for ours, others in zip(mine.logits(), theirs.logits(), strict=True):
                # The head's bias has no gradient but rounding, which Adam makes large: only differences count.
                np.testing.assert_allclose(others - others.mean(), ours - ours.mean(), rtol=1e-3, atol=1e-4)
