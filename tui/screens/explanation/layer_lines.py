"""The head on every layer as two heat maps: layers downwards, tokens to the right. Pure."""

from __future__ import annotations

import numpy as np
from rich.segment import Segment
from textual.strip import Strip

from engine.messages import Layers
from tui.drawing.columns import fit_text
from tui.drawing.frame import Glyphs
from tui.drawing.heat_map import HeatMap, share_columns
from tui.drawing.heat_strips import LABEL, VERDICT, legend_strip, map_strips
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf

WIDE = 120
NOTE = 24
"""Cells of the word that a layer thinks most likely, on wide screens."""


def layer_labels(found: Layers) -> list[str]:
    """Names of the rows, from the embeddings to the last layer."""
    return ["embedding", *(f"layer {number}" for number in range(1, len(found.start_probability)))]


def layer_strips(
    found: Layers, width: int, height: int, *, layer: int, token: int, style: StyleOf, glyphs: Glyphs
) -> list[Strip]:
    """At most `height` lines: what became of the answer, two maps, what shades and marks mean. `layer` and `token`
    are the reader's cursors (-1: none)."""
    [window] = found.answer.scores
    labels = layer_labels(found)
    note_width = NOTE if width >= WIDE else 0
    columns = share_columns(len(window.tokens), width - LABEL - VERDICT - note_width)
    lines = [_story(found, token, width, style)]
    for part, rows, answer in (
        ("start", found.start_probability, found.start),
        ("end", found.end_probability, found.end),
    ):
        shares = np.array(rows, np.float32)
        top = shares.argmax(axis=1).astype(np.int32)
        notes = [fit_text(plain(window.tokens[one], NOTE), NOTE - 1) for one in top.tolist()] if note_width else []
        lines += map_strips(
            "start" if part == "start" else "end",
            HeatMap(shares, answer, top),
            labels,
            columns,
            current=layer,
            token=token,
            width=width,
            height=max(3, (height - 2) // 2),
            style=style,
            glyphs=glyphs,
            notes=notes,
        )
    legend = legend_strip(width, style, glyphs, expected="the model's answer", predicted="likeliest")
    return [*lines[: height - 1], legend]


def _story(found: Layers, token: int, width: int, style: StyleOf) -> Strip:
    """Since which layer the answer stands, and the chosen token's way through the layers."""
    starts, ends = (np.array(rows).argmax(axis=1) for rows in (found.start_probability, found.end_probability))
    if found.start < 0:
        words = " the answer is in another window"
    else:
        right = ((starts == found.start) & (ends == found.end)).tolist()
        since = len(right) - (right[::-1].index(False) if False in right else len(right))
        name = [*layer_labels(found), "no layer alone"][since]
        words = f" start and end of the answer are likeliest from {name} on" if since < len(right) else f" {name}"
        if since == len(right):
            words = " the best span, though start or end alone is likelier elsewhere"
    segments = [Segment(fit_text(words, min(width, len(words) + 2)), style("text"))]
    [window] = found.answer.scores
    if 0 <= token < len(window.tokens):
        start, end = found.start_probability[-1][token], found.end_probability[-1][token]
        last = f"start {100 * start:.1f} %, end {100 * end:.1f} %"
        segments.append(Segment(f"  token {token} {plain(window.tokens[token], 30)!r}: {last}", style("dim")))
    return Strip(segments).adjust_cell_length(width)
