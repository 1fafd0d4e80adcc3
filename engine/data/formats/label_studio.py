"""Label Studio's full export: tasks with their annotations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.data.formats.answers import RawAnswer, RawAnswers
from engine.data.formats.columns import missing_message
from engine.data.formats.raw import CONTEXT_KEYS, ID_KEYS, QUESTION_KEYS, RawQuestion, first_of, is_row
from engine.data.issues import DataIssues


def matches(item: dict[str, Any]) -> bool:
    """Whether the object is a task."""
    return isinstance(item.get("data"), dict)


def questions(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    """The question of one task: each annotation that was not cancelled gives golds, an empty one says that
    the passage has no answer. A task that nobody has annotated yet is left out, with a warning."""
    data = item["data"] | {key: item[key] for key in ("context", "question", "title") if key in item}
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
        item,
    )
    if not is_row(data):
        issues.add(
            "error", raw.place, missing_message([data]), kind="columns", cause="tasks lack a passage or a question"
        )
        return
    if not done:
        issues.add("warning", raw.place, "is not annotated yet and left out")
        return
    regions = [region for annotation in done for region in _regions(annotation.get("result"))]
    golds = tuple(_spans(regions)) or tuple(_typed(regions))
    raw.answers = RawAnswers(golds, impossible=not golds)
    if not golds and (unread := _unread(regions)):
        raw.answers = RawAnswers(problem=unread)
    yield raw


def _regions(result: Any) -> list[dict[str, Any]]:
    """The values that an annotator left, with the kind of control they come from."""
    return [
        {"kind": region.get("type"), **region["value"]}
        for region in (result if isinstance(result, list) else [])
        if isinstance(region, dict) and isinstance(region.get("value"), dict)
    ]


def _typed(regions: list[dict[str, Any]]) -> Iterator[RawAnswer]:
    """Answers that were typed into a text area; their places are looked for in the passage."""
    for value in regions:
        if value["kind"] == "textarea":
            texts = value.get("text")
            yield from (RawAnswer(text, None) for text in (texts if isinstance(texts, list) else [texts]))


def _unread(regions: list[dict[str, Any]]) -> str:
    """Why a task without an answer can't be taken for one that the passage can't answer."""
    for value in regions:
        choices = value.get("choices")
        chosen = " ".join(map(str, choices if isinstance(choices, list) else [choices])).lower()
        if choices and any(word in chosen for word in ("no answer", "no_answer", "impossible", "unanswerable")):
            return ""
    kinds = sorted({str(value["kind"])[:20] for value in regions})
    return f"has no span as its answer, but an annotation of another kind ({', '.join(kinds)})" if kinds else ""


def _spans(regions: list[dict[str, Any]]) -> Iterator[RawAnswer]:
    for value in regions:
        if "start" not in value:
            continue
        offsets = value.get("globalOffsets")
        if isinstance(offsets, dict) and not isinstance(value["start"], int):
            value = {**value, **offsets}  # in HTML, start and end are paths; these count characters
        yield RawAnswer(value.get("text"), value.get("start"), value.get("end"))
