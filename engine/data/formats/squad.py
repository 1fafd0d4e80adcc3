"""SQuAD's layout: articles with paragraphs with questions; or such paragraphs alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.data.formats.answers import read_answers
from engine.data.formats.raw import ID_KEYS, RawQuestion, first_of, place_of
from engine.data.issues import DataIssues, excerpt, kind_of


def matches(item: dict[str, Any]) -> bool:
    """Whether the object is an article, or a paragraph that stands alone."""
    return "paragraphs" in item or "qas" in item


def questions(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    """The questions of an article or paragraph, in order."""
    if "paragraphs" in item:
        yield from _article(item, number, part, issues)
    else:
        yield from _paragraph(item, None, f"paragraph {number}", part, issues)


def _article(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    title = item.get("title")
    where = f"article {excerpt(title)}" if isinstance(title, str) and title else f"article {number}"
    paragraphs = item["paragraphs"]
    if not isinstance(paragraphs, list):
        issues.add("error", place_of(part, where), f'"paragraphs" is {kind_of(paragraphs)}, not a list')
        return
    for k, paragraph in enumerate(paragraphs, 1):
        if isinstance(paragraph, dict):
            yield from _paragraph(paragraph, title, f"{where}, paragraph {k}", part, issues)
        else:
            issues.add("error", place_of(part, f"{where}, paragraph {k}"), f"is {kind_of(paragraph)}, not an object")


def _paragraph(item: dict[str, Any], title: Any, where: str, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    questions = item.get("qas")
    if not isinstance(questions, list):
        issues.add("error", place_of(part, where), f'"qas" is {kind_of(questions)}, not a list')
        return
    context = item.get("context")
    if not questions:
        if context is None or (isinstance(context, str) and not context.strip()):
            issues.add("warning", place_of(part, where), "the passage is empty and has no questions")
        return
    title = item.get("title", title) if title is None else title
    for number, qa in enumerate(questions, 1):
        if isinstance(qa, dict):
            question = qa.get("question", qa.get("query"))
            answers = read_answers(qa, row=False)
            yield RawQuestion(part, where, first_of(qa, ID_KEYS), title, question, context, answers, qa)
        else:
            issues.add("error", place_of(part, f"{where}, question {number}"), f"is {kind_of(qa)}, not an object")
