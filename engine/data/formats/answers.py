"""Reads the gold answers of one question, in all the shapes that people store them in."""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Callable
from typing import Any

from msgspec import Struct

ANSWERS = ("answers", "answer", "answer_text", "reply")
LABELS = ("label", "labels", "entities", "annotations")  # of Label Studio's flat export and of doccano
STARTS = ("answer_start", "answer_starts", "start", "start_char", "char_start", "start_position", "start_offset")
ENDS = ("answer_end", "end", "end_char", "char_end", "end_offset")
IMPOSSIBLE = ("is_impossible", "impossible", "unanswerable")
MISSING_WORDS = frozenset({"nan", "null", "none", "na", "n/a", "<na>"})
"""What tables write for a missing offset or flag. As an answer they are words like any other."""
ANSWER_WORDS = ("answer", "gold", "label", "span", "reply", "entities")
"""Parts of a key's name that say that answers stand there."""
NOT_ANSWERS = frozenset({"plausible_answers", "answer_category", "answer_id", "answer_type", *IMPOSSIBLE})
"""Keys of known formats that are named like answers and hold none."""
MAX_LITERAL = 1_000_000
"""Longest answers cell that is parsed as a Python literal, in characters: its syntax tree is far bigger."""

NO_KEY = 'has no key with answers, such as "answers"; an unanswerable question is marked "is_impossible": true'


class RawAnswer(Struct, gc=False):
    """One gold as it stands in the file, unchecked; `end` (past the last character) only where text is absent."""

    text: Any
    start: Any
    end: Any = None


class RawAnswers(Struct, gc=False):
    """All golds of a question. `impossible`: what the file says (None: nothing); `problem`: why unreadable; `absent`:
    the question has nothing that could be a label."""

    golds: tuple[RawAnswer, ...] = ()
    impossible: bool | None = None
    problem: str = ""
    column: bool = False  # a table's rows say "no answer" by an empty answer, without a flag
    absent: bool = False


def is_missing(value: object) -> bool:
    """Whether an offset or flag is absent: None, NaN, an empty cell, and in tables the words for them."""
    return value is None or is_empty(value) or (isinstance(value, str) and value.strip().lower() in MISSING_WORDS)


def is_empty(value: object) -> bool:
    """Whether there is no value: None, NaN (an empty cell of a table of numbers) or blank text."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def _first(item: dict[str, Any], names: tuple[str, ...], absent: Callable[[object], bool]) -> Any:
    """The value under the first of the names that has one, by the rule `absent`; None where none has."""
    if item.keys().isdisjoint(names):
        return None  # as nearly always
    for name in names:
        value = item.get(name)
        if value is not None and not absent(value):
            return value
    return None


def read_answers(item: dict[str, Any], *, row: bool) -> RawAnswers:
    """The golds of a question's object; of a flat row (`row`), cells may hold JSON or Python literals."""
    flag, problem = _flag(item)
    if problem:
        return RawAnswers(problem=problem)
    names: tuple[str, ...] = ANSWERS
    if row and any(name in item for name in ("context", "passage", "paragraph")):
        names = (*ANSWERS, "text")
    if isinstance(item.get("detected_answers"), list):
        names = ("detected_answers",)  # MRQA: `answers` holds the bare texts
    value = _first(item, names, is_empty)
    if value is None or value == []:
        value = next((item[name] for name in LABELS if is_spans(item.get(name))), value)
    start = _first(item, STARTS, is_missing)
    end = _first(item, ENDS, is_missing)
    if row and isinstance(value, str):
        value = parsed_cell(value)
    if row and isinstance(start, str) and start.lstrip().startswith(("[", "{")):
        start = parsed_cell(start)
    try:
        golds = _golds(value, start, end)
    except TypeError as error:
        return RawAnswers(impossible=flag, problem=str(error))
    if item.get("answer_category") == "NOT_GIVEN" or (
        isinstance(value, list)
        and value
        and all(isinstance(v, dict) and v.get("answer_category") == "NOT_GIVEN" for v in value)
    ):
        flag, golds = True, []  # Haystack exports an unanswerable question with the span the annotator had open
    if not golds and not flag and (problem := _unread(item, names, row=row)):
        return RawAnswers(problem=problem, absent=problem == NO_KEY)
    return RawAnswers(tuple(golds), flag, column=row)


def is_spans(value: object) -> bool:
    """Whether `value` is a list of labelled spans: objects with offsets, or doccano's [start, end, label]."""
    return isinstance(value, list) and bool(value) and all(_is_span(span) for span in value)


def _is_span(value: object) -> bool:
    if isinstance(value, dict):
        return "start" in value or "start_offset" in value
    return isinstance(value, list) and len(value) >= 2 and all(type(place) is int for place in value[:2])


def _unread(item: dict[str, Any], names: tuple[str, ...], *, row: bool) -> str:
    """Why a question without an answer can't be taken for an unanswerable one; "" where it says that itself."""
    for name, value in item.items():
        key = str(name).lower()
        known = key in names or key in STARTS or key in ENDS or key in NOT_ANSWERS
        if any(word in key for word in ANSWER_WORDS) and not known and not (is_empty(value) or value in ([], {})):
            option = f", or name it: --columns answer={key[:40]}" if row else ""
            return (
                f'has no answer where answers are read, but a value under "{key[:40]}"; rename that key to "answers"'
                f"{option}"
            )
    if not any(name in item for name in (*names, *LABELS, *IMPOSSIBLE)) and not any(name in item for name in STARTS):
        return NO_KEY
    return ""


def _flag(item: dict[str, Any]) -> tuple[bool | None, str]:
    name = next((name for name in IMPOSSIBLE if not is_missing(item.get(name))), None)
    if name is None:
        return None, ""
    value = item[name]
    if isinstance(value, str):
        value = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}.get(
            value.strip().lower(), value
        )
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value), ""
    return None, f'"{name}" is neither true nor false'


def _golds(value: Any, start: Any, end: Any) -> list[RawAnswer]:
    match value:
        case None:
            return [] if start is None or end is None else [RawAnswer(None, start, end)]
        case str():
            if isinstance(start, list):
                start = start[0] if len(start) == 1 else start
            return [RawAnswer(value, start, end)]
        case dict():
            return _columns(value)
        case list() if is_spans(value) and isinstance(value[0], list):
            return [RawAnswer(None, span[0], span[1]) for span in _answer_spans(value)]
        case list() if is_spans(value) and any("label" in span or "labels" in span for span in value):
            return [answer for span in _answer_spans(value) for answer in _gold(span, None)]
        case list():
            starts = start if isinstance(start, list) else [start] * len(value)
            if len(starts) != len(value):
                raise TypeError(f"has {len(value)} answer texts but {len(starts)} offsets")
            golds = []
            for gold, place in zip(value, starts, strict=True):
                golds.extend(_gold(gold, place))
            return golds
        case _:
            return [RawAnswer(value, start, end)]


def _columns(value: dict[str, Any]) -> list[RawAnswer]:
    """{"text": […], "answer_start": […]}, or the same with one plain value each."""
    texts = value.get("text")
    starts = next((value[name] for name in STARTS if value.get(name) is not None), None)
    if isinstance(texts, (list, tuple)):
        if starts is None:
            starts = [None] * len(texts)
        if not isinstance(starts, (list, tuple)):
            raise TypeError('"answer_start" is not a list, but "text" is')
        if len(texts) != len(starts):
            raise TypeError(f"has {len(texts)} answer texts but {len(starts)} offsets")
        return [RawAnswer(text, start) for text, start in zip(texts, starts, strict=True)]
    if not value:
        return []
    return _gold(value, None)


def _answer_spans(spans: list[Any]) -> list[Any]:
    """Those of doccano's [start, end, label] or labelled objects that are answers. Raises TypeError where the labels do
    not say which."""
    labels = [_label(span) for span in spans]
    named = [span for span, label in zip(spans, labels, strict=True) if "answer" in label.lower()]
    different = sorted({label[:20] for label in labels if label})
    if not named and len(different) > 1:
        raise TypeError(f"has spans with several labels ({', '.join(different[:4])}), and none is named Answer")
    return named or spans


def _label(span: Any) -> str:
    if isinstance(span, dict):
        label = span.get("label", span.get("labels"))
        return " ".join(map(str, label)) if isinstance(label, list) else str(label or "")
    return str(span[2]) if len(span) > 2 else ""


def _gold(gold: Any, start: Any) -> list[RawAnswer]:
    if not isinstance(gold, dict):
        return [RawAnswer(gold, start)]
    text = gold.get("text", gold.get("answer"))
    spans = gold.get("char_spans")
    if isinstance(spans, list):  # MRQA: ends are inclusive; one text may stand in several places
        pairs = [span for span in spans if isinstance(span, list) and len(span) == 2]
        return [RawAnswer(text, span[0]) for span in pairs]
    place = _first(gold, STARTS, _never)
    return [RawAnswer(text, start if place is None else place, _first(gold, ENDS, _never))]


def _never(value: object) -> bool:
    return False


def parsed_cell(cell: str) -> Any:
    """A table's cell: JSON, the Python literal that pandas leaves of a structure, or plain text."""
    stripped = cell.strip()
    if not stripped.startswith(("{", "[")):
        return cell
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError):
        pass
    if len(stripped) > MAX_LITERAL:
        return cell
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stray backslash in the data is no concern of ours
            tree = _PlainLiteral().visit(ast.parse(_with_commas(stripped), mode="eval"))
            value = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return cell
    return value if isinstance(value, (dict, list)) else cell


_TEXT = r"""'(?:[^'\\]|\\.?)*+(?:'|\Z)|"(?:[^"\\]|\\.?)*+(?:"|\Z)"""
_VALUES = re.compile(rf"""(?:{_TEXT}|[-+.\w]++|[\])}}])(?P<beside>(?=\s+['"\d\[{{-]))?""", re.DOTALL)
"""Values of a literal, one after the other; `beside`: another one follows without a comma."""


def _with_commas(literal: str) -> str:
    """The literal with the commas that NumPy leaves out of lists; without them Python would join texts."""
    return _VALUES.sub(lambda found: found[0] if found["beside"] is None else f"{found[0]},", literal)


class _PlainLiteral(ast.NodeTransformer):
    """`array(['x'], dtype=object)`, NumPy's way to write a list, becomes the list; `nan` becomes None."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "array" and node.args:
            return self.generic_visit(node.args[0])
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.copy_location(ast.Constant(None), node) if node.id == "nan" else node
