"""Where a checkpoint's calibration lies: qa_calibration.json beside its weights, and in the snapshot of its epoch.

It is no part of the manifest: it comes with the snapshot, after the checkpoint, and a checkpoint without it is whole.
`python -m engine.rundir.calibration RUN SNAPSHOT` prints that of a snapshot's file, for who would rather not hold all
scores in memory.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import DataError, ExitCode, UserError, WriteError
from engine.insight.calibration import Calibration, calibrate, decode_calibration
from engine.insight.scoring import prepared
from engine.rundir.checkpoints import checkpoints
from engine.rundir.eval_set import EvalSet
from engine.rundir.layout import MAX_JSON, RunDir, is_run_dir
from engine.rundir.snapshot import Snapshot
from engine.storage.atomic_io import replace_file
from engine.storage.safe_open import read_small

CALIBRATION = "qa_calibration.json"


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write qa_calibration.json into the folder of a model. Raises WriteError."""
    replace_file(folder / CALIBRATION, msgspec.json.format(msgspec.json.encode(calibration), indent=1) + b"\n")


def read_calibration(folder: Path) -> Calibration | None:
    """The calibration in the folder of a model; None where there is none, or it can't be read."""
    try:
        return decode_calibration(read_small(folder / CALIBRATION, MAX_JSON))
    except (OSError, ValueError):
        return None


def calibration_of_snapshot(run: RunDir, snapshot: Snapshot, eval_set: EvalSet | None = None) -> Calibration:
    """What the snapshot holds; where it was not computed with it, from its scores, in seconds for thousands of
    examples. Raises OSError, and DataError also where only a sample is scored."""
    known = snapshot.calibration
    if known is not None:
        return known
    if snapshot.info.sampled_of is not None:
        raise DataError(f"snapshot {snapshot.info.index}: {snapshot.info.sample_text}, too few to calibrate on.")
    data = eval_set or EvalSet(run)
    start, end = snapshot.logits()
    return calibrate(
        data.examples,
        data.windows(),
        start,
        end,
        prepared(data.examples, allow_null=data.allow_null, f1=run.config.f1),
        step=snapshot.info.step,
        max_answer_length=data.max_answer_length,
        allow_null=data.allow_null,
    )


def calibration_of_model(folder: Path) -> Calibration | None:
    """The calibration of a checkpoint's or exported model's folder; None where there is none.

    Of a checkpoint that was saved without one it is computed from the snapshot of its step, and kept beside it where
    one may write.
    """
    found = read_calibration(folder)
    run = RunDir(folder.absolute().parent.parent)
    if found is not None or not is_run_dir(run.path):
        return found
    manifest = checkpoints(run).get(run.checkpoints / folder.name)
    if manifest is None:
        return None
    for path in sorted(run.snapshots.glob("*.safetensors"), reverse=True):
        with suppress(OSError, UserError), Snapshot(path) as snapshot:
            if snapshot.info.step == manifest.step:
                found = calibration_of_snapshot(run, snapshot)
                with suppress(WriteError):
                    write_calibration(folder, found)
                return found
    return None


def main(argv: Sequence[str]) -> int:
    """Print the calibration of a snapshot's file of a run as JSON; returns the exit code."""
    try:
        with Snapshot(Path(argv[1])) as snapshot:
            found = calibration_of_snapshot(RunDir(Path(argv[0])), snapshot)
    except UserError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    except OSError as error:
        print(error, file=sys.stderr)
        return int(ExitCode.RUN_FAILED)
    print(msgspec.json.encode(found).decode())
    return int(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
