"""Makes the recorded run: fine-tunes the sample data, and keeps what the screens read.

    python -m tests.recorded.make          # a minute and a half on two quiet cores

Every fifth eval example is evaluated, so that the files stay small. What names the machine (paths, host) is left out.
"""

from __future__ import annotations

import shutil
import sys
import tempfile

import msgspec

from engine.config import RunConfig
from engine.data.samples import find_dataset
from engine.events import RunStarted
from engine.launch import start
from engine.rundir.layout import DataIdentity, RunDir
from engine.rundir.liveness import State
from engine.rundir.log import EventLog, read_events
from engine.storage.atomic_io import replace_file
from tests.recorded import KEPT, NAME

PROBE = "chilblains-eval-symptoms-1"
EVALUATED = 44
DATASET = "datasets/remedies.json"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(
            dataset=str(find_dataset("remedies")),
            probe=PROBE,
            snapshot_limit=EVALUATED,
            run_dir=f"{folder}/{NAME}",
            keep_weights="last",
        )
        run = start(config)
        if run.wait() is not State.FINISHED:
            print((run.path / "engine.log").read_text("utf-8"), file=sys.stderr)
            return 1
        keep(RunDir(run.path))
    return 0


def keep(run: RunDir) -> None:
    """Copy the parts of `run` that the screens read to where the tests find them."""
    info = run.info
    assert info is not None
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir()
    kept = RunDir(KEPT)
    shutil.copytree(run.snapshots, kept.snapshots)
    for file in (run.examples_file, run.features_file):
        shutil.copy(file, KEPT)
    config = msgspec.structs.replace(info.config, dataset=DATASET, run_dir=f"runs/{NAME}")
    data = tuple(DataIdentity(DATASET, each.size, each.sha256) for each in info.data)
    replace_file(kept.config_file, msgspec.json.format(msgspec.json.encode(config), indent=1) + b"\n")
    kept.write_info(msgspec.structs.replace(info, config=config, data=data, host="server"))
    log = EventLog(kept.events_file)
    for event in read_events(run.events_file):
        log.append(msgspec.structs.replace(event, dataset=DATASET) if isinstance(event, RunStarted) else event)
    log.close()


if __name__ == "__main__":
    sys.exit(main())
