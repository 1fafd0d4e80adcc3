"""A run on several machines: made and checked here, started on each of them by torchrun or srun."""

from __future__ import annotations

import msgspec

from engine.errors import ExitCode
from engine.launch import Run
from engine.torchrun import HOST, first_host, on_each_machine
from engine.trackers.registry import tools_of
from tui.drawing.text import plain


def print_start(run: Run, *, as_json: bool = False) -> int:
    """Print how the run, which is ready to be started, is started and watched; returns the exit code."""
    config, host = run.directory.exact_config, first_host()
    line = on_each_machine(run.directory, config, host=host or HOST)
    if as_json:
        print(msgspec.json.encode({"run": str(run.path), "command": line}).decode())
        return int(ExitCode.OK)
    each = "1 process" if config.devices == 1 else f"{config.devices} processes"
    print(plain(f"{run.path} is ready for {config.nnodes} machines with {each} each. Start it on each of them:"))
    print(f"\n{plain(line)}\n")
    if host is None:
        print(
            f"{HOST} is the name of the first machine, by which the others reach it. In a batch script of Slurm:\n"
            f'{HOST}=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n1)\n'
        )
    for tool in tools_of(config.report_to):
        print(plain(f"For {tool}, on one machine: python -P -m engine.trackers {run.path} {tool}"))
    print(plain(f"Watch it from any machine that sees the folder: bertqa-tui attach {run.path}"))
    return int(ExitCode.OK)
