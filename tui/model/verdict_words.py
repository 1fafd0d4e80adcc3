"""A verdict on a label in words."""

from __future__ import annotations

from engine.rundir.verdicts import Verdict


def verdict_words(verdict: Verdict | None, limit: int = 60) -> str:
    """What the user decided, such as `→ “honey”`; "" where nothing is. Holds text from the data: show() it."""
    match verdict.action if verdict is not None else "":
        case "keep":
            return "kept"
        case "unanswerable":
            return "→ no answer"
        case "drop":
            return "dropped"
        case "replace" if verdict is not None and verdict.answer is not None:
            text = verdict.answer.text
            return f"→ “{text if len(text) <= limit else text[: limit - 1] + '…'}”"
        case _:
            return ""
