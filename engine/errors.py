"""What can go wrong through no fault of the program, and the exit code it ends with."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command; scripts and batch systems rely on them."""

    OK = 0
    RUN_FAILED = 1
    USAGE = 2
    BAD_DATA = 65
    NO_MODEL = 69
    CANNOT_WRITE = 73
    STOPPED = 75


class UserError(Exception):
    """A fault that the user can fix: `message` says what is wrong and where, `hint` what to do."""

    exit_code = ExitCode.RUN_FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(UserError):
    exit_code = ExitCode.USAGE


class DataError(UserError):
    exit_code = ExitCode.BAD_DATA


class ModelError(UserError):
    exit_code = ExitCode.NO_MODEL


class WriteError(UserError):
    exit_code = ExitCode.CANNOT_WRITE
