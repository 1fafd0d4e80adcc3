"""MRQA's JSON lines: a header, then passages with their questions, which are read as SQuAD's paragraphs are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.data.formats.raw import RawQuestion
from engine.data.issues import DataIssues


def matches(item: dict[str, Any]) -> bool:
    """Whether the object is the header."""
    return "header" in item


def questions(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    """A header holds no question."""
    return iter(())
