"""Training dynamics: each formula on a case worked by hand, and reading them from runs old and new."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import DataError
from engine.insight.dynamics import NEEDED, Dynamics, counts, dynamics, number_passages
from engine.insight.evidence import mean_over_snapshots
from engine.insight.margins import MARGINS
from engine.insight.suspects import wrong_place
from engine.rundir import dynamics as reading
from engine.rundir import snapshot as snapshot_module
from engine.rundir.dynamics import read_dynamics, scored_epochs, snapshot_files
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import COLUMNS, Snapshot
from tests.fake_run import make_run
from tests.recorded import recorded_run

NAN = math.nan


def by_hand(**columns: list[list[float]]) -> Dynamics:
    """Three epochs of a run whose snapshot 0 is the untrained one."""
    shape = np.shape(next(iter(columns.values())))
    stacked = {name: np.asarray(columns.get(name, np.zeros(shape)), np.dtype(COLUMNS[name])) for name in NEEDED}
    return dynamics(stacked, [1, 2, 3], ["epoch 1", "epoch 2", "epoch 3"])


def columns_of(run: RunDir) -> dict[str, NDArray[Any]]:
    """The columns of the snapshots that count."""
    epochs = scored_epochs(run)
    assert epochs is not None
    return epochs.read(0, epochs.n_examples)


def test_the_data_map() -> None:
    # Probabilities 0.2, 0.5, 0.8 of one example, and 0.4 at each epoch of another.
    probability = np.array([[0.2, 0.4], [0.5, 0.4], [0.8, 0.4]])
    of = by_hand(gold_log_prob=np.log(probability).tolist(), exact_match=[[0, 0], [1, 0], [1, 0]])
    assert of.confidence.tolist() == pytest.approx([0.5, 0.4])
    assert of.variability.tolist() == pytest.approx([math.sqrt(0.06), 0.0], abs=1e-7)  # (0.09 + 0 + 0.09) / 3
    assert of.correctness.tolist() == pytest.approx([2 / 3, 0])
    assert of.log_prob.tolist() == pytest.approx([math.log(0.08) / 3, math.log(0.4)])


def test_learning_and_forgetting() -> None:
    #                             always, never, late, lost, lost and found; F1-like halves are not right
    of = by_hand(exact_match=[[1, 0, 0.5, 1, 1], [1, 0, 0, 0, 0], [1, 0.5, 1, 0, 1]])
    assert of.forgetting.tolist() == [0, 0, 0, 1, 1]
    assert of.first_learned.tolist() == [1, -1, 3, 1, 1]


def test_areas_under_the_margin() -> None:
    of = by_hand(
        far_margin=[[3, NAN], [-1, NAN], [4, NAN]],
        near_margin=[[1, NAN], [NAN, 2], [2, 4]],
        null_margin=[[NAN, -1], [NAN, -2], [NAN, 0]],
    )
    assert of.far.tolist() == pytest.approx([2, NAN], nan_ok=True)
    assert of.near.tolist() == [1.5, 3]  # what is unknown is left out
    assert of.null.tolist() == pytest.approx([NAN, -1], nan_ok=True)


def test_epochs_count_and_nothing_before_them() -> None:
    assert [counts(epoch) for epoch in (0, 0.25, 0.99, 1, 1.5, 2)] == [False, False, False, True, False, True]


@pytest.mark.parametrize("has_impossible", [False, True])
def test_margins_stored_and_computed_on_opening_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_impossible: bool
) -> None:
    new = make_run(tmp_path, name="new", examples=12, snapshots=4, windows=2, has_impossible=has_impossible)
    older = {name: dtype for name, dtype in COLUMNS.items() if name not in MARGINS}
    monkeypatch.setattr(snapshot_module, "COLUMNS", older)
    old = make_run(tmp_path, name="old", examples=12, snapshots=4, windows=2, has_impossible=has_impossible)
    monkeypatch.setattr(snapshot_module, "COLUMNS", COLUMNS)
    with Snapshot(snapshot_files(old.snapshots)[1]) as snapshot:
        assert not snapshot.has("far_margin")
        assert np.isnan(snapshot.column("far_margin")).all()
    stored, computed = read_dynamics(new), read_dynamics(old)
    assert stored is not None
    assert computed is not None
    assert stored.snapshots == computed.snapshots == (1, 2, 3)
    assert stored.labels == ("epoch 1", "epoch 2", "epoch 3")
    for name in NEEDED:
        np.testing.assert_array_equal(columns_of(new)[name], columns_of(old)[name], err_msg=name)
    assert np.isfinite(stored.confidence).all()


def test_the_recorded_run_of_an_older_version(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    of, columns = read_dynamics(run), columns_of(run)
    assert of is not None
    assert of.labels == tuple(f"epoch {n}" for n in range(1, len(of.labels) + 1))
    assert len(of) > 0
    assert of.confidence.min() >= 0
    assert of.confidence.max() <= 1
    # The gold answer is predicted exactly where it beats all rivals.
    rivals = np.fmin(columns["far_margin"], columns["near_margin"])
    beaten = rivals < 0
    assert not (beaten & (columns["iou"] == 1)).any()
    assert (beaten | (columns["iou"] == 1)).all()


@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_some_examples_at_a_time_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    run = make_run(tmp_path, examples=12, snapshots=4, windows=2, has_impossible=True)
    whole = read_dynamics(run)
    monkeypatch.setattr(reading, "CELLS", 3 * size)
    parts = read_dynamics(run)
    assert whole is not None
    assert parts is not None
    assert equal(whole, parts)
    assert wrong_place(whole).examples.tolist() == wrong_place(parts).examples.tolist()


def equal(one: Any, other: Any) -> bool:
    """Whether all fields of two dataclasses are, NaN being equal to itself."""
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if is_dataclass(a):
            assert equal(a, b)
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=field.name)
            assert a.dtype == b.dtype
        else:
            assert a == b, field.name
    return True


def test_snapshots_of_other_numbers_of_examples_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, name="one", examples=6, snapshots=3)
    other = make_run(tmp_path, name="other", examples=5, snapshots=3)
    snapshot_files(run.snapshots)[2].write_bytes(snapshot_files(other.snapshots)[2].read_bytes())
    with pytest.raises(DataError, match="different numbers of examples"):
        read_dynamics(run)


def test_before_the_first_epoch_there_are_none(tmp_path: Path) -> None:
    assert read_dynamics(make_run(tmp_path, examples=3, snapshots=1)) is None


def test_a_damaged_snapshot_is_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=3, snapshots=4)
    snapshot_files(run.snapshots)[2].write_bytes(b"nothing")
    of = read_dynamics(run)
    assert of is not None
    assert of.snapshots == (1, 3)


@pytest.mark.parametrize("holes", [(), (np.nan,), (np.inf,), (-np.inf, np.nan)])
def test_means_leave_out_what_is_not_known(holes: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 50)).astype(np.float32)
    weights = np.arange(1, 8)
    for number, hole in enumerate(holes):
        values[number::5, ::3] = hole
    clipped = np.nan_to_num(values, nan=np.nan).astype(np.float64)
    assert_alike(mean_over_snapshots(values), np.nanmean(clipped, axis=0))
    known = np.where(np.isnan(clipped), 0, weights[:, None])
    assert_alike(
        mean_over_snapshots(values, weights), (np.nan_to_num(clipped, nan=0.0) * known).sum(axis=0) / known.sum(axis=0)
    )


def assert_alike(found: NDArray[np.float32], exact: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(found, exact.astype(np.float32), rtol=2e-7)


def test_passages_are_numbered_by_their_text() -> None:
    same = "".join(["a ", "passage"])
    assert number_passages(["x", same, same, "".join(["a ", "passage"]), "y", "x"]).tolist() == [0, 1, 1, 1, 2, 0]


def test_more_snapshots_than_may_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, examples=10, snapshots=6, tokens=20)
    whole = read_dynamics(run)
    monkeypatch.setattr(reading, "OPEN", 2)
    monkeypatch.setattr(reading, "CELLS", 20)
    few = read_dynamics(run)
    assert whole is not None
    assert few is not None
    np.testing.assert_array_equal(few.log_prob, whole.log_prob)
    np.testing.assert_array_equal(few.right, whole.right)
