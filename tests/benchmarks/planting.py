"""Label errors planted in SQuAD questions, and the real ones that several annotators give away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.data.examples import Answer, Example
from engine.insight.metrics import normalize_answer

KINDS = ("random", "sentence", "swapped", "boundary")
"""Planted: a random span, a span of a neighbouring sentence, the answer of another question on the passage (the two
are swapped), one end moved by one to three words."""
HUMAN, UNCLEAR, CLEAN = "human", "unclear", "clean"

_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")
_SENTENCE_END = re.compile(r"[.!?][\"')\]”]*\s+(?=[A-Z\"'(\[“])")


@dataclass(frozen=True)
class Noisy:
    """Examples with one answer each, and the kind of error of each: one of KINDS, HUMAN, UNCLEAR or CLEAN."""

    examples: list[Example]
    kinds: list[str]


def plant(examples: Sequence[Example], *, share: float, seed: int) -> Noisy:
    """The first annotator's answers as the only labels, `share` of them replaced for each of KINDS.

    A planted label touches no annotator's answer (random, sentence, swapped), or equals none after SQuAD's
    normalisation (boundary). Where the first annotator's span already touches no other it is left as it is: HUMAN if
    all the others touch the second's, else UNCLEAR.
    """
    random = np.random.default_rng(seed)
    kinds = [_human(example) for example in examples]
    answers = [example.answers[0] for example in examples]
    words = {context: _words(context) for context in dict.fromkeys(e.context for e in examples)}
    by_context: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        by_context.setdefault(example.context, []).append(number)
    order = [number for number in random.permutation(len(examples)).tolist() if kinds[number] == CLEAN]
    lengths = np.array([max(1, len(_words(answer.text))) for answer in answers])
    wanted = round(share * len(examples))

    def free() -> Iterator[int]:
        return (number for number in order if kinds[number] == CLEAN)

    for kind in KINDS:
        planted = 0
        for number in free():
            if planted >= wanted:
                break
            example = examples[number]
            if kind == "swapped":
                other = _partner(examples, kinds, by_context[example.context], number)
                if other is not None:
                    answers[number], answers[other] = answers[other], answers[number]
                    kinds[number] = kinds[other] = kind
                    planted += 2
                continue
            if kind == "random":
                found = _random_span(example, words[example.context], int(random.choice(lengths)), random)
            elif kind == "sentence":
                found = _next_sentence(example, words[example.context], random)
            else:
                found = _moved_end(example, words[example.context], random)
            if found is not None:
                answers[number] = Answer(example.context[found[0] : found[1]], found[0])
                kinds[number] = kind
                planted += 1
    noisy = [
        Example(e.id, e.title, e.question, e.context, (answer,)) for e, answer in zip(examples, answers, strict=True)
    ]
    return Noisy(noisy, kinds)


def passages(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """All examples of passages drawn at random, until there are at least `count`."""
    contexts = list(dict.fromkeys(e.context for e in examples))
    sizes = {context: 0 for context in contexts}
    for example in examples:
        sizes[example.context] += 1
    chosen: set[str] = set()
    total = 0
    for place in np.random.default_rng((seed, 1)).permutation(len(contexts)).tolist():
        if total >= count:
            break
        chosen.add(contexts[place])
        total += sizes[contexts[place]]
    return [example for example in examples if example.context in chosen]


Span = tuple[int, int]


def _spans(example: Example) -> list[Span]:
    return [(answer.start, answer.start + len(answer.text)) for answer in example.answers]


def _touch(one: Span, two: Span) -> bool:
    return one[0] < two[1] and two[0] < one[1]


def _human(example: Example) -> str:
    first, *others = _spans(example)
    if len(others) < 2 or any(_touch(first, other) for other in others):
        return CLEAN
    return HUMAN if all(_touch(others[0], other) for other in others[1:]) else UNCLEAR


def _words(text: str) -> list[Span]:
    return [match.span() for match in _WORD.finditer(text)]


def _far(example: Example, span: Span) -> bool:
    return not any(_touch(span, gold) for gold in _spans(example))


def _random_span(example: Example, words: list[Span], length: int, random: np.random.Generator) -> Span | None:
    for _ in range(50):
        first = int(random.integers(len(words)))
        last = min(first + length, len(words)) - 1
        span = words[first][0], words[last][1]
        if _far(example, span):
            return span
    return None


def _next_sentence(example: Example, words: list[Span], random: np.random.Generator) -> Span | None:
    """As many words as the answer has, of the sentence before or after the answer's."""
    edges = [0, *(match.end() for match in _SENTENCE_END.finditer(example.context)), len(example.context)]
    gold = _spans(example)[0]
    own = max(place for place, edge in enumerate(edges[:-1]) if edge <= gold[0])
    length = max(1, len(_words(example.answers[0].text)))
    for step in random.permutation([-1, 1]).tolist():
        if not 0 <= own + step < len(edges) - 1:
            continue
        inside = [word for word in words if edges[own + step] <= word[0] and word[1] <= edges[own + step + 1]]
        starts = random.permutation(max(0, len(inside) - length + 1)).tolist()
        for start in starts:
            span = inside[start][0], inside[start + length - 1][1]
            if _far(example, span):
                return span
    return None


def _partner(examples: Sequence[Example], kinds: list[str], same: list[int], number: int) -> int | None:
    for other in same:
        if other == number or kinds[other] != CLEAN:
            continue
        if _far(examples[number], _spans(examples[other])[0]) and _far(examples[other], _spans(examples[number])[0]):
            return other
    return None


def _moved_end(example: Example, words: list[Span], random: np.random.Generator) -> Span | None:
    start, end = _spans(example)[0]
    held = [place for place, word in enumerate(words) if _touch(word, (start, end))]
    if not held:
        return None
    known = {normalize_answer(answer.text) for answer in example.answers}
    for by in (1 + random.permutation(3)).tolist():
        firsts = [words[place][0] for place in (held[0] - by, held[0] + by) if 0 <= place <= held[-1]]
        lasts = [words[place][1] for place in (held[-1] - by, held[-1] + by) if held[0] <= place < len(words)]
        moved: list[Span] = [(first, end) for first in firsts] + [(start, last) for last in lasts]
        moved = [span for span in moved if normalize_answer(example.context[span[0] : span[1]]) not in known]
        if moved:
            first, last = moved[int(random.integers(len(moved)))]
            return first, last
    return None
