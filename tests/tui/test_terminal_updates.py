"""Updates of the screen: exact spans, and the private parts of Textual behind them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import textual._compositor
from rich.console import Console
from rich.segment import Segment
from textual.app import App
from textual.drivers import _writer_thread
from textual.drivers.linux_driver import LinuxDriver
from textual.strip import Strip

from engine.rundir.layout import RunDir
from tests.fake_app import RecordingDriver, make_app, opened, press, screen_lines
from tests.fake_run import make_run
from tui.terminal.updates import ExactApp, exact_update, render_exactly, write_queue

REMEDY = (
    "Textual has renamed or changed it. The app goes on with Textual's own updates, which send more; look up the new "
    "name and put it into tui/terminal/updates.py."
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("updates"), examples=4, snapshots=3, tokens=40)


def test_private_parts_of_textual_are_there() -> None:
    update: Any = getattr(textual._compositor, "ChopsUpdate", None)
    assert update is not None, f"textual._compositor.ChopsUpdate: {REMEDY}"
    assert callable(getattr(update, "render_segments", None)), f"ChopsUpdate.render_segments: {REMEDY}"
    assert list(inspect.signature(update).parameters) == ["chops", "spans", "chop_ends"], f"ChopsUpdate(…): {REMEDY}"
    assert list(inspect.signature(App._display).parameters) == ["self", "screen", "renderable"], f"_display: {REMEDY}"
    assert "_writer_thread" in inspect.getsource(LinuxDriver), f"LinuxDriver._writer_thread: {REMEDY}"
    with open("/dev/null", "w") as nowhere:
        thread = _writer_thread.WriterThread(nowhere)
    assert isinstance(getattr(thread, "_queue", None), Queue), f"WriterThread._queue: {REMEDY}"


def test_no_other_module_uses_private_parts_of_textual() -> None:
    root = Path(__file__).parents[2] / "tui"
    for path in root.rglob("*.py"):
        text = path.read_text("utf-8")
        found = re.findall(r"textual\._\w+|_writer_thread|_compositor", text)
        assert not found or path.name == "updates.py", (path, found)


def test_only_the_span_is_written() -> None:
    line = Strip([Segment("0123456789")])
    written = render_exactly(Console(color_system=None), [{0: line}], [(0, 3, 6)], [[10]])
    assert written == "\x1b[1;4H345"
    assert render_exactly(Console(color_system=None), [{0: None}], [(0, 3, 6)], [[10]]) == ""


async def sent_by_a_flip(run: RunDir) -> tuple[int, list[str]]:
    """Bytes that a flip sends, and the screen after it."""
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        driver = RecordingDriver(app, size=(100, 30))
        app._driver = driver
        await press(pilot, "left")
        return sum(len(text.encode()) for text in driver.sent), screen_lines(app)


async def test_without_the_private_parts_the_app_shows_the_same(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    exact, lines = await sent_by_a_flip(run)
    with monkeypatch.context() as patch:
        patch.delattr(textual._compositor.ChopsUpdate, "render_segments")
        assert exact_update() is None
    with monkeypatch.context() as patch:
        patch.setattr("importlib.import_module", lambda name: object())
        assert exact_update() is None
    monkeypatch.setattr(ExactApp, "EXACT_UPDATE", None)
    whole, same = await sent_by_a_flip(run)
    assert same == lines
    assert 0 < exact < whole


def test_a_driver_that_is_not_known_is_never_behind() -> None:
    class Driver:
        _writer_thread: Any = None

    assert write_queue(Driver()) is None
    assert write_queue(None) is None
    Driver._writer_thread = type("Thread", (), {"_queue": Queue()})()
    queue = write_queue(Driver())
    assert queue is not None
    assert queue.qsize() == 0
