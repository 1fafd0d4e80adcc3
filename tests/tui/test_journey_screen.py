"""The Journey screen: what it shows is what the snapshot file holds; and its keys, one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from engine.insight.metrics import normalize_answer
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import snapshot_name
from tests.fake_app import make_app, opened, press, screen_lines, screen_text, settle, until
from tests.fake_run import append_snapshot, fake_set, make_run, seem_alive
from tests.recorded import recorded_run
from tui.drawing.frame import UNICODE
from tui.drawing.token_bars import GUTTER, TOKEN_GLYPHS

SIGNS = TOKEN_GLYPHS[UNICODE]
LAST = 9
"""Position of the recorded run's newest snapshot."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return recorded_run(tmp_path_factory.mktemp("journey"))


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Windows too long for the screen, and some examples without an answer."""
    return make_run(
        tmp_path_factory.mktemp("long"), examples=12, snapshots=4, tokens=300, windows=3, has_impossible=True
    )


class Stored:
    """What the files of a run hold, read without the project's own readers."""

    def __init__(self, run: RunDir) -> None:
        document = json.loads(run.examples_file.read_text("utf-8"))
        self.questions = [
            question | {"context": paragraph["context"]}
            for article in document["validation"]["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
        self.features = load_file(run.features_file)
        self.snapshots = [load_file(path) for path in sorted(run.snapshots.iterdir())]

    def scores(self, snapshot: int, feature: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        lo, hi = self.features["token_offset"][feature : feature + 2].tolist()
        held = self.snapshots[snapshot]
        return held["start_logits"][lo:hi], held["end_logits"][lo:hi]

    def answer(self, snapshot: int, number: int) -> str:
        held = self.snapshots[snapshot]
        lo, hi = int(held["pred_char_start"][number]), int(held["pred_char_end"][number])
        return str(self.questions[number]["context"][lo:hi])


def chart_rows(app: Any, which: int) -> list[str]:
    """The canvas of the start chart (0) or the end chart (1), highest row first, without the gutter."""
    picture = app.view.picture
    rows = (picture._charts_end - 1) // 2
    top = picture.region.y + 1 + which * rows
    return [line.ljust(app.size.width)[GUTTER:] for line in screen_lines(app)[top + 1 : top + rows - 1]]


def marks(app: Any, which: int) -> str:
    """The line of marks under a chart."""
    picture = app.view.picture
    rows = (picture._charts_end - 1) // 2
    return str(screen_lines(app)[picture.region.y + which * rows + rows])[GUTTER:]


def heights(rows: list[str]) -> list[int]:
    """How high each column's bar is above the lowest row, in eighths of a row."""
    result = []
    for column in range(max(map(len, rows))):
        height = 0
        for number, row in enumerate(reversed(rows)):
            char = row[column]
            if char in SIGNS.parts and char != " ":
                height = 8 * number + SIGNS.parts.index(char) + 1
        result.append(height)
    return result


async def test_the_screen_shows_what_the_snapshot_file_holds(run: RunDir) -> None:
    stored = Stored(run)
    app = make_app(run)
    async with app.run_test(size=(230, 60)) as pilot:
        await opened(pilot)
        for number in (0, 7, 20, 43):
            app.go_to_example(number)
            await press(pilot, "g")
            sides = [stored.scores(at, number) for at in range(LAST + 1)]
            high = max(1.0, max(float(side.max() - side.min()) for both in sides for side in both))
            gold = stored.features["gold_start"][number], stored.features["gold_end"][number]
            for position in range(LAST + 1):
                assert app.view_state.snapshot == position
                held, text = stored.snapshots[position], screen_text(app)
                assert stored.questions[number]["question"] in text
                assert stored.answer(position, number)[:60] in text
                for which, scores in enumerate(stored.scores(position, number)):
                    rows = chart_rows(app, which)
                    each = app.view.picture.geometry.each
                    wanted = np.round((scores - scores.min()) / high * len(rows) * 8).astype(int)
                    found = heights(rows)[: each * len(scores)]
                    assert found == np.repeat(wanted, each).tolist()
                    line = marks(app, which)
                    predicted = int(held["pred_end" if which else "pred_start"][number])
                    expected = int(gold[which])
                    agreed = predicted == expected
                    assert {n // each for n, char in enumerate(line) if char in "▲◆"} == {expected}
                    assert {n // each for n, char in enumerate(line) if char in "▼◆"} == {predicted}
                    assert line.count("◆" if agreed else "▲") == each
                await press(pilot, "right")


async def test_probabilities_and_logits_of_every_token(run: RunDir) -> None:
    """The token under the cursor tells its score, probability and rank; the bars follow the scale."""
    stored = Stored(run)
    app = make_app(run)
    async with app.run_test(size=(200, 50)) as pilot:
        await opened(pilot)
        start, end = stored.scores(LAST, 0)
        context = stored.features["segment"][: len(start)] == 2
        await press(pilot, "m")
        for _ in range(6):
            token = app.view_state.token
            line = next(line for line in screen_lines(app) if line.startswith(f" token {token} "))
            for name, logits in (("start", start), ("end", end)):
                powers = np.where(context, np.exp(logits - logits[context].max()), 0)
                share, rank = float(powers[token] / powers.sum()), int((logits > logits[token]).sum()) + 1
                assert f"{name} {logits[token]:.2f} p {share:.3f} rank {rank}" in line
            await press(pilot, "]")
        await press(pilot, "y", "y")
        for which, logits in enumerate((start, end)):
            powers = np.where(context, np.exp(logits - logits[context].max()), 0)
            rows = chart_rows(app, which)
            each = app.view.picture.geometry.each
            wanted = np.round(powers / powers.sum() * len(rows) * 8).astype(int)
            assert heights(rows)[: each * len(start)] == np.repeat(wanted, each).tolist()


async def test_after_training_the_highest_bars_stand_on_the_markers(run: RunDir) -> None:
    """The probe of the recorded run: noise at first, then both peaks on the expected tokens."""
    stored = Stored(run)
    app = make_app(run)
    async with app.run_test(size=(200, 50)) as pilot:
        await opened(pilot)
        probe = app.view_state.example
        assert stored.questions[probe]["id"] == "chilblains-eval-symptoms-1"
        for which, gold in enumerate(("gold_start", "gold_end")):
            token, each = int(stored.features[gold][probe]), app.view.picture.geometry.each
            highest = heights(chart_rows(app, which))
            assert highest.index(max(highest)) // each == token
            assert marks(app, which)[token * each : (token + 1) * each] == "◆" * each
        await press(pilot, "home")
        assert not all("◆" in marks(app, which) for which in (0, 1))


async def test_walking_through_snapshots(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert app.view_state.snapshot == LAST
        for key, position in (
            ("left", 8), ("h", 7), ("right", 8), ("l", 9), ("right", 9), ("home", 0), ("left", 0), ("end", 9),
            ("g", 0), ("G", 9),
        ):  # fmt: skip
            await press(pilot, key)
            assert app.view_state.snapshot == position, key
        assert app.view_state.following
        await press(pilot, "f")
        assert not app.view_state.following
        await press(pilot, "left", "f")
        assert app.view_state.following
        assert app.view_state.snapshot == LAST


async def test_playing_the_journey(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "plus", "plus", "space")
        assert app.playing
        assert "playing 4 snapshots a second" in screen_text(app)
        await until(pilot, lambda: 0 < app.view_state.snapshot < LAST)
        await press(pilot, "space")
        assert not app.playing
        here = app.view_state.snapshot
        await press(pilot, "space", "minus")
        assert "playing 2 snapshots a second" in screen_text(app)
        await until(pilot, lambda: app.view_state.snapshot > here)
        await press(pilot, "left")
        assert not app.playing
        await press(pilot, "space", "plus", "plus")
        await until(pilot, lambda: app.view_state.snapshot == LAST and not app.playing)


async def test_walking_through_examples(run: RunDir) -> None:
    stored = Stored(run)
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        app.go_to_example(0)
        await settle(pilot)
        for key, example in (
            ("down", 1), ("j", 2), ("up", 1), ("k", 0), ("up", 0), ("pagedown", 10), ("pageup", 0), ("pageup", 0),
        ):  # fmt: skip
            await press(pilot, key)
            assert app.view_state.example == example, key
            assert f" {example + 1}/44 " in screen_text(app)
            assert stored.questions[example]["question"][:60] in screen_text(app)
        for _ in range(6):
            await press(pilot, "pagedown")
        assert app.view_state.example == 43


async def test_the_token_cursor(run: RunDir) -> None:
    stored = Stored(run)
    app = make_app(run)
    async with app.run_test(size=(200, 50)) as pilot:
        await opened(pilot)
        await press(pilot, "home")
        app.go_to_example(3)
        await settle(pilot)
        held = stored.snapshots[0]
        expected = [int(stored.features[name][3]) for name in ("gold_start", "gold_end")]
        stops = list(dict.fromkeys([*expected, int(held["pred_start"][3]), int(held["pred_end"][3])]))
        for stop in [*stops, stops[0]]:
            await press(pilot, "m")
            assert app.view_state.token == stop
        for key, by in (("]", 1), ("[", -1), ("{", -10), ("}", 10)):
            before = app.view_state.token
            await press(pilot, key)
            assert app.view_state.token == before + by, key
        each = app.view.picture.geometry.each
        await press(pilot, "]", "]", "]")
        for which in (0, 1):
            cursor = {n // each for n, char in enumerate(marks(app, which)) if char == "↑"}
            assert cursor <= {app.view_state.token}
        await press(pilot, *["{"] * 30)
        assert app.view_state.token == 0
        assert 'token 0 "[CLS]"' in screen_text(app)
        await press(pilot, "escape")
        assert app.view_state.token == -1
        assert "token 0" not in screen_text(app)


async def test_a_click_chooses_a_token(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(200, 50)) as pilot:
        await opened(pilot)
        each = app.view.picture.geometry.each
        await pilot.click("JourneyPicture", offset=(GUTTER + 17 * each, 4))
        await settle(pilot)
        assert app.view_state.token == 17
        await pilot.click("JourneyPicture", offset=(2, 4))
        assert app.view_state.token == 17


async def test_scales(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        top = app.view.picture.region.y + 2
        for words in ("logit", "probability", "logit − minimum"):
            await press(pilot, "y")
            assert f"█ {words}" in screen_text(app)
        await press(pilot, "home")
        fixed = screen_lines(app)[top][:GUTTER]
        await press(pilot, "right")
        assert screen_lines(app)[top][:GUTTER] == fixed
        await press(pilot, "=", "home")
        assert screen_lines(app)[top][:GUTTER] != fixed
        assert "each snapshot has its own scale" in screen_text(app)


async def test_the_change_since_the_snapshot_before(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(160, 50)) as pilot:
        await opened(pilot)
        await press(pilot, "d")
        assert "▓ rose" in screen_text(app)
        assert "░ fell" in screen_text(app)
        assert any(SIGNS.gained in row or SIGNS.lost in row for row in chart_rows(app, 0))
        await press(pilot, "d")
        assert not any(SIGNS.gained in row or SIGNS.lost in row for row in chart_rows(app, 0))


async def test_long_windows_scroll_or_stand_in_an_overview(long_run: RunDir) -> None:
    stored = Stored(long_run)
    app = make_app(long_run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert "window" in screen_text(app)
        geometry = app.view.picture.geometry
        expected = [t for t in app.view.picture.scene.expected_tokens if t >= 0]
        assert all(geometry.columns_of(token) for token in expected)
        assert not geometry.all_fit
        window = app.view.picture.scene.window
        for _ in range(3):
            await press(pilot, "w")
            window = (window + 1) % 3
            assert app.view.picture.scene.window == window
            assert f"window {window + 1}/3" in screen_text(app)
        await press(pilot, "z")
        geometry = app.view.picture.geometry
        assert geometry.overview
        scene = app.view.picture.scene
        start, _ = stored.scores(3, scene.tokens.feature)
        column = int(start.argmax()) * geometry.columns // len(start)
        found = heights(chart_rows(app, 0))
        assert found[column] == max(found)
        await press(pilot, "z", "m", *["}"] * 30)
        assert app.view_state.token == len(scene.tokens) - 1
        assert app.view.picture.geometry.columns_of(app.view_state.token)


async def test_no_answer_stands_on_its_token(long_run: RunDir) -> None:
    app = make_app(long_run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        app.go_to_example(3)
        await press(pilot, "m")
        assert app.view_state.token == 0
        assert "no answer in the passage" in screen_text(app)
        assert "(no answer)" in screen_text(app)


async def test_search_goes_to_the_next_example(run: RunDir) -> None:
    stored = Stored(run)
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        app.go_to_example(5)
        wanted = stored.questions[11]
        await press(pilot, "slash", *wanted["id"][:12], "enter")
        assert stored.questions[app.view_state.example]["id"].startswith(wanted["id"][:12])
        here = app.view_state.example
        await press(pilot, "slash", *"no such words", "enter")
        assert app.view_state.example == here
        assert "no example has “no such words”" in screen_text(app)
        await press(pilot, "slash", *"qjk", "escape")
        assert app.view_state.example == here
        await press(pilot, "down")
        assert app.view_state.example == here + 1


async def test_copy(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = Stored(run)
    app = make_app(run)
    copied: list[str] = []
    monkeypatch.setattr(type(app), "copy_to_clipboard", lambda _, text: copied.append(text))
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await press(pilot, "c")
        number = app.view_state.example
        question = stored.questions[number]
        assert copied == [
            f"{question['question']}\nexpected: {question['answers'][0]['text']}\n"
            f"predicted: {stored.answer(LAST, number)}"
        ]


async def test_n_best_are_told_with_what_is_right(run: RunDir) -> None:
    stored = Stored(run)
    app = make_app(run)
    async with app.run_test(size=(200, 50)) as pilot:
        await opened(pilot)
        for number in range(8):
            app.go_to_example(number)
            await settle(pilot)
            line = next(line for line in screen_lines(app) if "▼ predicted " in line and "%" in line)
            answer = stored.answer(LAST, number)
            golds = [answer["text"] for answer in stored.questions[number]["answers"]]
            assert answer[:40] in line
            right = normalize_answer(answer) in {normalize_answer(gold) for gold in golds}
            assert ("✓" in line) == right


async def test_a_new_snapshot_never_moves_someone_who_looks_at_an_old_one(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30, live=True)
    seem_alive(run)
    made = fake_set(8, tokens=30)
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        append_snapshot(run, made, 3)
        await until(pilot, lambda: app.view_state.snapshot == 3)
        await press(pilot, "left")
        append_snapshot(run, made, 4)
        await until(pilot, lambda: "epoch 4 is ready" in screen_text(app))
        assert app.view_state.snapshot == 2
        await press(pilot, "right", "right")
        assert app.view_state.snapshot == 4


async def test_a_damaged_snapshot_is_told_and_passed_by(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30)
    (run.path / snapshot_name(1)).write_bytes(b"nothing")
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "left")
        assert "can't be read" in screen_text(app)
        await press(pilot, "left")
        assert "1/8" in screen_text(app)


async def test_ascii_alone(run: RunDir) -> None:
    app = make_app(run, ascii_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        for keys in ([], ["d"], ["y"], ["y"], ["m"], ["z"]):
            await press(pilot, *keys)
            picture = app.view.picture
            for line in screen_lines(app)[picture.region.y : picture.region.bottom]:
                assert line.isascii(), line


async def test_resize_at_any_moment(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        for size in ((200, 50), (40, 10), (20, 6), (3, 2), (100, 30)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await press(pilot, "down", "left", "m")
        await until(pilot, lambda: "START" in screen_text(app).upper())
