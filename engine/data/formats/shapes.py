"""Finds the questions in a file's values, whatever the shape: SQuAD, flat rows, MRQA, tools' exports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from engine.data.formats.answers import RawAnswers, read_answers
from engine.data.issues import Faults, excerpt, kind_of

TRAIN_NAMES = ("train", "training")
EVAL_NAMES = ("validation", "valid", "val", "eval", "evaluation", "dev", "test")
CONTEXT = ("context", "passage", "paragraph", "text")
QUESTION = ("question", "query")
IDS = ("id", "qid", "question_id", "qas_id")


class RawQuestion(Struct, gc=False):
    """A question as it stands in the file, unchecked; `part` and `where` make up its place."""

    part: str
    where: str
    id: Any
    title: Any
    question: Any
    context: Any
    answers: RawAnswers

    @property
    def place(self) -> str:
        """`question "r-17-2" (article "Chilblains", paragraph 1)`, with the part of the file before it."""
        part = f"{self.part}: " if self.part else ""
        if isinstance(self.id, (str, int)) and not isinstance(self.id, bool) and self.id != "":
            return f"{part}question {excerpt(self.id)} ({self.where})"
        return f"{part}{self.where}"


def split_values(values: Any) -> tuple[dict[str, Any], str]:
    """The parts of a file by role: {"train": …, "eval": …} or {"all": …}; and a warning, or "".

    A part is what stands under a key named after a split, or the whole file where there is none.
    """
    if isinstance(values, dict) and isinstance(values.get("data"), dict) and not is_row(values):
        values = values["data"]
    if not isinstance(values, dict) or is_row(values) or "paragraphs" in values or "qas" in values:
        return {"all": values}, ""
    names = {str(key).lower(): key for key in values if isinstance(values[key], (dict, list))}
    train = [names[name] for name in TRAIN_NAMES if name in names]
    evaluation = [names[name] for name in EVAL_NAMES if name in names]
    if not train and not evaluation:
        return {"all": values}, ""
    parts = {}
    if train:
        parts["train"] = values[train[0]]
    if evaluation:
        parts["eval"] = values[evaluation[0]]
    unused = train[1:] + evaluation[1:]
    warning = f"not used: {', '.join(excerpt(name) for name in unused[:5])}" if unused else ""
    return parts, warning


def is_row(item: dict[str, Any]) -> bool:
    """Whether the object is one flat row: a question with its passage."""
    return any(name in item for name in CONTEXT) and any(name in item for name in QUESTION)


def raw_questions(values: Any, part: str, faults: Faults) -> Iterator[RawQuestion]:
    """All questions of one part of a file, in order; what is no question is a fault with its place."""
    items = _items(values)
    if items is None:
        faults.add("error", part or "the file", f"holds {kind_of(values)} where a list of questions belongs")
        return
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            faults.add("error", _at(part, f"item {number}"), f"is {kind_of(item)}, not a question")
        elif "paragraphs" in item:
            yield from _article(item, number, part, faults)
        elif "qas" in item:
            yield from _paragraph(item, None, f"paragraph {number}", part, faults)
        elif isinstance(item.get("data"), dict):
            from engine.data.formats.label_studio import task_question

            yield from task_question(item, number, part, faults)
        elif is_row(item):
            yield _row(item, number, part, faults)
        elif "header" not in item:  # MRQA files begin with one
            names = ", ".join(excerpt(name, 20) for name in list(item)[:6]) or "none"
            faults.add("error", _at(part, f"item {number}"), f"is not a question with its passage (its keys: {names})")


def _at(part: str, where: str) -> str:
    return f"{part}: {where}" if part else where


def _items(values: Any) -> Any:
    if isinstance(values, dict):
        if isinstance(values.get("data"), list):
            return values["data"]
        columns = _columns(values)
        return [values] if columns is None else columns
    return values if isinstance(values, list) else None


def _columns(values: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Rows of a table stored by column: {"context": […], …}, or {"context": {"0": …}, …} as pandas does."""
    if not is_row(values):
        return None
    by_key = any(isinstance(values.get(name), dict) for name in CONTEXT)
    columns: dict[str, list[Any]] = {}
    for name, column in values.items():
        if by_key and isinstance(column, dict):
            columns[name] = list(column.values())
        elif isinstance(column, list) and not by_key:
            columns[name] = column
    context = next((columns[name] for name in CONTEXT if name in columns), None)
    if context is None or not any(len(columns.get(name, ())) == len(context) for name in QUESTION):
        return None
    whole = {name: column for name, column in columns.items() if len(column) == len(context)}
    return [dict(zip(whole, cells, strict=True)) for cells in zip(*whole.values(), strict=True)]


def _article(item: dict[str, Any], number: int, part: str, faults: Faults) -> Iterator[RawQuestion]:
    title = item.get("title")
    where = f"article {excerpt(title)}" if isinstance(title, str) and title else f"article {number}"
    paragraphs = item["paragraphs"]
    if not isinstance(paragraphs, list):
        faults.add("error", _at(part, where), f'"paragraphs" is {kind_of(paragraphs)}, not a list')
        return
    for k, paragraph in enumerate(paragraphs, 1):
        if isinstance(paragraph, dict):
            yield from _paragraph(paragraph, title, f"{where}, paragraph {k}", part, faults)
        else:
            faults.add("error", _at(part, f"{where}, paragraph {k}"), f"is {kind_of(paragraph)}, not an object")


def _paragraph(item: dict[str, Any], title: Any, where: str, part: str, faults: Faults) -> Iterator[RawQuestion]:
    questions = item.get("qas")
    if not isinstance(questions, list):
        faults.add("error", _at(part, where), f'"qas" is {kind_of(questions)}, not a list')
        return
    context = item.get("context")
    if not questions:
        if context is None or (isinstance(context, str) and not context.strip()):
            faults.add("warning", _at(part, where), "the passage is empty and has no questions")
        return
    title = item.get("title", title) if title is None else title
    for number, qa in enumerate(questions, 1):
        if isinstance(qa, dict):
            question = qa.get("question", qa.get("query"))
            yield RawQuestion(part, where, first_of(qa, IDS), title, question, context, read_answers(qa, row=False))
        else:
            faults.add("error", _at(part, f"{where}, question {number}"), f"is {kind_of(qa)}, not an object")


def _row(item: dict[str, Any], number: int, part: str, faults: Faults) -> RawQuestion:
    raw = RawQuestion(
        part,
        f"row {number}",
        first_of(item, IDS),
        item.get("title"),
        first_of(item, QUESTION),
        first_of(item, CONTEXT),
        read_answers(item, row=True),
    )
    if "extra cells" in item:
        faults.add("warning", raw.place, f"has {item['extra cells']} cells more than the header; they are left out")
    return raw


def first_of(item: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The value under the first of the names that is there and not empty, else None."""
    return next((item[name] for name in names if item.get(name) not in (None, "")), None)
