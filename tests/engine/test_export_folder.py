"""`export RUN -o DIR`: the folder is whole and verified. That transformers loads it is tested in
tests/end_to_end/test_hand_on.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import DataError, ExitCode, UsageError, WriteError
from engine.export.kinds import Request, kind_of, write_export
from engine.rundir.calibration import read_calibration
from engine.rundir.checkpoints import MANIFEST
from engine.rundir.layout import RunDir
from tests.fake_run import STEPS_PER_EPOCH, make_run
from tests.kept_weights import keep_weights
from tui.cli.main import main


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Snapshots 0 to 3, the last the best, with weights of snapshots 2 and 3 that are none of a model."""
    run = make_run(tmp_path, examples=30, snapshots=4, noise=4.0)
    keep_weights(run, 2)
    keep_weights(run, 3)
    return run


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("fake", "fake-data.json"))


def test_the_folder_is_that_of_the_best_epoch_and_the_command_says_what_it_wrote(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run.path), "-o", str(tmp_path / "out")]) == ExitCode.OK
    assert (tmp_path / "out" / "config.json").read_text() == "config.json 3"
    assert left_in(tmp_path / "out") == ["config.json", "model.safetensors", "qa_calibration.json"]
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"wrote {tmp_path / 'out' / 'config.json'} (13 bytes)"
    assert told[-1].startswith("weights of epoch 3 (snapshot 3, F1 ")


def test_the_calibration_goes_along(run: RunDir, tmp_path: Path) -> None:
    write_export(Request(run, tmp_path / "out"))
    found = read_calibration(tmp_path / "out")
    assert found is not None
    assert found.step == 3 * STEPS_PER_EPOCH


def test_weights_that_changed_on_disk_are_refused(run: RunDir, tmp_path: Path) -> None:
    file = run.checkpoints / "epoch-0003" / "model.safetensors"
    file.write_bytes(file.read_bytes()[::-1])
    with pytest.raises(DataError, match=r"model\.safetensors: not as it was written"):
        write_export(Request(run, tmp_path / "out"))
    assert left_in(tmp_path) == []


def test_a_link_in_the_place_of_weights_is_refused(run: RunDir, tmp_path: Path) -> None:
    file = run.checkpoints / "epoch-0003" / "model.safetensors"
    file.rename(tmp_path / "fake" / "elsewhere")
    file.symlink_to(tmp_path / "fake" / "elsewhere")
    with pytest.raises(DataError, match="can't be read"):
        write_export(Request(run, tmp_path / "out"))
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "empty folder", "dangling link"])
def test_nothing_is_overwritten(run: RunDir, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    match kind:
        case "file":
            out.write_text("mine")
        case "empty folder":
            out.mkdir()
        case _:
            out.symlink_to(tmp_path / "nowhere")
    assert main(["export", str(run.path), "-o", str(out)]) == ExitCode.CANNOT_WRITE
    assert capsys.readouterr().err == (
        f"bertqa-tui: {out}: exists already. Choose another name; nothing is overwritten.\n"
    )
    assert left_in(tmp_path) == ["out"]


def test_free_space_is_looked_at_first(run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=1000))
    with pytest.raises(WriteError, match=r"0 MB free, and it takes 0 MB.*Make room"):
        write_export(Request(run, tmp_path / "out"))
    assert left_in(tmp_path) == []


def test_a_disk_that_fills_up_leaves_nothing(run: RunDir, tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8));"
        "from tui.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "export", str(run.path), "-o", str(tmp_path / "out")],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == ExitCode.CANNOT_WRITE, done.stderr
    assert "file size limit" in done.stderr
    assert left_in(tmp_path) == []


def test_an_export_that_was_killed_is_tidied_up_by_the_next(run: RunDir, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    dead, living = tmp_path / f".out.{process.pid}.tmp", tmp_path / f".out.{os.getppid()}.tmp"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "model.safetensors").write_text("half")
    write_export(Request(run, tmp_path / "out"))
    assert left_in(tmp_path) == [living.name, "out"]


def test_a_half_written_checkpoint_is_bad_data(run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run.checkpoints / "epoch-0003" / MANIFEST).unlink()
    assert main(["export", str(run.path), "-o", str(tmp_path / "out")]) == ExitCode.BAD_DATA
    (line,) = capsys.readouterr().err.splitlines()
    assert "epoch-0003 is half written or damaged. Kept: epoch 2 (snapshot 2, F1 " in line


def test_weights_that_are_not_kept_are_wrong_use(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run.path), "-o", str(tmp_path / "out"), "--snapshot", "1"]) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert "the weights of snapshot 1 (epoch 1) are not kept. Kept: epoch 2 " in line
    assert "--keep-weights all" in line


def test_an_ending_that_is_not_known_is_refused_with_those_that_are(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends with \.doc\. Known are no ending: the weights"):
        write_export(Request(run, tmp_path / "out.doc"))
    assert kind_of(Path("qa-1.2")).module == "folder"


def test_without_a_target_there_is_nothing_to_export(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run.path)]) == ExitCode.USAGE
    assert (
        capsys.readouterr().err
        == "bertqa-tui: nothing to export. Say where to write it: -o PATH, --dataset FILE or --push-to-hub NAME.\n"
    )
