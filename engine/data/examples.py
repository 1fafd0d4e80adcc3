"""The records that all data code shares, and their form on disk (`examples.json` of a run)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from engine.errors import DataError


class Answer(Struct, frozen=True, gc=False):
    """A gold answer: `text` stands at `start` (code points from the passage's start, as in SQuAD)."""

    text: str
    start: int = field(name="answer_start")


class Example(Struct, frozen=True, gc=False):
    """One question on one passage. `answers` holds all golds; it is empty where `is_impossible`."""

    id: str
    title: str
    question: str
    context: str
    answers: tuple[Answer, ...]
    is_impossible: bool = False


class DataIssue(Struct, frozen=True, gc=False):
    """Something wrong in a data set: an error (the question can't be used), a repair made, or a warning.

    `kind` is what it is about, a short word for scripts; `id` the question's; `before` and `after` what a repair
    changed: an answer as {"text": …, "start": …}, or an id. `cause`: what it shares with many others; "" where its
    message says that.
    """

    level: Literal["error", "repaired", "warning"]
    place: str
    message: str
    kind: str = "file"
    id: str | None = None
    before: Any = None
    after: Any = None
    cause: str = ""


class Dataset(Struct, frozen=True):
    """A validated data set. `overlap`: some passages stand both in `train` and in `eval`; `notes`: how it was read."""

    train: tuple[Example, ...]
    eval: tuple[Example, ...]
    has_impossible: bool = False
    issues: tuple[DataIssue, ...] = ()
    overlap: bool = False
    notes: tuple[str, ...] = ()


def make_dataset(
    train: Sequence[Example],
    evaluation: Sequence[Example],
    issues: Sequence[DataIssue] = (),
    notes: Sequence[str] = (),
) -> Dataset:
    """A Dataset with `has_impossible` and `overlap` worked out from the examples."""
    return Dataset(
        train=tuple(train),
        eval=tuple(evaluation),
        has_impossible=any(e.is_impossible for half in (train, evaluation) for e in half),
        issues=tuple(issues),
        overlap=not {e.context for e in train}.isdisjoint(e.context for e in evaluation),
        notes=tuple(notes),
    )


def seen_mask(dataset: Dataset) -> npt.NDArray[np.bool_]:
    """bool[N_eval]: the eval example's passage is also a training passage, or nearly (`bare_passage`)."""
    trained = {bare_passage(context) for context in {example.context for example in dataset.train}}
    known = {context: bare_passage(context) in trained for context in {example.context for example in dataset.eval}}
    return np.fromiter((known[e.context] for e in dataset.eval), dtype=np.bool_, count=len(dataset.eval))


def bare_passage(text: str) -> str:
    """The passage without Unicode form, case, white space and final punctuation: near-duplicates are equal."""
    words = unicodedata.normalize("NFKC", text).casefold().split()
    return " ".join(words).rstrip(" .,;:!?\"'…。！？")


class _Question(Struct, gc=False, omit_defaults=True):
    id: str
    question: str
    answers: tuple[Answer, ...]
    is_impossible: bool = False


class _Paragraph(Struct, gc=False):
    context: str
    qas: list[_Question]


class _Article(Struct, gc=False):
    title: str
    paragraphs: list[_Paragraph]


class _Half(Struct, gc=False, omit_defaults=True):
    version: str
    data: list[_Article]
    order: list[int] | None = None  # where grouping by passage moved questions: their places in the split


class _File(Struct):
    train: _Half
    validation: _Half


def dump_examples(dataset: Dataset) -> bytes:
    """The data set as JSON: SQuAD layout under `train` and `validation`, each passage once a half.

    Where questions on one passage do not follow each other, `order` gives each question's place.
    """
    version = "v2.0" if dataset.has_impossible else "1.1"
    return msgspec.json.encode(_File(_half(dataset.train, version), _half(dataset.eval, version)))


def squad_bytes(examples: Iterable[Example]) -> bytes:
    """Examples as one SQuAD file (v2.0 where a question is unanswerable), indented by one space."""
    examples = tuple(examples)
    version = "v2.0" if any(e.is_impossible for e in examples) else "1.1"
    half = msgspec.structs.replace(_half(examples, version), order=None)
    return msgspec.json.format(msgspec.json.encode(half), indent=1) + b"\n"


def split_bytes(dataset: Dataset) -> bytes:
    """A data set as one file with a SQuAD layout under `train` and `validation`, indented by one space."""
    return msgspec.json.format(dump_examples(dataset), indent=1) + b"\n"


def read_examples(path: Path) -> Dataset:
    """Read back what `dump_examples` wrote: the same examples in the same order, without issues.

    Raises DataError where the file is missing or damaged.
    """
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_File)
        return make_dataset(_examples(stored.train), _examples(stored.validation))
    except OSError as error:
        raise DataError(f"{path}: the run's examples can't be read: {error.strerror}.") from None
    except (msgspec.DecodeError, IndexError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: the run's examples are damaged: {error}.") from None


def _half(examples: Sequence[Example], version: str) -> _Half:
    places: dict[tuple[str, str], list[int]] = {}
    for number, example in enumerate(examples):
        places.setdefault((example.title, example.context), []).append(number)
    order = [number for numbers in places.values() for number in numbers]
    articles = [
        _Article(
            title,
            [_Paragraph(context, [_question(examples[n]) for n in numbers]) for (_, context), numbers in group],
        )
        for title, group in groupby(places.items(), key=lambda item: item[0][0])
    ]
    return _Half(version, articles, None if order == list(range(len(examples))) else order)


def _question(example: Example) -> _Question:
    return _Question(example.id, example.question, example.answers, example.is_impossible)


def _examples(half: _Half) -> list[Example]:
    grouped = [
        Example(q.id, article.title, q.question, paragraph.context, q.answers, q.is_impossible)
        for article in half.data
        for paragraph in article.paragraphs
        for q in paragraph.qas
    ]
    if half.order is None:
        return grouped
    if sorted(half.order) != list(range(len(grouped))):
        raise ValueError("the order of the questions is not whole")
    ordered = list(grouped)
    for place, example in zip(half.order, grouped, strict=True):
        ordered[place] = example
    return ordered
