"""What a token of a window belongs to, as `segment int8[T]` of features and of `features.safetensors` counts it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

SPECIAL, QUESTION, CONTEXT = 0, 1, 2


def token_texts(
    question: str,
    context: str,
    specials: tuple[str, str],
    segment: NDArray[Any],
    char_start: NDArray[Any],
    char_end: NDArray[Any],
) -> list[str]:
    """What each token of a window covers, arrays `[n]` as in Features; specials by the names of the first and the
    other special tokens. Text from outside: show() it."""
    texts, special = [], specials[0]
    for kind, start, end in zip(segment.tolist(), char_start.tolist(), char_end.tolist(), strict=True):
        if kind == SPECIAL:
            texts.append(special)
            special = specials[1]
        else:
            texts.append((question if kind == QUESTION else context)[start:end])
    return texts
