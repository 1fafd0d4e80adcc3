"""Hostile text from data, model, log and file names through every screen: what the terminal is sent stays harmless."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st

from engine.data.examples import Answer, Example, dump_examples, make_dataset, read_examples
from engine.events import CommandDone, Failed, Phase, Warned
from engine.rundir.layout import RunDir
from engine.storage.atomic_io import replace_file
from tests.fake_app import RecordingDriver, make_app, opened, press, screen_text, settle
from tests.fake_run import append_events, make_run, run_started, seem_alive

ATTACKS = [
    "\x1b]0;pwned\x07", "\x1b]52;c;cHduZWQ=\x07", "\x1b[2J\x1b[H", "\x1bc", "\x9b31m", "\x90q\x9c", "\x1bP+q\x1b\\",
    "\r\n", "\b\b\b", "\x00", "\x7f", "\u202e", "\u2066\u2069", "\u200f", "\u061c", "\ufeff", "\U000e0041", "\u2028",
    "[/b]", "[@click=app.quit]x[/]", "[bold red]", "[link=http://x]y[/link]", "\\[", "[[", "🧑‍⚕️", "e\u0301", "דג", "語",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(ATTACKS) | st.text(max_size=6), min_size=1, max_size=8).map("".join)

SAFE_SEQUENCES = re.compile(
    "\x1b\\]22;[a-z]*\x07"  # the shape of the mouse pointer
    "|\x1b\\["
    r"(?:[0-9;:]*m"  # colours
    r"|[0-9]*;?[0-9]*H"  # cursor places
    r"|\?(?:1049|25|2026|2004|1000|1002|1003|1004|1006|1015|1016|2048)[hl]"  # modes that Textual sets
    r"|\?2026\$p|\?2048\$p|[<>=]?[0-9;]*u|[0-9]*[JKABCD])"  # questions and erasing of Textual's own
)
BAD = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def poisoned(folder: Path, texts: list[str]) -> RunDir:
    """A run whose every text from outside is made of `texts`; offsets stay where they were."""
    turn = iter(range(10**9))

    def text() -> str:
        return texts[next(turn) % len(texts)]

    run = make_run(folder, examples=6, snapshots=3, tokens=30, live=True, has_impossible=True)
    seem_alive(run)
    poisoned_examples: list[Example] = []
    for example in read_examples(run.examples_file).eval:
        size = len(example.context)
        context = (text() + "x" + example.context * 2)[:size] if len(poisoned_examples) % 2 else (text() * size)[:size]
        context = context or example.context
        answers = tuple(
            Answer(context[answer.start : answer.start + len(answer.text)], answer.start) for answer in example.answers
        )
        changed = {"id": text() + example.id, "title": text(), "question": text() + example.question}
        poisoned_examples.append(msgspec.structs.replace(example, context=context, answers=answers, **changed))
    replace_file(run.examples_file, dump_examples(make_dataset([], poisoned_examples)))
    started = run_started(make_dataset([], poisoned_examples), run.config)
    append_events(
        run,
        msgspec.structs.replace(started, dataset=text(), model=text(), device=text()),
        Warned(message=text(), hint=text()),
        CommandDone(id="1", command=text(), outcome=text()),
        Phase(name="loading", detail=text(), done=1, total=2),
    )
    return run


async def look_at_everything(run: RunDir, failure: str) -> str:
    """Walk through every screen; returns what was sent to the terminal."""
    app = make_app(run)
    with patch("textual.drivers.headless_driver.HeadlessDriver", RecordingDriver):
        return await walk(app, run, failure)


async def walk(app: Any, run: RunDir, failure: str) -> str:
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        driver = app._driver
        assert isinstance(driver, RecordingDriver)
        for keys in (
            ["m", "]", "down", "w", "y", "d", "z"], ["question_mark"], ["escape"], ["2", "v", "down", "s"], ["3"],
            ["4", "down", "K", "v", "down", "M", "s", "S", "]", "S", "]", "S"], ["8", "down", "enter"], ["escape"],
            ["5", "a", "left", "down"], ["6", "down"], ["x", "down", "]"], ["7", "]"],
            ["9", "down", "enter"], ["escape"], ["q"], ["escape"],
        ):  # fmt: skip
            await press(pilot, *keys)
            await pilot.pause(0.02)
        append_events(run, Failed(message=failure, hint=failure))
        await pilot.pause(0.6)
        await press(pilot, "1", "question_mark")
        await settle(pilot)
        assert screen_text(app)
        sent = "".join(driver.sent)
    assert len(sent) > 10_000
    return sent


@settings(
    max_examples=4,
    deadline=None,
    phases=[Stage.explicit, Stage.reuse, Stage.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(texts=st.lists(HOSTILE, min_size=3, max_size=6), failure=HOSTILE)
def test_what_the_terminal_is_sent_is_harmless(texts: list[str], failure: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sent = asyncio.run(look_at_everything(poisoned(Path(folder), [*texts, *ATTACKS]), failure))
    rest = SAFE_SEQUENCES.sub("", sent)
    found = BAD.search(rest)
    assert found is None, repr(rest[max(0, found.start() - 80) : found.start() + 80])


def test_the_check_itself_sees_an_attack() -> None:
    for attack in ("\x1b]0;pwned\x07", "\x9b31m", "\u202e", "\x1bc", "\x08"):
        assert BAD.search(SAFE_SEQUENCES.sub("", f"\x1b[1;2H\x1b[38;5;12mword{attack}\x1b[0m"))
