"""Which column of a table is what: usual names, names that the user gives, and guesses for a message."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from engine.data.formats.answers import ANSWERS, ENDS, IMPOSSIBLE, LABELS, STARTS, is_empty, is_missing
from engine.data.formats.raw import CONTEXT_KEYS, ID_KEYS, QUESTION_KEYS, is_row
from engine.data.issues import excerpt
from engine.errors import UsageError

Columns = Mapping[str, str]
"""Role -> name of the column."""

ROLES: dict[str, tuple[str, ...]] = {
    "context": CONTEXT_KEYS,
    "question": QUESTION_KEYS,
    "answers": (*ANSWERS, *LABELS, "detected_answers"),
    "answer_start": STARTS,
    "answer_end": ENDS,
    "is_impossible": IMPOSSIBLE,
    "id": ID_KEYS,
    "title": ("title",),
}
"""What a column may be, and the names that are understood without `--columns`."""
NESTED = ("meta", "metadata", "fields", "data")
"""Where annotation tools put what a user brought along."""
SUGGESTED = ": --columns "
"""Stands before the value of the option that a message suggests, at its end."""
SAMPLE = 50
"""So many rows are looked at for a guess."""


def parse_columns(text: str | None) -> dict[str, str]:
    """The columns that `--columns` names: role -> name; a name with a comma stands in quotes. Raises UsageError."""
    columns: dict[str, str] = {}
    for part in next(csv.reader([text or ""], skipinitialspace=True), []):
        role, equals, name = (piece.strip() for piece in part.partition("="))
        role = {"answer": "answers"}.get(role.lower(), role.lower())
        if not equals or not name or role not in ROLES or role in columns:
            known = ", ".join("answer" if role == "answers" else role for role in ROLES)
            raise UsageError(
                f"--columns {text}: {excerpt(part)} does not name a column once.",
                hint=f"Write --columns context=NAME,question=NAME,answer=NAME; also known: {known}.",
            )
        columns[role] = name
    return columns


def find_column(item: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    """The value of the column `name`, as (value,), or () where there is none: a key, whatever its case; a key of what a
    tool keeps apart (meta); or a path through objects, such as meta.question."""
    if name in item:
        return (item[name],)
    bare = plain_name(name)
    for key, value in item.items():
        if plain_name(str(key)) == bare:
            return (value,)
    for key in NESTED:
        if isinstance(inner := item.get(key), dict) and name in inner:
            return (inner[name],)
    first, dot, rest = name.partition(".")
    inner = item.get(first)
    return find_column(inner, rest) if dot and isinstance(inner, dict) else ()


def with_columns(item: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """The row with the named columns under the names of their roles, and nothing else that could be read as these."""
    if not columns:
        return item
    found = {role: values[0] for role, name in columns.items() if (values := find_column(item, name))}
    hidden = {name for role in found for name in ROLES[role]} - {"text"} | {plain_name(columns[role]) for role in found}
    return {key: value for key, value in item.items() if plain_name(str(key)) not in hidden} | found


def with_plain_keys(item: dict[str, Any]) -> dict[str, Any]:
    """The row with keys in lower case, "_" for spaces, and what a tool keeps in `meta` where the row lacks a name."""
    names = _plain_names(tuple(item))
    if names is not None:
        item = {name: value for name, value in zip(names, item.values(), strict=True) if name not in item} | {
            key: value for key, value in item.items() if key in names
        }
    if not is_row(item):
        for key in ("meta", "metadata"):
            if isinstance(inner := item.get(key), dict) and is_row({**inner, **item}):
                return {**inner, **item}
    return item


@lru_cache(maxsize=1024)
def _plain_names(keys: tuple[str, ...]) -> tuple[str, ...] | None:
    """The plain names of the keys; None where they are plain already."""
    names = tuple(map(plain_name, map(str, keys)))
    return None if names == keys else names


def plain_name(name: str) -> str:
    """The name of a column in lower case, with "_" for spaces."""
    return name.strip().lower().replace(" ", "_")


def names_in_use(context: str | None, question: str | None, answers: str | None) -> str:
    """A note on names that were understood; "" where all are the standard ones."""
    used = (("context", context, "context"), ("question", question, "question"), ("answers", answers, "answers"))
    said = [f'"{name}" as the {role}' for standard, name, role in used if name not in (None, standard)]
    return f"read {', '.join(said)}" if said else ""


def missing_message(items: Sequence[Any]) -> str:
    """What the rows lack, the columns that they have, and which of these looks like what."""
    rows = [item for item in items[:SAMPLE] if isinstance(item, dict)]
    names = list(dict.fromkeys(str(key) for row in rows for key in row))
    if not names:
        return "is not a question with its passage (it has no keys)"
    found = with_plain_keys(dict.fromkeys(names, ""))
    lack = [
        role for role, keys in (("context", CONTEXT_KEYS), ("question", QUESTION_KEYS)) if not set(keys) & set(found)
    ]
    listed = ", ".join(excerpt(name, 30) for name in names[:12])
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    message = (
        f"no column for {' and '.join('the ' + role for role in lack)}" if lack else "no question with its passage"
    )
    guess = guess_columns(rows)
    message += f"; the columns are {listed}{more}"
    if not guess:
        return message + "; name yours: --columns context=NAME,question=NAME,answer=NAME"
    looks = ", ".join(f"{excerpt(name, 30)} looks like the {role}" for role, name in guess.items())
    option = ",".join(f"{role}={name}" for role, name in guess.items())
    rest = [f"{role}=NAME" for role in ("context", "question", "answer") if role not in guess]
    return f"{message}; {looks}{SUGGESTED}{quoted_option(','.join([option, *rest]))}"


def quoted_option(text: str) -> str:
    """The value of an option as one word for a shell."""
    return text if all(char.isalnum() or char in "_-.,=/" for char in text) else "'" + text.replace("'", "'\\''") + "'"


def guess_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Role -> the column that looks like it, by its name and by what stands in it; roles that none fits are absent."""
    names = list(dict.fromkeys(str(key) for row in rows for key in row if str(key).strip()))
    texts = {name: _texts(rows, name) for name in names}
    texts = {name: values for name, values in texts.items() if values}
    guess: dict[str, str] = {}

    def take(role: str, scores: Mapping[str, float], least: float) -> None:
        free = {name: score for name, score in scores.items() if name not in guess.values()}
        best = max(free, key=lambda name: free[name], default=None)
        if best is not None and free[best] >= least:
            guess[role] = best

    asked = {
        name: _share(values, lambda text: text.rstrip().endswith(("?", "？", "؟"))) for name, values in texts.items()
    }
    hinted = ("question", "query", "ask", "prompt")
    take("question", {name: asked[name] + any(word in plain_name(name) for word in hinted) for name in texts}, 0.5)
    take("context", {name: sum(map(len, values)) / len(values) for name, values in texts.items()}, 20)
    passage = guess.get("context")
    if passage is not None:
        inside = {
            name: sum(_stands(row, name, passage) for row in rows) / len(rows) + 0.1 * _named_answer(name)
            for name in names
            if name != passage
        }
        take("answer", inside, 0.5)
    if passage is not None and "answer" in guess:
        answer = guess["answer"]
        starts = {name: sum(_begins(row, name, answer, passage) for row in rows) / len(rows) for name in names}
        take("answer_start", starts, 0.5)
    order = ("context", "question", "answer", "answer_start")
    return {role: guess[role] for role in order if role in guess}


def _texts(rows: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    return [value for row in rows if isinstance(value := row.get(name), str) and value.strip()]


def _share(values: Sequence[str], test: Callable[[str], bool]) -> float:
    return sum(map(test, values)) / len(values)


def _named_answer(name: str) -> bool:
    return any(word in plain_name(name) for word in ("answer", "reply", "gold", "span", "label"))


def _stands(row: Mapping[str, Any], name: str, passage: str) -> bool:
    value, context = row.get(name), row.get(passage)
    return isinstance(value, str) and isinstance(context, str) and not is_empty(value) and value.strip() in context


def _begins(row: Mapping[str, Any], name: str, answer: str, passage: str) -> bool:
    value, text, context = row.get(name), row.get(answer), row.get(passage)
    if not isinstance(text, str) or not isinstance(context, str) or is_missing(value) or isinstance(value, bool):
        return False
    try:
        start = int(float(str(value)))
    except (TypeError, ValueError, OverflowError):
        return False
    return start >= 0 and context.startswith(text, start)
