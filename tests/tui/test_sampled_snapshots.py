"""Snapshots at which only a sample is scored: every screen says so, and shows nothing of what is not scored."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engine.rundir.dynamics import read_dynamics
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, snapshot_event, snapshot_name
from tests.fake_app import make_app, opened, press, screen_text, settle, until
from tests.fake_run import append_events, fake_set, make_run, write_fake_snapshot
from tui.plain.event_lines import event_line
from tui.screens.curves.model import StepColumns, curves

EXAMPLES, SAMPLED = 40, 8
SAMPLE = f"{SAMPLED} of {EXAMPLES} scored"
SOME, OTHER = 1, 2
"""Positions of the snapshots of a sample; those around them are of all."""
SCORED, NOT_SCORED = 5, 4
SIZE = (120, 40)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    folder = tmp_path_factory.mktemp("sampled")
    return make_run(folder, examples=EXAMPLES, snapshots=5, tokens=40, has_impossible=True, sampled=(SOME, OTHER))


async def test_the_timeline_and_journey(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        assert "~s10" in screen_text(app)
        assert "scored" not in screen_text(app)
        app.go_to(SOME)
        app.go_to_example(SCORED)
        await settle(pilot)
        assert SAMPLE in screen_text(app)
        assert "start of the answer" in screen_text(app)
        assert "not scored at" not in screen_text(app)
        app.go_to_example(NOT_SCORED)
        await settle(pilot)
        text = screen_text(app)
        assert f"This example is not scored at step 10: {SAMPLE}." in text
        assert "start of the answer" not in text
        assert "predicted not scored at this snapshot" in text
        assert "expected" in text
        # Nothing is taken for "no answer": neither by a verdict nor by a copy.
        await press(pilot, "M")
        assert "the model gives no answer here" in screen_text(app)
        assert not len(app.viewer.verdicts)
        await press(pilot, "c", "right_square_bracket", "m", "y", "d", "z", "w")
        assert "(not scored at this snapshot)" in app.clipboard
        # The change since a snapshot at which it is not scored is not drawn, nor is its scale disturbed.
        app.go_to(OTHER + 1)
        await settle(pilot)
        assert app.view_state.change
        assert "start of the answer" in screen_text(app)
        assert "gained" not in screen_text(app)
        assert "nan" not in screen_text(app)


async def test_up_and_down_walk_through_what_is_scored(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        app.go_to(SOME)
        app.go_to_example(NOT_SCORED)
        seen = []
        for key in ("down", "down", "up", "up", "up", "pagedown", "pagedown", "down", "pageup"):
            await press(pilot, key)
            seen.append(app.view_state.example)
        assert seen == [5, 10, 5, 0, 0, 35, 35, 35, 0]
        app.go_to(SOME - 1)  # of all
        await press(pilot, "down", "down")
        assert app.view_state.example == 2


async def test_spans(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(160, 50)) as pilot:
        await opened(pilot, "2")
        app.go_to(SOME)
        await settle(pilot)
        spans = app.view
        assert SAMPLE in screen_text(app)
        assert "not scored" in screen_text(app)
        # Of the examples that are not scored nothing is right, wrong, learned or forgotten, and no answer is drawn.
        data, judged = spans._data, spans._data.judged(SOME, SOME - 1)
        assert np.flatnonzero(judged.scored).tolist() == list(range(0, EXAMPLES, 5))
        before, now = data.at(SOME - 1), data.at(SOME)
        scored = now.scored
        assert judged.learned.tolist() == (scored & now.right & ~before.right).tolist()
        assert not (judged.forgotten & ~scored).any()
        assert (data.predicted(now).start[~scored] == -2).all()
        assert (data.predicted(before).start >= -1).all()
        assert not data.judged(OTHER + 1, OTHER).learned[~scored].any()
        with Snapshot(run.path / snapshot_name(SOME)) as snapshot:
            right = int((snapshot.column("exact_match")[snapshot.scored] >= 1).sum())
        shown = {}
        for _ in range(7):
            await press(pilot, "t")
            shown[spans.order.show] = len(spans.order.rows)
        assert shown["scored"] == SAMPLED
        assert shown["right"] == right
        assert shown["wrong"] == SAMPLED - right
        assert shown["all"] == EXAMPLES
        found = re.search(r"HasAns (\d+)/(\d+) NoAns (\d+)/(\d+)", screen_text(app))
        assert found is not None
        assert int(found[2]) + int(found[4]) == SAMPLED


async def test_compare_compares_what_is_scored_on_both_sides(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "5")
        pair = app.view._pair
        assert pair.not_scored == 0
        app.view._flip(SOME - pair.snapshot(1))
        await settle(pilot)
        text = screen_text(app)
        assert f"{SAMPLED} examples, {EXAMPLES - SAMPLED} others are not scored on both sides" in text
        assert pair.comparison.counts()["all"] == SAMPLED
        # Metrics of both sides are over the same examples.
        with Snapshot(run.path / snapshot_name(0)) as whole, Snapshot(run.path / snapshot_name(SOME)) as some:
            for side, snapshot in ((pair.comparison.left, whole), (pair.comparison.right, some)):
                exact = snapshot.column("exact_match")[some.scored]
                assert side.metrics.examples == SAMPLED
                assert side.metrics.exact_match == pytest.approx(100 * exact.mean())
                assert side.metrics.loss is None
        assert pair.comparison.left.metrics.f1 != whole.info.metrics.f1


async def test_where_it_fails_trust_and_the_heat_map(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "8")
        app.go_to(SOME)
        await settle(pilot)
        every = app.view.scores[0]
        assert every.count == SAMPLED
        assert sum(score.count for score in app.view.scores if score.group.kind == "answer") == SAMPLED
        assert f"of {SAMPLED} right ({SAMPLE})" in screen_text(app)
        await press(pilot, "7")
        assert f"{SAMPLE} at this snapshot, too few to say" in screen_text(app)
        app.go_to_example(NOT_SCORED)
        await press(pilot, "x")
        text = screen_text(app)
        assert text.count("not scored") == 2 * 2 + 1
        assert "; not scored at 2 of 5 snapshots" in text
        app.go_to_example(SCORED)
        await settle(pilot)
        assert "not scored" not in screen_text(app)


async def test_map_is_made_of_whole_epochs(run: RunDir) -> None:
    found = read_dynamics(run)
    assert found is not None
    assert found.snapshots == (3, 4)
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "4")
        await until(pilot, lambda: app.viewer.insight.dynamics is not None)
        app.go_to(SOME)
        app.go_to_example(NOT_SCORED)
        await settle(pilot)
        assert app.viewer.insight.dynamics.snapshots == (3, 4)
        assert "can't be read" not in screen_text(app)


def test_curves_never_join_samples_and_the_whole(run: RunDir) -> None:
    infos = []
    for index in range(5):
        with Snapshot(run.path / snapshot_name(index)) as snapshot:
            infos.append(snapshot.info)
    none = np.zeros(0)
    found = curves(StepColumns(none, none, none, none, none, none), [snapshot_event(info) for info in infos])
    for name in ("EM and F1", "Accuracy", "Best EM and F1", "F1 by passage"):
        (panel,) = (panel for panel in found.panels if panel.name == name)
        assert [line.sample for line in panel.lines] == [False, True] * (len(panel.lines) // 2)
        for whole, some in zip(panel.lines[::2], panel.lines[1::2], strict=True):
            assert (whole.name, whole.role) == (some.name, some.role)
            assert whole.x.tolist() == [0, 30, 40]
            assert some.x.tolist() == [10, 20]


async def test_curves_mark_samples(run: RunDir) -> None:
    app = make_app(run, ascii_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "3")
        app.go_to(0)
        await settle(pilot)
        assert "~ EM" not in screen_text(app)
        app.go_to(SOME)
        await settle(pilot)
        with Snapshot(run.path / snapshot_name(SOME)) as snapshot:
            assert re.search(rf"~ EM {snapshot.info.metrics.exact_match:.1f}", screen_text(app))
        assert "o EM" not in screen_text(app)  # the last value of all is no value of this snapshot


async def test_the_whole_takes_the_place_of_the_first_look(tmp_path: Path) -> None:
    made = fake_set(EXAMPLES, tokens=40)
    run = make_run(tmp_path, examples=EXAMPLES, snapshots=1, tokens=40, sampled=(0,), live=True)
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        assert "[~untrained" in screen_text(app)
        app.go_to_example(NOT_SCORED)
        await settle(pilot)
        assert "This example is not scored at untrained" in screen_text(app)
        for key in "2578x34":
            await press(pilot, key)
        await press(pilot, "1")
        info = write_fake_snapshot(run, made, 0, progress=0.0, seed=0, step=0)
        append_events(run, snapshot_event(info))
        await until(pilot, lambda: "start of the answer" in screen_text(app))
        assert "[untrained" in screen_text(app)
        assert "scored" not in screen_text(app)
        assert len(app.viewer.snapshots) == 1
        for key in "258x34":
            await press(pilot, key)
            assert "not scored" not in screen_text(app), key


def test_plain_output_says_what_is_scored(run: RunDir) -> None:
    lines = []
    for index in (SOME, 3):
        with Snapshot(run.path / snapshot_name(index)) as snapshot:
            lines.append(event_line(snapshot_event(snapshot.info)) or "")
    assert f"step 10  {SAMPLE}: " in lines[0]
    assert "scored" not in lines[1]
