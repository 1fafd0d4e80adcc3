"""Explanations as plain lines, and as JSON: words with their weights, and the masking test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from rich.style import Style

from engine.insight.attribution import heaviest
from engine.messages import Explanation, Opinion
from tui.drawing.frame import ASCII, UNICODE, Glyphs
from tui.screens.explanation.lines import Weighed, legend_strip, masking_strip, word_strips

SHOWN = 12
"""Words that are printed."""
WIDTH = 60
NAMES = {"gradient": "gradient", "integrated": "integrated gradients"}


def why_lines(found: Explanation, question: str, passage: str) -> Iterator[str]:
    """Each opinion: the words that weigh most with bars and shares, and what masking tells of it; ready to print."""
    glyphs = _glyphs()
    for opinion in found.opinions:
        weighed = Weighed.of(found, opinion, question, passage)
        yield ""
        what = f"P(start) x P(end) = {100 * found.probability:.1f} % in the answer's window"
        yield f"why, by {NAMES[opinion.method]} of {what}"
        for strip in word_strips(weighed, WIDTH, SHOWN, _no_style, glyphs):
            yield f" {strip.text.rstrip()}"
        yield _plain(masking_strip(opinion.test, _no_style).text, glyphs)
        yield _plain(legend_strip(opinion, _no_style, glyphs).text, glyphs)


def why_record(found: Explanation, question: str, passage: str) -> list[dict[str, Any]]:
    """Each opinion for JSON: all words by weight, with their places and shares, and the masking test."""
    return [_record(found, opinion, question, passage) for opinion in found.opinions]


def _record(found: Explanation, opinion: Opinion, question: str, passage: str) -> dict[str, Any]:
    weighed, test = Weighed.of(found, opinion, question, passage), opinion.test
    return {
        "method": opinion.method,
        "probability": found.probability,
        "words": [
            {
                "text": word.text,
                "of": "question" if word.segment == 1 else "passage",
                "char_start": word.char_start,
                "char_end": word.char_end,
                "share": word.share,
                "masked": word.holds(test.masked),
            }
            for word in heaviest(weighed.words, len(weighed.words))
        ],
        "masked": {
            "tokens": len(test.masked),
            "before": test.before,
            "after": test.after,
            "after_random": test.after_random,
            "draws": test.draws,
        },
        "gap": opinion.gap,
    }


def _glyphs() -> Glyphs:
    """What standard output can print."""
    try:
        "█▓→".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def _plain(text: str, glyphs: Glyphs) -> str:
    return text.rstrip() if glyphs is UNICODE else text.rstrip().replace("→", ">")


def _no_style(_role: str) -> Style:
    return Style.null()
