"""The layouts of data sets that are read, whatever the file's ending: a layout is one module and one line here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from engine.data.formats import argilla, label_studio, mrqa, passages, rows, squad
from engine.data.formats.columns import Columns, find_column, missing_message, with_columns, with_plain_keys
from engine.data.formats.raw import ID_KEYS, RawQuestion, is_row, key_of, place_of
from engine.data.issues import DataIssues, excerpt, kind_of

TRAIN_NAMES = ("train", "training")
EVAL_NAMES = ("validation", "valid", "val", "eval", "evaluation", "dev", "test")


class Layout(Protocol):
    """What a module of a layout has."""

    def matches(self, item: dict[str, Any]) -> bool:
        """Whether one object of a file's list has this layout."""

    def questions(self, item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
        """The questions of the object, in order; it is the list's number `number` from 1, in the file's `part`."""


LAYOUTS: list[Layout] = [
    passages,
    squad,
    label_studio,
    argilla,
    rows,
    mrqa,
]
"""The first one that matches an object reads it."""


def split_values(values: Any) -> tuple[dict[str, Any], str]:
    """The parts of a file by role: {"train": …, "eval": …} or {"all": …}; and a warning, or "".

    A part is what stands under a key named after a split, or the whole file where there is none.
    """
    if isinstance(values, dict) and isinstance(values.get("data"), dict) and not is_row(values):
        values = values["data"]
    if not isinstance(values, dict) or is_row(with_plain_keys(values)) or "paragraphs" in values or "qas" in values:
        return {"all": values}, ""
    names = {str(key).lower(): key for key in values if isinstance(values[key], (dict, list))}
    train = [names[name] for name in TRAIN_NAMES if name in names]
    evaluation = [names[name] for name in EVAL_NAMES if name in names]
    if not train and not evaluation:
        return {"all": values}, ""
    parts = {}
    if train:
        parts["train"] = values[train[0]]
    if evaluation:
        parts["eval"] = values[evaluation[0]]
    unused = train[1:] + evaluation[1:]
    warning = f"not used: {', '.join(excerpt(name) for name in unused[:5])}" if unused else ""
    return parts, warning


def raw_questions(
    values: Any, part: str, issues: DataIssues, columns: Columns | None = None, *, own_names: bool = False
) -> Iterator[RawQuestion]:
    """All questions of one part of a file, in order; what is no question is an issue with its place.

    `columns` names columns by role. With `own_names` they may all be absent, where the rows can be read without.
    """
    items = _items(values)
    if items is None:
        issues.add("error", part or "the file", f"holds {kind_of(values)} where a list of questions belongs")
        return
    if columns and (absent := _absent(items, columns)):
        if own_names and any(isinstance(item, dict) and _layout(item) for item in items):
            columns = None
        else:
            issues.add("error", part or "the file", absent, kind="columns")
            return
    unread: list[dict[str, Any]] = []
    numbers: list[int] = []
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            issues.add("error", place_of(part, f"item {number}"), f"is {kind_of(item)}, not a question")
            continue
        item = with_columns(item, columns) if columns else item
        if (layout := _layout(item)) is not None:
            yield from layout.questions(item, number, part, issues)
        else:
            unread.append(item)
            numbers.append(number)
    if unread and len(unread) == len(items):
        issues.add("error", part or "the file", missing_message(unread), kind="columns")
        return
    for number, item in zip(numbers, unread, strict=True):
        names = ", ".join(excerpt(name, 20) for name in list(item)[:6]) or "none"
        issues.add("error", place_of(part, f"item {number}"), f"is not a question with its passage (its keys: {names})")


def _layout(item: dict[str, Any]) -> Layout | None:
    return next((layout for layout in LAYOUTS if layout.matches(item)), None)


def _absent(items: list[Any], columns: Columns) -> str:
    """What is wrong with the names of columns that the user gave; "" where some row has each of them."""
    rows = [item for item in items if isinstance(item, dict)]
    for name in columns.values():
        if not any(find_column(row, name) for row in rows):
            names = ", ".join(excerpt(key, 30) for key in list(dict.fromkeys(key for row in rows for key in row))[:12])
            return f"--columns names {excerpt(name)}, and there is no such column; the columns are {names or 'none'}"
    return ""


def _items(values: Any) -> list[Any] | None:
    """The list of what may be questions, in whatever way the file holds a list."""
    if isinstance(values, dict):
        found = rows.rows_of_pandas(values)
        if found is None and isinstance(values.get("data"), list):
            found = values["data"]
        if found is None and isinstance(values.get("rows"), list):  # as the Hub's viewer gives them
            found = [item["row"] if isinstance(item, dict) and "row" in item else item for item in values["rows"]]
        if found is None:
            found = rows.rows_of_columns(values)
        if found is None and values and all(isinstance(item, dict) and _layout(item) for item in values.values()):
            found = [item if key_of(item, ID_KEYS) else {**item, "id": key} for key, item in values.items()]
        return [values] if found is None else found
    return values if isinstance(values, list) else None
