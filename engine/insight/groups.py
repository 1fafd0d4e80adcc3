"""Where a model fails: questions in groups by what they ask, and by the length and kind of answer and passage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Example
from engine.insight.dynamics import forgotten, learned

Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

ENGLISH = ("what", "who", "when", "where", "why", "which", "how")
SAME_WORD = {"whom": "who", "whose": "who"}
QUESTION_WORD = re.compile(rf"\b({'|'.join((*ENGLISH, *SAME_WORD))})\b(?:\W+(many|much|long)\b)?")
OTHER = "other"
MOST_WORDS = 8
"""First words of questions that have a group of their own, where questions are not English."""
ANSWER_EDGES = (1, 2, 3, 6, 11)
"""Fewest words (or characters) of the answers of each group."""
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Group:
    """The examples `rows` int32[M], by number, that share `name` in the way `kind` looks at them."""

    kind: str
    name: str
    rows: Ints


@dataclass(frozen=True)
class GroupScore:
    """A group at one snapshot: how many of its examples are scored (`count`), how many of these are right, their mean
    F1 (0 to 1), and how many were learned and forgotten since the snapshot before."""

    group: Group
    count: int
    right: int
    f1: float
    learned: int
    forgotten: int


def groups_of(examples: Sequence[Example], seen: Bools | None = None, *, by_character: bool = False) -> list[Group]:
    """The groups of a set of examples: all; by question word, answer length, passage length; by passages that training
    saw (`seen` bool[N]) or not, and by questions with and without an answer, where both kinds occur. A group without
    examples is left out. `by_character`: lengths of answers are counted in characters."""
    unit = "character" if by_character else "word"
    answers = [_length(example.answers[0].text, by_character) if example.answers else 0 for example in examples]
    lengths = {context: _length(context, by_character) for context in {example.context for example in examples}}
    passages = np.array([lengths[example.context] for example in examples], np.int64)
    found = [Group("all", "all examples", np.arange(len(examples), dtype=np.int32))]
    found += _by_name("question word", question_words([example.question for example in examples]))
    found += _by_bins("answer length", np.array(answers, np.int64), ANSWER_EDGES, unit)
    edges = np.unique(np.quantile(passages, QUARTERS).astype(np.int64) + 1) if len(passages) else np.array([], np.int64)
    found += _by_bins("passage length", passages, (1, *edges.tolist()), unit)
    if seen is not None and seen.any() and not seen.all():
        found += _by_name("passage", ["seen in training" if flag else "unseen" for flag in seen.tolist()])
    impossible = [example.is_impossible for example in examples]
    if any(impossible) and not all(impossible):
        found += _by_name("answer", ["without an answer" if flag else "with an answer" for flag in impossible])
    return found


def question_words(questions: Sequence[str]) -> list[str]:
    """What each question asks for: its first English question word, wherever it stands ("how many" by itself). Where
    most questions have none, they are in another language: then the first word, if it is among the MOST_WORDS most
    frequent ones."""
    english = [_english(question) for question in questions]
    if sum(word != OTHER for word in english) * 2 >= len(english):
        return english
    first = [(_words(question) or [OTHER])[0] for question in questions]
    frequent = {word for word, count in Counter(first).most_common(MOST_WORDS) if count > 1}
    return [word if word in frequent else OTHER for word in first]


def _words(question: str) -> list[str]:
    return re.findall(r"\w+", question.casefold())


def _english(question: str) -> str:
    found = QUESTION_WORD.search(question.casefold())
    if found is None:
        return OTHER
    name = SAME_WORD.get(found[1], found[1])
    return f"how {found[2]}" if name == "how" and found[2] else name


def group_scores(
    groups: Iterable[Group],
    right: Bools,
    f1: Floats,
    was_right: Bools | None,
    scored: Bools | None = None,
    both: Bools | None = None,
) -> list[GroupScore]:
    """The groups at a snapshot: `right` bool[N] and `f1` float32[N] of every example, and `was_right` bool[N] at the
    snapshot before (None: there is none). Only examples that are `scored` bool[N] count (None: all are), and only those
    scored at `both` bool[N] snapshots as learned or forgotten."""
    rose = learned(was_right, right, both) if was_right is not None else np.zeros_like(right)
    fell = forgotten(was_right, right, both) if was_right is not None else np.zeros_like(right)
    found = []
    for group in groups:
        rows = group.rows if scored is None else group.rows[scored[group.rows]]
        found.append(
            GroupScore(
                group,
                len(rows),
                int(right[rows].sum()),
                float(f1[rows].mean()) if len(rows) else 0.0,
                int(rose[rows].sum()),
                int(fell[rows].sum()),
            )
        )
    return found


def shares_right(group: Group, right: Bools) -> Floats:
    """float32[S]: the share of a group's examples that are right at each of the S snapshots of `right` bool[S, N]."""
    return np.asarray(right[:, group.rows].mean(axis=1), np.float32)


def _length(text: str, by_character: bool) -> int:
    return len("".join(text.split())) if by_character else len(text.split())


def _by_name(kind: str, names: Sequence[str]) -> list[Group]:
    """A group for each name, the largest first, OTHER last."""
    column = np.array(names)
    order = sorted(Counter(names).items(), key=lambda item: (item[0] == OTHER, -item[1], item[0]))
    return [Group(kind, name, np.flatnonzero(column == name).astype(np.int32)) for name, _ in order]


def _by_bins(kind: str, lengths: NDArray[np.int64], edges: Sequence[int], unit: str) -> list[Group]:
    """A group for each bin of lengths that begins at an edge; lengths below the first edge are in none."""
    found = []
    for low, following in zip(edges, [*edges[1:], None], strict=True):
        inside = (lengths >= low) & (lengths < following if following is not None else True)
        rows = np.flatnonzero(inside).astype(np.int32)
        if len(rows):
            found.append(Group(kind, _bin_name(low, following, unit), rows))
    return found


def _bin_name(low: int, following: int | None, unit: str) -> str:
    if following is None:
        return f"{low} {unit}s and more"
    if following == low + 1:
        return f"{low} {unit}{'s' if low != 1 else ''}"
    return f"{low} to {following - 1} {unit}s"
