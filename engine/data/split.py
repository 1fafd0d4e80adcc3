"""Holds passages out: for evaluation where a data set has no split of its own, and in folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Example, bare_passage
from engine.errors import DataError


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
    evaluation = set(_ranked(keys, seed)[:held])
    return (
        [example for example, key in zip(examples, keys, strict=True) if key not in evaluation],
        [example for example, key in zip(examples, keys, strict=True) if key in evaluation],
    )


def _ranked(keys: Iterable[str], seed: int) -> list[str]:
    """The different keys in an order that depends on the seed and on each key."""
    salt = seed.to_bytes(8, "little", signed=True)
    return sorted(set(keys), key=lambda key: blake2b(key.encode("utf-8"), salt=salt, digest_size=16).digest())


def fold_by_passage(examples: Sequence[Example], folds: int, seed: int) -> NDArray[np.int32]:
    """int32[N]: the fold of each example, 0 to `folds` - 1; a passage and its near-duplicates (`bare_passage`) are in
    one.

    Depends on the seed, the passages' texts and their numbers of questions, not on the order of the file. Passages go
    one by one to the fold with the fewest questions, so that two folds differ by no more questions than the largest
    passage has. Raises DataError where there are fewer passages than folds.
    """
    bare = {context: bare_passage(context) for context in {example.context for example in examples}}
    questions = Counter(bare[example.context] for example in examples)
    if len(questions) < folds:
        passages = "1 passage" if len(questions) == 1 else f"{len(questions)} passages"
        raise DataError(
            f"--folds {folds}: the training half has {passages}, and no passage may be in two folds.",
            hint="Ask for fewer folds." if len(questions) > 1 else "Leave --folds out.",
        )
    sizes, fold_of = [0] * folds, {}
    for passage in _ranked(questions, seed):
        fold = fold_of[passage] = sizes.index(min(sizes))
        sizes[fold] += questions[passage]
    return np.fromiter((fold_of[bare[example.context]] for example in examples), np.int32, len(examples))
