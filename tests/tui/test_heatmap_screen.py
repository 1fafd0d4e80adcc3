"""The heat map, key by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from engine.rundir.layout import RunDir
from engine.rundir.snapshot import snapshot_name
from tests.common_keys import check_common_keys, check_pause
from tests.fake_app import make_app, opened, press, screen_lines, screen_text, settle, until
from tests.fake_run import append_snapshot, fake_set, make_run, seem_alive
from tui.drawing.heat_strips import LABEL
from tui.widgets.picture import Picture

LAST = 4
WIDE = (200, 50)
SIDES = ("start", "end")
Shares = NDArray[np.float64]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("heat"), examples=40, snapshots=LAST + 1, tokens=50)


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Passages of three windows that are wider than the screen, some without an answer; many snapshots."""
    folder = tmp_path_factory.mktemp("long")
    return make_run(folder, examples=8, snapshots=12, tokens=150, windows=3, has_impossible=True)


class Stored:
    """What the files of a run hold, read without the project's own readers."""

    def __init__(self, run: RunDir) -> None:
        document = json.loads(run.examples_file.read_text("utf-8"))
        paragraphs = [paragraph for article in document["validation"]["data"] for paragraph in article["paragraphs"]]
        self.questions = [(paragraph["context"], item) for paragraph in paragraphs for item in paragraph["qas"]]
        self.features = load_file(run.features_file)
        self.snapshots = [load_file(path) for path in sorted(run.snapshots.iterdir())]

    def shares(self, snapshot: int, feature: int, side: str) -> Shares:
        """Probabilities among the tokens that may be chosen."""
        lo, hi = self.features["token_offset"][feature : feature + 2].tolist()
        scores = self.snapshots[snapshot][f"{side}_logits"][lo:hi].astype(np.float64)
        powers = np.where(self.features["segment"][lo:hi] == 2, np.exp(scores), 0.0)
        shares: Shares = powers / powers.sum()
        return shares

    def answer(self, snapshot: int, example: int) -> str:
        held = self.snapshots[snapshot]
        lo, hi = int(held["pred_char_start"][example]), int(held["pred_char_end"][example])
        return str(self.questions[example][0][lo:hi])

    def right(self, example: int) -> list[bool]:
        return [float(held["exact_match"][example]) == 1.0 for held in self.snapshots]

    def word(self, feature: int, token: int) -> str:
        at = int(self.features["token_offset"][feature]) + token
        segment = int(self.features["segment"][at])
        if segment == 0:
            return "[SEP]" if token else "[CLS]"
        context, question = self.questions[int(self.features["feature_example"][feature])]
        text = question["question"] if segment == 1 else context
        return str(text[self.features["char_start"][at] : self.features["char_end"][at]])


def picture(app: Any) -> list[str]:
    region = app.view.query_one("#heat-picture", Picture).region
    return screen_lines(app)[region.y : region.bottom]


def map_lines(app: Any, side: str) -> list[str]:
    """The lines of one map: a row for each snapshot in view, and the floor below them."""
    lines = picture(app)
    first = next(n for n, line in enumerate(lines) if line.strip() == f"{side} of the answer")
    last = next(n for n in range(first + 1, len(lines)) if not lines[n][:LABEL].strip() and "│" not in lines[n])
    return lines[first + 1 : last + 1]


def token_line(app: Any) -> str:
    return picture(app)[1]


async def test_shades_and_marks_are_what_the_snapshots_hold(run: RunDir) -> None:
    stored = Stored(run)
    app = make_app(run)
    async with app.run_test(size=(200, 22)) as pilot:
        await opened(pilot, "x")
        for example in (0, 7, 20, 39):
            app.go_to_example(example)
            await settle(pilot)
            assert f" {example + 1}. {stored.questions[example][1]['question']}" in picture(app)[0]
            for side in SIDES:
                gold = int(stored.features[f"gold_{side}"][example])
                *rows, floor = map_lines(app, side)
                assert len(rows) == LAST + 1
                for position, line in enumerate(rows):
                    shares = stored.shares(position, example, side)
                    each = min(8, (200 - LABEL - 2 - 48) // len(shares))
                    label = "untrained" if position == 0 else f"epoch {position}"
                    assert line[:LABEL].strip("› │") == label
                    assert line.startswith("›") == (position == LAST)
                    cells = line[LABEL : LABEL + each * len(shares)].replace("┊", " ")
                    wanted = [" ░▒▓█"[int(np.sum(share >= np.array([0.01, 0.05, 0.2, 0.5])))] for share in shares]
                    assert cells == "".join(glyph * each for glyph in wanted)
                    right = stored.snapshots[position][f"pred_{side}"][example] == gold
                    note = line[LABEL + each * len(shares) :]
                    assert note.startswith(" ✓" if right else " ✗")
                    if side == "start":
                        assert note[3:].rstrip("…") in stored.answer(position, example)
                        assert note[3:]
                    else:
                        start = stored.shares(position, example, "start")[stored.features["gold_start"][example]]
                        assert note[3:] == f"expected: start {100 * start:.0f} %, end {100 * shares[gold]:.0f} %"
                assert floor == " " * (LABEL + each * gold) + "▲" * each
            right = stored.right(example)
            shown = picture(app)[1]
            assert ("never right" in shown) == (not any(right))
            if any(right):
                first = right.index(True)
                assert f"first right at {'untrained' if first == 0 else f'epoch {first}'}" in shown
                assert ("ever since" in shown) == (all(right[first:]) and first < LAST)


async def test_snapshots_one_by_one(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "x")
        walk = ("home", 0), ("right", 1), ("l", 2), ("h", 1), ("left", 0), ("end", 4), ("g", 0), ("G", 4), ("h", 3)
        for key, position in walk:
            await press(pilot, key)
            assert app.view_state.snapshot == position
            for side in SIDES:
                here = [n for n, line in enumerate(map_lines(app, side)) if line.startswith("›")]
                assert here == [position]


async def test_follow_and_play(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "x")
        await press(pilot, "f")
        assert not app.view_state.following
        await press(pilot, "f")
        assert app.view_state.following
        await press(pilot, *["minus"] * 4)
        assert "playing 0.25 snapshots a second" in screen_text(app)
        await press(pilot, "space")
        assert (app.playing, app.view_state.snapshot) == (True, 0)
        assert map_lines(app, "start")[0].startswith("›")
        await press(pilot, "space")
        assert not app.playing
        await press(pilot, *["plus"] * 4, "space")
        await until(pilot, lambda: app.view_state.snapshot == LAST and not app.playing)
        await settle(pilot)
        assert map_lines(app, "end")[LAST].startswith("›")


async def test_examples_one_by_one_and_by_ten(run: RunDir) -> None:
    stored = Stored(run)
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "x")
        walk = (
            ("down", 1), ("j", 2), ("up", 1), ("k", 0), ("k", 0), ("pagedown", 10), ("pagedown", 20), ("pageup", 10),
            ("pagedown", 20), ("pagedown", 30), ("pagedown", 39), ("down", 39), ("pageup", 29),
        )  # fmt: skip
        for key, example in walk:
            await press(pilot, key)
            assert app.view_state.example == example
            assert f" {example + 1}. {stored.questions[example][1]['question']}" in picture(app)[0]


async def test_the_token_under_the_cursor(run: RunDir) -> None:
    stored = Stored(run)
    app = make_app(run)
    async with app.run_test(size=(80, 30)) as pilot:
        await opened(pilot, "x")
        example = 5
        app.go_to_example(example)
        await settle(pilot)
        assert "token" not in token_line(app)
        gold = int(stored.features["gold_start"][example])
        count = int(np.diff(stored.features["token_offset"])[example])
        token = gold
        walk = (
            ("right_square_bracket", None), ("right_square_bracket", 1), ("left_square_bracket", -1),
            ("left_curly_bracket", -10), ("right_curly_bracket", 10), ("left_square_bracket", -1),
            *[("left_curly_bracket", -10)] * 3, *[("right_curly_bracket", 10)] * 6, ("right_square_bracket", 1),
        )  # fmt: skip
        for key, step in walk:
            await press(pilot, key)
            token = gold if step is None else max(0, min(count - 1, token + step))
            assert app.view_state.token == token
            for position in (LAST, 0) if step in (None, 1) else (LAST,):
                app.go_to(position, follow=position == LAST)
                await settle(pilot)
                start, end = (100 * stored.shares(position, example, side)[token] for side in SIDES)
                shown = f"token {token} {stored.word(example, token)!r}: start {start:.1f} %, end {end:.1f} %"
                assert shown in token_line(app)
            app.go_to(LAST, follow=True)
            for side in SIDES:
                floor = map_lines(app, side)[-1].ljust(80)
                assert floor[LABEL + token] == ("▲" if token == stored.features[f"gold_{side}"][example] else "┃")
        await press(pilot, "escape")
        assert app.view_state.token == -1
        assert "token" not in token_line(app)


async def test_jumping_from_mark_to_mark(run: RunDir) -> None:
    stored = Stored(run)
    held = stored.snapshots[0]
    for example in range(40):
        marks = {int(held[f"pred_{side}"][example]) for side in SIDES}
        marks |= {int(stored.features[f"gold_{side}"][example]) for side in SIDES}
        if len(marks) == 4:
            break
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "x")
        app.go_to_example(example)
        await press(pilot, "home")
        for token in (*sorted(marks), min(marks)):
            await press(pilot, "m")
            assert app.view_state.token == token
            assert f"token {token} {stored.word(example, token)!r}" in token_line(app)


async def test_windows_of_a_long_passage(long_run: RunDir) -> None:
    stored = Stored(long_run)
    app = make_app(long_run)
    async with app.run_test(size=(180, 40)) as pilot:
        await opened(pilot, "x")
        example = 1
        app.go_to_example(example)
        await settle(pilot)
        golds = stored.features["gold_start"][3 * example : 3 * example + 3].tolist()
        home = next(n for n, gold in enumerate(golds) if gold >= 0)
        for turn in range(4):
            window = (home + turn) % 3
            feature = 3 * example + window
            assert f"window {window + 1}/3" in picture(app)[0]
            floor = map_lines(app, "start")[-1]
            tokens = int(np.diff(stored.features["token_offset"])[feature])
            room = 180 - LABEL - 2 - 45
            a_column = -(-tokens // room)
            assert a_column == 2
            # In a set with questions that have no answer, a window without the answer expects the null token.
            assert floor.index("▲") == LABEL + max(0, golds[window]) // a_column
            await press(pilot, "right_square_bracket", "right_curly_bracket")
            token = app.view_state.token
            assert f"token {token} {stored.word(feature, token)!r}" in token_line(app)
            await press(pilot, "w")
            assert app.view_state.token == -1
        # An example without an answer expects the null token, in every window.
        app.go_to_example(3)
        await settle(pilot)
        assert map_lines(app, "end")[-1].index("▲") == LABEL
        assert "no answer" in map_lines(app, "start")[-2]


async def test_one_window_is_said(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "x")
        await press(pilot, "right_square_bracket")
        token = app.view_state.token
        await press(pilot, "w")
        assert "this passage fits one window" in screen_text(app)
        assert "window" not in picture(app)[0]
        assert app.view_state.token == token


async def test_more_snapshots_than_lines_make_pages(long_run: RunDir) -> None:
    app = make_app(long_run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "x")
        for key in ("home", "right", "right", "right", "right", "end", "left"):
            await press(pilot, key)
            for side in SIDES:
                rows = [line for line in map_lines(app, side)[:-1] if line[:LABEL].strip("› │")]
                assert len(rows) == 6
                (here,) = [line for line in rows if line.startswith("›")]
                position = app.view_state.snapshot
                assert here[:LABEL].strip("› │") == ("untrained" if position == 0 else f"epoch {position}")


async def test_a_click_chooses_snapshot_and_token(run: RunDir) -> None:
    for height in (24, 29):
        async with make_app(run).run_test(size=(80, height)) as pilot:
            app = pilot.app
            await opened(pilot, "x")
            lines = picture(app)
            for side, position, token in (("start", 1, 7), ("end", 3, 20), ("end", 4, 0)):
                first = next(n for n, line in enumerate(lines) if line.strip() == f"{side} of the answer")
                rows = [n for n in range(first + 1, len(lines)) if "│" in lines[n]]
                own = [n for n in rows if lines[n][:LABEL].strip("› │")][position]
                await pilot.click("#heat-picture", offset=(LABEL + token, own))
                await settle(pilot)
                assert (app.view_state.snapshot, app.view_state.token) == (position, token)
                assert f"token {token} " in token_line(app)
            await press(pilot, "left")
            place = repr(app.view_state)
            legend = next(n for n, line in enumerate(lines) if "probability from" in line)
            for y in (1, *range(legend, len(lines))):
                await pilot.click("#heat-picture", offset=(LABEL + 9, y))
                await settle(pilot)
                assert repr(app.view_state) == place, (height, y)


async def test_keys_that_work_everywhere(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(pilot, "x")
        await press(pilot, "p")
        assert "this run is not training" in screen_text(app)
        await check_common_keys(pilot, "heatmap")


async def test_waiting_states(tmp_path: Path) -> None:
    app = make_app(None, tmp_path)
    keys = (
        "left", "right", "home", "end", "f", "space", "space", "up", "down", "pageup", "pagedown", "m", "w",
        "left_square_bracket", "right_square_bracket", "left_curly_bracket", "right_curly_bracket",
    )  # fmt: skip
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "x", *keys)
        assert "no run is open" in screen_text(app)
    run = make_run(tmp_path, examples=6, snapshots=0, tokens=30, live=True)
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "x", *keys)
        await pilot.click("#heat-picture", offset=(20, 4))
        assert "waiting for the first snapshot" in screen_text(app)
        append_snapshot(run, fake_set(6, tokens=30), 0, progress=0.0)
        await until(pilot, lambda: "start of the answer" in screen_text(app))
        assert map_lines(app, "start")[0].startswith("› untrained")
        await press(pilot, "right", "space", "m")
        assert "token" in token_line(app)


async def test_a_new_snapshot_gets_a_row(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30, live=True)
    seem_alive(run)
    made = fake_set(8, tokens=30)
    app = make_app(run)
    async with app.run_test(size=(80, 30)) as pilot:
        await opened(pilot, "x")
        await check_pause(pilot, run)
        append_snapshot(run, made, 3)
        await until(pilot, lambda: app.view_state.snapshot == 3)
        await settle(pilot)
        assert any(line.startswith("›   epoch 3") for line in map_lines(app, "start"))
        await press(pilot, "left", "left")
        append_snapshot(run, made, 4)
        await until(pilot, lambda: "epoch 4 │" in screen_text(app))
        assert app.view_state.snapshot == 1
        assert any(line.startswith("›   epoch 1") for line in map_lines(app, "end"))


async def test_a_resize_before_a_new_snapshot_is_drawn(tmp_path: Path) -> None:
    """The run knows of a snapshot some moments before its scores are read."""
    run = make_run(tmp_path, examples=8, snapshots=4, tokens=30)
    app = make_app(run)
    async with app.run_test(size=(80, 30)) as pilot:
        await opened(pilot, "x")
        newest = app.viewer.snapshots.pop()
        app.go_to(2)
        await settle(pilot)
        app.draw()
        app.viewer.snapshots.append(newest)
        await pilot.resize_terminal(90, 40)
        await pilot.pause()
        assert "epoch 2" in screen_text(app)
        app.changed()
        await until(pilot, lambda: "epoch 3 │" in screen_text(app))


async def test_another_run_has_its_own_words(tmp_path: Path) -> None:
    """The first windows of two runs begin at the same place."""
    runs = [make_run(tmp_path, name=f"run{seed}", examples=4, snapshots=2, tokens=40, seed=seed) for seed in range(2)]
    app = make_app(runs[0])
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "x")
        await press(pilot, *["right_square_bracket"] * 3)
        app.open_run(runs[1].path)
        await opened(pilot, "x")
        stored = Stored(runs[1])
        for _ in range(4):
            await press(pilot, "right_square_bracket")
            token = app.view_state.token
            assert f"token {token} {stored.word(0, token)!r}" in token_line(app)


async def test_a_damaged_snapshot_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30)
    whole = (run.path / snapshot_name(1)).read_bytes()
    (run.path / snapshot_name(1)).write_bytes(b"nothing")
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "x")
        await press(pilot, "left", "m", "right_square_bracket", "w", "down")
        await pilot.click("#heat-picture", offset=(20, 4))
        for part in ("start", "end"):
            shown = [line for line in map_lines(app, part) if "can't be read" in line]
            assert len(shown) == 1
            assert "epoch 1" in shown[0]
            assert shown[0].rstrip().endswith("?")
        (run.path / snapshot_name(1)).write_bytes(whole)
        await press(pilot, "right")
        assert "can't be read" not in screen_text(app)


async def test_a_damaged_snapshot_is_left_out_of_the_story(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30)
    (run.path / snapshot_name(1)).unlink()
    app = make_app(run)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "x")
        assert "; can't be read: epoch 1" in token_line(app)


async def test_ascii_alone(long_run: RunDir) -> None:
    app = make_app(long_run, ascii_only=True)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "x")
        for size, key in ((WIDE, "left"), ((80, 24), "right_curly_bracket"), ((40, 10), "m"), ((20, 8), "w")):
            await pilot.resize_terminal(*size)
            assert "\n".join(picture(app)).isascii(), picture(app)
            await press(pilot, key)
            assert "\n".join(picture(app)).isascii(), picture(app)
            assert "?" in picture(app)[0] or size[0] < 80


async def test_resize_at_any_moment(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "x")
        for size in (WIDE, (40, 10), (20, 8), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await press(pilot, "down", "left", "right_square_bracket")
            lines = picture(app)
            assert lines[0].startswith(f" {app.view_state.example + 1}. what")
            assert all(len(line) <= size[0] for line in lines)
        assert len(map_lines(app, "end")) == LAST + 2 or "epoch 4" in screen_text(app)
