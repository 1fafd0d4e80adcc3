"""The findings about a data set as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from engine.data.check import LENGTH_EDGES, CheckReport, Spread
from engine.data.examples import DataIssue

LEVELS: tuple[tuple[Literal["error", "repaired", "warning"], str], ...] = (
    ("error", "error"),
    ("repaired", "repair"),
    ("warning", "warning"),
)


MANY_ALIKE = 20
"""From so many issues on, those with the same message are one line."""


def _issue_lines(issues: Sequence[DataIssue]) -> list[str]:
    """A line for each issue; those that are many and have the same cause, or say the same, are summed up."""
    alike = Counter(issue.cause or issue.message for issue in issues)
    lines = {}
    for issue in issues:
        shared = issue.cause or issue.message
        one = f"{issue.place}: {issue.message}"
        if alike[shared] < MANY_ALIKE:
            lines[one] = f"{issue.level}: {one}"
        elif shared not in lines:
            many = f"{alike[shared]:,} {issue.cause}" if issue.cause else f"{alike[shared]:,} × {issue.message}"
            first = one if issue.cause and not issue.message.startswith("has ") else issue.place
            lines[shared] = f"{issue.level}: {many}; first: {first} (all with --json)"
    return list(lines.values())


def report_lines(report: CheckReport) -> list[str]:
    """The report as plain text for a terminal or a file. Holds text from the data: show it with care."""
    questions = sum(half.questions for half in report.halves)
    lines = [f"{report.path}: {_count(questions, 'question')} on {_count(report.passages, 'passage')}", ""]
    if questions:
        lines += _count_lines(report)
    counts = Counter(issue.level for issue in report.issues)
    for level, _ in LEVELS:
        lines += _issue_lines([issue for issue in report.issues if issue.level == level])
    lines.append(", ".join(_count(counts[level], what) for level, what in LEVELS))
    return lines


def _count_lines(report: CheckReport) -> list[str]:
    """What is in the data set, in numbers."""
    lines = _table(
        ["", *(half.name for half in report.halves)],
        [
            ("questions", [f"{half.questions:,}" for half in report.halves]),
            ("without an answer", [f"{half.impossible:,}" for half in report.halves]),
            ("with several answers", [f"{half.several_answers:,}" for half in report.halves]),
            ("asked twice on a passage", [f"{half.repeated:,}" for half in report.halves]),
            ("articles", [f"{half.articles:,}" for half in report.halves]),
            ("passages", [f"{half.passages:,}" for half in report.halves]),
            ("passage, characters*", [_spread(half.passage_characters) for half in report.halves]),
            ("question, characters*", [_spread(half.question_characters) for half in report.halves]),
            ("answers", [f"{half.answers:,}" for half in report.halves]),
            ("answer in several places", [f"{half.ambiguous:,}" for half in report.halves]),
            ("answer inside a word", [f"{half.mid_word:,}" for half in report.halves]),
        ],
    )
    lines += ["* shortest, median, 95 %, 99.5 %, longest", ""]
    if report.windows:
        lines += _window_lines(report)
    lines += _shared_lines(report)
    return [*lines, *(f"note: {note}" for note in report.notes)]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _spread(spread: Spread) -> str:
    return f"{spread.low} {spread.median:.0f} {spread.p95:.0f} {spread.p995:.0f} {spread.high}"


def _table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    cells = [list(head), *([name, *values] for name, values in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in cells
    ]


def _window_lines(report: CheckReport) -> list[str]:
    halves = report.windows
    rows = [
        ("windows", [f"{half.windows:,}" for half in halves]),
        ("with the answer", [f"{half.with_answer:,}" for half in halves]),
        ("answers whole in none", [f"{half.lost:,}" for half in halves]),
        ("questions with several", [f"{half.several_windows:,}" for half in halves]),
        ("most for one question", [f"{half.most_windows:,}" for half in halves]),
        ("tokens", [f"{half.tokens:,}" for half in halves]),
        ("passage, tokens*", [_spread(half.passage_tokens) for half in halves]),
        ("answer, tokens*", [_spread(half.answer_tokens) for half in halves]),
    ]
    title = f"windows of {report.max_length} tokens, {report.doc_stride} shared"
    lines = [*_table([title, *(half.name for half in halves)], rows), ""]
    counts = report.histogram
    top = max(max(counts), 1)
    filled = [k for k, count in enumerate(counts) if count] or [0]
    lines.append("passages by tokens")
    for k in range(filled[0], filled[-1] + 1):
        upper = f"{LENGTH_EDGES[k + 1] - 1}" if k + 1 < len(LENGTH_EDGES) else "more"
        bar = "#" * -(-40 * counts[k] // top)
        lines.append(f"{LENGTH_EDGES[k]:>5} to {upper:>4}  {counts[k]:>7,}  {bar}".rstrip())
    return [*lines, "", f"longest answer predicted: {report.max_answer_length} tokens", ""]


def scored_apart(report: CheckReport) -> str:
    """A word on seen and unseen passages, where there are both."""
    questions = report.halves[1].questions
    return " Seen and unseen passages are scored apart." if 0 < report.seen_questions < questions else ""


def _shared_lines(report: CheckReport) -> list[str]:
    if not report.shared_passages and not report.shared_near:
        return ["No passage stands on both sides of the split.", ""]
    lines = []
    if report.shared_passages:
        lines.append(
            f"Passages on both sides of the split: {report.shared_passages:,}. Validation questions on passages "
            f"seen in training: {report.seen_questions:,}, with the very answer seen there: "
            f"{report.shared_answers:,}."
        )
    if report.shared_near:
        lines.append(
            f"Validation passages that differ from a training passage in white space, case, Unicode form or final "
            f"punctuation only: {report.shared_near:,}. They count as seen."
        )
    lines[-1] += scored_apart(report)
    return [*lines, ""]
