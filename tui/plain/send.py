"""Sends a command to a run's engine and prints its answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ExitCode, UsageError
from engine.events import CommandDone
from tui.drawing.text import plain

if TYPE_CHECKING:
    from engine.rundir.commands import CommandName


def send_and_wait(path: Path, command: CommandName, *, seconds: float = 30.0) -> int:
    """Send a command to the live run at `path` and print what became of it.

    Raises UsageError when no engine is alive there, or none answers in time.
    """
    from engine.launch import attach

    run = attach(path)
    if not run.is_live():
        hint = "Resume it: bertqa-tui resume." if command != "resume" else ""
        raise UsageError(f"{path}: no engine is at work on this run.", hint=hint)
    ident = run.stop() if command == "stop" else run.command(command)
    if not ident:
        print("stop: the disk is too full for a command; the engine got a SIGTERM, saves and stops")
        return int(ExitCode.OK)

    async def answer() -> str | None:
        async for event in run.events():
            if isinstance(event, CommandDone) and event.id == ident:
                return event.outcome
        return None

    async def bounded() -> str | None:
        return await asyncio.wait_for(answer(), seconds)

    try:
        outcome = asyncio.run(bounded())
    except TimeoutError:
        raise UsageError(
            f"{path}: the engine has not answered within {seconds:.0f} s.", hint="It may be in a long step."
        ) from None
    print(plain(f"{command}: {outcome or 'the run ended first'}"))
    return int(ExitCode.OK)
