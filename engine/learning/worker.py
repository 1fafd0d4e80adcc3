"""The engine's process: `python -m engine.learning.worker RUN_DIR` works on one run from where it stands to its end."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.early import WAIT, wait_for_run
from engine.errors import ExitCode
from engine.learning.warm_up import warm_up


def main(argv: Sequence[str] | None = None) -> int:
    """Run one engine; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    early = arguments[1:] == [WAIT]
    if len(arguments) != 1 + early:
        print("usage: python -m engine.learning.worker RUN_DIR", file=sys.stderr)
        return int(ExitCode.USAGE)
    gc.disable()  # until the run begins there is no garbage, and looking for it takes an eighth of the imports
    settled = warm_up("engine.learning.folds")
    # While torch comes: what needs no torch.
    from engine.learning.at_work import work_on
    from engine.rundir.layout import RunDir

    settled.wait()
    run = RunDir(Path(arguments[0]))
    if early:
        wait_for_run(run.path)
    return work_on(run)


if __name__ == "__main__":
    sys.exit(main())
