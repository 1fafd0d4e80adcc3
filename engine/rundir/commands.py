"""What viewers ask of a running engine: one file a command, renamed into place, removed when it is answered."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from engine.errors import UsageError, WriteError
from engine.rundir.layout import RunDir
from engine.storage.atomic_io import remove_file, replace_file
from engine.storage.safe_open import read_small

CommandName = Literal["pause", "resume", "stop", "checkpoint"]
MAX_COMMAND = 4096
MAX_AT_ONCE = 100


class Command(Struct, frozen=True):
    id: str
    command: CommandName


def send_command(run: RunDir, command: CommandName) -> str:
    """Ask the engine of `run`; returns the command's id, which the engine's answer carries.

    Raises UsageError for an unknown command, WriteError where it can't be written.
    """
    if command not in get_args(CommandName):
        raise UsageError(f"there is no command {command!r}.")
    ident = f"{time.time_ns():020}-{secrets.token_hex(4)}"
    replace_file(run.commands / f"{ident}.json", msgspec.json.encode(Command(ident, command)))
    return ident


def take_commands(run: RunDir) -> list[Command]:
    """Commands that wait, oldest first, at most MAX_AT_ONCE; each is returned once. The engine's side.

    What is no command is removed and left out.
    """
    commands = []
    for path in _waiting(run)[:MAX_AT_ONCE]:
        try:
            data = read_small(path, MAX_COMMAND)
        except OSError:
            data = b""
        try:
            remove_file(path)
        except WriteError:
            continue  # it would be returned again and again; its sender times out and reports it
        with suppress(ValueError, RecursionError):
            command = msgspec.json.decode(data, type=Command)
            commands.append(msgspec.structs.replace(command, id=path.stem))
    return commands


def clear_commands(run: RunDir) -> None:
    """Forget what was asked of an engine that is no more, so that the next one does not obey it."""
    for path in _waiting(run):
        with suppress(WriteError):
            remove_file(path)


def _waiting(run: RunDir) -> list[Path]:
    try:
        with os.scandir(run.commands) as entries:
            names = sorted(e.name for e in entries if e.name.endswith(".json") and not e.name.startswith("."))
    except OSError:
        return []
    return [run.commands / name for name in names]
