"""Flat rows: a question with its passage in each; also tables stored by column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.data.formats.answers import read_answers
from engine.data.formats.raw import CONTEXT_KEYS, ID_KEYS, QUESTION_KEYS, RawQuestion, first_of, is_row
from engine.data.issues import DataIssues


def matches(item: dict[str, Any]) -> bool:
    """Whether the object is one row."""
    return is_row(item)


def questions(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    """The question of one row."""
    yield _row(item, number, part, issues)


def rows_of_columns(values: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Rows of a table stored by column: {"context": […], …}, or {"context": {"0": …}, …} as pandas does."""
    if not is_row(values):
        return None
    by_key = any(isinstance(values.get(name), dict) for name in CONTEXT_KEYS)
    columns: dict[str, list[Any]] = {}
    for name, column in values.items():
        if by_key and isinstance(column, dict):
            columns[name] = list(column.values())
        elif isinstance(column, list) and not by_key:
            columns[name] = column
    context = next((columns[name] for name in CONTEXT_KEYS if name in columns), None)
    if context is None or not any(len(columns.get(name, ())) == len(context) for name in QUESTION_KEYS):
        return None
    whole = {name: column for name, column in columns.items() if len(column) == len(context)}
    return [dict(zip(whole, cells, strict=True)) for cells in zip(*whole.values(), strict=True)]


def _row(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> RawQuestion:
    raw = RawQuestion(
        part,
        f"row {number}",
        first_of(item, ID_KEYS),
        item.get("title"),
        first_of(item, QUESTION_KEYS),
        first_of(item, CONTEXT_KEYS),
        read_answers(item, row=True),
        item,
    )
    if "extra cells" in item:
        issues.add("warning", raw.place, f"has {item['extra cells']} cells more than the header; they are left out")
    return raw
