"""Why this answer, key by key: with a real answering process, and with explanations made up."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.errors import UsageError
from engine.messages import Explanation, Layers
from engine.rundir.layout import RunDir
from tests.fake_app import make_app, opened, press, screen_lines, screen_text, until
from tests.recorded import recorded_explanations, recorded_run
from tests.tiny_run import kept_run
from tui.model.explainer import Lend, Target, Wanted
from tui.screens.explanation import screen as explanation_screen

SMALL, WIDE = (80, 24), (140, 40)


class Recorded:
    """Stands for an Explainer: gives what a real model said, at once or when told to."""

    def __init__(self, target: Target, *, answers: bool = True) -> None:
        self.target, self.kept, self.first = target, [object(), object()], 1
        self.found: dict[Wanted, Explanation | Layers] = {}
        self.failed: dict[Wanted, Any] = {}
        self.trouble: Any = None
        self.opened, self.changes, self.closed = True, 1, False
        self.asked: list[Wanted] = []
        self._answers = answers

    def want(self, wanted: Wanted) -> None:
        if wanted in self.asked:
            return
        self.asked.append(wanted)
        if self._answers:
            self.found[wanted] = recorded_explanations()[wanted.view]
            self.changes += 1

    def label(self, wanted: Wanted) -> str:
        return f"epoch {4 + wanted.weights} (snapshot {8 + wanted.weights}, F1 92.0)"

    def note(self, wanted: Wanted) -> str:
        return f"Nearest to step 8 in view. Kept too: epoch {5 - wanted.weights}."

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return recorded_run(tmp_path_factory.mktemp("recorded"))


@pytest.fixture
def explainers(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """The explainers that the app makes."""
    made: list[Recorded] = []

    def make(target: Target, lend: Lend | None) -> Recorded:
        made.append(Recorded(target))
        return made[-1]

    monkeypatch.setattr(explanation_screen, "Explainer", make)
    return made


async def shown(pilot: Pilot[Any], words: str) -> None:
    await until(pilot, lambda: words in screen_text(pilot.app))


async def open_why(pilot: Pilot[Any]) -> None:
    await opened(pilot)
    await press(pilot, "i")
    await shown(pilot, "masking the top 5")


async def test_a_key_in_journey_explains_the_example_in_view(run: RunDir, explainers: list[Recorded]) -> None:
    app = make_app(run)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot)
        await press(pilot, "home", "right", "right", "i")
        await shown(pilot, "masking the top 5")
        [explainer] = explainers
        example = app.viewer.examples[app.view_state.example]
        seen = app.viewer.snapshots[2]
        assert explainer.target == Target(example.question, example.context, run.path, step=seen.step, seen=seen.label)
        assert explainer.asked == [Wanted(1, "gradient")]
        lines = screen_lines(app)
        assert lines[0].startswith(" Why this answer: gradient: by epoch 5 (snapshot 9")
        assert "Nearest to step 8 in view. Kept too: epoch 4." in lines[1]
        assert "esc back" in lines[-1]
        await press(pilot, "escape")
        assert len(app.screen_stack) == 1
        assert explainer.closed


async def test_gradient_integrated_gradients_and_layers_to_choose(run: RunDir, explainers: list[Recorded]) -> None:
    app = make_app(run)
    async with app.run_test(size=WIDE) as pilot:
        await open_why(pilot)
        assert "how strongly log P(answer) reacts" in screen_text(app)
        await press(pilot, "i")
        await shown(pilot, "for the answer")
        assert "against it" in screen_text(app)
        await press(pilot, "x")
        await shown(pilot, "▲ the model's answer")
        assert "embedding" in screen_text(app)
        assert "layer 6" in screen_text(app)
        await press(pilot, "right_square_bracket")
        assert "token " in screen_lines(app)[3]
        pointed = [n for n, line in enumerate(screen_lines(app)) if line.startswith("›")]
        await press(pilot, "k")
        moved = [n for n, line in enumerate(screen_lines(app)) if line.startswith("›")]
        assert len(pointed) == len(moved) == 2
        assert moved[0] < pointed[0]
        await press(pilot, "g")
        await shown(pilot, "how strongly log P(answer) reacts")
        assert [wanted.view for wanted in explainers[0].asked] == ["gradient", "integrated", "layers"]


async def test_other_weights_and_scrolling(run: RunDir, explainers: list[Recorded]) -> None:
    app = make_app(run)
    async with app.run_test(size=(60, 14)) as pilot:
        await open_why(pilot)
        before = screen_text(app)
        await press(pilot, "j", "j")
        assert screen_text(app) != before
        await press(pilot, "k", "k")
        assert screen_text(app) == before
        await press(pilot, "pagedown", "pagedown", "pagedown", "pagedown", "pagedown", "pageup")
        await press(pilot, "left")
        await until(pilot, lambda: Wanted(0, "gradient") in explainers[0].found)
        await shown(pilot, "by epoch 4")
        await press(pilot, "left", "right", "right", "right")
        await shown(pilot, "by epoch 5")


async def test_what_can_not_be_explained_is_said(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Recorded] = []

    def make(target: Target, lend: Lend | None) -> Recorded:
        made.append(Recorded(target, answers=False))
        return made[-1]

    monkeypatch.setattr(explanation_screen, "Explainer", make)
    app = make_app(run)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot)
        await press(pilot, "i")
        await shown(pilot, "The model is loaded and asked")
        made[0].failed[Wanted(1, "gradient")] = UsageError("\x1b]0;no[/b] such thing", hint="Do another one.")
        made[0].changes += 1
        await shown(pilot, "such thing")
        assert "Do another one." in screen_text(app)
        assert "\x1b" not in screen_text(app)
        await press(pilot, "left")
        await shown(pilot, "The model is loaded and asked")
        made[0].trouble = UsageError("remedies: no weights are kept.", hint="--keep-weights all keeps every one.")
        made[0].changes += 1
        await shown(pilot, "--keep-weights all")


@pytest.mark.parametrize("size", [SMALL, (120, 40)])
async def test_ascii_alone(run: RunDir, explainers: list[Recorded], size: tuple[int, int]) -> None:
    app = make_app(run, ascii_only=True)
    async with app.run_test(size=size) as pilot:
        await open_why(pilot)
        for key in ("g", "i", "x", "j", "right_square_bracket", "left"):
            await press(pilot, key)
            await pilot.pause(0.25)
            for line in screen_lines(app):
                assert line.isascii(), line


@pytest.mark.parametrize("name", ["gradient-100x30", "integrated-80x24", "layers-100x30", "ascii-80x24", "none-80x24"])
def test_pictures(snap_compare: Any, run: RunDir, explainers: list[Recorded], name: str) -> None:
    view, _, size = name.partition("-")
    width, height = map(int, size.split("x"))
    app = make_app(run, ascii_only=view == "ascii", theme="none" if view == "none" else "dark")

    async def walk(pilot: Pilot[Any]) -> None:
        await open_why(pilot)
        if view in ("integrated", "ascii", "none"):
            await press(pilot, "i")
            await shown(pilot, "against it")
        if view == "layers":
            await press(pilot, "x", "right_square_bracket")
            await shown(pilot, "▲ the model's answer")
        await pilot.pause(0.3)

    assert snap_compare(app, terminal_size=(width, height), run_before=walk)


async def test_with_a_real_process_the_app_stays_alive(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The process starts off the event loop, torch never enters, and nothing is left when the app ends."""
    app = make_app(kept_run(tmp_path_factory))
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await press(pilot, "i")
        explainer = app.screen.explainer
        assert threading.current_thread() is not explainer._thread
        await shown(pilot, "masking the top 5")
        assert ": by epoch " in screen_lines(app)[0]
        await press(pilot, "x")
        await shown(pilot, "▲ the model's answer")
        assert "layer 2" in screen_text(app)
        assert "layer 3" not in screen_text(app)
        await press(pilot, "q")
        assert len(app.screen_stack) == 1
        await until(pilot, lambda: explainer.join(0))
