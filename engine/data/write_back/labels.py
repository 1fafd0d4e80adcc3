"""Changes the gold answers of one question where it stands in the user's file, and nothing else of it."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.data.examples import Answer, Example
from engine.data.formats.answers import (
    ANSWERS,
    ENDS,
    IMPOSSIBLE,
    LABELS,
    STARTS,
    is_empty,
    is_missing,
    is_spans,
    parsed_cell,
)
from engine.data.repair import align

SPELLINGS = ("false", "true", "False", "True", "FALSE", "TRUE", "0", "1", "no", "yes", "No", "Yes", "NO", "YES")
"""Pairs of words for a flag in a table."""


class NotWritable(Exception):
    """The file's layout has no place for the change; the message says why."""


class Correction(Struct, frozen=True):
    """What becomes of an example's label: the golds equal to `label` become `answer`; None is no answer, before or
    after. With `drop` the question goes."""

    label: Answer | None = None
    answer: Answer | None = None
    drop: bool = False


def corrected(example: Example, correction: Correction | None) -> Example | None:
    """The example after a correction; None where it is dropped.

    The answer takes the place of the label wherever that stands; other golds, of other annotators, stay.
    """
    if correction is None:
        return example
    if correction.drop:
        return None
    answer = correction.answer
    if answer is None:
        return replace(example, answers=(), is_impossible=True)
    golds = tuple(answer if gold == correction.label else gold for gold in example.answers) or (answer,)
    return replace(example, answers=golds, is_impossible=False)


def correct(item: dict[str, Any], context: str, correction: Correction, *, row: bool) -> None:
    """Change the golds equal to the label in place, if there are any; of a flat row (`row`), cells may hold JSON or
    literals. Raises NotWritable where the object has no place for the answer.
    """
    if isinstance(item.get("data"), dict):
        _correct_task(item, context, correction)
        return
    _set_flag(item, correction.answer is None, always=not row)
    if isinstance(item.get("detected_answers"), list):
        _correct_mrqa(item, context, correction)
        return
    name = _answers_key(item, row=row)
    value = item.get(name)
    if row and isinstance(value, str):
        parsed = parsed_cell(value)
        if isinstance(parsed, (dict, list)):
            _correct_cell(item, name, value, parsed, context, correction)
            return
    if isinstance(value, list):
        _correct_list(item, value, context, correction)
    elif isinstance(value, dict):
        _correct_columns(value, context, correction)
    else:
        _correct_scalar(item, name, context, correction, row=row)


def _answers_key(item: dict[str, Any], *, row: bool) -> str:
    """The key that the golds are read from, as `read_answers` chooses it."""
    names: tuple[str, ...] = ANSWERS
    if row and any(name in item for name in ("context", "passage", "paragraph")):
        names = (*ANSWERS, "text")
    filled = next((name for name in names if not is_empty(item.get(name)) and item[name] != []), None)
    spans = next((name for name in LABELS if is_spans(item.get(name))), None)
    present = next((name for name in names if name in item), None)
    return filled or spans or present or "answers"


def _is(text: Any, start: Any, end: Any, context: str, label: Answer) -> bool:
    """Whether a gold as it stands in the file is what was read as `label`."""
    place = _number(start)
    if not isinstance(text, str):
        last = _number(end)
        return place is not None and last is not None and (place, context[place:last].strip()) == (
            label.start, label.text,
        )  # fmt: skip
    found = align(context, text, place)
    return found is not None and (found.start, found.text) == (label.start, label.text)


def _number(value: Any) -> int | None:
    try:
        return None if is_missing(value) else int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _correct_list(item: dict[str, Any], golds: list[Any], context: str, correction: Correction) -> None:
    label, answer = correction.label, correction.answer
    starts_key = next((name for name in STARTS if isinstance(item.get(name), list)), None)
    if answer is None:
        golds.clear()
        if starts_key:
            item[starts_key] = []
        return
    if all(isinstance(gold, dict) for gold in golds):
        if label is None:
            golds.append({"text": answer.text, "answer_start": answer.start})
            return
        for gold in golds:
            _correct_gold(gold, context, label, answer)
    elif all(isinstance(gold, list) for gold in golds):
        for gold in golds:
            _correct_span(gold, context, label, answer)
    elif starts_key and len(item[starts_key]) == len(golds):
        starts = item[starts_key]
        for place, (text, start) in enumerate(zip(golds, starts, strict=True)):
            if label is not None and _is(text, start, None, context, label):
                golds[place], starts[place] = answer.text, answer.start
    else:
        raise NotWritable("its answers have no offsets of their own")


def _correct_gold(gold: dict[str, Any], context: str, label: Answer, answer: Answer) -> None:
    """Change {"text": …, "answer_start": …} if it is the label."""
    text_key = next((name for name in ("text", "answer") if name in gold), "text")
    start_key = next((name for name in STARTS if gold.get(name) is not None), "answer_start")
    end_key = next((name for name in ENDS if gold.get(name) is not None), None)
    if not _is(gold.get(text_key), gold.get(start_key), gold.get(end_key or ""), context, label):
        return
    if text_key in gold:
        gold[text_key] = answer.text
    if end_key:
        gold[end_key] = _end_like(gold.get(start_key), gold[end_key], label, answer)
    gold[start_key] = answer.start


def _end_like(start: Any, end: Any, label: Answer, answer: Answer) -> int:
    """The end of `answer`, past its last character, or on it where the label's end was counted so."""
    first, last = _number(start), _number(end)
    inclusive = first is not None and last is not None and last - first == len(label.text) - 1
    return answer.start + len(answer.text) - inclusive


def _correct_span(span: list[Any], context: str, label: Answer | None, answer: Answer) -> None:
    """Change doccano's [start, end, name] if it is the label."""
    if label is not None and _is(None, span[0], span[1], context, label):
        span[0], span[1] = answer.start, answer.start + len(answer.text)


def _correct_columns(value: dict[str, Any], context: str, correction: Correction) -> None:
    """{"text": […], "answer_start": […]}, or the same with one plain value each."""
    label, answer = correction.label, correction.answer
    starts_key = next((name for name in STARTS if name in value), "answer_start")
    texts, starts = value.get("text"), value.get(starts_key)
    if not isinstance(texts, list):
        if not value or label is None or answer is None:
            value.clear()
            value.update({"text": [answer.text] if answer else [], "answer_start": [answer.start] if answer else []})
        else:
            _correct_gold(value, context, label, answer)
        return
    if answer is None:
        value["text"], value[starts_key] = [], []
        return
    if label is None:
        value["text"], value[starts_key] = [answer.text], [answer.start]
        return
    if not isinstance(starts, list):
        starts = value[starts_key] = [None] * len(texts)
    for place, (text, start) in enumerate(zip(texts, starts, strict=True)):
        if _is(text, start, None, context, label):
            texts[place], starts[place] = answer.text, answer.start


def _correct_cell(
    item: dict[str, Any], name: str, cell: str, parsed: Any, context: str, correction: Correction
) -> None:
    """A cell that holds JSON, or the Python literal that pandas leaves, is written in the same way."""
    holder = {name: parsed}
    starts_key = next((key for key in STARTS if isinstance(item.get(key), str) and item[key].lstrip()[:1] == "["), None)
    if starts_key:
        holder[starts_key] = parsed_cell(item[starts_key])
    if isinstance(parsed, dict):
        _correct_columns(parsed, context, correction)
    else:
        _correct_list(holder, parsed, context, correction)
    item[name] = _cell_like(cell, holder[name])
    if starts_key:
        item[starts_key] = _cell_like(item[starts_key], holder[starts_key])


def _cell_like(cell: str, value: Any) -> str:
    try:
        json.loads(cell)
    except (ValueError, RecursionError):
        return repr(value)
    return json.dumps(value, ensure_ascii=cell.isascii())


def _correct_scalar(item: dict[str, Any], name: str, context: str, correction: Correction, *, row: bool) -> None:
    """One answer as plain text, its offset under a key beside it."""
    answer = correction.answer
    start_key = next((key for key in STARTS if not is_missing(item.get(key))), None)
    start_key = start_key or next((key for key in STARTS if key in item), None)
    end_key = next((key for key in ENDS if key in item), None)
    written: dict[str | None, Any] = {name: None, start_key: None, end_key: None}
    if answer is not None:
        if not row and not item.get(name):
            item[name] = [{"text": answer.text, "answer_start": answer.start}]
            return
        if start_key is None and context.find(answer.text) != answer.start:
            start_key = "answer_start"
        end = answer.start + len(answer.text)
        if correction.label is not None and end_key:
            end = _end_like(item.get(start_key or ""), item[end_key], correction.label, answer)
        written = {name: answer.text, start_key: answer.start, end_key: end}
    for key, value in written.items():
        if key is not None:  # in a table every value is text
            item[key] = ("" if value is None else str(value)) if isinstance(item.get(key), str) else value


def _set_flag(item: dict[str, Any], impossible: bool, *, always: bool) -> None:
    """Say whether the question has an answer, where the object says so, or `always`; spelled as it was."""
    name = next((name for name in IMPOSSIBLE if name in item), None)
    if name is None:
        if always and impossible:
            item["is_impossible"] = True
        return
    value = item[name]
    if isinstance(value, str):
        known = SPELLINGS.index(value.strip()) // 2 * 2 if value.strip() in SPELLINGS else 0
        item[name] = SPELLINGS[known + impossible]
    elif isinstance(value, bool) or value is None:
        item[name] = impossible
    else:
        item[name] = type(value)(impossible)


def _correct_mrqa(item: dict[str, Any], context: str, correction: Correction) -> None:
    """MRQA: each gold has its text and its places, ends on the last character; `answers` holds the bare texts."""
    label, answer = correction.label, correction.answer
    golds = item["detected_answers"]
    if answer is None:
        item["detected_answers"] = []
    elif label is None:
        golds.append(_mrqa_gold(answer))
    else:
        kept = []
        for gold in golds:
            spans = [span for span in gold.get("char_spans", []) if isinstance(span, list) and len(span) == 2]
            others = [span for span in spans if not _is(gold.get("text"), span[0], None, context, label)]
            if len(others) == len(spans):
                kept.append(gold)
                continue
            kept.append(_mrqa_gold(answer))
            if others:
                kept.append({**gold, "char_spans": others})
        item["detected_answers"] = kept
    if isinstance(item.get("answers"), list):
        item["answers"] = list(dict.fromkeys(gold["text"] for gold in item["detected_answers"] if "text" in gold))


def _mrqa_gold(answer: Answer) -> dict[str, Any]:
    return {"text": answer.text, "char_spans": [[answer.start, answer.start + len(answer.text) - 1]]}


def _correct_task(item: dict[str, Any], context: str, correction: Correction) -> None:
    """A task of Label Studio: the regions that the annotators marked."""
    label, answer = correction.label, correction.answer
    if label is None:
        raise NotWritable("a region can't be added to a task of Label Studio")
    annotations = item.get("annotations", item.get("completions"))
    results = [a["result"] for a in annotations or [] if isinstance(a, dict) and isinstance(a.get("result"), list)]
    for result in results:
        spans = [
            r for r in result if isinstance(r, dict) and isinstance(r.get("value"), dict) and "start" in r["value"]
        ]
        for region in spans:  # what else an annotator said stays
            value = region["value"]
            if not isinstance(value.get("start"), int):
                raise NotWritable("its answers are not counted in characters")
            if answer is None:
                result.remove(region)
            else:
                _correct_gold(value, context, label, answer)
