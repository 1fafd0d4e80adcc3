"""A run's spans and scores as rows for other tools: Parquet, CSV, JSON records. Written snapshot by snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data.segments import CONTEXT, QUESTION, SPECIAL
from engine.errors import UsageError
from engine.export.contents import Contents, open_contents
from engine.export.kinds import Request
from engine.export.spreadsheet import FORMULA, INERT
from engine.insight.dynamics import forgotten, learned
from engine.insight.spans import softmax
from engine.rundir.snapshot import COLUMNS, Snapshot, SnapshotInfo
from engine.storage.atomic_io import create_stream

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 65_536
"""About how many rows of tokens are in memory at a time."""
SEGMENTS = {SPECIAL: "special", QUESTION: "question", CONTEXT: "context"}


def write(request: Request) -> list[str]:
    """Write a row for each example and snapshot of the run, or with `tokens` one for each token too.

    Raises UsageError, DataError for a run that can't be read, WriteError where the file exists or can't be written.
    """
    if request.tokens and request.passages:
        raise UsageError("--passages has no meaning with --tokens.", hint="Leave one of them out.")
    kind, rows = WRITERS[request.path.suffix.lower()], 0
    with open_contents(request.run) as contents, create_stream(request.path) as file, kind(file) as add:
        for table in token_tables(contents) if request.tokens else span_tables(contents, passages=request.passages):
            add(table)
            rows += table.num_rows
        return [
            f"{rows:,} rows, one for each {'token, ' if request.tokens else ''}example and snapshot",
            *contents.notes,
        ]


def span_tables(contents: Contents, *, passages: bool = False) -> Iterator[pa.Table]:
    """A table for each snapshot, with a row for each example that is scored at it."""
    import pyarrow as pa

    examples, count = contents.examples, contents.count
    texts: dict[str, Any] = {
        "example": pa.array(np.arange(count, dtype=np.int32)),
        "id": pa.array([example.id for example in examples], pa.string()),
        "title": pa.array([example.title for example in examples], pa.string()),
        "question": pa.array([example.question for example in examples], pa.string()),
    }
    if passages:
        texts["passage"] = pa.array([example.context for example in examples], pa.string())
    golds = [example.answers[0] if example.answers else None for example in examples]
    texts["expected"] = pa.array([gold.text if gold else None for gold in golds], pa.string())
    texts["expected_start"] = pa.array([gold.start if gold else None for gold in golds], pa.int32())
    texts["expected_end"] = pa.array([gold.start + len(gold.text) if gold else None for gold in golds], pa.int32())
    texts["answerable"] = pa.array([not example.is_impossible for example in examples])
    texts["seen"] = pa.array(contents.seen)
    texts |= _dynamics(contents)
    right = scored = np.zeros(count, np.bool_)
    for position, info in enumerate(contents.snapshots):
        with contents.open(position) as snapshot:
            before, right = right, snapshot.column("exact_match") >= 1
            both, scored = scored & snapshot.scored, snapshot.scored
            changes = {"learned": learned(before, right, both), "forgotten": forgotten(before, right, both)}
            columns = _moment(info, count) | texts | _prediction(contents, snapshot)
            columns |= {name: pa.array(values) for name, values in changes.items()}
            table = pa.table(columns)
            yield table if scored.all() else table.filter(pa.array(scored))


def token_tables(contents: Contents) -> Iterator[pa.Table]:
    """Tables of at most about ROWS rows: a row for each token of each window of each example that is scored at each
    snapshot."""
    import pyarrow as pa

    ends = contents.eval_set.token_offset[1:]
    for position, info in enumerate(contents.snapshots):
        with contents.open(position) as snapshot:
            feature = 0
            while feature < len(ends):
                room = int(contents.eval_set.token_offset[feature]) + ROWS
                last = max(feature + 1, int(np.searchsorted(ends, room, side="right")))
                table = _token_table(contents, info, snapshot, range(feature, last))
                if info.sampled_of is not None:
                    table = table.filter(pa.array(snapshot.scored[table["example"].to_numpy()]))
                yield table
                feature = last


def _moment(info: SnapshotInfo, count: int) -> dict[str, Any]:
    """The columns that say when: the same value in each of `count` rows."""
    import pyarrow as pa

    values = {
        "snapshot": pa.scalar(info.index, pa.int32()),
        "label": pa.scalar(info.label, pa.string()),
        "step": pa.scalar(info.step, pa.int64()),
        "epoch": pa.scalar(info.epoch, pa.float64()),
    }
    return {name: pa.repeat(value, count) for name, value in values.items()}


def _prediction(contents: Contents, snapshot: Snapshot) -> dict[str, Any]:
    """What a snapshot answers, and how that compares; code points of the passage, tokens of the window."""
    import pyarrow as pa

    start, end = snapshot.column("pred_char_start"), snapshot.column("pred_char_end")
    answered = start >= 0
    feature = snapshot.column("pred_feature")
    first = np.searchsorted(contents.eval_set.feature_example, np.arange(contents.count))
    whole = {
        "predicted_start": start,
        "predicted_end": end,
        "window": feature - first.astype(np.int32),
        "first_token": snapshot.column("pred_start"),
        "last_token": snapshot.column("pred_end"),
    }
    spans = zip(contents.examples, start.tolist(), end.tolist(), strict=True)
    predicted = [example.context[lo:hi] if lo >= 0 else None for example, lo, hi in spans]
    columns: dict[str, Any] = {"predicted": pa.array(predicted, pa.string())}
    columns |= {name: pa.array(values, mask=~answered) for name, values in whole.items()}
    columns["confidence"] = _numbers(np.sqrt(snapshot.column("gold_start_prob") * snapshot.column("gold_end_prob")))
    for name, dtype in COLUMNS.items():
        if not name.startswith("pred_"):
            values = snapshot.column(name)
            columns[name] = pa.array(values > 0) if np.dtype(dtype).kind == "u" else _numbers(values)
    return columns


DYNAMICS = {
    "run_log_prob": "log_prob",
    "run_confidence": "confidence",
    "run_variability": "variability",
    "run_correctness": "correctness",
    "run_forgetting": "forgetting",
    "run_first_learned": "first_learned",
    "run_far_margin": "far",
    "run_near_margin": "near",
    "run_null_margin": "null",
}
"""Columns that are the same at every snapshot, and the fields of Dynamics that they hold."""


def _dynamics(contents: Contents) -> dict[str, Any]:
    """What all snapshots after whole epochs say of each example; null as long as no epoch is done."""
    import pyarrow as pa

    found = contents.dynamics
    columns: dict[str, Any] = {}
    for name, of in DYNAMICS.items():
        kind = pa.int32() if of in ("forgetting", "first_learned") else pa.float32()
        if found is None:
            columns[name] = pa.nulls(contents.count, kind)
        else:
            values = getattr(found, of)
            columns[name] = pa.array(values, kind, mask=(values == -1) if kind == pa.int32() else np.isnan(values))
    return columns


def _numbers(values: NDArray[np.floating[Any]]) -> pa.Array:
    """Numbers, with null for what is none (a column that an older run lacks)."""
    import pyarrow as pa

    return pa.array(values, mask=np.isnan(values))


def _token_table(contents: Contents, info: SnapshotInfo, snapshot: Snapshot, features: range) -> pa.Table:
    """The tokens of some windows that follow each other."""
    import pyarrow as pa

    data = contents.eval_set
    parts: dict[str, list[Any]] = {name: [] for name in ("token", "char_start", "char_end", "start_prob", "end_prob")}
    texts: list[str] = []
    segments: list[str] = []
    ids: list[str] = []
    lo, hi = int(data.token_offset[features[0]]), int(data.token_offset[features[-1] + 1])
    start_logits, end_logits = snapshot.logits(lo, hi)
    marks = {
        name: np.zeros(hi - lo, np.bool_)
        for name in ("expected_start", "expected_end", "predicted_start", "predicted_end")
    }
    owners = data.feature_example[features[0] : features[-1] + 1]
    predicted = {
        name: snapshot.column(name, int(owners[0]), int(owners[-1]) + 1)
        for name in ("pred_feature", "pred_start", "pred_end")
    }
    for feature in features:
        tokens, example = data.tokens(feature), int(data.feature_example[feature])
        row = example - int(owners[0])
        choosable, place = data.choosable(tokens), tokens.lo - lo
        here = slice(place, place + len(tokens))
        parts["token"].append(np.arange(len(tokens), dtype=np.int32))
        parts["char_start"].append(tokens.char_start)
        parts["char_end"].append(tokens.char_end)
        parts["start_prob"].append(softmax(start_logits[here], choosable))
        parts["end_prob"].append(softmax(end_logits[here], choosable))
        texts += data.token_texts(tokens)
        segments += [SEGMENTS[kind] for kind in tokens.segment.tolist()]
        ids += [data.examples[example].id] * len(tokens)
        if tokens.gold_start >= 0:
            marks["expected_start"][place + tokens.gold_start] = True
            marks["expected_end"][place + tokens.gold_end] = True
        if int(predicted["pred_feature"][row]) == feature and int(predicted["pred_start"][row]) >= 0:
            marks["predicted_start"][place + int(predicted["pred_start"][row])] = True
            marks["predicted_end"][place + int(predicted["pred_end"][row])] = True
    first = np.searchsorted(data.feature_example, owners)
    sizes = np.diff(data.token_offset[features[0] : features[-1] + 2])
    whole = {name: np.concatenate(values) for name, values in parts.items()}
    return pa.table(
        _moment(info, hi - lo)
        | {
            "example": pa.array(np.repeat(owners, sizes)),
            "id": pa.array(ids, pa.string()),
            "window": pa.array(np.repeat(np.arange(features[0], features[-1] + 1) - first, sizes).astype(np.int32)),
            "token": pa.array(whole["token"]),
            "text": pa.array(texts, pa.string()),
            "segment": pa.array(segments, pa.string()),
            "char_start": pa.array(whole["char_start"]),
            "char_end": pa.array(whole["char_end"]),
            "start_logit": _numbers(start_logits),
            "end_logit": _numbers(end_logits),
            "start_prob": _numbers(whole["start_prob"]),
            "end_prob": _numbers(whole["end_prob"]),
        }
        | {name: pa.array(values) for name, values in marks.items()}
    )


# -- the three kinds of file ----------------------------------------------------------------------------------------

Write = Callable[["pa.Table"], None]


@contextmanager
def _opened_by_first(make: Callable[[Any], Any]) -> Iterator[Write]:
    """Writes tables by the pyarrow writer that `make` opens for the schema of the first one."""
    writer: Any = None

    def write(table: pa.Table) -> None:
        nonlocal writer
        if writer is None:
            writer = make(table.schema)
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _parquet(file: IO[bytes]) -> Iterator[Write]:
    import pyarrow.parquet as pq

    with _opened_by_first(lambda schema: pq.ParquetWriter(file, schema, compression="zstd")) as write:
        yield write


@contextmanager
def _csv(file: IO[bytes]) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    options = csv.WriteOptions(quoting_style="needed")

    def inert(table: pa.Table) -> pa.Table:
        return pa.table(
            {
                name: pc.replace_substring_regex(column, FORMULA, INERT) if column.type == pa.string() else column
                for name, column in zip(table.column_names, table.columns, strict=True)
            }
        )

    with _opened_by_first(lambda schema: csv.CSVWriter(file, schema, write_options=options)) as write:
        yield lambda table: write(inert(table))


@contextmanager
def _json(file: IO[bytes]) -> Iterator[Write]:
    import msgspec

    opening = b"[\n"

    def write(table: pa.Table) -> None:
        nonlocal opening
        for row in table.to_pylist():
            file.write(opening + msgspec.json.encode(row))
            opening = b",\n"

    yield write
    file.write((b"" if opening == b",\n" else opening) + b"\n]\n")


WRITERS: dict[str, Callable[[IO[bytes]], AbstractContextManager[Write]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".json": _json,
}
"""How each ending of a file name is written."""
