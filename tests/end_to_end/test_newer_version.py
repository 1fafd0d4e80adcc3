"""A run that a newer version wrote: what is known of it is shown, and it is not gone on with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from engine import attach, resume
from engine.config import RunConfig
from engine.errors import ExitCode, UsageError
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from tests.fake_app import make_app, opened, press, screen_text
from tests.fake_run import make_run
from tui.model.followed_runs import RunsFolder
from tui.screens.registry import SCREENS, about

ROOT = Path(__file__).parents[2]
CHOICES = {"device": "npu", "precision": "fp4", "keep_weights": "median", "snapshot_limit": "few", "epochs": 0}
"""Values of options that this version does not know."""


def bertqa(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(cwd / "config")},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def tell(run: RunDir, **fields: Any) -> None:
    """Put a record into the log, as it stands."""
    body = json.dumps(fields, separators=(",", ":")).encode()[:-1]
    with run.events_file.open("ab") as file:
        file.write(body + b',"crc32":%d}\n' % zlib.crc32(body))


@pytest.fixture
def newer(tmp_path: Path) -> RunDir:
    """A run with fields, choices and events of a newer version; the log's last known word is `stopped`."""
    run = make_run(tmp_path, name="newer", examples=8, snapshots=3, tokens=30)
    lines = run.events_file.read_bytes().splitlines(keepends=True)
    run.events_file.write_bytes(b"".join(lines[:-1]))
    tell(run, seq=len(lines), type="insight", time=1.0, layer=[1, 2])
    tell(run, seq=len(lines) + 1, type="phase", time=1.0, name="dreaming")
    tell(run, seq=len(lines) + 2, type="stopped", time=1.0, step=20, epoch=2.0, reason="asked to", by="somebody")
    mood = {"mood": "fine", "curriculum": {"easy": [1, 2]}}
    rewrite(run.config_file, **mood, **CHOICES)
    config = json.loads(run.config_file.read_text())
    rewrite(run.run_file, config=config, power={"watts": 300}, precision="fp4")
    return run


def test_what_is_known_of_it_is_read(newer: RunDir) -> None:
    config, info = newer.config, newer.info
    assert config.dataset.endswith("newer-data.json")
    assert config.run_dir == str(newer.path)
    default = RunConfig(dataset="-")
    assert [getattr(config, name) for name in CHOICES] == [getattr(default, name) for name in CHOICES]
    assert info is not None
    assert info.config == config
    assert info.precision == "fp4"
    rewrite(newer.run_file, schema=2, lr="a curve")
    assert newer.info is None
    (row,) = RunsFolder(newer.path.parent).poll()
    assert (row.name, row.state, row.epoch) == ("newer", State.STOPPED, 2.0)
    assert attach(newer.path).snapshot(2).scores("fake-1").gold is not None


@pytest.mark.parametrize(
    "change", [{"dataset": 3}, {"dataset": None}, {"dataset": ""}], ids=["a number", "null", "empty"]
)
def test_what_has_no_default_is_still_needed(newer: RunDir, change: dict[str, Any]) -> None:
    rewrite(newer.config_file, **change)
    with pytest.raises(UsageError, match=r"config\.json: can't be read"):
        _ = newer.config
    with pytest.raises(UsageError):
        _ = newer.exact_config


async def test_every_screen_shows_it(newer: RunDir) -> None:
    app = make_app(newer)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        assert len(app.viewer.snapshots) == 3
        assert "STOPPED asked to" in screen_text(app)
        for view in SCREENS:
            await press(pilot, about(view).key)
            assert f"[{about(view).key} {about(view).label}]" in screen_text(app)


def test_commands_show_it_and_do_not_go_on_with_it(newer: RunDir, tmp_path: Path) -> None:
    shown = bertqa(newer.path, "--plain", cwd=tmp_path)
    assert shown.returncode == ExitCode.STOPPED
    assert shown.stderr.endswith(f"bertqa-tui resume {newer.path}\n")
    assert len(shown.stderr.splitlines()) == 1
    assert "epoch 2" in shown.stdout
    assert "stopped at step 20: asked to" in shown.stdout
    listed = bertqa("runs", "--runs-dir", tmp_path, cwd=tmp_path)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "stopped" in listed.stdout
    before = newer.events_file.read_bytes()
    for more in ([], ["--force"]):
        done = bertqa("resume", newer.path, *more, cwd=tmp_path)
        assert done.returncode == ExitCode.USAGE
        (line,) = done.stderr.splitlines()
        assert "asks for what this version does not know" in line
        assert "device = 'npu'" in line
        assert "epochs = 0" in line
        assert "mood" not in line  # a field that nobody here asks for changes nothing
    with pytest.raises(UsageError, match="with the version of bertqa-tui that started it"):
        resume(newer.path)
    worker = subprocess.run(
        [sys.executable, "-m", "engine.learning.worker", str(newer.path)], cwd=ROOT, capture_output=True, text=True
    )
    assert worker.returncode == ExitCode.USAGE
    assert "keep_weights = 'median'" in worker.stderr
    assert newer.events_file.read_bytes() == before
