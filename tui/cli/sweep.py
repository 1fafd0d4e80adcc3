"""A sweep without a full screen: its runs one after another, or as many at a time as there are devices for."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from engine.config import RunConfig, stop_signals
from engine.errors import ExitCode, UsageError, UserError
from engine.launch import Run
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.sweep import Sweep, SweepRun, begin, find_sweep, plan_sweep
from tui.cli.common import can_move_cursor, config_of
from tui.drawing.text import plain
from tui.plain.follow import watch_to_end


def sweep(
    dataset: str, flags: Mapping[str, Any], config_file: str | None, *, seeds: str | None, jobs: int, as_json: bool
) -> int:
    """Make the runs of all seeds and learning rates, and print how the settings compare; returns the exit code: 75
    where it was stopped, that of the first run that failed, or 0."""
    if seeds is not None and flags["seed"] is not None:
        raise UsageError("--seed and --seeds exclude each other.")
    rates = (flags["lr"] or "").split(",")
    configs = [config_of(dataset, {**flags, "lr": rate or None}, config_file) for rate in rates]
    config = configs[0]
    numbers = (
        [config_of(dataset, {**flags, "lr": None, "seed": seed}, config_file).seed for seed in (seeds or "").split(",")]
        if seeds is not None
        else [config.seed]
    )
    planned = plan_sweep(config, numbers, [each.lr for each in configs], jobs)
    return asyncio.run(_Worker(planned, device_environments(config, jobs), as_json=as_json).run())


def resume_sweep(name: str, folder: Path, *, jobs: int | None, force: bool, as_json: bool) -> int:
    """Go on with the runs of a sweep in a runs folder that are not finished or were not begun; the rest as `sweep`."""
    found = find_sweep(name, folder, jobs)
    environments = device_environments(found.runs[0].config, found.jobs)
    return asyncio.run(_Worker(found, environments, as_json=as_json, force=force).run())


def device_environments(config: RunConfig, jobs: int, gpus: Sequence[str] | None = None) -> list[dict[str, str]]:
    """The environment of the engine of each of `jobs` runs at the same time: GPUs of its own (`gpus` are the names of
    those there are, None: look), or its share of the cores. Raises UsageError where there are too few GPUs."""
    if jobs == 1:
        return [{}]
    if config.device == "mps":
        raise UsageError("--jobs: there is one device, mps.")
    found = (_gpus() if gpus is None else gpus) if config.device != "cpu" else ()
    if not found and config.device == "cuda":
        raise UsageError("--device cuda: there is no GPU.", hint="`bertqa-tui doctor` says why.")
    if not found:
        threads = max(1, (os.cpu_count() or 1) // jobs)
        return [{"OMP_NUM_THREADS": str(threads)} for _ in range(jobs)]
    each = config.devices
    if jobs * each > len(found):
        raise UsageError(
            f"--jobs {jobs} of {each} device{'s' * (each > 1)} each: there are {len(found)} GPUs.",
            hint=f"Use --jobs {max(1, len(found) // each)}.",
        )
    return [{"CUDA_VISIBLE_DEVICES": ",".join(found[each * n : each * (n + 1)])} for n in range(jobs)]


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip()]
    from tui.model.gpu import GpuMeter

    return [str(number) for number in range(len(GpuMeter().read()))]


class _Worker:
    """The runs that wait, those at work, and what became of the others."""

    def __init__(
        self, sweep: Sweep, environments: Sequence[dict[str, str]], *, as_json: bool, force: bool = False
    ) -> None:
        self._sweep, self._environments, self._as_json, self._force = sweep, environments, as_json, force
        self._waiting = list(enumerate(sweep.runs, 1))
        self._active: dict[int, Run] = {}
        self._paths: dict[int, Path] = {}
        self._codes: list[int] = []
        self._error: UserError | None = None
        self._stopping = False
        self._leave = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for name in stop_signals(self._sweep.runs[0].config):
            loop.add_signal_handler(signal.Signals[name], self._interrupted)
        self._say(f"sweep {self._sweep.name}: {len(self._sweep.runs)} runs")
        await asyncio.gather(*(self._work(environment) for environment in self._environments))
        left = len(self._sweep.runs) - self._codes.count(int(ExitCode.OK))
        if self._error is None and not self._stopping:
            from tui.cli.comparison import print_comparison

            print_comparison([RunDir(path) for _, path in sorted(self._paths.items())], as_json=self._as_json)
        if left and self._paths:  # else there is no run by which the name would be found
            how = f"go on with: {plain(self._command, 1000)}"
            print(f"{left} of {len(self._sweep.runs)} runs are left; {how}", file=sys.stderr)
        if self._error is not None:
            raise self._error
        if self._stopping:
            return int(ExitCode.STOPPED)
        return next((code for code in self._codes if code), int(ExitCode.OK))

    @property
    def _command(self) -> str:
        """The command that goes on with the sweep."""
        folder = self._sweep.runs[0].config.runs_dir
        return shlex.join(
            ["bertqa-tui", "resume", self._sweep.name, *(["--runs-dir", folder] if folder is not None else [])]
        )

    async def _work(self, environment: Mapping[str, str]) -> None:
        """Take one run after the other, as long as there are any."""
        while self._waiting and not self._stopping and self._error is None:
            number, planned = self._waiting.pop(0)
            label = f"run {number} of {len(self._sweep.runs)}: {planned.label}"
            if planned.path is not None and planned.state() is State.FINISHED:
                self._say(f"{label}: finished before, {planned.path}")
                self._paths[number] = planned.path
                self._codes.append(int(ExitCode.OK))
                continue
            self._say(label)
            try:
                code = await self._one(number, planned, environment)
            except UserError as error:
                self._error = self._error or error
                return
            self._codes.append(code)
            if code == ExitCode.STOPPED:
                self._stop()

    async def _one(self, number: int, planned: SweepRun, environment: Mapping[str, str]) -> int:
        run, known = await asyncio.to_thread(begin, self._sweep, planned, environment, force=self._force)
        self._paths[number], self._active[number] = run.path, run
        if self._stopping:
            run.stop()
        alone = len(self._environments) == 1
        try:
            return await watch_to_end(
                run,
                self._leave,
                as_json=self._as_json,
                bars=alone and can_move_cursor(),
                after=known,
                label="" if alone and not self._as_json else planned.label,
            )
        finally:
            del self._active[number]

    def _interrupted(self) -> None:
        if self._stopping:
            self._leave.set()
            return
        print("stopping after this step, saving a checkpoint; again to leave at once", file=sys.stderr)
        self._stop()

    def _stop(self) -> None:
        """Begin nothing more, and ask the engines at work to save and stop."""
        if not self._stopping:
            self._stopping = True
            for run in self._active.values():
                run.stop()

    def _say(self, text: str) -> None:
        if not self._as_json:
            click.echo(plain(text, 400))
