"""Questions without an answer are shown as such on every screen, and a model that answers nothing never shines."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.events import Metrics, SnapshotTaken, score_texts
from engine.rundir.layout import RunDir
from engine.rundir.log import read_events
from tests.fake_app import make_app, opened, press, screen_text
from tests.fake_run import make_run
from tui.model.run_rows import apart_text, first_row, row_after
from tui.plain.event_lines import metrics_line

SIZE = (140, 40)
NOTHING = Metrics(
    examples=136, start_accuracy=0.537, end_accuracy=0.537, exact_match=53.7, f1=53.7,
    has_answer_exact_match=0.0, has_answer_f1=0.0, no_answer_exact_match=100.0, no_answer_f1=100.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("unanswerable"), examples=40, snapshots=4, tokens=50, has_impossible=True)


def last_metrics(run: RunDir) -> Metrics:
    return [event for event in read_events(run.events_file) if isinstance(event, SnapshotTaken)][-1].metrics


def test_lines_begin_with_what_matters() -> None:
    assert metrics_line(NOTHING).startswith("HasAns F1 0.0  NoAns F1 100.0  F1 53.7")
    plain = Metrics(examples=2, start_accuracy=0.5, end_accuracy=0.5, exact_match=50.0, f1=50.0)
    assert [*score_texts(plain)] == ["start_accuracy", "end_accuracy", "exact_match", "f1"]


def test_runs_name_both_kinds(run: RunDir) -> None:
    row = row_after(first_row(run), SnapshotTaken(index=0, label="", step=0, epoch=0, file="", metrics=NOTHING))
    assert row.best == pytest.approx(0.537)
    assert apart_text(row) == "HasAns F1 0.0, NoAns F1 100.0"


async def test_every_screen_tells_them_apart(run: RunDir) -> None:
    metrics = last_metrics(run)
    assert metrics.has_answer_f1 is not None
    assert metrics.no_answer_f1 is not None
    texts = score_texts(metrics)
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        assert f"{texts['has_answer_f1']}  {texts['no_answer_f1']}" in screen_text(app)
        assert "null odds " in screen_text(app)
        await press(pilot, "2")
        assert "HasAns " in screen_text(app)
        assert "null odds " in screen_text(app)
        await press(pilot, "5")
        lines = [line for line in screen_text(app).splitlines() if line.strip().startswith(("HasAns F1", "NoAns F1"))]
        assert len(lines) == 2
        await press(pilot, "6")
        row = first_row(run)
        for event in read_events(run.events_file):
            row = row_after(row, event)
        assert f"best: {apart_text(row)}" in screen_text(app)
        await press(pilot, "3")
        text = screen_text(app)
        for _ in range(9):
            await press(pilot, "down")
            text += screen_text(app)
        for title in ("HasAns and NoAns", "Best EM and F1", "Best threshold"):
            assert title in text


async def test_a_set_where_all_have_an_answer_shows_none_of_it(tmp_path: Path) -> None:
    app = make_app(make_run(tmp_path, examples=8, snapshots=2, tokens=40))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        for key in ("1", "2", "3", "5", "6"):
            await press(pilot, key)
            assert "NoAns" not in screen_text(app)
            assert "null odds" not in screen_text(app)
