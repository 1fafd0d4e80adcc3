"""The main job on the real default model and the sample data, as the README tells it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from urllib.parse import unquote

import msgspec
import numpy as np
import pytest

from engine.events import AnyEvent, Finished, SnapshotTaken
from engine.launch import attach
from engine.rundir.layout import RunDir
from engine.rundir.log import read_events
from engine.rundir.snapshot import COLUMNS, Snapshot

ROOT = Path(__file__).parents[2]


def bertqa(*arguments: str, cwd: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_five_epochs_on_remedies_reach_the_notebooks_curve(tmp_path: Path) -> None:
    done = bertqa("train", "remedies", "--json", "--run-dir", "run", cwd=tmp_path, timeout=1400)
    assert done.returncode == 0, done.stderr
    events: list[AnyEvent] = [msgspec.json.decode(line, type=AnyEvent) for line in done.stdout.splitlines()]
    assert isinstance(events[-1], Finished)
    snapshots = [event for event in events if isinstance(event, SnapshotTaken)]
    untrained, last = snapshots[0], snapshots[-1]
    assert untrained.label == "untrained"
    assert (untrained.metrics.start_accuracy + untrained.metrics.end_accuracy) / 2 < 0.10
    assert last.label == "epoch 5"
    assert last.seen is not None
    assert last.unseen is not None
    assert (last.seen.start_accuracy + last.seen.end_accuracy) / 2 >= 0.90

    # The probe's highest bars stand on the markers.
    run = attach(tmp_path / "run")
    scores = run.snapshot(last.index).scores("chilblains-eval-symptoms-1")
    assert scores.gold is not None
    assert (int(scores.start_logits.argmax()), int(scores.end_logits.argmax())) == scores.gold
    assert scores.predicted == scores.gold

    # What the log tells is what the file holds.
    for event in snapshots:
        with Snapshot(tmp_path / "run" / event.file) as snapshot:
            assert snapshot.info.metrics == event.metrics
            assert np.isclose(snapshot.column("start_correct").mean(), event.metrics.start_accuracy)
            assert all(len(snapshot.column(name)) == event.metrics.examples for name in COLUMNS)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_wheel_brings_the_sample_data(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True
    )
    (wheel,) = tmp_path.glob("bertqa_tui-*.whl")
    venv.create(tmp_path / "venv", with_pip=True, system_site_packages=False)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True)
    # The dependencies come from the environment of the tests; only the program itself is installed again.
    site = Path(np.__file__).parents[1]
    link = next((tmp_path / "venv" / "lib").glob("python*/site-packages")) / "dependencies.pth"
    link.write_text(f"{site}\n")
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "bertqa-tui", "check", "remedies"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "0 errors" in done.stdout
    found = subprocess.run(
        [python, "-c", "from engine.data.samples import find_dataset; print(find_dataset('datasets/harbour.json'))"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(tmp_path / "venv") in found.stdout


def test_the_readme_names_files_that_exist_and_commands_that_parse() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for marker in ("run", "test"):
        assert f"<!-- command: {marker} -->" in text
    for target in [part.split(")")[0] for part in text.split("](")[1:]]:
        if not target.startswith(("http", "#")):
            assert (ROOT / unquote(target.partition("#")[0])).exists(), target


def test_the_readmes_python_example_runs_on_a_finished_run(tmp_path: Path) -> None:
    """Its calls exist: the example is run against a run that is already there."""
    from tests.fake_run import make_run

    run: RunDir = make_run(tmp_path, examples=4, snapshots=2)
    names = [event.type for event in read_events(run.events_file)]
    assert names.count("snapshot") == 2
    code = (ROOT / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    compile(code, "README.md", "exec")
    snapshot = attach(run.path).snapshot(1)
    scores = snapshot.scores("fake-0")
    assert len(scores.tokens) == len(scores.start_logits) == len(scores.end_logits)
