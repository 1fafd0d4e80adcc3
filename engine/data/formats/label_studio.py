"""Label Studio's full export: tasks with their annotations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.data.formats.answers import RawAnswer, RawAnswers
from engine.data.formats.raw import CONTEXT_KEYS, ID_KEYS, QUESTION_KEYS, RawQuestion, first_of
from engine.data.issues import DataIssues


def matches(item: dict[str, Any]) -> bool:
    """Whether the object is a task."""
    return isinstance(item.get("data"), dict)


def questions(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    """The question of one task: each annotation that was not cancelled gives golds, an empty one says that
    the passage has no answer. A task that nobody has annotated yet is left out, with a warning."""
    data = item["data"]
    where = f"task {number}"
    annotations = item.get("annotations", item.get("completions"))
    done = [
        annotation
        for annotation in (annotations if isinstance(annotations, list) else [])
        if isinstance(annotation, dict) and annotation.get("was_cancelled") is not True
    ]
    raw = RawQuestion(
        part,
        where,
        first_of(item, ID_KEYS) or first_of(data, ID_KEYS),
        data.get("title"),
        first_of(data, QUESTION_KEYS),
        first_of(data, CONTEXT_KEYS),
        RawAnswers(),
    )
    if not done:
        issues.add("warning", raw.place, "is not annotated yet and left out")
        return
    golds = tuple(gold for annotation in done for gold in _spans(annotation.get("result")))
    raw.answers = RawAnswers(golds, impossible=not golds)
    yield raw


def _spans(result: Any) -> Iterator[RawAnswer]:
    for region in result if isinstance(result, list) else []:
        value = region.get("value") if isinstance(region, dict) else None
        if not isinstance(value, dict) or "start" not in value:
            continue
        offsets = value.get("globalOffsets")
        if isinstance(offsets, dict) and not isinstance(value["start"], int):
            value = {**value, **offsets}  # in HTML, start and end are paths; these count characters
        yield RawAnswer(value.get("text"), value.get("start"), value.get("end"))
