"""Answers as plain lines, and as JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tui.drawing.text import plain

if TYPE_CHECKING:
    from engine.messages import Answer, Ready

AROUND = 60
"""Characters of the passage that are shown on each side of an answer."""
LONGEST_WORD = 20
NAMES = 13
"""Columns of the names before the values."""
NO_ANSWER = "(no answer)"
WITHHELD = "(withheld: too improbable)"


def answer_lines(
    question: str | None,
    passage: str,
    answer: Answer,
    nbest: int,
    ready: Ready | None = None,
    *,
    width: int | None = None,
) -> Iterator[str]:
    """An answer with its probability, place and rivals, and which model gave it, ready to print; wrapped between words
    to `width` columns where it is given."""
    for line in _lines(question, passage, answer, nbest, ready):
        if width is None:
            yield line
        else:
            yield from textwrap.wrap(line, max(width, 2 * NAMES), subsequent_indent=" " * NAMES) or [""]


def _lines(question: str | None, passage: str, answer: Answer, nbest: int, ready: Ready | None) -> Iterator[str]:
    if question is not None:
        yield _row("question", plain(question))
    yield _row("answer", _text(answer))
    yield _row("probability", percent(answer.probability))
    if answer.char_start >= 0:
        windows = f", in {answer.windows:,} windows" if answer.windows > 1 else ""
        yield _row("place", f"characters {answer.char_start:,} to {answer.char_end:,} of {len(passage):,}{windows}")
        yield _row("", excerpt(passage, answer.char_start, answer.char_end))
    if answer.null_odds is not None:
        yield _row("null odds", f"{answer.null_odds:+.2f}")
    shown = answer.n_best[:nbest] if nbest > 1 else ()
    for number, one in enumerate(shown):
        text = plain(one.text) if one.char_start >= 0 else NO_ANSWER
        yield _row("n best" if number == 0 else "", f"{percent(one.probability):>6}  {text}")
    if ready is not None:
        of = f"{ready.source.label}, " if ready.source.label else ""
        yield _row("model", plain(f"{of}{ready.precision} on {ready.device}"))


def change_line(label: str, answer: Answer, before: Answer | None) -> str:
    """An answer of one of several checkpoints, and whether it is another one than `before`."""
    mark = " " if before is None or _place(before) == _place(answer) else "*"
    return f"{mark} {plain(label)}: {percent(answer.probability)}  {_text(answer)}"


def json_line(question: str, answer: Answer, label: str, nbest: int, more: Mapping[str, Any] | None = None) -> str:
    """An answer, and what `more` there is of it, as one line of JSON; ASCII alone, so that no control character reaches
    a terminal."""
    import msgspec

    record = {"question": question, "snapshot": label} | msgspec.to_builtins(answer) | dict(more or {})
    del record["scores"]
    record["n_best"] = record["n_best"][:nbest]
    return json.dumps(_finite(record))


def excerpt(passage: str, start: int, end: int) -> str:
    """The answer in [[ ]], with what stands around it."""
    low, high = max(0, start - AROUND), min(len(passage), end + AROUND)
    # Not in the middle of a word, where there are words.
    if low and (space := passage.find(" ", low, min(low + LONGEST_WORD, start))) >= 0:
        low = space + 1
    if high < len(passage) and (space := passage.rfind(" ", max(high - LONGEST_WORD, end), high)) >= 0:
        high = space
    before = ("… " if low else "") + passage[low:start]
    after = passage[end:high] + (" …" if high < len(passage) else "")
    return plain(f"{before}[[{passage[start:end]}]]{after}")


def percent(probability: float) -> str:
    """A probability as people read it."""
    return f"{100 * probability:.1f} %"


def _text(answer: Answer) -> str:
    if answer.withheld:
        return WITHHELD
    return plain(answer.text) if answer.char_start >= 0 else NO_ANSWER


def _place(answer: Answer) -> tuple[int, int]:
    return answer.char_start, answer.char_end


def _row(name: str, text: str) -> str:
    return f"{name:<{NAMES}}{text}".rstrip()


def _finite(value: Any) -> Any:
    """The value with None for what is no JSON: infinity, and what is not a number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
