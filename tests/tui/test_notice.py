"""Bell and notice when a run ends and nobody looks."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
from textual import events

from engine.events import Failed, Finished
from engine.rundir.layout import RunDir
from tests.fake_app import RecordingDriver, make_app, opened, until
from tests.fake_run import append_events, make_run, seem_alive
from tui.settings import Settings
from tui.terminal.notice import notice


@pytest.fixture
def live(tmp_path: Path) -> RunDir:
    run = make_run(tmp_path, examples=4, snapshots=2, tokens=20, live=True)
    seem_alive(run)
    return run


def test_what_a_terminal_gets() -> None:
    sent = notice("my;run", "finished", {})
    assert sent == "\a\x1b]9;my,run: finished\x1b\\\x1b]777;notify;my,run;finished\x1b\\"


def test_tmux_passes_it_on() -> None:
    sent = notice("run", "finished", {"TMUX": "/tmp/tmux"})
    assert sent == (
        "\a\x1bPtmux;\x1b\x1b]9;run: finished\x07\x1b\\\x1bPtmux;\x1b\x1b]777;notify;run;finished\x07\x1b\\"
    )


@pytest.mark.parametrize(("focus", "wanted", "sent"), [(False, True, True), (True, True, False), (False, False, False)])
async def test_a_run_that_ends(live: RunDir, focus: bool, wanted: bool, sent: bool) -> None:
    app = make_app(live)
    app.settings = Settings(notify=wanted)
    with patch("textual.drivers.headless_driver.HeadlessDriver", RecordingDriver):
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(pilot)
            if not focus:
                app.post_message(events.AppBlur())
                await until(pilot, lambda: not app.app_focus)
            append_events(live, Finished(step=3, epoch=1.0, seconds=1.0, reason="early stopping: it is\x1b]0;x enough"))
            live.owner_file.unlink()
            await until(pilot, lambda: app.viewer.state.name == "FINISHED")
            await pilot.pause()
            text = "".join(app._driver.sent)
    assert ("\x1b]9;" in text) is sent
    assert ("finished early stopping: it is␛]0,x enough" in text) is sent


async def test_a_run_that_was_over_long_ago_says_nothing(live: RunDir) -> None:
    append_events(live, Failed(message="Out of memory."))
    live.owner_file.unlink()
    app = make_app(live)
    with patch("textual.drivers.headless_driver.HeadlessDriver", RecordingDriver):
        async with app.run_test(size=(80, 24)) as pilot:
            app.post_message(events.AppBlur())
            await opened(pilot)
            await until(pilot, lambda: app.viewer.state.name == "FAILED")
            text = "".join(app._driver.sent)
    assert "\x1b]9;" not in text
