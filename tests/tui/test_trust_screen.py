"""Trust: the diagram by hand, and the screen key by key on a made-up run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.insight.calibration import Bin, Calibration, coverage, reliability
from engine.rundir.calibration import calibration_of_snapshot
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, snapshot_name
from tests.common_keys import check_common_keys
from tests.fake_app import make_app, opened, press, screen_text, settle, until
from tests.fake_run import make_run
from tests.recorded import recorded_run
from tui.drawing.frame import ASCII, UNICODE
from tui.drawing.theme import style_of
from tui.screens.trust.strips import (
    bin_of,
    bin_words,
    coverage_strips,
    coverage_words,
    error_words,
    held_out_words,
    reliability_strips,
    trust_strips,
)

STYLE = style_of("none")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("trust"), examples=60, snapshots=4, tokens=40)


def made(**changes: Any) -> Calibration:
    confidence = np.array([0.1, 0.3, 0.62, 0.65, 0.9])
    right = np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    found = Calibration(
        step=10, temperature=1.5, no_answer_threshold=None, fitted_on=1000, held_out=5285, by_passage=True,
        error_before=0.118, error_after=0.031,
        before=reliability(confidence, right), after=reliability(confidence, right),
        coverage=coverage(confidence, right, right), exact_match=60.0, f1=72.5, f1_at_zero=70.0,
    )  # fmt: skip
    return msgspec.structs.replace(found, **changes)


def test_a_bar_is_as_high_as_its_accuracy() -> None:
    """Four bins on ten rows: bars of 10, 5 and 2½ rows, the second bin is empty; a line at each mean confidence."""
    bins = (Bin(4, 0.05, 1.0), Bin(0, 0.0, 0.0), Bin(8, 0.6, 0.5), Bin(8, 0.95, 0.25))
    strips = reliability_strips("after", bins, 0.25, 0.6, 40, 13, STYLE)
    canvas = [strip.text[6:22] for strip in strips[1:11]]
    assert strips[0].text.startswith(" after error 0.250")
    columns = ["".join(row[4 * number] for row in canvas) for number in range(4)]
    assert columns == ["█████████━", " " * 10, "   ━ █████", "━      ▄██"]
    assert strips[11].text.index("▲") == 6 + 2 * 4 + 2  # the cursor is in the third bin
    ascii_strips = reliability_strips("after", bins, 0.25, 0.6, 40, 13, STYLE, ASCII)
    assert all(strip.text.isascii() for strip in ascii_strips)


@pytest.mark.parametrize(("confidence", "number"), [(0.0, 0), (0.2, 2), (0.201, 3), (0.6, 8), (0.61, 9), (1.0, 14)])
def test_the_bin_of_a_confidence_is_the_one_that_reliability_puts_it_in(confidence: float, number: int) -> None:
    assert bin_of(confidence, 15) == number
    bins = reliability(np.array([confidence]), np.array([1.0]))
    assert [one.count for one in bins].index(1) == number


def test_the_curves_begin_with_all_questions_and_end_with_the_surest() -> None:
    points = coverage(np.array([0.2, 0.5]), np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    strips = coverage_strips(points, 0.5, 48, 13, STYLE, UNICODE)
    canvas = [strip.text[6:47] for strip in strips[1:11]]
    assert canvas[0].rindex("o") == 20  # F1 100 up to confidence 0.5
    assert all(row[21:].strip() == "" for row in canvas)  # and nothing beyond
    assert strips[11].text[6:].index("▲") == 20


def test_words() -> None:
    found = made()
    assert error_words(found) == "calibration error 0.118 before, 0.031 at temperature 1.50"
    assert held_out_words(found) == "on 5,285 questions: EM 60.0, F1 72.5; fitted on 1,000 others"
    assert coverage_words(found, 0.6) == "answer only above 0.60: 60 % of questions, F1 100.0, EM 100.0"
    assert coverage_words(found, 0.95) == "answer only above 0.95: no question"
    assert bin_words(found.after, 0.64) == "confidence 0.60 to 0.67: 2 answers, 0.64 sure on average, 1.00 right"
    assert bin_words(found.after, 0.5) == "confidence 0.47 to 0.53: no answers"
    null = made(no_answer_threshold=1.25, held_out=50, by_passage=False)
    assert held_out_words(null) == (
        "on 50 questions: F1 72.5 at null odds +1.25 (70.0 at 0); fitted on 1,000 others of the same passage; "
        "few, so roughly"
    )


@pytest.mark.parametrize("size", [(20, 5), (59, 3), (60, 24), (80, 17), (119, 20), (120, 20), (200, 50), (1, 1)])
def test_every_size_is_filled_exactly(size: tuple[int, int]) -> None:
    for found in (made(), made(coverage=(), before=reliability(np.zeros(0), np.zeros(0)))):
        strips = trust_strips(found, 0.6, *size, STYLE, before=True)
        assert len(strips) == size[1] or size[1] > len(strips) >= 4
        assert all(strip.cell_length == size[0] for strip in strips)


async def computed(pilot: Any, app: Any) -> Calibration:
    await until(pilot, lambda: isinstance(app.view.found(), Calibration))
    await settle(pilot)
    found: Calibration = app.view.found()
    return found


async def test_a_snapshot_without_its_own_is_computed_from_its_scores(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7")
        found = await computed(pilot, app)
        with Snapshot(run.path / snapshot_name(3)) as snapshot:
            assert found == calibration_of_snapshot(run, snapshot)
        assert error_words(found) in screen_text(app)
        await press(pilot, "left")
        earlier = await computed(pilot, app)
        assert earlier.step < found.step
        assert error_words(earlier) in screen_text(app)


async def test_the_cursor_reads_the_coverage(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7")
        found = await computed(pilot, app)
        for key, confidence in (
            ("right_square_bracket", 0.61), ("left_square_bracket", 0.60), ("left_curly_bracket", 0.50),
            ("right_curly_bracket", 0.60), ("right_curly_bracket", 0.70),
        ):  # fmt: skip
            await press(pilot, key)
            assert coverage_words(found, confidence) in screen_text(app)
        await press(pilot, *["right_curly_bracket"] * 5)
        assert coverage_words(found, 1.0) in screen_text(app)
        await press(pilot, *["left_curly_bracket"] * 12)
        assert coverage_words(found, 0.0) in screen_text(app)


async def test_before_and_after(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7")
        found = await computed(pilot, app)
        assert f" after error {found.error_after:.3f}" in screen_text(app)
        await press(pilot, "b")
        assert f" before error {found.error_before:.3f}" in screen_text(app)
        await pilot.resize_terminal(140, 40)
        await settle(pilot)
        await until(pilot, lambda: " after error" in screen_text(app) and " before error" in screen_text(app))


async def test_a_snapshot_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=40)
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        (run.path / snapshot_name(1)).write_bytes(b"torn")
        await press(pilot, "7", "left")
        await until(pilot, lambda: "can't be read" in screen_text(app))
        await press(pilot, "right")
        await computed(pilot, app)


async def test_common_keys(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7")
        await check_common_keys(pilot, "trust")


def walk(*keys: str) -> Any:
    async def press_all(pilot: Any) -> None:
        await opened(pilot)
        await press(pilot, *keys)
        await computed(pilot, pilot.app)
        pilot.app._unsay()
        await settle(pilot)

    return press_all


@pytest.mark.parametrize(
    ("size", "ascii_only"), [((80, 24), False), ((80, 24), True), ((140, 36), False)], ids=["80x24", "ascii", "140x36"]
)
def test_picture(snap_compare: Any, tmp_path: Path, size: tuple[int, int], ascii_only: bool) -> None:
    """The first epoch of the recorded run: some right, some wrong."""
    run = recorded_run(tmp_path)
    keys = ("7", "left", "left", "left", "left", "left_curly_bracket", "left_curly_bracket", "left_curly_bracket")
    assert snap_compare(make_app(run, ascii_only=ascii_only), terminal_size=size, run_before=walk(*keys))
