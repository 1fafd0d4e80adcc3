"""qa_calibration.json of a real run on a tiny model: where it lies, and that the snapshots give it again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.insight.calibration import Calibration, decode_calibration
from engine.rundir.calibration import (
    CALIBRATION,
    calibration_of_model,
    calibration_of_snapshot,
    main,
    read_calibration,
    write_calibration,
)
from engine.rundir.checkpoints import checkpoints
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, snapshot_name
from tests.engine.test_learning_run import new_run, work
from tests.tiny_run import tiny_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Snapshots: untrained, steps 1, 2, 4, epochs 1 and 2; the weights of both epochs are kept."""
    folder = tmp_path_factory.mktemp("calibrated")
    made = new_run(tiny_config(folder), folder / "run", epochs=2, keep_weights="all")
    work(made)
    return made


def test_every_epoch_has_one_beside_its_weights_and_in_its_snapshot(run: RunDir) -> None:
    for epoch, index in ((1, 4), (2, 5)):
        beside = read_calibration(run.checkpoints / f"epoch-{epoch:04}")
        with Snapshot(run.path / snapshot_name(index)) as snapshot:
            assert snapshot.info.label == f"epoch {epoch}"
            assert snapshot.calibration == beside
            assert beside is not None
            assert beside.step == snapshot.info.step
        assert beside.fitted_on == beside.held_out == 12
    with Snapshot(run.path / snapshot_name(1)) as snapshot:
        assert snapshot.calibration is None


def test_a_checkpoint_is_whole_with_and_without_it(run: RunDir) -> None:
    for folder, manifest in checkpoints(run).items():
        assert CALIBRATION not in manifest.files
        assert (folder / CALIBRATION).is_file()


def test_the_scores_of_a_snapshot_give_the_same(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    with Snapshot(run.path / snapshot_name(5)) as snapshot:
        stored = snapshot.calibration
        monkeypatch.setattr(Snapshot, "calibration", None)
        assert calibration_of_snapshot(run, snapshot) == stored
    with Snapshot(run.path / snapshot_name(0)) as snapshot:
        assert calibration_of_snapshot(run, snapshot).step == 0


def test_an_older_checkpoint_gets_one_from_its_snapshot(run: RunDir) -> None:
    folder = run.checkpoints / "epoch-0001"
    expected = read_calibration(folder)
    (folder / CALIBRATION).unlink()
    assert calibration_of_model(folder) == expected
    assert read_calibration(folder) == expected
    assert calibration_of_model(run.path) is None
    assert calibration_of_model(run.checkpoints / "epoch-0007") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"temperature": 2}', "{}", '{"schema": 9}', "\x00", '{"temperature": "hot"}']
)
def test_a_damaged_file_counts_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / CALIBRATION).write_text(text)
    assert read_calibration(tmp_path) is None
    assert calibration_of_model(tmp_path) is None


def test_a_temperature_that_is_none_is_refused(run: RunDir, tmp_path: Path) -> None:
    good = read_calibration(run.checkpoints / "epoch-0002")
    assert isinstance(good, Calibration)
    write_calibration(tmp_path, good)
    assert read_calibration(tmp_path) == good
    for temperature, schema in ((0.0, 1), (-1.0, 1), (1.0, 99)):
        write_calibration(tmp_path, msgspec.structs.replace(good, temperature=temperature, schema=schema))
        assert read_calibration(tmp_path) is None


def test_a_link_in_its_place_is_not_followed(run: RunDir, tmp_path: Path) -> None:
    (tmp_path / CALIBRATION).symlink_to(run.checkpoints / "epoch-0002" / CALIBRATION)
    assert read_calibration(tmp_path) is None


def test_printed_for_another_process(run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run.path), str(run.path / snapshot_name(5))]) == 0
    with Snapshot(run.path / snapshot_name(5)) as snapshot:
        assert decode_calibration(capsys.readouterr().out.encode()) == snapshot.calibration
    assert main([str(run.path), str(run.path / snapshot_name(99))]) == 1
    (tmp_path / "torn").write_bytes(b"torn")
    assert main([str(run.path), str(tmp_path / "torn")]) == 65
    assert "torn" in capsys.readouterr().err
