"""The real app in a pseudo-terminal: colours as the terminal has them, and a terminal that is given back in order."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rundir.layout import RunDir
from tests.pseudo_terminal import PseudoTerminal, app_command
from tests.recorded import recorded_run
from tui.drawing.theme import choose_theme
from tui.terminal.background import parse_answer

COLOURS = re.compile(rb"\x1b\[[0-9;]*?(?<![0-9])(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?![0-9])[0-9;]*m")
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return recorded_run(tmp_path)


def home(run: RunDir, **more: str) -> dict[str, str]:
    folder = run.path.parent
    return {"XDG_STATE_HOME": f"{folder}/state", "XDG_CONFIG_HOME": f"{folder}/config"} | more


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"COLORTERM": "truecolor"}, rb"\x1b\[[0-9;]*38;2;"),
        ({"TERM": "xterm-256color"}, rb"\x1b\[[0-9;]*38;5;"),
        ({"TERM": "xterm"}, rb"\x1b\[9[0-7]m"),
    ],
)
def test_colours_are_those_of_the_terminal(run: RunDir, environment: dict[str, str], wanted: bytes) -> None:
    with PseudoTerminal(app_command(run.path), columns=100, rows=30, environment=home(run, **environment)) as terminal:
        terminal.wait_for("predicted")
        terminal.settle()
        assert re.search(wanted, terminal.output)


def test_no_colour_where_none_is_wanted(run: RunDir) -> None:
    with PseudoTerminal(app_command(run.path), columns=100, rows=30, environment=home(run, NO_COLOR="1")) as terminal:
        terminal.wait_for("predicted")
        for key in "23561":
            terminal.answer(key)
        assert ENTER in terminal.output
        assert COLOURS.search(terminal.output) is None


def test_a_dumb_terminal_gets_lines(run: RunDir) -> None:
    with PseudoTerminal(app_command(run.path), environment=home(run, TERM="dumb")) as terminal:
        terminal.wait_for("finished")
        assert terminal.process.wait(20) == 0
        assert b"\x1b" not in terminal.output
        assert sum(b"  EM " in line for line in terminal.output.splitlines()) == 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(run: RunDir, number: signal.Signals) -> None:
    with PseudoTerminal(app_command(run.path), columns=80, rows=24, environment=home(run)) as terminal:
        terminal.wait_for("predicted")
        terminal.settle()
        terminal.process.send_signal(number)
        assert terminal.process.wait(20) == 128 + number
        terminal.settle()
        assert terminal.output.rfind(LEAVE) > terminal.output.rfind(ENTER) >= 0
        assert terminal.output.rfind(b"\x1b[?25h") > terminal.output.rfind(b"\x1b[?25l")


def test_the_size_of_the_terminal_may_change(run: RunDir) -> None:
    with PseudoTerminal(app_command(run.path), columns=80, rows=24, environment=home(run)) as terminal:
        terminal.wait_for("predicted")
        terminal.settle()
        before = terminal.written
        terminal.resize(120, 40)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.settle()
        assert terminal.written > before
        terminal.press("q")
        assert terminal.process.wait(20) == 0


@pytest.mark.parametrize(
    ("background", "expected_colour"),
    [("rgb:ffff/ffff/ffff", b"38;2;0;95;175"), ("rgb:1010/1010/20", b"38;2;95;135;255"), (None, b"38;2;95;135;255")],
)
def test_the_terminal_is_asked_for_its_background(run: RunDir, background: str | None, expected_colour: bytes) -> None:
    with PseudoTerminal(
        app_command(run.path), environment=home(run, COLORTERM="truecolor"), background=background
    ) as terminal:
        terminal.wait_for("predicted")
        terminal.settle()
        assert expected_colour in terminal.output
        assert b"IoU" not in terminal.output  # Spans: no part of the answer was taken for a key


@given(st.binary(max_size=80) | st.sampled_from([b"\x1b]11;rgb:", b"\x1b]11;rgb:g/g/g", b"\x1b]11;rgb:/ff/ff"]))
def test_any_answer_is_understood_or_none(answer: bytes) -> None:
    assert parse_answer(answer) in (None, True, False)
    assert parse_answer(answer + b"\x1b]11;rgb:ffff/ffff/ffff\x07") is not None


def test_the_theme_follows_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for background, theme in (("15;0", "dark"), ("0;15", "light"), ("0;7", "light"), ("", "dark")):
        monkeypatch.setenv("COLORFGBG", background)
        assert choose_theme(None) == theme
    assert choose_theme(None, light_background=True) == "light"
    monkeypatch.setenv("NO_COLOR", "1")
    assert choose_theme(None) == "none"
