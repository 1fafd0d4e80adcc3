"""What the app says stays readable, however long a path stands before the reason."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from engine.rundir.layout import RunDir
from engine.rundir.snapshot import snapshot_name
from tests.fake_app import make_app, opened, press, screen_lines, screen_text, settle
from tests.fake_run import make_run
from tui.drawing.messages import cut_middle, message_lines

DEEP = "/data/" + "/".join(f"a-folder-with-a-long-name-{number}" for number in range(12))
SPACED = "/data/" + "/".join(f"a folder with a long name {number}" for number in range(40))
REASON = "cannot write: No space left on device. The disk is full: make room, then resume the run."


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("app"), examples=12, snapshots=4, tokens=40)


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("folder", [DEEP, SPACED], ids=["deep", "spaced"])
async def test_a_long_path_hides_no_reason(run: RunDir, folder: str, ascii_only: bool) -> None:
    app = make_app(run, ascii_only=ascii_only)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        before = screen_lines(app)
        app.say(f"{folder}/verdicts/1.json: {REASON}")
        await settle(pilot)
        assert REASON in flat(screen_text(app))
        assert "/data/" in screen_text(app)
        assert "verdicts/1.json" in screen_text(app)
        assert len(screen_lines(app)) == 24
        assert ascii_only is screen_text(app).isascii()
        app._unsay()
        await settle(pilot)
        assert screen_lines(app) == before


async def test_a_long_message_fits_a_screen_that_gets_narrower(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        app.say(REASON)
        await settle(pilot)
        assert REASON in screen_lines(app)[-1]
        await pilot.resize_terminal(60, 20)
        await settle(pilot)
        assert REASON in flat(screen_text(app))


async def test_what_is_said_is_harmless_and_no_markup(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.say("\x1b]0;title\x07[/b]\u202e " + "x" * 300 + " 漢字" * 60 + " the reason")
        await settle(pilot)
        text = screen_text(app)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[/b]" in text
        assert text.rstrip().endswith("the reason")


async def test_a_snapshot_that_can_not_be_read_says_why(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("a-folder-with-quite-a-long-name-in-which-runs-are-kept")
    made = make_run(folder, name="a-run-with-a-name-that-is-as-long", examples=8, snapshots=3, tokens=30)
    (made.path / snapshot_name(2)).write_bytes(b"damaged")
    app = make_app(made)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "2")
        await press(pilot, "end")
        assert "damaged file (bad header size)" in flat(screen_text(app))


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


words = st.text(st.sampled_from("ab /漢…\x1b\n"), max_size=400)


@settings(deadline=None)
@given(words, st.integers(3, 100), st.integers(1, 6))
def test_lines_never_take_more_room_than_there_is(text: str, width: int, most: int) -> None:
    lines = message_lines(text, width, most)
    assert len(lines) <= most
    assert all(cell_len(line) <= width for line in lines)
    assert "\x1b" not in "".join(lines)


@given(st.text(st.sampled_from("ab漢字"), min_size=1, max_size=60), st.integers(3, 60))
def test_a_middle_is_cut(text: str, width: int) -> None:
    cut = cut_middle(text, width)
    assert cell_len(cut) <= width
    head, _, tail = cut.partition("…")
    assert text.startswith(head.rstrip())
    assert text.endswith(tail)
    assert (cut == text) == (cell_len(text) <= width)


def test_short_messages_stay_as_they_are() -> None:
    assert message_lines("copied (where the terminal allows OSC 52)", 78, 6) == [
        "copied (where the terminal allows OSC 52)"
    ]
    assert message_lines("", 78, 6) == []
