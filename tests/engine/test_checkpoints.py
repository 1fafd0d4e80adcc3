"""Which weights of a run are kept, and which of them are meant."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.errors import DataError, UsageError
from engine.rundir.checkpoints import MANIFEST, STATE, STATE_TENSORS, Manifest, file_entry, find_weights
from engine.rundir.layout import RunDir
from tests.fake_run import STEPS_PER_EPOCH, make_run


def keep(run: RunDir, epoch: int) -> Path:
    """Write a checkpoint of `epoch` with files that are none of a model."""
    folder = run.checkpoints / f"epoch-{epoch:04}"
    folder.mkdir()
    for name in ("model.safetensors", "config.json", STATE, STATE_TENSORS):
        (folder / name).write_text(f"{name} {epoch}")
    files = {path.name: file_entry(path) for path in folder.iterdir()}
    (folder / MANIFEST).write_bytes(msgspec.json.encode(Manifest(epoch * STEPS_PER_EPOCH, float(epoch), files)))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Snapshots 0 to 3, the last the best."""
    return make_run(tmp_path, examples=30, snapshots=4, noise=4.0)


def test_the_best_epoch_is_that_of_the_highest_f1(run: RunDir) -> None:
    keep(run, 1)
    best = keep(run, 3)
    found = find_weights(run)
    assert found.folder == best
    assert found.snapshot is not None
    assert found.snapshot.index == 3
    assert found.label.startswith("epoch 3 (snapshot 3, F1 ")
    assert set(found.manifest.model_files) == {"model.safetensors", "config.json"}


def test_a_snapshot_is_meant_by_its_number_and_last_is_the_newest_checkpoint(run: RunDir) -> None:
    first, second = keep(run, 1), keep(run, 2)
    assert find_weights(run, "1").folder == first
    assert find_weights(run, "last").folder == second


def test_weights_that_are_not_kept_are_refused_with_those_that_are(run: RunDir) -> None:
    keep(run, 2)
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
    (keep(run, 3) / MANIFEST).unlink()
    with pytest.raises(DataError, match=r"epoch-0003 is half written or damaged.*resume"):
        find_weights(run)
    with (keep(run, 2) / "model.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match="epoch-0002, epoch-0003"):
        find_weights(run, "last")
