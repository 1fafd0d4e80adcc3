"""`--look-only`: every key that changes, starts or writes something is gone, and refused where it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import UsageError
from engine.rundir.layout import RunDir
from tests.fake_app import opened, press, screen_lines, screen_text, until
from tests.fake_run import make_run, seem_alive
from tui.app import BertQAApp
from tui.screens.registry import SCREENS, all_commands, commands_of
from tui.settings import Settings

ACTS = {
    "keep_label", "take_answer", "choose_span", "no_answer", "drop_question", "undo", "why", "pause", "picture",
    "stop_run", "resume_run", "edit_run", "remove_run", "view_ask",
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    (tmp_path / "runs").mkdir()
    run = make_run(tmp_path / "runs", examples=8, snapshots=3, tokens=30, live=True)
    seem_alive(run)
    monkeypatch.chdir(tmp_path)
    return run


def look_only(run: RunDir | None, runs_dir: Path) -> Any:
    return BertQAApp(
        run.path if run else None,
        runs_dir=runs_dir,
        settings=Settings(),
        remember=False,
        theme_name="dark",
        look_only=True,
    )


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_what_acts_is_known() -> None:
    assert {command.id for command in all_commands().values() if command.acts} == ACTS
    for view in SCREENS:
        assert not ACTS & {command.id for command in commands_of(view, look_only=True)}


async def test_no_key_changes_anything(run: RunDir, tmp_path: Path) -> None:
    app = look_only(run, run.path.parent)
    before = files(tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot)
        for view in ("1", "2", "4", "6"):
            await press(pilot, view)
            for key in ("K", "M", "S", "S", "N", "D", "u", "i", "p", "P", "R", "X", "X", "e"):
                await press(pilot, key)
                assert len(app.screen_stack) == 1, key
            assert "keep label" not in screen_text(app)
        await press(pilot, "9")
        assert app.view_name == "runs"
        assert "Ask" not in screen_lines(app)[0]
        for name in ACTS:  # as a click or the palette asks
            app.action_do(name)
        app.send("stop")
        app.show_view("ask")
        await press(pilot, "1")
        assert files(tmp_path) == before
        assert not list(run.commands.iterdir())
        await press(pilot, "question_mark")
        shown = " ".join(str(widget.render()) for widget in app.screen.query("Static"))
        assert "pause or resume" not in shown
        await press(pilot, "escape", "q")  # asks nothing: there is nothing to choose
        assert app.return_code == 0


async def test_no_run_is_started_from_the_samples(tmp_path: Path) -> None:
    app = look_only(None, tmp_path / "none")
    async with app.run_test(size=(120, 30)) as pilot:
        await press(pilot, "enter")
        assert "you may only look here" in screen_text(app)
    assert not list(tmp_path.iterdir())


async def test_a_run_alone_is_all_that_is_seen(run: RunDir) -> None:
    other = make_run(run.path.parent, name="other", examples=4, snapshots=2, tokens=20)
    app: Any = BertQAApp(run.path, runs_dir=run.path.parent, settings=Settings(), remember=False, only=True)
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot, "6")
        await until(pilot, lambda: "1 run" in screen_text(app))
        await press(pilot, "down", "enter")
        assert "other" not in screen_text(app)
        assert "remedies" not in screen_text(app)  # no sample to start a run on
        with pytest.raises(UsageError, match="another run"):
            app.open_run(other.path)
        await press(pilot, "5")
        await press(pilot, "o")
        assert "other" not in screen_text(app).replace("other run", "")
        assert app.viewer.run.path == run.path
