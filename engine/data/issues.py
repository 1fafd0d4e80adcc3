"""Collects what is wrong in a data set, and names the places."""

from __future__ import annotations

from typing import Literal

from engine.data.examples import DataIssue

MAX_ISSUES = 10_000
"""A file that is wrong in every line must not fill the memory with issues."""


def excerpt(text: object, limit: int = 60) -> str:
    """Text for a message, in quotes, on one line, cut to `limit` characters."""
    line = " ".join(str(text)[: limit + 200].split())
    return f'"{line[: limit - 1]}…"' if len(line) > limit else f'"{line}"'


def quoted(text: str) -> str:
    """Text for a message, in quotes, whole; what shows nothing is escaped."""
    return '"' + "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text) + '"'


def kind_of(value: object) -> str:
    """What a JSON value is, in plain words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


class DataIssues:
    """DataIssues in the order they were found; `left_out` counts those beyond MAX_ISSUES. `notes`: what was inferred
    from the file alone, each once; `dropped` counts questions that can't be used."""

    def __init__(self) -> None:
        self.found: list[DataIssue] = []
        self.left_out = 0
        self.errors = 0
        self.dropped = 0
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Note how the file was read, once."""
        if text not in self.notes:
            self.notes.append(text)

    def add(
        self,
        level: Literal["error", "repaired", "warning"],
        place: str,
        message: str,
        *,
        kind: str = "file",
        ident: object = None,
        before: object = None,
        after: object = None,
        cause: str = "",
    ) -> None:
        """Note an issue; fields as in DataIssue, `ident` as it stands in the file."""
        if level == "error":
            self.errors += 1
        if len(self.found) < MAX_ISSUES:
            self.found.append(
                DataIssue(level, place, message, kind, None if ident is None else str(ident), before, after, cause)
            )
        else:
            self.left_out += 1

    def all(self) -> list[DataIssue]:
        """The issues found, and last a word about those that were not kept."""
        if not self.left_out:
            return self.found
        level: Literal["error", "warning"] = "error" if self.errors else "warning"
        return [*self.found, DataIssue(level, "the file", f"{self.left_out:,} more issues are not listed")]
