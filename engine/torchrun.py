"""The commands that start the processes of a run: torchrun's, on this machine or on each of several."""

from __future__ import annotations

import os
import shlex
import subprocess

from engine.config import RunConfig, stop_signals
from engine.early import WORKER
from engine.rundir.layout import RunDir

TORCHRUN = "torch.distributed.run"
PORT = 29400
"""torchrun's own default."""
SHUTDOWN = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "180"}
"""Seconds that torchrun leaves its processes to save and stop before it kills them; by itself 30, too few for the
checkpoint of a large model on a slow disk."""
HOST = "HOST"


def on_this_machine(config: RunConfig) -> list[str]:
    """Arguments to Python, before `-m` and the module that all `devices` processes run."""
    # torchrun would pass a hang-up on to its ranks; only these signals are for them.
    return ["-m", TORCHRUN, "--standalone", f"--nproc-per-node={config.devices}", _signals(config)]


def on_each_machine(run: RunDir, config: RunConfig, *, host: str) -> str:
    """The command line that starts the run's processes on each of its `nnodes` machines. They meet at `host`."""
    words = [
        *(f"{name}={value}" for name, value in SHUTDOWN.items()),
        "torchrun",
        f"--nnodes={config.nnodes}",
        f"--nproc-per-node={config.devices}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={host}:{PORT}",
        f"--rdzv-id={run.name}",
        _signals(config),
        "-m",
        WORKER,
        str(run.path),
    ]
    return shlex.join(words)


def first_host() -> str | None:
    """The name of the first machine of the Slurm job that this process belongs to, where the others find it; None
    outside of one. The machine that the job was submitted from, or this one, may be another."""
    if not (machines := os.environ.get("SLURM_JOB_NODELIST")):
        return None
    try:
        asked = ["scontrol", "show", "hostnames", machines]
        names = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return names[0] if names else None


def _signals(config: RunConfig) -> str:
    return f"--signals-to-handle={','.join(stop_signals(config))}"
