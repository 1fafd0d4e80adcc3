"""Rows whose passage is a list of paragraphs, as HotpotQA, 2WikiMultihopQA and MuSiQue have; they become one text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.data.formats.answers import RawAnswer, read_answers
from engine.data.formats.raw import ID_KEYS, QUESTION_KEYS, RawQuestion, first_of
from engine.data.issues import DataIssues

KEYS = ("context", "contexts", "paragraphs", "passages")
TEXTS = ("paragraph_text", "text", "sentences", "passage")
JOINED = "passages given as lists of paragraphs are joined, each paragraph under its title"


class Paragraph(Struct, frozen=True):
    """A paragraph of a row, in sentences; `supporting`: the file says that the answer's reason stands here."""

    title: str
    sentences: tuple[str, ...]
    supporting: bool = False


def matches(item: dict[str, Any]) -> bool:
    """Whether the object is a question with paragraphs."""
    return any(name in item for name in QUESTION_KEYS) and bool(_paragraphs(item))


def questions(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
    """The question of one row. An answer without an offset is looked for first in the sentences that support it."""
    context, supported = _joined(_paragraphs(item), _facts(item.get("supporting_facts")))
    rest = {key: value for key, value in item.items() if key not in KEYS}
    if "answerable" in rest and rest["answerable"] is False:
        rest["is_impossible"] = True
    answers = read_answers(rest, row=True)
    answers.golds = tuple(_placed(gold, context, supported) for gold in answers.golds)
    issues.note(JOINED)
    question = first_of(item, QUESTION_KEYS)
    yield RawQuestion(part, f"row {number}", first_of(item, ID_KEYS), item.get("title"), question, context, answers)


def _paragraphs(item: dict[str, Any]) -> list[Paragraph]:
    """The paragraphs of a row; [] where it has none in a known form."""
    value = next((item[name] for name in KEYS if isinstance(item.get(name), (list, dict))), None)
    if isinstance(value, dict):  # by column, as a Hugging Face dataset has them
        titles, texts = value.get("title"), value.get("sentences")
        if not isinstance(titles, list) or not isinstance(texts, list) or len(titles) != len(texts):
            return []
        value = [list(pair) for pair in zip(titles, texts, strict=True)]
    if not isinstance(value, list):
        return []
    found = [_paragraph(one) for one in value]
    return [paragraph for paragraph in found if paragraph is not None] if None not in found else []


def _paragraph(value: Any) -> Paragraph | None:
    if isinstance(value, str):
        return Paragraph("", (value,))
    if isinstance(value, list) and len(value) == 2:
        title, text = value
        supporting = False
    elif isinstance(value, dict) and "qas" not in value:
        title = value.get("title", "")
        text = next((value[name] for name in TEXTS if value.get(name)), None)
        supporting = value.get("is_supporting") is True
    else:
        return None
    sentences = text if isinstance(text, list) else [text]
    if not isinstance(title, str) or not all(isinstance(one, str) for one in sentences):
        return None
    return Paragraph(title, tuple(sentences), supporting)


def _facts(value: Any) -> set[tuple[Any, Any]]:
    """(title, number of the sentence) of each supporting fact."""
    if isinstance(value, dict):
        titles, numbers = value.get("title"), value.get("sent_id")
        if not isinstance(titles, list) or not isinstance(numbers, list):
            return set()
        value = list(zip(titles, numbers, strict=False))
    pairs = (
        [tuple(one) for one in value if isinstance(one, (list, tuple)) and len(one) == 2]
        if isinstance(value, list)
        else []
    )
    return {pair for pair in pairs if isinstance(pair[0], str) and isinstance(pair[1], int)}


def _joined(paragraphs: list[Paragraph], facts: set[tuple[Any, Any]]) -> tuple[str, list[tuple[int, int]]]:
    """The passage, and where in it supporting sentences stand."""
    pieces: list[str] = []
    supported: list[tuple[int, int]] = []
    size = 0

    def add(piece: str) -> None:
        nonlocal size
        pieces.append(piece)
        size += len(piece)

    for paragraph in paragraphs:
        if pieces:
            add("\n\n")
        if paragraph.title:
            add(f"{paragraph.title}\n")
        spaced = any(one[:1].isspace() or one[-1:].isspace() for one in paragraph.sentences)
        for number, sentence in enumerate(paragraph.sentences):
            if number and not spaced:
                add(" ")
            if paragraph.supporting or (paragraph.title, number) in facts:
                supported.append((size, size + len(sentence)))
            add(sentence)
    return "".join(pieces), supported


def _placed(gold: RawAnswer, context: str, supported: list[tuple[int, int]]) -> RawAnswer:
    """The answer at its first place in a supporting sentence, where it has no offset of its own."""
    if not isinstance(gold.text, str) or not gold.text.strip() or gold.start is not None:
        return gold
    places = (context.find(gold.text, low, high) for low, high in supported)
    start = next((place for place in places if place >= 0), None)
    return gold if start is None else replace(gold, start=start)
