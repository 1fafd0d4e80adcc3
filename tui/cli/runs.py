"""`runs`: the list of runs."""

from __future__ import annotations

from engine.errors import ExitCode
from tui.cli.common import RUNS_DIR, command, runs_folder
from tui.options import GroupedOption


@command(GroupedOption(["--json", "as_json"], "output", is_flag=True, help="one JSON object for each run"), RUNS_DIR)
def runs(as_json: bool, runs_dir: str | None) -> int:
    """All runs: state, data, model, epoch, best score."""
    from tui.plain.runs_table import print_runs

    print_runs(runs_folder(runs_dir), as_json=as_json)
    return int(ExitCode.OK)
