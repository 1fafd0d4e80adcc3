"""`python -m engine.trackers RUN TOOL`: mirrors a run to a tracker. Started with the run's engine."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from engine.rundir.layout import RunDir
from engine.trackers.mirror import mirror
from engine.trackers.registry import open_tracker

if __name__ == "__main__":
    directory, name = RunDir(Path(sys.argv[1])), sys.argv[2]
    code = mirror(directory, name, partial(open_tracker, directory, name))
    sys.stdout.flush()
    # A tracker that hangs, or that waits for a network at its end, is not waited for.
    os._exit(code)
