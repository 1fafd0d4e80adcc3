"""Runs the user's command when a run ends: `--on-finish`."""

from __future__ import annotations

import os
import signal
import subprocess

from engine.errors import ExitCode
from engine.events import Failed, Finished, Metrics, Stopped
from engine.rundir.layout import RunDir

LIMIT_SECONDS = 60.0
"""A command that takes longer is ended: a batch job would wait for it, and its time is nearly up."""
Ending = Finished | Stopped | Failed


def run_on_finish(command: str, run: RunDir, ending: Ending, metrics: Metrics | None) -> str:
    """Run `command` by the shell, in the run's folder, with the outcome in its environment; returns what went wrong
    with it, "" where nothing did. Its output goes to the engine's log."""
    environment = os.environ | outcome(run, ending, metrics)
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=run.path,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return f"--on-finish can't be run: {error.strerror}."
    try:
        code = process.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"--on-finish took longer than {LIMIT_SECONDS:.0f} s and was ended."
    return f"--on-finish ended with exit code {code}." if code else ""


def outcome(run: RunDir, ending: Ending, metrics: Metrics | None) -> dict[str, str]:
    """The variables that tell the command how the run ended."""
    code, message = ExitCode.OK, ""
    match ending:
        case Finished():
            message, metrics = ending.reason, ending.metrics or metrics
        case Stopped():
            code, message = ExitCode.STOPPED, ending.reason
        case Failed():
            code, message = ExitCode(ending.exit_code), ending.message
    values = {"RUN": str(run.path), "STATE": ending.type, "EXIT_CODE": str(int(code)), "MESSAGE": message}
    if metrics is not None:
        values |= {"EM": f"{metrics.exact_match:.2f}", "F1": f"{metrics.f1:.2f}"}
    return {f"BERTQA_RESULT_{name}": value.replace("\0", "") for name, value in values.items()}
