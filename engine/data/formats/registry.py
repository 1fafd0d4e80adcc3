"""The layouts of data sets that are read, whatever the file's ending: a layout is one module and one line here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from engine.data.formats import label_studio, mrqa, rows, squad
from engine.data.formats.raw import RawQuestion, is_row, place_of
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
    squad,
    label_studio,
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
    if not isinstance(values, dict) or is_row(values) or "paragraphs" in values or "qas" in values:
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


def raw_questions(values: Any, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    """All questions of one part of a file, in order; what is no question is a issue with its place."""
    items = _items(values)
    if items is None:
        issues.add("error", part or "the file", f"holds {kind_of(values)} where a list of questions belongs")
        return
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            issues.add("error", place_of(part, f"item {number}"), f"is {kind_of(item)}, not a question")
        elif (layout := next((layout for layout in LAYOUTS if layout.matches(item)), None)) is not None:
            yield from layout.questions(item, number, part, issues)
        else:
            names = ", ".join(excerpt(name, 20) for name in list(item)[:6]) or "none"
            issues.add(
                "error", place_of(part, f"item {number}"), f"is not a question with its passage (its keys: {names})"
            )


def _items(values: Any) -> Any:
    if isinstance(values, dict):
        if isinstance(values.get("data"), list):
            return values["data"]
        columns = rows.rows_of_columns(values)
        return [values] if columns is None else columns
    return values if isinstance(values, list) else None
