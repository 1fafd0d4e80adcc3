"""Findings about a data set before anything is trained on it, and a repaired copy of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.config import RunConfig
from engine.data.characters import is_unspaced
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
from engine.data.squad import belongs_to, missing_requirements, read_dataset, read_halves
from engine.data.tokenizer import PairTokenizer
from engine.errors import DataError
from engine.storage.atomic_io import create_file

LENGTH_EDGES = (0, 64, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)
"""Lower edges of the length histogram's bins; the last bin is open."""


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

    `with_answer`: windows that hold the first gold answer whole; `lost`: answers whole in no window.
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


class CheckReport(Struct, frozen=True):
    """All findings. `errors` counts what keeps the set from being used; `passages` those of both halves, each once, and
    `histogram` the same by tokens, in bins that begin at LENGTH_EDGES; the `shared_` figures count passages on both
    sides of the split, exact or nearly the same (`near`)."""

    path: str
    halves: tuple[HalfReport, ...]
    windows: tuple[WindowReport, ...]
    histogram: tuple[int, ...]
    max_length: int
    doc_stride: int
    max_answer_length: int
    passages: int
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
    dataset = read_dataset(
        path, eval_path=config.eval, eval_fraction=config.eval_fraction, seed=config.seed, columns=config.columns
    )
    issues = list(dataset.issues)
    lack = missing_requirements(dataset)
    if lack and not any(issue.level == "error" for issue in issues):  # else it may be what the errors leave
        issues.append(DataIssue("error", "the file", lack[0]))
    notes = list(dataset.notes)
    windows: list[WindowReport] = []
    passages: dict[str, int] = {}
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
            tokens = _passage_tokens(examples, features, config.doc_stride)
            passages |= tokens
            windows.append(_windows(name, examples, features, list(tokens.values())))
            longest = max(longest, default_max_answer_length(features))
    refused = ("error", "repaired") if config.strict else ("error",)
    return CheckReport(
        path=path.name,
        halves=tuple(_half(name, examples) for name, examples in halves),
        windows=tuple(windows),
        histogram=tuple(
            np.histogram(list(passages.values()), bins=[*LENGTH_EDGES, np.iinfo(np.int64).max])[0].tolist()
        ),
        max_length=config.max_length,
        doc_stride=config.doc_stride,
        max_answer_length=config.max_answer_length or longest,
        passages=len({example.context for _, examples in halves for example in examples}),
        **_shared(dataset),
        issues=tuple(issues),
        errors=sum(issue.level in refused for issue in issues),
        notes=tuple(notes),
    )


def issue_records(report: CheckReport, path: str | Path, eval_path: str | None = None) -> list[dict[str, Any]]:
    """Every issue as a record for scripts: path, level, kind, id, place, message, before, after. `path` and `eval_path`
    are those of the files, as the user names them."""
    second = Path(eval_path).name if eval_path else None
    return [
        _record(str(eval_path) if second and belongs_to(issue.place, second) else str(path), issue)
        for issue in report.issues
    ]


def refusal_record(path: str | Path, error: DataError) -> dict[str, Any]:
    """As `issue_records`, of a file that can't be read as data at all."""
    return _record(str(path), DataIssue("error", "the file", error.message))


def _record(path: str, issue: DataIssue) -> dict[str, Any]:
    fields = msgspec.structs.asdict(issue)
    del fields["cause"]  # it is for the summed-up lines of the text
    return {"path": path, **fields}


def repair_dataset(path: str | Path, out: str | Path, columns: str | None = None) -> tuple[int, int]:
    """Write a repaired copy as SQuAD JSON: every answer at its place, ids unique, both halves where the file has
    them; questions that can't be repaired are left out. Returns how many questions were written and left out.

    Raises DataError where nothing is left to write, WriteError where `out` exists or can't be written.
    """
    path, out = find_dataset(path), Path(out)
    issues = DataIssues()
    halves = read_halves(path, issues, columns=columns)
    if not any(halves.values()):
        raise DataError(f"{path.name}: there is no usable question to write.")
    if len(halves) == 2:
        content = split_bytes(make_dataset(halves["train"], halves["eval"]))
    else:
        (examples,) = halves.values()
        content = squad_bytes(examples)
    create_file(out, content)
    return sum(map(len, halves.values())), issues.dropped


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
        0 < edge < len(context) and all(c.isalnum() and not is_unspaced(c) for c in context[edge - 1 : edge + 1])
        for edge in (start, end)
    )


def _windows(name: str, examples: Sequence[Example], features: Features, tokens: Sequence[int]) -> WindowReport:
    per_example = np.bincount(features.feature_example, minlength=len(examples))
    held = features.gold_start >= 0
    owners, first = np.unique(features.feature_example[held], return_index=True)
    answer_tokens = (features.gold_end[held] - features.gold_start[held] + 1)[first]
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
    )


def _passage_tokens(examples: Sequence[Example], features: Features, doc_stride: int) -> dict[str, int]:
    """Tokens of each different passage: what the windows of its first question advance, and the last window."""
    first_of: dict[str, int] = {}
    for number, example in enumerate(examples):
        first_of.setdefault(example.context, number)
    chosen = np.fromiter(first_of.values(), dtype=np.int64, count=len(first_of))
    if not len(chosen):
        return {}
    held = np.add.reduceat(features.segment == CONTEXT, features.token_offset[:-1], dtype=np.int64)
    low = np.searchsorted(features.feature_example, chosen, side="left")
    high = np.searchsorted(features.feature_example, chosen, side="right") - 1
    tokens = (high - low) * advance(held[low], doc_stride) + held[high]
    return dict(zip(first_of, tokens.tolist(), strict=True))


def _spread_of(lengths: Sequence[int] | NDArray[np.integer]) -> Spread:
    if not len(lengths):
        return Spread()
    low, median, p95, p995, high = np.quantile(np.asarray(lengths), [0, 0.5, 0.95, 0.995, 1]).tolist()
    return Spread(int(low), median, p95, p995, int(high))


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
