"""The user's verdicts on labels, one file each in the run's folder.

A verdict is a file of its own, renamed into place and never changed: several viewers on several hosts may judge at
once, beside a live engine, without a lock. Of the verdicts on one example the newest counts; taking one back is a
record too, so that nothing that was judged is lost.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from engine.data.examples import Answer, Example
from engine.data.write_back.labels import Correction
from engine.errors import UsageError
from engine.rundir.layout import RunDir
from engine.storage.atomic_io import make_folder, replace_file
from engine.storage.safe_open import read_small

Half = Literal["train", "validation"]
Action = Literal["keep", "replace", "unanswerable", "drop"]
ACTIONS: tuple[Action, ...] = get_args(Action)
UNDO = "undo"
SCHEMA = 1
MAX_RECORD = 1 << 20
FAR_FUTURE = 1 << 62
"""No clock names a file so (the year 2116, in nanoseconds): such a name is forged, or damaged."""

Key = tuple[str, str]
"""Half and id of an example: ids are unique within a half."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What the user decided about one label.

    `answer` is the right one where `action` is "replace", `by` who gave it (model or hand); `label` holds the golds as
    they were judged. A record with the action "undo" takes back the verdict named `undoes`. `name` is the file's.
    """

    action: str
    half: str = ""
    example: str = ""
    answer: Answer | None = None
    by: Literal["model", "hand"] = "hand"
    label: tuple[Answer, ...] = ()
    undoes: str = ""
    time: float = 0.0
    schema: int = SCHEMA
    name: str = ""

    @property
    def key(self) -> Key:
        return self.half, self.example


@dataclass(frozen=True)
class Verdicts:
    """All records of a run by name, and the names of files that hold none that this version can read."""

    records: Mapping[str, Verdict] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()

    @cached_property
    def current(self) -> Mapping[Key, Verdict]:
        """The verdict that counts on each example that has one, oldest first."""
        undone = {record.undoes for record in self.records.values() if record.action == UNDO}
        counting: dict[Key, Verdict] = {}
        for name in sorted(self.records):
            record = self.records[name]
            if record.action in ACTIONS and name not in undone:
                counting.pop(record.key, None)
                counting[record.key] = record
        return counting

    def of(self, half: Half, example: str) -> Verdict | None:
        """The verdict that counts on an example."""
        return self.current.get((half, example))

    def __len__(self) -> int:
        return len(self.current)


def read_verdicts(run: RunDir, known: Verdicts | None = None) -> Verdicts:
    """The verdicts of a run; `known` itself where nothing was added. Files that hold no verdict, or an action of a
    newer version, are left out and counted in `unreadable`."""
    known = known or Verdicts()
    names = _names(run)
    records = {name: known.records[name] for name in names if name in known.records}
    unreadable = set()
    for name in names:
        if name in records:
            continue
        try:
            record = msgspec.json.decode(read_small(run.verdicts / f"{name}.json", MAX_RECORD), type=Verdict)
        except (OSError, ValueError, RecursionError):
            unreadable.add(name)
            continue
        if record.action not in (*ACTIONS, UNDO) or (record.action == "replace" and record.answer is None):
            unreadable.add(name)
        else:
            records[name] = msgspec.structs.replace(record, name=name)
    if records.keys() == known.records.keys() and unreadable == known.unreadable:
        return known
    return Verdicts(records, frozenset(unreadable))


def give_verdict(
    run: RunDir,
    half: Half,
    example: Example,
    action: Action,
    answer: Answer | None = None,
    *,
    by: Literal["model", "hand"] = "hand",
) -> Verdict:
    """Write a verdict on an example's label; it is on the disk when this returns.

    Raises UsageError for an answer that does not stand in the passage, WriteError where it can't be written.
    """
    if action == "replace":
        answer = checked_answer(example, answer)
    elif answer is not None:
        raise UsageError(f"a verdict {action!r} takes no answer.")
    return _write(
        run,
        Verdict(
            action=action, half=half, example=example.id, answer=answer, by=by, label=example.answers, time=time.time()
        ),
    )


def take_back(run: RunDir, verdict: Verdict) -> None:
    """Undo a verdict: the one before it on the same example counts again. Raises WriteError."""
    _write(run, Verdict(action=UNDO, half=verdict.half, example=verdict.example, undoes=verdict.name, time=time.time()))


def checked_answer(example: Example, answer: Answer | None) -> Answer:
    """The answer without white space at its edges. Raises UsageError where it does not stand in the passage."""
    text = answer.text.strip() if answer is not None else ""
    if answer is None or not text:
        raise UsageError("an answer must hold more than white space.", hint="Choose a span of the passage.")
    start = answer.start + len(answer.text) - len(answer.text.lstrip())
    if start < 0 or not example.context.startswith(text, start):
        raise UsageError(f"the answer does not stand at character {start} of the passage.")
    return Answer(text, start)


def correction_of(verdict: Verdict) -> Correction | None:
    """What becomes of the label; None where it stays."""
    label = verdict.label[0] if verdict.label else None
    match verdict.action:
        case "drop":
            return Correction(drop=True)
        case "unanswerable" if verdict.label:
            return Correction(label)
        case "replace" if verdict.answer is not None and verdict.answer != label:
            return Correction(label, verdict.answer)
        case _:
            return None


def judged_wrong(verdicts: Verdicts, half: Half, examples: Sequence[Example]) -> dict[int, bool]:
    """Whether the label was judged wrong (changed, or its question dropped), by number of the example; for those of
    `examples` that have a verdict."""
    if not len(verdicts):
        return {}
    numbers = {example.id: number for number, example in enumerate(examples)}
    return {
        numbers[verdict.example]: verdict.action != "keep"
        for verdict in verdicts.current.values()
        if verdict.half == half and verdict.example in numbers
    }


def _write(run: RunDir, record: Verdict) -> Verdict:
    make_folder(run.verdicts)
    # Names give the order: a clock that was set back must not put a new verdict before an old one.
    numbers = (int(name[:20]) for name in _names(run))
    newest = max((number for number in numbers if number < FAR_FUTURE), default=0)
    name = f"{max(time.time_ns(), newest + 1):020}-{secrets.token_hex(4)}"
    record = msgspec.structs.replace(record, name=name)
    replace_file(run.verdicts / f"{name}.json", msgspec.json.encode(record) + b"\n")
    return record


def _names(run: RunDir) -> list[str]:
    """Names of the records in the run's folder, oldest first."""
    try:
        if run.verdicts.is_symlink():
            return []
        with os.scandir(run.verdicts) as entries:
            stems = [entry.name.removesuffix(".json") for entry in entries if entry.name.endswith(".json")]
    except OSError:
        return []
    return sorted(stem for stem in stems if stem[:20].isdecimal() and stem[20:21] == "-")
