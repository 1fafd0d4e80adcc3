"""Argilla's records: fields, with responses and suggestions for each question that annotators were asked.

Three layouts of the same: nested records (`records.to_json`), those of version 1 (`FeedbackDataset`), and flat rows as
in a Hugging Face dataset, with columns such as `answer.responses` or `answer-suggestion`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.data.formats.answers import ANSWER_WORDS, RawAnswer, RawAnswers, is_empty
from engine.data.formats.columns import missing_message
from engine.data.formats.raw import CONTEXT_KEYS, ID_KEYS, QUESTION_KEYS, RawQuestion, first_of, is_row
from engine.data.issues import DataIssues

RESPONSES, SUGGESTION, OLD_SUGGESTION = ".responses", ".suggestion", "-suggestion"
NOT_COUNTED = ("discarded", "draft", "pending")


def matches(item: dict[str, Any]) -> bool:
    """Whether the object is a record."""
    if isinstance(item.get("fields"), dict):
        return "responses" in item or "suggestions" in item
    return any(str(key).endswith((RESPONSES, SUGGESTION, OLD_SUGGESTION)) for key in item)


def questions(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    """The question of one record: each submitted response gives golds, an empty list of spans says that the passage has
    no answer. Where nobody has responded, a suggestion is taken, with a warning; without one the record is left out."""
    responses, suggestions = _labels(item)
    about = item.get("metadata")
    fields = {
        **(about if isinstance(about, dict) else {}),
        **(item["fields"] if isinstance(item.get("fields"), dict) else {}),
        **{key: value for key, value in item.items() if not is_empty(value)},
    }
    raw = RawQuestion(
        part,
        f"record {number}",
        first_of(item, ID_KEYS),
        fields.get("title"),
        first_of(fields, QUESTION_KEYS),
        first_of(fields, CONTEXT_KEYS),
        RawAnswers(),
    )
    if not is_row(fields):
        issues.add(
            "error", raw.place, missing_message([fields]), kind="columns", cause="records lack a passage or a question"
        )
        return
    name, problem = _answer_question(responses, suggestions)
    if problem:
        raw.answers = RawAnswers(problem=problem)
    elif values := responses.get(name, []):
        raw.answers = _answers(values)
    elif name in suggestions:
        raw.answers = _answers([suggestions[name]])
        issues.add(
            "warning", raw.place, "is labelled by a suggestion alone, which is taken", kind="label", ident=raw.id,
            cause="records are labelled by a suggestion alone, which is taken",
        )  # fmt: skip
    else:
        issues.add(
            "warning", raw.place, "is not annotated yet and left out", kind="label", ident=raw.id,
            cause="records are not annotated yet and left out",
        )  # fmt: skip
        return
    yield raw


def _labels(item: dict[str, Any]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Values of the responses that count, and of the suggestions, by the name of what annotators were asked."""
    responses: dict[str, list[Any]] = {}
    suggestions: dict[str, Any] = {}
    given = item.get("responses")
    if isinstance(given, dict):  # version 2: {name: [{"value": …, "user_id": …}]}
        for name, values in given.items():
            responses[str(name)] = _counted(values, None)
    elif isinstance(given, list):  # version 1: [{"values": {name: {"value": …}}, "status": …}]
        for response in given:
            values = response.get("values") if isinstance(response, dict) else None
            if isinstance(values, dict) and response.get("status") not in NOT_COUNTED:
                for name, value in values.items():
                    responses.setdefault(str(name), []).append(value.get("value") if isinstance(value, dict) else value)
    proposed = item.get("suggestions")
    if isinstance(proposed, dict):
        for name, value in proposed.items():
            suggestions[str(name)] = value.get("value") if isinstance(value, dict) and "value" in value else value
    elif isinstance(proposed, list):
        for value in proposed:
            if isinstance(value, dict):
                suggestions[str(value.get("question_name"))] = value.get("value")
    for key, value in item.items():
        key = str(key)
        if key.endswith(RESPONSES) and value is not None:
            responses[key.removesuffix(RESPONSES)] = _counted(value, item.get(f"{key}.status"))
        elif key.endswith(SUGGESTION) and value is not None:
            suggestions[key.removesuffix(SUGGESTION)] = value
        elif key.endswith(OLD_SUGGESTION):
            name = key.removesuffix(OLD_SUGGESTION)
            responses[name] = _counted(item.get(name), None)
            if value is not None:
                suggestions[name] = value
    return {name: values for name, values in responses.items() if values}, suggestions


def _counted(values: Any, statuses: Any) -> list[Any]:
    """The values of one question's responses that were submitted."""
    if isinstance(values, dict):  # a list of objects that a Hugging Face dataset stores by column
        statuses, values = values.get("status"), values.get("value")
    if not isinstance(values, list):
        return []
    found = []
    for number, value in enumerate(values):
        status = statuses[number] if isinstance(statuses, list) and number < len(statuses) else None
        if isinstance(value, dict) and "value" in value:
            status, value = value.get("status", status), value["value"]
        if status not in NOT_COUNTED and value is not None:
            found.append(value)
    return found


def _answer_question(responses: dict[str, list[Any]], suggestions: dict[str, Any]) -> tuple[str, str]:
    """The question whose responses are the answer; "" and the reason where none is certain."""
    names = list(dict.fromkeys((*responses, *suggestions)))
    readable = [name for name in names if all(map(_is_answer, (*responses.get(name, ()), *_one(suggestions, name))))]
    named = [name for name in readable if any(word in name.lower() for word in (*ANSWER_WORDS, "response"))]
    spans = [
        name
        for name in readable
        if any(isinstance(v, list) for v in (*responses.get(name, ()), *_one(suggestions, name)))
    ]
    for some in (named, spans, readable):
        if len(some) == 1:
            return some[0], ""
    if not names:
        return "", ""
    several = ", ".join(f'"{name[:20]}"' for name in names[:5])
    return "", f'annotators were asked {several}, and which of these is the answer is unclear; name that one "answer"'


def _one(values: dict[str, Any], name: str) -> list[Any]:
    return [values[name]] if name in values else []


def _is_answer(value: Any) -> bool:
    return isinstance(value, str) or _spans(value) is not None


def _answers(values: list[Any]) -> RawAnswers:
    golds: list[RawAnswer] = []
    for value in values:
        spans = _spans(value)
        golds.extend([RawAnswer(value, None)] if spans is None else spans)
    if not golds:
        return RawAnswers(impossible=True)
    if all(isinstance(gold.text, str) and not gold.text.strip() and gold.start is None for gold in golds):
        return RawAnswers(problem="has a response without text; an unanswerable question has an empty list of spans")
    return RawAnswers(tuple(golds))


def _spans(value: Any) -> list[RawAnswer] | None:
    """The answers of a list of spans; None where it is no such list."""
    if isinstance(value, dict) and isinstance(starts := value.get("start"), list):
        ends = value.get("end")
        if not isinstance(ends, list) or len(ends) != len(starts):
            return None
        texts = value.get("text")
        texts = texts if isinstance(texts, list) and len(texts) == len(starts) else [None] * len(starts)
        return [RawAnswer(text, start, end) for text, start, end in zip(texts, starts, ends, strict=True)]
    if not isinstance(value, list) or not all(
        isinstance(span, dict) and "start" in span and "end" in span for span in value
    ):
        return None
    return [RawAnswer(span.get("text"), span["start"], span["end"]) for span in value]
