"""What viewers ask of a running engine: one file a command, renamed into place, removed when it is answered."""

from __future__ import annotations

import os
import secrets
import time
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from engine.durable import replace_file
from engine.errors import UsageError
from engine.run import RunDir

CommandName = Literal["pause", "resume", "stop", "checkpoint"]
MAX_COMMAND = 4096


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
    """Commands that wait, oldest first; what is no command is removed and left out. The engine's side."""
    try:
        names = sorted(entry.name for entry in os.scandir(run.commands) if entry.name.endswith(".json"))
    except OSError:
        return []
    commands = []
    for name in names:
        if name.startswith("."):
            continue  # still being written
        path = run.commands / name
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                command = msgspec.json.decode(file.read(MAX_COMMAND), type=Command)
            commands.append(msgspec.structs.replace(command, id=name.removesuffix(".json")))
        except (OSError, msgspec.MsgspecError):
            pass
        try:
            os.unlink(path)
        except OSError:
            continue
    return commands
