"""Holds passages out for evaluation where a data set has no split of its own."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from engine.data.examples import Example


def split_by_context(examples: Sequence[Example], fraction: float, seed: int) -> tuple[list[Example], list[Example]]:
    """(train, eval): `fraction` of the passages (at least one, never all) with their questions are held out.

    Which ones depends on the seed and each passage's text, not on the order of the file; no passage stands
    on both sides, so a set with fewer than two passages gives an empty eval half.
    """
    contexts = {example.context for example in examples}
    if len(contexts) < 2:
        return list(examples), []
    held = min(max(1, round(len(contexts) * fraction)), len(contexts) - 1)
    return _split(examples, [example.context for example in examples], held, seed)


def split_by_question(examples: Sequence[Example], fraction: float, seed: int) -> tuple[list[Example], list[Example]]:
    """As `split_by_context`, but of questions: for a set with a single passage."""
    if len(examples) < 2:
        return list(examples), []
    held = min(max(1, round(len(examples) * fraction)), len(examples) - 1)
    return _split(examples, [example.id for example in examples], held, seed)


def _split(
    examples: Sequence[Example], keys: Sequence[str], held: int, seed: int
) -> tuple[list[Example], list[Example]]:
    salt = seed.to_bytes(8, "little", signed=True)
    ranked = sorted(set(keys), key=lambda key: blake2b(key.encode("utf-8"), salt=salt, digest_size=16).digest())
    evaluation = set(ranked[:held])
    return (
        [example for example, key in zip(examples, keys, strict=True) if key not in evaluation],
        [example for example, key in zip(examples, keys, strict=True) if key in evaluation],
    )
