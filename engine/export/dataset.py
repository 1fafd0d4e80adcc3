"""The user's data set with the verdicts of a run applied to its labels, as a new file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from engine.data.examples import Answer, Example, read_examples
from engine.data.issues import excerpt
from engine.data.write_back.labels import Correction
from engine.data.write_back.rewrite import Rewritten, corrected_half, rewrite, squad_content
from engine.errors import DataError, UsageError
from engine.rundir.layout import DataIdentity, RunDir, data_identity
from engine.rundir.verdicts import Half, Verdict, correction_of, read_verdicts
from engine.storage.atomic_io import create_file

ROLES: Mapping[Half, str] = {"train": "train", "validation": "eval"}
FROM_RUN = "--from-run writes SQuAD JSON from the run's own copy of the data."


class Change(Struct, frozen=True):
    """One label that was changed: where its question stands, what the label was, and what it is now (None: the passage
    has no answer)."""

    action: str
    place: str
    before: Answer | None
    after: Answer | None


class Exported(Struct, frozen=True):
    """What was written: the new file, the one it was made from ("" for the run's own copy), what it is in words, why
    it is not in the user's layout, and each change. `kept` counts labels that were found right."""

    path: str
    source: str
    layout: str
    notes: tuple[str, ...]
    changes: tuple[Change, ...]
    kept: int


def export_dataset(run: RunDir, out: Path, half: Half | None = None, *, from_run: bool = False) -> Exported:
    """Write the data set of a run with its verdicts applied to the new file `out`.

    A run with a second file of evaluation examples has two files: `half` says whose is written, by default the one
    that has verdicts. The user's own file is read again and written in its own layout, with the labels concerned
    changed; where it is gone, or with `from_run`, the run's copy is written as SQuAD JSON.

    Raises UsageError where no verdict changes a label or `half` must be said, DataError where the user's file is not
    the one that the run read, WriteError where `out` exists or can't be written.
    """
    verdicts = list(read_verdicts(run).current.values())
    two_files = run.config.eval is not None
    if two_files:
        half = half or _half_with_verdicts(verdicts)
        verdicts = [verdict for verdict in verdicts if verdict.half == half]
    elif half is not None:
        raise UsageError("--half is for a run with a file of its own for evaluation; this one has a single file.")
    corrections = {verdict: found for verdict in verdicts if (found := correction_of(verdict)) is not None}
    if not corrections:
        raise UsageError(
            f"{run.path}: no verdict changes a label{f' of the {half} half' if two_files else ''}.",
            hint="Judge some in the app first: 4 lists the suspects.",
        )
    by_key = {(ROLES[_known(verdict.half)], verdict.example): found for verdict, found in corrections.items()}
    identity = _identity(run, second=half == "validation" and two_files)
    notes: list[str] = []
    if not from_run and Path(identity.path).exists():
        _refuse_changed(identity)
        use = {"train": ("train", "all", "eval"), "validation": ("eval", "all", "train")}[half] if half else ()
        made = rewrite(Path(identity.path), by_key, use=use, columns=run.config.columns)
        if made.fallback:
            notes.append(f"SQuAD JSON and not the file's own layout: {made.fallback}")
    else:
        if not from_run:
            notes.append(f"{identity.path} is gone: made from the run's own copy")
        made = _from_run(run, by_key, half)
        if run.config.snapshot_limit is not None and half != "train":
            notes.append("of the evaluation half the run holds only the questions that it scored")
    create_file(out, made.content)
    changes = tuple(_change(verdict, made.places[key]) for verdict, key in zip(corrections, by_key, strict=True))
    source = identity.path if not (from_run or any("is gone" in note for note in notes)) else ""
    kept = sum(verdict.action == "keep" for verdict in verdicts)
    return Exported(str(out), source, made.layout, tuple(notes), changes, kept)


def change_lines(done: Exported) -> list[str]:
    """What was changed, as plain text. Holds text from the data: show it with care."""
    counts = Counter(change.action for change in done.changes)
    words = {"replace": "replaced", "unanswerable": "without an answer", "drop": "dropped"}
    parts = [f"{counts[action]:,} {word}" for action, word in words.items() if counts[action]]
    what = "label" if len(done.changes) == 1 else "labels"
    lines = [f"{done.path}: {done.layout}, {len(done.changes):,} {what} changed: {', '.join(parts)}"]
    if done.kept:
        lines.append(f"{done.kept:,} labels judged right, and kept")
    lines += [f"note: {note}" for note in done.notes]
    for change in done.changes:
        lines.append(f"{change.place}: {_words(change.before)} -> {_after(change)}")
    return lines


def _after(change: Change) -> str:
    return "dropped" if change.action == "drop" else _words(change.after)


def _words(answer: Answer | None) -> str:
    return "no answer" if answer is None else f"{excerpt(answer.text)} at {answer.start}"


def _change(verdict: Verdict, place: str) -> Change:
    before = verdict.label[0] if verdict.label else None
    return Change(verdict.action, place, before, verdict.answer if verdict.action == "replace" else None)


def _known(half: str) -> Half:
    return "train" if half == "train" else "validation"


def _half_with_verdicts(verdicts: Iterable[Verdict]) -> Half:
    halves = {_known(verdict.half) for verdict in verdicts if correction_of(verdict) is not None}
    if len(halves) > 1:
        raise UsageError(
            "there are verdicts on both files of this run.", hint="Write one after the other: --half train|validation."
        )
    return halves.pop() if halves else "validation"


def _identity(run: RunDir, *, second: bool) -> DataIdentity:
    """The file that the run read, as it was then."""
    known = run.info or run.start_info
    if known is None or len(known.data) <= second:
        raise DataError(f"{run.path}: the run does not say which file it read.", hint=FROM_RUN)
    return known.data[second]


def _refuse_changed(identity: DataIdentity) -> None:
    try:
        now = data_identity(Path(identity.path))
    except OSError as error:
        raise DataError(f"{identity.path}: can't be read: {error.strerror}.", hint=FROM_RUN) from None
    if now.sha256 != identity.sha256:
        raise DataError(
            f"{identity.path}: the file changed since the run read it ({identity.size:,} bytes then, {now.size:,} "
            "now), so the verdicts may not be on what it says now.",
            hint=f"Put it back, or: {FROM_RUN}",
        )


def _from_run(run: RunDir, corrections: Mapping[tuple[str, str], Correction], half: Half | None) -> Rewritten:
    """The run's own copy of the data, corrected, as SQuAD JSON."""
    dataset = read_examples(run.examples_file)
    stored: dict[str, Sequence[Example]] = {"train": dataset.train, "eval": dataset.eval}
    if half is not None:
        stored = {ROLES[half]: stored[ROLES[half]]}
    known = {(role, example.id) for role, examples in stored.items() for example in examples}
    if missing := corrections.keys() - known:
        raise DataError(f"{run.examples_file}: it has no question {min(missing)[1]!r}.")
    halves = {
        role: corrected_half(examples, {ident: c for (of, ident), c in corrections.items() if of == role})
        for role, examples in stored.items()
    }
    places = {key: f"question {excerpt(key[1])}" for key in corrections}
    return Rewritten(squad_content(halves), "SQuAD JSON", places)
