"""Follows a run to its end, and stops it by the signals that a batch system sends."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from engine.config import stop_signals
from engine.errors import ExitCode
from engine.events import AnyEvent, Failed, Finished, Stopped
from tui.drawing.text import plain
from tui.plain.printers import Bars, JsonLines, Lines

if TYPE_CHECKING:
    from engine.launch import Run


def follow(run: Run, *, as_json: bool = False, bars: bool = False, owns_run: bool = True, after: int = 0) -> int:
    """Print a run's events with a number above `after` until it ends; returns the run's exit code.

    `bars` adds progress bars, which need a terminal that can move its cursor.

    The run's stop signals (SIGTERM, SIGINT, SIGUSR1, SIGUSR2 and its `stop_signal`) stop a run that this command
    started (`owns_run`), which then saves a checkpoint and ends with 75; a second one leaves at once. A run that is
    only watched is left alone.
    """
    return asyncio.run(_follow(run, as_json=as_json, bars=bars, owns_run=owns_run, after=after))


async def _follow(run: Run, *, as_json: bool, bars: bool, owns_run: bool, after: int) -> int:
    loop = asyncio.get_running_loop()
    leave = asyncio.Event()
    asked = False

    def interrupted() -> None:
        nonlocal asked
        if asked or not owns_run:
            leave.set()
            return
        asked = True
        run.stop()
        print("stopping after this step, saving a checkpoint; again to leave at once", file=sys.stderr)

    for name in stop_signals(run.directory.config):
        loop.add_signal_handler(signal.Signals[name], interrupted)

    return await watch_to_end(run, leave, as_json=as_json, bars=bars, owns_run=owns_run, after=after)


async def watch_to_end(
    run: Run,
    leave: asyncio.Event,
    *,
    as_json: bool = False,
    bars: bool = False,
    owns_run: bool = True,
    after: int = 0,
    label: str = "",
) -> int:
    """Print a run's events with a number above `after` until it ends or `leave` is set; returns its exit code.

    A `label` stands before each line, and JSON records name their run, where several runs print at the same time.
    """
    mark = f"[{label}] " if label else ""
    if not as_json:
        print(f"{mark}run {plain(str(run.path))}", flush=True)
    printer = JsonLines(run.directory.name if label else "") if as_json else Bars() if bars else Lines(mark)
    ending: AnyEvent | None = None
    with printer:
        reader = asyncio.create_task(_read(run, printer, after))
        left = asyncio.create_task(leave.wait())
        await asyncio.wait({reader, left}, return_when=asyncio.FIRST_COMPLETED)
        left.cancel()
        if reader.done():
            ending = reader.result()
        else:
            reader.cancel()
    match ending:
        case Finished():
            return int(ExitCode.OK)
        case Stopped():
            print(f"resume it with: bertqa-tui resume {plain(str(run.path))}", file=sys.stderr)
            return int(ExitCode.STOPPED)
        case Failed():
            return event_exit_code(ending)
        case _ if leave.is_set():
            return int(ExitCode.STOPPED) if owns_run else int(ExitCode.OK)
        case _:
            print(f"bertqa-tui: the engine died; see {plain(str(run.path))}/engine.log", file=sys.stderr)
            print(f"resume it with: bertqa-tui resume {plain(str(run.path))}", file=sys.stderr)
            return int(ExitCode.RUN_FAILED)


def event_exit_code(failed: Failed) -> int:
    """The documented exit code a failure names; 1 where it names none of them."""
    known = failed.exit_code in {int(code) for code in ExitCode}
    return failed.exit_code if known else int(ExitCode.RUN_FAILED)


async def _read(run: Run, printer: Lines | Bars | JsonLines, after: int) -> AnyEvent | None:
    ending: AnyEvent | None = None
    async for event in run.events():
        if event.seq > after:
            printer.show(event)
        ending = event
    return ending if isinstance(ending, Finished | Stopped | Failed) else None
