"""The Compare screen, key by key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from engine.events import Metrics, SnapshotTaken
from engine.rundir.layout import RunDir
from engine.rundir.log import read_events
from engine.rundir.snapshot import snapshot_name
from tests.common_keys import check_common_keys, check_pause
from tests.fake_app import make_app, opened, press, screen_lines, screen_text, settle, until
from tests.fake_run import append_snapshot, fake_set, make_run, seem_alive
from tui.widgets.picture import Picture

LAST = 4
FILTERS = ["changed", "learned", "forgotten", "both wrong", "all"]
CUT = 20
"""Characters of a text that a wide table shows at least."""
METRICS = {"start accuracy": "start_accuracy", "end accuracy": "end_accuracy", "EM": "exact_match", "F1": "f1"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDir]:
    """A run, another one on the same data with fewer snapshots, one on a part of the data, and some on none of it."""
    folder = tmp_path_factory.mktemp("compare")
    made = {"one": make_run(folder, name="one", examples=40, snapshots=LAST + 1, tokens=40)}
    made["two"] = make_run(folder, name="two", examples=40, snapshots=3, tokens=40)
    made["part"] = make_run(folder, name="part", examples=10, snapshots=3, tokens=40)
    made["texts"] = make_run(folder, name="texts", examples=40, snapshots=2, tokens=40, seed=1)
    made["names"] = make_run(folder, name="names", examples=40, snapshots=2, tokens=40)
    examples = made["names"].examples_file
    examples.write_text(examples.read_text("utf-8").replace('"fake-', '"other-'), "utf-8")
    made["young"] = make_run(folder, name="young", examples=40, snapshots=0, tokens=40, live=True)
    return made


class Stored:
    """What two snapshot files hold, compared without the project's own code."""

    def __init__(self, left: tuple[RunDir, int], right: tuple[RunDir, int], examples: int = 40) -> None:
        one, other = (load_file(run.path / snapshot_name(index)) for run, index in (left, right))
        sides = [{name: held[name][:examples] for name in held if "logits" not in name} for held in (one, other)]
        self.correct = [side["exact_match"] == 1 for side in sides]
        self.f1 = [side["f1"] for side in sides]
        self.confidence = [np.sqrt(side["gold_start_prob"] * side["gold_end_prob"]) for side in sides]
        self.places = [list(zip(s["pred_char_start"], s["pred_char_end"], strict=True)) for s in sides]
        self.gain = self.f1[1] - self.f1[0]
        self.surer = self.confidence[1] - self.confidence[0]
        document = json.loads(right[0].examples_file.read_text("utf-8"))
        paragraphs = [paragraph for article in document["validation"]["data"] for paragraph in article["paragraphs"]]
        self.questions = [(paragraph["context"], item) for paragraph in paragraphs for item in paragraph["qas"]]

    def listed(self, name: str) -> list[int]:
        """The examples of a filter, the greatest change first."""
        before, now = self.correct
        filters: dict[str, Callable[[int], bool]] = {
            "changed": lambda n: self.places[0][n] != self.places[1][n],
            "learned": lambda n: now[n] and not before[n],
            "forgotten": lambda n: before[n] and not now[n],
            "both wrong": lambda n: not before[n] and not now[n],
            "all": lambda n: True,
        }
        fits = filters[name]
        found = [n for n in range(len(self.gain)) if fits(n)]
        return sorted(found, key=lambda n: (-abs(self.gain[n]), -abs(self.surer[n])))

    def answers(self, example: int) -> list[str]:
        """What either side answers."""
        return [str(self.questions[example][0][slice(*places[example])]) for places in self.places]


def stored(run: RunDir, index: int) -> Metrics:
    """What the log tells of a snapshot."""
    events = [event for event in read_events(run.events_file) if isinstance(event, SnapshotTaken)]
    return events[index].metrics


def number(value: float) -> str:
    if value >= 1.5:
        return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{value:.3f}"


def head(app: Any) -> list[str]:
    region = app.view.query_one("#compare-head", Picture).region
    return screen_lines(app)[region.y : region.bottom]


def names(app: Any) -> tuple[str, str]:
    """What stands on either side, the active one with its mark."""
    line = head(app)[0].removesuffix("change")
    left, right = (part.strip() for part in line.replace("›", "  ›").strip().split("   ", 1))
    return left, right


def rows(app: Any) -> list[str]:
    region = app.view.table.region
    return [line for line in screen_lines(app)[region.y + 1 : region.bottom] if line[4:9].strip().isdigit()]


def numbers(app: Any) -> list[int]:
    """The examples in the rows on the screen."""
    return [int(line[4:9]) - 1 for line in rows(app)]


def pointed(app: Any) -> int:
    """The example under the cursor."""
    (line,) = [line for line in rows(app) if line.startswith("›")]
    return int(line[4:9]) - 1


def detail(app: Any) -> list[str]:
    region = app.view.query_one("#compare-detail", Picture).region
    return screen_lines(app)[region.y : region.bottom]


def check_against_files(app: Any, stored: Stored, show: str, *, examples: int = 40) -> None:
    """Counts, rows and the example in full, as the two snapshot files have them."""
    counts = next(line for line in head(app) if "examples:" in line)
    assert f" {examples} examples:" in counts
    for name in FILTERS[:-1]:
        assert f"{len(stored.listed(name))} {name}" in counts
    order, shown = stored.listed(show), numbers(app)
    first = order.index(shown[0]) if shown else 0
    assert shown == order[first : first + len(shown)]
    assert len(shown) == min(len(order), app.view.table.size.height - 1)
    for line, example in zip(rows(app), shown, strict=True):
        change = "↑" if example in stored.listed("learned") else "↓" if example in stored.listed("forgotten") else ""
        assert line[2:3].strip() == change
        _, gain, surer, rest = line[3:].split(maxsplit=3)
        assert gain == f"{stored.gain[example]:+.2f}"
        assert surer == f"{stored.surer[example]:+.2f}"
        question, at = stored.questions[example][1], 0
        for text in (question["question"], question["answers"][0]["text"], *stored.answers(example)):
            at = rest.index(text[:CUT], at) + len(text[:CUT])
    if not order:
        return
    example = pointed(app)
    lines = detail(app)
    assert stored.questions[example][1]["question"] in lines[0]
    assert lines[0].endswith(": " + stored.questions[example][1]["answers"][0]["text"])
    for side, line in enumerate(lines[1:]):
        assert line.strip().startswith(("left", "right")[side])
        assert f": {stored.answers(example)[side]}  (" in line
        values = f"(F1 {stored.f1[side][example]:.2f}, confidence {stored.confidence[side][example]:.2f})"
        assert line.endswith(values)


async def test_it_shows_what_the_two_files_hold(runs: dict[str, RunDir]) -> None:
    run = runs["one"]
    app = make_app(run)
    async with app.run_test(size=(230, 40)) as pilot:
        await opened(pilot, "5")
        assert names(app) == ("untrained", "› epoch 4")
        for keys, left, right in (((), 0, LAST), (("left",) * 3, 0, 1), (("a", "right", "right", "s"), 1, 2)):
            await press(pilot, *keys)
            one, other = stored(run, left), stored(run, right)
            lines = head(app)
            for (name, field), line in zip(METRICS.items(), lines[1:5], strict=True):
                a, b = getattr(one, field), getattr(other, field)
                difference = f"{b - a:+.3f}" if abs(b - a) < 10 else f"{b - a:+.1f}"
                verdict = "better" if b > a else "worse" if b < a else "same"
                assert line.removeprefix(f" {name}").split() == [number(a), number(b), difference, verdict]
            assert one.loss is not None
            assert other.loss is not None
            verdict = "better" if other.loss < one.loss else "worse"
            assert lines[5].split()[1:] == [
                number(one.loss), number(other.loss), f"{other.loss - one.loss:+.3f}", verdict
            ]  # fmt: skip
            check_against_files(app, Stored((run, left), (run, right)), "changed")


async def test_filters(runs: dict[str, RunDir]) -> None:
    run = runs["one"]
    app = make_app(run)
    async with app.run_test(size=(230, 60)) as pilot:
        await opened(pilot, "5")
        await press(pilot, "s", "right")  # so that some are forgotten
        assert names(app) == ("epoch 4", "› epoch 1")
        stored = Stored((run, 4), (run, 1))
        assert stored.listed("forgotten")
        for show in (*FILTERS[1:], FILTERS[0]):
            await press(pilot, "t")
            check_against_files(app, stored, show)
        await press(pilot, "left")
        await press(pilot, "s", "t")
        assert not Stored((run, 0), (run, 4)).listed("forgotten")
        check_against_files(app, Stored((run, 0), (run, 4)), "learned")
        await press(pilot, "t")
        assert "nothing was forgotten" in screen_text(app)
        await press(pilot, "enter", "down", "pagedown")
        assert app.view_name == "compare"
        await press(pilot, "t", "t", "end", "a", "end", "t")
        assert names(app) == ("› epoch 4", "epoch 4")
        assert "no example is answered otherwise" in screen_text(app)


async def test_sides_and_snapshots(runs: dict[str, RunDir]) -> None:
    app = make_app(runs["one"])
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "5")
        walk = (
            ("home", "untrained", "› untrained"), ("l", "untrained", "› epoch 1"), ("right", "untrained", "› epoch 2"),
            ("h", "untrained", "› epoch 1"), ("end", "untrained", "› epoch 4"), ("l", "untrained", "› epoch 4"),
            ("a", "› untrained", "epoch 4"), ("left", "› untrained", "epoch 4"), ("right", "› epoch 1", "epoch 4"),
            ("G", "› epoch 4", "epoch 4"), ("left", "› epoch 3", "epoch 4"), ("s", "› epoch 4", "epoch 3"),
            ("g", "› untrained", "epoch 3"), ("a", "untrained", "› epoch 3"), ("s", "epoch 3", "› untrained"),
        )  # fmt: skip
        for key, left, right in walk:
            await press(pilot, key)
            assert names(app) == (left, right), key
        assert app.view_state.snapshot == LAST, "the snapshot of the other views stays"


async def test_rows_and_enter(runs: dict[str, RunDir]) -> None:
    run = runs["one"]
    app = make_app(run)
    async with app.run_test(size=(100, 32)) as pilot:
        await opened(pilot, "5")
        await press(pilot, "left", "left")
        order = Stored((run, 0), (run, 2)).listed("changed")
        assert 2 * app.view.table.rows_in_view < len(order) < 3 * app.view.table.rows_in_view
        page, place = app.view.table.rows_in_view, order.index(pointed(app))
        walk = (
            ("pageup", -page), ("pageup", -page), ("up", -1), ("down", 1), ("j", 1), ("k", -1),
            *[("pagedown", page)] * 3, ("down", 1), ("pageup", -page), ("j", 1),
        )  # fmt: skip
        for key, step in walk:
            await press(pilot, key)
            place = max(0, min(place + step, len(order) - 1))
            assert pointed(app) == order[place]
        await press(pilot, "enter")
        assert (app.view_name, app.view_state.example, app.view_state.snapshot) == ("journey", order[place], 2)
        await press(pilot, "5")
        assert pointed(app) == order[place]


async def test_the_example_stays_under_the_cursor(runs: dict[str, RunDir]) -> None:
    app = make_app(runs["one"])
    async with app.run_test(size=(100, 60)) as pilot:
        await opened(pilot, "5")
        await press(pilot, "left", "left", "left", "t", "t", "t")
        assert Stored((runs["one"], 0), (runs["one"], 1)).listed("both wrong") == numbers(app)
        await press(pilot, "down")
        example = pointed(app)
        for key in ("t", "left", "left", "a", "right", "s", "a", "end", "t"):
            await press(pilot, key)
            assert pointed(app) == example, key
        place = numbers(app).index(example)
        assert place != 1, "the row is another one now"


async def take(pilot: Any, name: str) -> None:
    """Choose another run for the active side, by its keys."""
    await press(pilot, "o")
    lines = screen_lines(pilot.app)
    choices = [line.strip("› ").split()[0] for line in lines if " watched" in line or line.strip("› ") in NAMES]
    await press(pilot, *["down"] * choices.index(name), "enter")
    await pilot.pause()
    await settle(pilot)


NAMES = ("two", "part", "texts", "names", "young")


async def test_two_runs_on_the_same_data(runs: dict[str, RunDir]) -> None:
    one, two = runs["one"], runs["two"]
    app = make_app(one)
    async with app.run_test(size=(230, 40)) as pilot:
        await opened(pilot, "5")
        await press(pilot, "a", "end", "a")
        await press(pilot, "o")
        assert "the run that is watched" in screen_text(app)
        await press(pilot, "o")
        assert "the run that is watched" not in screen_text(app)
        await take(pilot, "two")
        assert names(app) == ("epoch 4", "› two: epoch 2")
        check_against_files(app, Stored((one, 4), (two, 2)), "changed")
        await press(pilot, "left")
        assert names(app) == ("epoch 4", "› two: epoch 1")
        check_against_files(app, Stored((one, 4), (two, 1)), "changed")
        assert "are in one run only" not in screen_text(app)
        example = pointed(app)
        await press(pilot, "enter")
        assert "the right side is another run: 6 opens it" in screen_text(app)
        await press(pilot, "s")
        assert names(app) == ("two: epoch 1", "› epoch 4")
        check_against_files(app, Stored((two, 1), (one, 4)), "changed")
        assert pointed(app) == example
        await press(pilot, "enter")
        assert (app.view_name, app.view_state.example, app.view_state.snapshot) == ("journey", example, 4)
        await press(pilot, "5", "a")
        await take(pilot, "one")
        assert names(app) == ("› epoch 4", "epoch 4")


async def test_a_run_on_a_part_of_the_data(runs: dict[str, RunDir]) -> None:
    """The cursor stands on an example that the other run lacks."""
    one, part = runs["one"], runs["part"]
    app = make_app(one)
    async with app.run_test(size=(230, 40)) as pilot:
        await opened(pilot, "5")
        await press(pilot, *["t"] * 4, "pagedown", "pagedown")
        assert pointed(app) >= 10
        await take(pilot, "part")
        assert names(app) == ("untrained", "› part: epoch 2")
        assert "30 are in one run only" in head(app)[6]
        stored = Stored((one, 0), (part, 2), examples=10)
        check_against_files(app, stored, "all", examples=10)
        await press(pilot, "s", "left", "a", "o", "enter")
        assert names(app) == ("› epoch 4", "untrained")
        check_against_files(app, Stored((one, 4), (one, 0)), "all")


async def test_runs_that_can_not_be_compared(runs: dict[str, RunDir]) -> None:
    app = make_app(runs["one"])
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "5")
        for name, why in (
            ("texts", "texts has other data: no example in common"),
            ("names", "names has other data: no example in common"),
            ("young", "young has no snapshot yet"),
        ):
            await take(pilot, name)
            assert why in screen_text(app)
            assert "the run that is watched" in screen_text(app), "another one can be chosen"
            await press(pilot, "o")
            assert names(app) == ("untrained", "› epoch 4")


async def test_choosing_a_run(runs: dict[str, RunDir], tmp_path: Path) -> None:
    """By page, by mouse, from a folder that is a link; and another run to watch ends it."""
    link = tmp_path / "link"
    link.symlink_to(runs["one"].path.parent)
    app = make_app(RunDir(link / "one"), link)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "5")
        await press(pilot, "o")
        chooser = app.view.query_one("#compare-runs")
        region = chooser.region
        listed = [line[2:].split()[0] for line in screen_lines(app)[region.y + 1 : region.bottom] if line]
        assert listed[0] == "one"
        assert sorted(listed[1:]) == sorted(NAMES)
        await press(pilot, "pagedown")
        assert chooser.cursor == len(listed) - 1
        await press(pilot, "k", "pageup", "up", "j")
        assert chooser.cursor == 1
        place = listed.index("two")
        for _ in range(2):
            await pilot.click("#compare-runs", offset=(8, 1 + place))
            await settle(pilot)
        assert names(app) == ("untrained", "› two: epoch 2")
        await press(pilot, "o")
        app.open_run(link / "two")
        await opened(pilot, "5")
        assert names(app) == ("untrained", "› epoch 2")
        assert "the run that is watched" not in screen_text(app)


async def test_clicks(runs: dict[str, RunDir]) -> None:
    app = make_app(runs["one"])
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "5")
        shown = numbers(app)
        for row in (4, 2):
            await pilot.click("#compare-table", offset=(20, 1 + row))
            await settle(pilot)
            assert pointed(app) == shown[row]
            assert stored_question(runs["one"], shown[row]) in detail(app)[0]
        await pilot.click("#compare-table", offset=(20, 0))
        await pilot.click("#compare-head", offset=(20, 2))
        await pilot.click("#compare-detail", offset=(20, 1))
        await settle(pilot)
        assert pointed(app) == shown[2]
        await pilot.click("#compare-table", offset=(20, 3))
        await settle(pilot)
        assert (app.view_name, app.view_state.example, app.view_state.snapshot) == ("journey", shown[2], LAST)


def stored_question(run: RunDir, example: int) -> str:
    return str(Stored((run, 0), (run, 1)).questions[example][1]["question"])


async def test_keys_that_work_everywhere(runs: dict[str, RunDir]) -> None:
    app = make_app(runs["one"])
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(pilot, "5")
        await press(pilot, "p")
        assert "this run is not training" in screen_text(app)
        await check_common_keys(pilot, "compare")


async def test_waiting_states(tmp_path: Path) -> None:
    keys = (
        "left", "right", "home", "end", "a", "s", "t", "up", "down", "pageup", "pagedown", "enter", "o", "s", "a",
    )  # fmt: skip
    app = make_app(None, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "left", "s", "t", "down", "enter", "o")
        assert "no run is open" in screen_text(app)
    run = make_run(tmp_path, examples=6, snapshots=0, tokens=30, live=True)
    made = fake_set(6, tokens=30)
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", *keys)
        assert "waiting for the first snapshot" in screen_text(app)
        assert "run to compare with" not in screen_text(app)
        append_snapshot(run, made, 0, progress=0.0)
        await until(pilot, lambda: "6 examples" in screen_text(app))
        assert names(app) == ("untrained", "› untrained")
        append_snapshot(run, made, 1)
        # With one snapshot alone there was nothing to compare; now there is.
        await until(pilot, lambda: "epoch 1" in head(app)[0])
        assert names(app) == ("untrained", "› epoch 1")


async def test_a_live_run(tmp_path: Path) -> None:
    run = make_run(tmp_path, name="one", examples=8, snapshots=3, tokens=30, live=True)
    other = make_run(tmp_path, name="two", examples=8, snapshots=2, tokens=30, live=True)
    for live in (run, other):
        seem_alive(live)
    made = fake_set(8, tokens=30)
    app = make_app(run)
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot, "5")
        await check_pause(pilot, run)
        append_snapshot(run, made, 3)
        await until(pilot, lambda: len(app.viewer.snapshots) == 4)
        await settle(pilot)
        assert names(app) == ("untrained", "› epoch 2"), "a new snapshot never moves a reader"
        await press(pilot, "right")
        assert names(app) == ("untrained", "› epoch 3")
        await press(pilot, "o", "down", "enter")
        await until(pilot, lambda: names(app) == ("untrained", "› two: epoch 1"))
        append_snapshot(other, made, 2)
        await press(pilot, "end")
        assert names(app) == ("untrained", "› two: epoch 2")


async def test_a_damaged_snapshot_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=4, tokens=30)
    (run.path / snapshot_name(1)).write_bytes(b"nothing")
    other = make_run(tmp_path, name="other", examples=4, snapshots=0, tokens=30, seed=3, live=True)
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "5")
        await press(pilot, "down", "down")
        example = pointed(app)
        await press(pilot, "left", "left")
        assert "can't be read" in screen_text(app)
        assert "›" not in "".join(line[:1] for line in screen_lines(app)[4:-1])
        await press(pilot, "down", "enter", "t", "t", "t", "t", "t", "s", "s")
        assert app.view_name == "compare"
        assert "can't be read" in screen_text(app)
        await press(pilot, "right")
        assert "8 examples" in screen_text(app)
        assert pointed(app) == example
        await press(pilot, "left")
        app.open_run(other.path)
        await press(pilot, "5")
        await until(pilot, lambda: "waiting for the first snapshot" in screen_text(app))


async def test_ascii_alone(runs: dict[str, RunDir]) -> None:
    app = make_app(runs["one"], ascii_only=True)
    async with app.run_test(size=(200, 50)) as pilot:
        await opened(pilot, "5")
        for size in ((200, 50), (80, 24), (40, 10), (20, 8)):
            await pilot.resize_terminal(*size)
            for keys in (("left", "t"), ("o",), ("o",)):
                await press(pilot, *keys)
                region = app.view.region
                text = "\n".join(screen_lines(app)[region.y : region.bottom])
                assert text.isascii(), text
                assert ">" in text


async def test_resize_at_any_moment(runs: dict[str, RunDir]) -> None:
    run = runs["one"]
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "5")
        order = Stored((run, 0), (run, LAST)).listed("changed")
        for place, size in enumerate(((200, 50), (40, 10), (20, 8), (80, 24)), start=1):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await press(pilot, "down")
            assert any("epoch 4" in line for line in head(app)) or size[0] == 20
            if size[0] > 20:
                assert pointed(app) == order[place]
        await pilot.resize_terminal(40, 10)
        await press(pilot, "left")
        assert "epoch 3" in head(app)[0]
        await press(pilot, "o")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "the run that is watched" in screen_text(app)
