"""Findings about a data set before anything is trained on it, and a repaired copy of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.config import RunConfig
from engine.data.examples import (
    DataIssue,
    Dataset,
    Example,
    bare_passage,
    make_dataset,
    seen_mask,
    split_bytes,
    squad_bytes,
)
from engine.data.features import Features, advance, build_features, default_max_answer_length
from engine.data.issues import DataIssues
from engine.data.samples import find_dataset
from engine.data.segments import CONTEXT
from engine.data.squad import missing_requirements, read_dataset, read_halves
from engine.data.tokenizer import PairTokenizer
from engine.errors import DataError
from engine.storage.atomic_io import create_file

LENGTH_EDGES = (0, 64, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)
"""Lower edges of the length histogram's bins; the last bin is open."""


LEVELS: tuple[tuple[Literal["error", "repaired", "warning"], str], ...] = (
    ("error", "error"),
    ("repaired", "repair"),
    ("warning", "warning"),
)


class Spread(Struct, frozen=True):
    """Five numbers of a distribution of lengths."""

    low: int = 0
    median: float = 0.0
    p95: float = 0.0
    p995: float = 0.0
    high: int = 0


class HalfReport(Struct, frozen=True):
    """Counts of one half. Lengths of passages and questions are in characters.

    `repeated`: questions asked again on the same passage; `ambiguous`: answers whose text stands in several
    places of the passage; `mid_word`: answers that begin or end inside a word.
    """

    name: str
    questions: int
    impossible: int
    articles: int
    passages: int
    answers: int
    several_answers: int
    repeated: int
    ambiguous: int
    mid_word: int
    passage_characters: Spread
    question_characters: Spread


class WindowReport(Struct, frozen=True):
    """Windows of one half, in the tokens of the model's tokenizer.

    `with_answer`: windows that hold the first gold answer whole; `lost`: answers whole in no window;
    `histogram`: passages by length, in bins that begin at LENGTH_EDGES.
    """

    name: str
    windows: int
    tokens: int
    several_windows: int
    most_windows: int
    with_answer: int
    lost: int
    passage_tokens: Spread
    answer_tokens: Spread
    histogram: tuple[int, ...]


class CheckReport(Struct, frozen=True):
    """All findings. `errors` counts what keeps the set from being used; the `shared_` figures count
    passages on both sides of the split, exact or nearly the same (`near`)."""

    path: str
    halves: tuple[HalfReport, ...]
    windows: tuple[WindowReport, ...]
    max_length: int
    doc_stride: int
    max_answer_length: int
    shared_passages: int
    shared_near: int
    seen_questions: int
    shared_answers: int
    issues: tuple[DataIssue, ...]
    errors: int
    notes: tuple[str, ...]


def check_dataset(path: str | Path, config: RunConfig, tokenizer: Path | None = None) -> CheckReport:
    """Read, validate and count the data set as a run with `config` would use it; `tokenizer` is a
    tokenizer.json to count windows with. Raises DataError only where the file can't be read as data."""
    path = find_dataset(path)
    dataset = read_dataset(path, eval_path=config.eval, eval_fraction=config.eval_fraction, seed=config.seed)
    issues = list(dataset.issues)
    lack = missing_requirements(dataset)
    if lack:
        issues.append(DataIssue("error", "the file", lack[0]))
    notes: list[str] = []
    windows: list[WindowReport] = []
    longest = 30
    halves = (("train", dataset.train), ("validation", dataset.eval))
    if tokenizer is not None:
        pair_tokenizer = PairTokenizer.from_file(tokenizer)
        for name, examples in halves:
            said: list[str] = []
            features = build_features(
                examples,
                pair_tokenizer,
                max_length=config.max_length,
                doc_stride=config.doc_stride,
                warn=said.append,
            )
            notes += [f"{name}: {text}" for text in said]
            windows.append(_windows(name, examples, features, config.doc_stride))
            longest = max(longest, default_max_answer_length(features))
    refused = ("error", "repaired") if config.strict else ("error",)
    return CheckReport(
        path=path.name,
        halves=tuple(_half(name, examples) for name, examples in halves),
        windows=tuple(windows),
        max_length=config.max_length,
        doc_stride=config.doc_stride,
        max_answer_length=config.max_answer_length or longest,
        **_shared(dataset),
        issues=tuple(issues),
        errors=sum(issue.level in refused for issue in issues),
        notes=tuple(notes),
    )


def issue_records(report: CheckReport, eval_path: str | None = None) -> list[dict[str, Any]]:
    """Every issue as a record for scripts: path, level, kind, id, place, message, before, after."""
    second = Path(eval_path).name if eval_path else None
    return [
        {
            "path": str(eval_path) if second and issue.place.startswith(f"{second}: ") else report.path,
            **msgspec.structs.asdict(issue),
        }
        for issue in report.issues
    ]


def repair_dataset(path: str | Path, out: str | Path) -> tuple[int, int]:
    """Write a repaired copy as SQuAD JSON: every answer at its place, ids unique, both halves where the file has
    them; questions that can't be repaired are left out. Returns how many questions were written and left out.

    Raises DataError where nothing is left to write, WriteError where `out` exists or can't be written.
    """
    path, out = find_dataset(path), Path(out)
    issues = DataIssues()
    halves = read_halves(path, issues)
    if not any(halves.values()):
        raise DataError(f"{path.name}: there is no usable question to write.")
    if len(halves) == 2:
        content = split_bytes(make_dataset(halves["train"], halves["eval"]))
    else:
        (examples,) = halves.values()
        content = squad_bytes(examples)
    create_file(out, content)
    return sum(map(len, halves.values())), issues.errors


MANY_ALIKE = 20
"""From so many issues on, those with the same message are one line."""


def _issue_lines(issues: Sequence[DataIssue]) -> list[str]:
    """A line for each issue; those that are many and say the same are summed up."""
    alike = Counter(issue.message for issue in issues)
    lines = {}
    for issue in issues:
        if alike[issue.message] < MANY_ALIKE:
            lines[issue.place, issue.message] = f"{issue.level}: {issue.place}: {issue.message}"
        else:
            summed = (
                f"{issue.level}: {alike[issue.message]:,} × {issue.message}; first: {issue.place} (all with --json)"
            )
            lines.setdefault(("", issue.message), summed)
    return list(lines.values())


def report_lines(report: CheckReport) -> list[str]:
    """The report as plain text for a terminal or a file. Holds text from the data: show it with care."""
    lines = [f"{report.path}: {_count(sum(half.questions for half in report.halves), 'question')}", ""]
    lines += _table(
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
    lines += [f"note: {note}" for note in report.notes]
    counts = Counter(issue.level for issue in report.issues)
    for level, _ in LEVELS:
        lines += _issue_lines([issue for issue in report.issues if issue.level == level])
    lines.append(", ".join(_count(counts[level], what) for level, what in LEVELS))
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _half(name: str, examples: Sequence[Example]) -> HalfReport:
    contexts = dict.fromkeys(example.context for example in examples)
    asked = Counter((example.context, example.question.strip()) for example in examples)
    golds = {(e.context, a.text, a.start) for e in examples for a in e.answers}
    return HalfReport(
        name=name,
        questions=len(examples),
        impossible=sum(example.is_impossible for example in examples),
        articles=len({example.title for example in examples}),
        passages=len(contexts),
        answers=sum(len(example.answers) for example in examples),
        several_answers=sum(len(example.answers) > 1 for example in examples),
        repeated=sum(count - 1 for count in asked.values()),
        ambiguous=sum(context.find(text, context.find(text) + 1) >= 0 for context, text, _ in golds),
        mid_word=sum(_inside_word(context, start, start + len(text)) for context, text, start in golds),
        passage_characters=_spread_of([len(context) for context in contexts]),
        question_characters=_spread_of([len(example.question) for example in examples]),
    )


def _inside_word(context: str, start: int, end: int) -> bool:
    """Whether a word of a script with spaces goes on beyond an edge of the answer."""
    return any(
        0 < edge < len(context) and all(char.isalnum() and ord(char) < 0x2E80 for char in context[edge - 1 : edge + 1])
        for edge in (start, end)
    )


def _windows(name: str, examples: Sequence[Example], features: Features, doc_stride: int) -> WindowReport:
    per_example = np.bincount(features.feature_example, minlength=len(examples))
    held = features.gold_start >= 0
    owners, first = np.unique(features.feature_example[held], return_index=True)
    answer_tokens = (features.gold_end[held] - features.gold_start[held] + 1)[first]
    tokens = _passage_tokens(examples, features, doc_stride)
    edges = np.append(np.array(LENGTH_EDGES), np.iinfo(np.int64).max)
    return WindowReport(
        name=name,
        windows=len(features),
        tokens=int(features.token_offset[-1]),
        several_windows=int(np.count_nonzero(per_example > 1)),
        most_windows=int(per_example.max(initial=0)),
        with_answer=int(np.count_nonzero(held)),
        lost=sum(bool(example.answers) for example in examples) - len(owners),
        passage_tokens=_spread_of(tokens),
        answer_tokens=_spread_of(answer_tokens),
        histogram=tuple(np.histogram(tokens, bins=edges)[0].tolist()),
    )


def _passage_tokens(examples: Sequence[Example], features: Features, doc_stride: int) -> NDArray[np.int64]:
    """Tokens of each different passage: what the windows of its first question advance, and the last window."""
    first_of: dict[str, int] = {}
    for number, example in enumerate(examples):
        first_of.setdefault(example.context, number)
    chosen = np.fromiter(first_of.values(), dtype=np.int64, count=len(first_of))
    if not len(chosen):
        return chosen
    held = np.add.reduceat(features.segment == CONTEXT, features.token_offset[:-1], dtype=np.int64)
    low = np.searchsorted(features.feature_example, chosen, side="left")
    high = np.searchsorted(features.feature_example, chosen, side="right") - 1
    return np.asarray((high - low) * advance(held[low], doc_stride) + held[high], dtype=np.int64)


def _spread_of(lengths: Sequence[int] | NDArray[np.integer]) -> Spread:
    if not len(lengths):
        return Spread()
    low, median, p95, p995, high = np.quantile(np.asarray(lengths), [0, 0.5, 0.95, 0.995, 1]).tolist()
    return Spread(int(low), median, p95, p995, int(high))


def _spread(spread: Spread) -> str:
    return f"{spread.low} {spread.median:.0f} {spread.p95:.0f} {spread.p995:.0f} {spread.high}"


def _shared(dataset: Dataset) -> dict[str, int]:
    train = {example.context for example in dataset.train}
    both = {example.context for example in dataset.eval} & train
    near = {bare_passage(context) for context in train}
    spans = {(e.context, a.text, a.start) for e in dataset.train for a in e.answers if e.context in both}
    return {
        "shared_passages": len(both),
        "shared_near": sum(bare_passage(context) in near for context in {e.context for e in dataset.eval} - both),
        "seen_questions": int(np.count_nonzero(seen_mask(dataset))),
        "shared_answers": sum(any((e.context, a.text, a.start) in spans for a in e.answers) for e in dataset.eval),
    }


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
    counts = [sum(half.histogram[k] for half in halves) for k in range(len(LENGTH_EDGES))]
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
