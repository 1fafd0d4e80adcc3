"""The lists of suspicious labels as records: where each stands in the user's file, and why it is listed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from engine.data.examples import Example, read_examples
from engine.errors import UsageError
from engine.export.spreadsheet import inert
from engine.insight.dynamics import Dynamics
from engine.insight.suspects import Suspect, reason, wrong_boundary, wrong_place
from engine.rundir.dynamics import read_dynamics
from engine.rundir.layout import RunDir
from engine.rundir.verdicts import Half, judged_wrong, read_verdicts

HALVES: dict[Half, Literal["eval", "train"]] = {"validation": "eval", "train": "train"}
LISTS = {"place": "wrong place", "boundary": "wrong boundary"}
"""The lists by kind, with their names."""


class SuspectRecord(Struct, frozen=True):
    """One entry of a list. `offset` and `answer_offset` count code points of the passage, -1 for no answer; `answer` is
    the model's, None where it never preferred another one."""

    list: str
    rank: int
    score: float
    half: str
    file: str
    id: str
    question: str
    label: str | None
    offset: int
    answer: str | None
    answer_offset: int
    probability: float | None
    reason: str


def suspect_records(run: RunDir, limit: int | None = None) -> list[SuspectRecord]:
    """Both lists of each half that was scored, at most `limit` entries each; labels with a verdict are left out, and
    the others ranked in the light of the verdicts.

    Raises UsageError where no epoch is done.
    """
    records: list[SuspectRecord] = []
    for half, role in HALVES.items():
        try:
            dynamics = read_dynamics(run, role)
        except FileNotFoundError:
            continue
        if dynamics is None:
            continue
        dataset = read_examples(run.examples_file)
        examples = dataset.eval if role == "eval" else dataset.train
        verdicts = judged_wrong(read_verdicts(run), half, examples)
        file = (run.config.eval if role == "eval" else None) or run.config.dataset
        for suspects in (wrong_place(dynamics, verdicts), wrong_boundary(dynamics, verdicts)):
            for rank, suspect in enumerate(suspects[:limit], 1):
                records.append(_record(suspect, rank, half, file, examples[suspect.example], dynamics))
    if not records:
        raise UsageError(f"{run.path}: no epoch is done, so nothing is known of its labels yet.")
    return records


def _record(suspect: Suspect, rank: int, half: Half, file: str, example: Example, dynamics: Dynamics) -> SuspectRecord:
    label = example.answers[0] if example.answers else None
    start, end = suspect.answer or (-1, -1)
    return SuspectRecord(
        list=LISTS[suspect.kind],
        rank=rank,
        score=round(suspect.score, 4),
        half=half,
        file=file,
        id=example.id,
        question=example.question,
        label=label.text if label else None,
        offset=label.start if label else -1,
        answer=None if suspect.answer is None else example.context[start:end] if start >= 0 else "",
        answer_offset=start,
        probability=round(suspect.probability, 4) if suspect.answer is not None else None,
        reason=reason(suspect, dynamics, example.context, label.text if label else None),
    )


def json_lines(records: Sequence[SuspectRecord]) -> str:
    """A JSON object a line."""
    return "".join(msgspec.json.encode(record).decode() + "\n" for record in records)


def csv_text(records: Sequence[SuspectRecord]) -> str:
    """A table with a heading; None is an empty cell, and no text a formula for a spreadsheet."""
    out = io.StringIO()
    writer = csv.DictWriter(out, SuspectRecord.__struct_fields__, lineterminator="\n")
    writer.writeheader()
    for record in records:
        row = msgspec.structs.asdict(record)
        writer.writerow({name: inert(value) if isinstance(value, str) else value for name, value in row.items()})
    return out.getvalue()
