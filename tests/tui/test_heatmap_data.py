"""What the heat map shows equals what the snapshot files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.rundir.eval_set import EvalSet
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, snapshot_name
from tests.fake_run import make_run
from tui.screens.heatmap.scores import HeatData


def marks(count: int) -> list[tuple[int, float]]:
    return [(index, 1.0) for index in range(count)]


def data_of(run: RunDir, opened: list[int]) -> HeatData:
    def snapshot(position: int) -> Snapshot:
        opened.append(position)
        return Snapshot(run.path / snapshot_name(position))

    return HeatData(EvalSet(run), snapshot)


def test_probabilities_and_predictions_of_every_snapshot(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=12, snapshots=5, tokens=40)
    data = data_of(run, [])
    tokens = data.tokens(3, 0)
    journey = data.journey(3, 0, marks(5))
    assert journey.start.expected == tokens.gold_start
    assert journey.end.expected == tokens.gold_end
    for position in range(5):
        snapshot = Snapshot(run.path / snapshot_name(position))
        start_logits, _ = snapshot.logits(tokens.lo, tokens.hi)
        choosable = tokens.segment == 2
        powers = np.where(choosable, np.exp(start_logits), 0)
        assert np.allclose(journey.start.probability[position], powers / powers.sum(), atol=1e-6)
        assert journey.start.predicted[position] == snapshot.column("pred_start")[3]
        assert journey.end.predicted[position] == snapshot.column("pred_end")[3]
        assert journey.right[position] == (snapshot.column("exact_match")[3] == 1)


def test_a_new_snapshot_is_read_and_no_old_one_again(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=6, snapshots=4, tokens=30)
    opened: list[int] = []
    data = data_of(run, opened)
    assert len(data.journey(1, 0, marks(3)).right) == 3
    assert len(data.journey(1, 0, marks(4)).right) == 4
    assert opened == [0, 1, 2, 3]
    data.journey(1, 0, [*marks(3), (3, 2.0)])
    assert opened == [0, 1, 2, 3, 0, 1, 2, 3]
    assert len(data.journey(2, 0, []).right) == 0


def test_a_question_without_answer_expects_the_null_token(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=4, tokens=30, windows=2, has_impossible=True)
    data = data_of(run, [])
    journey = data.journey(3, 0, marks(4))
    assert journey.start.expected == 0
    assert (journey.start.predicted[journey.right] == 0).all()
    answerable = data.home_window(0)
    assert data.tokens(0, answerable).gold_start >= 0
    assert data.journey(0, answerable, marks(4)).start.expected == data.tokens(0, answerable).gold_start
