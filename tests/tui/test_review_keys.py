"""Verdicts by keys: on the example under the cursor, in the run's folder at once, and seen on every screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.data.examples import Answer, read_examples
from engine.rundir.layout import RunDir
from engine.rundir.verdicts import give_verdict, read_verdicts
from tests.fake_app import make_app, opened, press, screen_text, until
from tests.fake_run import make_run


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make_run(tmp_path, examples=12, snapshots=4, tokens=40)


def verdict(run: RunDir, number: int = 0) -> Any:
    return read_verdicts(run).of("validation", f"fake-{number}")


async def test_every_verdict_and_undo(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await press(pilot, "home", "K")
        assert verdict(run).action == "keep"
        assert "label kept" in screen_text(app)
        await press(pilot, "M")
        found = app.viewer.predicted(0, 0)
        context = app.viewer.examples[0].context
        assert (verdict(run).action, verdict(run).by) == ("replace", "model")
        assert verdict(run).answer == Answer(context[found.char_start : found.char_end], found.char_start)
        assert "label → “" in screen_text(app)
        await press(pilot, "N")
        assert verdict(run).action == "unanswerable"
        await press(pilot, "down", "D")
        assert verdict(run, 1).action == "drop"
        assert "label dropped" in screen_text(app)
        await press(pilot, "down", "u")
        assert app.view_state.example == 1
        assert verdict(run, 1) is None
        await press(pilot, "u", "u", "u")
        assert app.view_state.example == 0
        assert verdict(run) is None
        await press(pilot, "u")
        assert "there is no verdict to take back" in screen_text(app)


async def test_another_span_by_the_token_keys(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "2")
        await press(pilot, "S")
        assert app.view_name == "journey"
        await press(pilot, "S")
        assert app.view_state.token >= 0
        scene = app.view.scene_at_place()
        app.view_state.token = len(scene.tokens) - 6
        await press(pilot, "S", "right_square_bracket", "right_square_bracket")
        assert "the right answer:" in screen_text(app)
        await press(pilot, "escape")
        assert app.view_state.span_from < 0
        assert verdict(run) is None
        app.view_state.token = len(scene.tokens) - 6
        await press(pilot, "S", "right_square_bracket", "right_square_bracket", "S")
        words = scene.example.context.split()[-5:-2]
        assert verdict(run).answer.text == " ".join(words)
        assert verdict(run).by == "hand"
        assert app.view_state.span_from < 0
        app.view_state.token = 0
        await press(pilot, "S")
        assert "not of the passage" in screen_text(app)


async def test_what_another_viewer_decides_is_seen(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(180, 40)) as pilot:
        await opened(pilot, "2")
        example = read_examples(run.examples_file).eval[2]
        give_verdict(run, "validation", example, "unanswerable")
        await until(pilot, lambda: "→ no answer" in screen_text(app))
        await press(pilot, "down", "down")
        assert "label → no answer; expected" in screen_text(app)
        await press(pilot, "u")  # none of this session's: the one under the cursor
        assert verdict(run, 2) is None


async def test_the_label_itself_is_no_other_answer(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "end")
        right = next(n for n in range(12) if app.viewer.predicted(3, n).is_right)
        app.go_to_example(right)
        await press(pilot, "M")
        assert "K keeps it" in screen_text(app)
        assert not len(read_verdicts(run))


async def test_a_verdict_that_can_not_be_written_is_said(run: RunDir) -> None:
    run.verdicts.write_text("in the way")
    app = make_app(run)
    async with app.run_test(size=(240, 30)) as pilot:
        await opened(pilot)
        await press(pilot, "K")
        assert "cannot write" in screen_text(app)
