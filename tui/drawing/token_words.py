"""What is said about the token under the cursor. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from textual.strip import Strip

from engine.insight.spans import softmax
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf

Numbers = NDArray[np.float32]


def token_strip(
    texts: Sequence[str],
    start: Numbers,
    end: Numbers,
    choosable: NDArray[np.bool_],
    token: int,
    style: StyleOf,
    *,
    hint: str,
) -> Strip:
    """Scores, probabilities and ranks of the chosen token; `hint`, which keys choose one, where none is."""
    if not 0 <= token < len(texts):
        return Strip([Segment(f" {hint}", style("dim"))])
    segments = [
        Segment(f" token {token} ", style("dim")),
        Segment(f'"{plain(texts[token], 30)}"', style("cursor")),
    ]
    for name, logits in (("start", start), ("end", end)):
        share = float(softmax(logits, choosable)[token])
        rank = int((logits > logits[token]).sum()) + 1
        segments.append(Segment(f"  {name} ", style(name)))
        segments.append(Segment(f"{logits[token]:.2f} p {share:.3f} rank {rank}", style("text")))
    return Strip(segments)
