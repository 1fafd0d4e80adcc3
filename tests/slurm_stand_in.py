"""Stand-ins for Slurm's commands, as programs on the path: `srun` starts a job's tasks on this machine, with Slurm's
variables, and ends with the highest of their exit codes; SIGUSR1 goes to all their processes, as from `#SBATCH
--signal`. `scontrol` names this machine, and notes what is put back in the queue."""

from __future__ import annotations

import sys
from pathlib import Path

SRUN = """#!{python}
import os, signal, subprocess, sys
import psutil

words = sys.argv[1:]
while words[0].startswith("--"):
    words.pop(0)
tasks = int(os.environ["STAND_IN_TASKS"])
shared = {{"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": str(tasks), "SLURM_NTASKS": str(tasks)}}
started = [
    subprocess.Popen(words, env=os.environ | shared | {{"SLURM_PROCID": str(task), "SLURM_LOCALID": str(task)}})
    for task in range(tasks)
]

def forward(number, frame):
    for task in started:
        for process in (*psutil.Process(task.pid).children(recursive=True), task):
            process.send_signal(number)

signal.signal(signal.SIGUSR1, forward)
sys.exit(max(code if (code := task.wait()) >= 0 else 128 - code for task in started))
"""
SCONTROL = """#!/bin/sh
case "$1" in
show) echo localhost; echo another-machine ;;
requeue) echo "$2" >> "$STAND_IN_QUEUE" ;;
esac
"""
PROGRAMS = {"python": "", "torchrun": "-m torch.distributed.run", "bertqa-tui": "-m tui.cli"}


def make_programs(folder: Path) -> Path:
    """Write the programs into `folder`, which is to come first on the path."""
    folder.mkdir()
    texts = {"srun": SRUN.format(python=sys.executable), "scontrol": SCONTROL}
    texts |= {name: f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n' for name, module in PROGRAMS.items()}
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder
