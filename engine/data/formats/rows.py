"""Flat rows: a question with its passage in each; also tables stored by column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.data.formats.answers import ANSWERS, read_answers
from engine.data.formats.columns import names_in_use, with_plain_keys
from engine.data.formats.raw import CONTEXT_KEYS, ID_KEYS, QUESTION_KEYS, RawQuestion, first_of, is_row, key_of
from engine.data.issues import DataIssues

USUAL = {("context", "question", answers) for answers in ("answers", None)}


def matches(item: dict[str, Any]) -> bool:
    """Whether the object is one row."""
    return is_row(with_plain_keys(item))


def questions(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    """The question of one row."""
    yield _row(with_plain_keys(item), number, part, issues)


def rows_of_columns(values: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Rows of a table stored by column: {"context": […], …}, or {"context": {"0": …}, …} as pandas does."""
    named = with_plain_keys(values)
    if not is_row(named):
        return _rows_of_equal_columns(values)
    by_key = any(isinstance(named.get(name), dict) for name in CONTEXT_KEYS)
    columns: dict[str, list[Any]] = {}
    for name, column in named.items():
        if by_key and isinstance(column, dict):
            columns[name] = list(column.values())
        elif isinstance(column, list) and not by_key:
            columns[name] = column
    context = next((columns[name] for name in CONTEXT_KEYS if name in columns), None)
    if context is None or not any(len(columns.get(name, ())) == len(context) for name in QUESTION_KEYS):
        return None
    whole = {name: column for name, column in columns.items() if len(column) == len(context)}
    return [dict(zip(whole, cells, strict=True)) for cells in zip(*whole.values(), strict=True)]


def _rows_of_equal_columns(values: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Rows of a table with names that say nothing: columns of one length, or with the same numbers as keys."""
    columns = list(values.values())
    if len(columns) < 2:
        return None
    if all(isinstance(column, dict) and column.keys() == columns[0].keys() and _numbered(column) for column in columns):
        columns = [list(column.values()) for column in columns]
    if not all(isinstance(column, list) and 0 < len(column) == len(columns[0]) for column in columns):
        return None
    return [dict(zip(values, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _numbered(values: dict[str, Any]) -> bool:
    return all(str(key).lstrip("-").isdigit() for key in values)


def rows_of_pandas(values: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Rows of a table as pandas writes it with orient="split", {"columns": […], "data": [[…], …]}, or "index",
    {"0": {"context": …, …}, …}; None where it is neither."""
    names, cells = values.get("columns"), values.get("data")
    if isinstance(names, list) and isinstance(cells, list) and all(isinstance(row, list) for row in cells):
        return [dict(zip(map(str, names), row, strict=False)) for row in cells]
    rows = list(values.values())
    same = rows and all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows)
    return rows if same and len(rows[0]) > 1 and _numbered(values) else None


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
    context, question, answers = (key_of(item, names) for names in (CONTEXT_KEYS, QUESTION_KEYS, ANSWERS))
    if (context, question, answers) not in USUAL:
        issues.note(names_in_use(context, question, answers))
    if "extra cells" in item:
        issues.add("warning", raw.place, f"has {item['extra cells']} cells more than the header; they are left out")
    return raw
