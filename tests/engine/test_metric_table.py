"""The one table of metrics: what is added there by one line is computed, drawn, compared and printed."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
import pytest

from engine import events
from engine.events import Metric, Metrics, metric_table, score_texts
from engine.insight import scoring
from tui.plain import event_lines
from tui.screens.compare.model import metric_rows
from tui.screens.curves.model import StepColumns, curves

OLD = Metrics(examples=2, start_accuracy=0.5, end_accuracy=1.0, exact_match=50.0, f1=75.0)


class WiderMetrics(Metrics, frozen=True, kw_only=True):
    """A metric more, in one line."""

    iou: Annotated[float | None, Metric("overlap", "IoU", "Overlap", "iou", ".2f", top=1.0)] = None


@pytest.fixture
def wider(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (events, scoring):
        monkeypatch.setattr(module, "Metrics", WiderMetrics)
    monkeypatch.setattr(events.metric_table, "__defaults__", (WiderMetrics,))
    monkeypatch.setattr(scoring, "MAY_BE_MISSING", scoring.MAY_BE_MISSING | {"iou"})


@pytest.mark.usefixtures("wider")
def test_a_new_metric_is_one_line() -> None:
    arrays = {
        "start_correct": np.array([True, False]),
        "end_correct": np.array([True, True]),
        "exact_match": np.array([1.0, 0.0]),
        "f1": np.array([1.0, 0.5]),
        "loss": np.array([0.25, np.inf]),
        "iou": np.array([1.0, 0.5]),
    }
    now = scoring.mean_metrics(arrays)
    assert isinstance(now, WiderMetrics)
    assert (now.start_accuracy, now.end_accuracy, now.exact_match, now.f1) == (0.5, 1.0, 50.0, 75.0)
    assert (now.loss, now.iou) == (0.25, 0.75)
    assert score_texts(now)["iou"] == "IoU 0.75"
    assert "IoU 0.75" in event_lines.metrics_line(now)
    (row,) = [row for row in metric_rows(now, now) if row.name == "overlap"]
    assert (row.left, row.better) == (0.75, 0)
    nothing = np.zeros(0)
    taken = events.SnapshotTaken(index=0, label="untrained", step=0, epoch=0.0, file="", metrics=now)
    made = curves(StepColumns(nothing, nothing, nothing, nothing, nothing, nothing), [taken])
    (panel,) = [panel for panel in made.panels if panel.name == "Overlap"]
    assert (panel.lines[0].name, panel.lines[0].last, panel.y_limits) == ("IoU", 0.75, (0.0, 1.0))


def test_runs_of_older_and_newer_versions_are_read() -> None:
    older = msgspec.json.decode(msgspec.json.encode(OLD), type=WiderMetrics)
    assert older.iou is None
    assert "iou" not in score_texts(older)
    newer = WiderMetrics(**msgspec.to_builtins(OLD), iou=0.5)
    assert msgspec.json.decode(msgspec.json.encode(newer), type=Metrics) == OLD


def test_every_metric_has_its_field() -> None:
    assert [*metric_table()] == [name for name in Metrics.__struct_fields__ if name != "examples"]


def test_which_side_is_better() -> None:
    worse = msgspec.structs.replace(OLD, f1=50.0, loss=2.0)
    rows = {row.name: row.better for row in metric_rows(msgspec.structs.replace(OLD, loss=1.0), worse)}
    assert rows == {"start accuracy": 0, "end accuracy": 0, "EM": 0, "F1": -1, "loss": -1}
