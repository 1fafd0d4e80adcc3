"""Which weights of a run are kept, and which of them are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import DataError, UsageError
from engine.rundir.checkpoints import MANIFEST, best_kept, find_weights, run_of_checkpoint
from engine.rundir.layout import RunDir
from tests.fake_run import make_run
from tests.kept_weights import keep_weights


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Snapshots 0 to 3, the last the best."""
    return make_run(tmp_path, examples=30, snapshots=4, noise=4.0)


def test_the_best_epoch_is_that_of_the_highest_f1(run: RunDir) -> None:
    keep_weights(run, 1)
    best = keep_weights(run, 3)
    found = find_weights(run)
    assert found.folder == best
    assert found.snapshot is not None
    assert found.snapshot.index == 3
    assert found.label.startswith("epoch 3 (snapshot 3, F1 ")
    assert set(found.manifest.model_files) == {"model.safetensors", "config.json"}


def test_a_snapshot_is_meant_by_its_number_and_last_is_the_newest_checkpoint(run: RunDir) -> None:
    first, second = keep_weights(run, 1), keep_weights(run, 2)
    assert find_weights(run, "1").folder == first
    assert find_weights(run, "last").folder == second


def test_weights_that_are_not_kept_are_refused_with_those_that_are(run: RunDir) -> None:
    keep_weights(run, 2)
    with pytest.raises(UsageError, match=r"best epoch, epoch 3 .* not kept.*Kept: epoch 2 .*--keep-weights all"):
        find_weights(run)
    with pytest.raises(UsageError, match=r"snapshot 0 \(untrained\) are not kept.*Kept: epoch 2 "):
        find_weights(run, "0")
    with pytest.raises(UsageError, match=r"no snapshot 9; they count from 0 to 3.*Kept: epoch 2 "):
        find_weights(run, "9")


@pytest.mark.parametrize("wanted", ["", "-1", "newest", "٣", "1.0"])
def test_what_is_no_snapshot_is_refused(run: RunDir, wanted: str) -> None:
    with pytest.raises(UsageError, match="its number"):
        find_weights(run, wanted)


def test_a_run_without_weights_says_so(run: RunDir) -> None:
    for wanted in ("best", "last"):
        with pytest.raises(UsageError, match="kept"):
            find_weights(run, wanted)


def test_a_half_written_checkpoint_is_named(run: RunDir) -> None:
    (keep_weights(run, 3) / MANIFEST).unlink()
    with pytest.raises(DataError, match=r"epoch-0003 is half written or damaged.*resume"):
        find_weights(run)
    with (keep_weights(run, 2) / "model.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match="epoch-0002, epoch-0003"):
        find_weights(run, "last")


def test_what_answers_is_the_best_of_the_kept_ones(run: RunDir) -> None:
    keep_weights(run, 1)
    second = keep_weights(run, 2)
    assert best_kept(run).folder == second  # the third was better, and is not kept
    assert run_of_checkpoint(second) is not None
    assert run_of_checkpoint(run.path) is None
    (second / MANIFEST).unlink()
    with pytest.raises(DataError, match="epoch-0002: the checkpoint is half written"):
        run_of_checkpoint(second)
