"""A question as it stands in a file, before anything is checked: what every layout gives."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from engine.data.formats.answers import RawAnswers
from engine.data.issues import excerpt

CONTEXT_KEYS = ("context", "passage", "paragraph", "text")
QUESTION_KEYS = ("question", "query", "q")
ID_KEYS = ("id", "qid", "question_id", "qas_id", "_id", "external_id")


class RawQuestion(Struct, gc=False):
    """A question as it stands in the file, unchecked; `part` and `where` make up its place.

    `source` is the object that it was read from, for whoever writes it back; None where there is no such object.
    """

    part: str
    where: str
    id: Any
    title: Any
    question: Any
    context: Any
    answers: RawAnswers
    source: dict[str, Any] | None = None

    @property
    def place(self) -> str:
        """`question "r-17-2" (article "Chilblains", paragraph 1)`, with the part of the file before it."""
        part = f"{self.part}: " if self.part else ""
        if isinstance(self.id, (str, int)) and not isinstance(self.id, bool) and self.id != "":
            return f"{part}question {excerpt(self.id)} ({self.where})"
        return f"{part}{self.where}"


def is_row(item: dict[str, Any]) -> bool:
    """Whether the object is one flat row: a question with its passage."""
    return any(name in item for name in CONTEXT_KEYS) and any(name in item for name in QUESTION_KEYS)


def key_of(item: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of the names that is there and not empty."""
    return next((name for name in names if item.get(name) not in (None, "")), None)


def first_of(item: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The value under the first of the names that is there and not empty, else None."""
    for name in names:
        if (value := item.get(name)) not in (None, ""):
            return value
    return None


def place_of(part: str, where: str) -> str:
    """A place in a part of a file, for an issue."""
    return f"{part}: {where}" if part else where
