"""Checks raw questions one by one and makes examples of them; every issue is reported with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from engine.data.characters import without_edges
from engine.data.examples import Answer, Example
from engine.data.formats.answers import MISSING_WORDS, RawAnswer, RawAnswers, is_missing
from engine.data.formats.raw import RawQuestion
from engine.data.issues import DataIssues, excerpt, kind_of, quoted
from engine.data.repair import MANY, NO_OFFSET, UNITS, Alignment, align, exact_in


class _Unusable(Exception):
    """The question can't be used; the message says why; `kind`, `before` and `cause` as in DataIssue."""

    def __init__(self, message: str, kind: str = "answer", before: object = None, cause: str = "") -> None:
        super().__init__(message)
        self.kind, self.before, self.cause = kind, before, cause


def validate(
    questions: Iterable[RawQuestion],
    issues: DataIssues,
    *,
    origins: list[list[RawQuestion]] | None = None,
    unlabelled: set[str] | None = None,
) -> list[Example]:
    """The questions that can be used, in order, with unique ids; passages with equal text are one object.

    At least one must have an answer, or be marked as having none. To `origins` is added, for each example, what it was
    made of: one question, or several where they were merged. With `unlabelled` a question whose labels are missing or
    can't be used stays, without answers, and its id is added to the set.
    """
    texts: dict[str, str] = {}
    by_id: dict[str, int] = {}
    examples: list[Example] = []
    questions = list(questions)
    units = _units(questions)
    dropped, says_so = issues.dropped, False
    for raw in questions:
        says_so = says_so or raw.answers.impossible is True
        bare = False
        try:
            try:
                example = _example(raw, texts, len(examples) + 1, units, issues)
            except _Unusable as error:
                if unlabelled is None:
                    raise
                example, bare = _example(_without_labels(raw), texts, len(examples) + 1, units, issues), True
                if not raw.answers.absent:
                    issues.add("warning", raw.place, f"{error}; it is not scored", kind=error.kind, ident=raw.id)
        except _Unusable as error:
            issues.add(
                "error", raw.place, str(error), kind=error.kind, ident=raw.id, before=error.before, cause=error.cause
            )
            issues.dropped += 1
            continue
        number = by_id.get(example.id)
        if number is not None:
            if _merged(examples, number, example, raw, issues):
                if origins is not None:
                    origins[number].append(raw)
                continue
            example = replace(example, id=_free_id(example.id, by_id))
            issues.add(
                "repaired",
                raw.place,
                f"the id is taken; it is now {excerpt(example.id)}",
                cause="ids were taken, and are others now",
                kind="id",
                ident=raw.id,
                before=raw.id,
                after=example.id,
            )
        by_id[example.id] = len(examples)
        examples.append(example)
        if origins is not None:
            origins.append([raw])
        if bare and unlabelled is not None:
            unlabelled.add(example.id)
    if unlabelled is not None and not says_so and all(example.is_impossible for example in examples):
        unlabelled.update(by_id)
    whole = unlabelled is None and issues.dropped == dropped
    if whole and examples and not says_so and all(example.is_impossible for example in examples):
        issues.add(
            "error",
            questions[0].part or "the file",
            f'none of the {len(examples):,} questions has an answer, and none is marked "is_impossible": true',
            kind="no answer",
        )
    return examples


def _units(questions: Sequence[RawQuestion]) -> frozenset[str]:
    """Units besides characters that offsets may be counted in: those that exact labels of the file do not refute."""
    refuted: Counter[str] = Counter()
    odd = 0
    for raw in questions:
        context = raw.context
        if not isinstance(context, str) or context.isascii():
            continue
        for gold in raw.answers.golds:
            try:
                start = _offset(gold.start, "")
            except _Unusable:
                continue
            if start is None or not isinstance(gold.text, str) or not gold.text:
                continue
            if 0 <= start < len(context) and context.startswith(gold.text, start):
                refuted.update(exact_in(context, start))
            else:
                odd += 1
    return frozenset(unit for unit in UNITS if not refuted[unit] or refuted[unit] < odd)


def _without_labels(raw: RawQuestion) -> RawQuestion:
    return replace(raw, answers=RawAnswers(impossible=True))


def _example(
    raw: RawQuestion, texts: dict[str, str], number: int, units: frozenset[str], issues: DataIssues
) -> Example:
    context = raw.context
    if not isinstance(context, str):
        raise _Unusable(
            "has no passage" if context is None else f"the passage is {kind_of(context)}, not text", "passage"
        )
    known = texts.get(context)
    if known is None:
        _check_text(context, "the passage")
        if not context.strip():
            raise _Unusable("the passage is empty", "passage")
        known = texts[context] = context
    question = raw.question
    if question is None:
        raise _Unusable("has no question text", "question")
    if not isinstance(question, str):
        raise _Unusable(f"the question is {kind_of(question)}, not text", "question")
    _check_text(question, "the question")
    if not question.strip():
        issues.add("warning", raw.place, "the question is empty", kind="question", ident=raw.id)
    identity = _id(raw.id, number)
    answers = _answers(raw, known, units, issues)
    return Example(identity, _title(raw, texts), question, known, answers, not answers)


def _check_text(text: str, what: str) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _Unusable(
            f"{what} holds half a surrogate pair at character {error.start}, which is no text", "text"
        ) from None


def _id(value: Any, number: int) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return f"question-{number}"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _Unusable(f"the id is {kind_of(value)}, not text", "id")
    text = str(value)
    _check_text(text, "the id")
    return text


def _title(raw: RawQuestion, texts: dict[str, str]) -> str:
    title = raw.title
    if not isinstance(title, str):
        return ""
    if title not in texts:
        _check_text(title, "the title")
    return texts.setdefault(title, title)


def _answers(raw: RawQuestion, context: str, units: frozenset[str], issues: DataIssues) -> tuple[Answer, ...]:
    found = raw.answers
    if found.problem:
        raise _Unusable(found.problem, "label")
    golds = [gold for gold in found.golds if not _is_blank(gold)]
    if found.impossible:
        if golds:
            issues.add(
                "repaired",
                raw.place,
                "is marked as having no answer, yet has one; it is left out",
                kind="no answer",
                ident=raw.id,
                before=_written(golds[0]),
            )
        return ()
    if not golds:
        if found.golds and found.impossible is False:
            raise _Unusable("the answer is empty")
        if found.impossible is False:
            issues.add(
                "repaired", raw.place, "has no answer; it is now marked so", kind="no answer", ident=raw.id,
                cause="questions without an answer are now marked so",
            )  # fmt: skip
        elif not found.column:
            issues.add(
                "warning",
                raw.place,
                "has no answer; taken as one that the passage can't answer",
                kind="no answer",
                ident=raw.id,
                cause="questions without an answer; taken as ones that their passages can't answer",
            )
        return ()
    answers: list[Answer] = []
    problems: list[_Unusable] = []
    for gold in golds:
        try:
            answers.append(_answer(gold, raw, context, units, issues))
        except _Unusable as error:
            problems.append(error.with_traceback(None))  # else it keeps copies of texts alive
    if not answers:
        raise problems[0]
    for problem in problems:
        issues.add(
            "repaired",
            raw.place,
            f"{problem}; it is left out, the other answers stay",
            kind=problem.kind,
            ident=raw.id,
            before=problem.before,
            cause="bad answers are left out, the others stay",
        )
    return tuple(answers)


def _written(gold: RawAnswer) -> dict[str, object]:
    """The gold as it stands in the file, as far as it is text and numbers."""
    plain = (str, int, float)
    text = gold.text if isinstance(gold.text, str) else None
    return {"text": text, "start": gold.start if isinstance(gold.start, plain) else None}


def _is_blank(gold: RawAnswer) -> bool:
    if isinstance(gold.text, str):
        return not gold.text.strip()
    return is_missing(gold.text) and (is_missing(gold.start) or is_missing(gold.end))


def _answer(gold: RawAnswer, raw: RawQuestion, context: str, units: frozenset[str], issues: DataIssues) -> Answer:
    start = _offset(gold.start, "answer_start")
    text = gold.text
    if not isinstance(text, str) and is_missing(text):
        end = _offset(gold.end, "answer_end")
        if start is None or end is None or not 0 <= start < end <= len(context):
            raise _Unusable("has an answer without text, and its offsets do not lie in the passage")
        text = context[start:end]
    if not isinstance(text, str):
        raise _Unusable(f"the answer is {kind_of(text)}, not text")
    bare = without_edges(text)
    if not bare:
        raise _Unusable("has an answer of nothing but white space and invisible characters", before=_written(gold))
    if start is not None and context.startswith(text, start) and start >= 0 and text == bare:
        return Answer(text, start)  # as nearly all are
    _check_text(text, "the answer")
    found = align(context, text, start, units)
    if found is None:
        empty = '; where it stands for "no answer", leave the value empty' if is_missing_word(text) else ""
        raise _Unusable(
            f"the answer {excerpt(text)} is not in the passage{empty}",
            before=_written(gold),
            cause="answers are not in their passages",
        )
    repaired = Answer(found.text, found.start)
    issues.add(
        "repaired", raw.place, _moved(found, text, start, len(context)),
        kind="answer", ident=raw.id, before=_written(gold), after={"text": repaired.text, "start": repaired.start},
        cause=f"answers were moved: {found.cause}",
    )  # fmt: skip
    return repaired


def _moved(found: Alignment, text: str, start: int | None, size: int) -> str:
    """What became of the answer `text`, labelled at `start` in a passage of `size` characters."""
    message = f"the answer {excerpt(found.text)} stands at {found.start:,}"
    lead, bare, tail = text.partition(found.text)
    cut = [f"{quoted(edge)} {where} it" for edge, where in ((lead, "before"), (tail, "after")) if bare and edge]
    if cut:
        message += f" to {found.start + len(found.text):,}"
    if start is not None:
        to = f" to {start + len(text):,}" if cut else ""
        beyond = f" (past the passage's end, {size:,})" if start >= size else ""
        message += f", not at {start:,}{to}{beyond}" if abs(start) < 10**12 else f"; its offset is absurd{beyond}"
    if cut:
        message += f"; cut: {' and '.join(cut)}"
    message += f": {found.cause}"
    if found.places > 1:
        many = f"{found.places} or more" if found.places >= MANY else str(found.places)
        which = {NO_OFFSET: "the first"}.get(found.cause, "the one that fits" if found.recounted else "the nearest")
        message += f"; the text stands in {many} places, {which} was taken"
    return message


def is_missing_word(text: str) -> bool:
    """Whether tables write `text` for a missing value."""
    return text.strip().lower() in MISSING_WORDS


def _offset(value: Any, name: str) -> int | None:
    if type(value) is int:
        return value  # as nearly all are
    if is_missing(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 20:
        return int(value.strip())  # white space to str, such as U+001F, is none to int
    if isinstance(value, str):
        try:
            number = float(value.replace(",", ".") if value.count(",") == 1 else value)  # 24,0 in many languages
        except ValueError:
            number = 0.5
        if number.is_integer() and abs(number) < 2**53:
            return int(number)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Unusable(f"{name} is {kind_of(value)}, not a whole number")
    return value


def _merged(examples: list[Example], number: int, example: Example, raw: RawQuestion, issues: DataIssues) -> bool:
    """Merge a question that occurs twice, as in tables with a row for each gold do, into the first one."""
    first = examples[number]
    if (first.question, first.context) != (example.question, example.context):
        return False
    if first.is_impossible != example.is_impossible:
        return False
    more = tuple(answer for answer in example.answers if answer not in first.answers)
    if more:
        examples[number] = replace(first, answers=first.answers + more)
        issues.add(
            "repaired",
            raw.place,
            "the same question again; its answers went to the first one",
            kind="repeated",
            ident=raw.id,
        )
    else:
        issues.add("repaired", raw.place, "the same question again; left out", kind="repeated", ident=raw.id)
    return True


def _free_id(identity: str, taken: dict[str, int]) -> str:
    number = 2
    while f"{identity}#{number}" in taken:
        number += 1
    return f"{identity}#{number}"
