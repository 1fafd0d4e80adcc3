"""`doctor`: what works here."""

from __future__ import annotations

from typing import Any

import click

from engine.errors import ExitCode
from tui.cli.common import CONFIG, RUNS_DIR, command, config_of, runs_folder
from tui.options import GroupedOption, training_options

SIGNS = {"works": "ok", "limited": "--", "fails": "NO"}
MODEL_OPTIONS = frozenset({"model", "revision"})


@command(
    GroupedOption(["--json", "as_json"], "output", is_flag=True, help="one JSON record for each finding"),
    CONFIG,
    RUNS_DIR,
    *training_options(MODEL_OPTIONS),
)
def doctor(as_json: bool, config: str | None, runs_dir: str | None, **flags: Any) -> int:
    """What works on this machine, and what to do: device, memory, disk, terminal, model, network."""
    import msgspec

    from engine.doctor import examine
    from tui.drawing.text import plain
    from tui.terminal.examine import examine_terminal

    findings = [*examine(config_of("-", flags, config), runs_folder(runs_dir)), *examine_terminal()]
    broken = any(finding.verdict == "fails" for finding in findings)
    if as_json:
        for finding in findings:
            click.echo(msgspec.json.encode(finding).decode())
        return int(ExitCode.RUN_FAILED if broken else ExitCode.OK)
    for finding in findings:
        click.echo(f"{SIGNS[finding.verdict]}  {finding.topic:<10} {plain(finding.text)}")
        if finding.hint:
            click.echo(f"{'':14}{plain(finding.hint)}")
    click.echo("a run can't start here yet: see NO above" if broken else "a run can start here")
    return int(ExitCode.RUN_FAILED if broken else ExitCode.OK)
