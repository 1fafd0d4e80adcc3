"""Reads a data set: SQuAD v1.1 and v2.0, flat rows, exports of annotation tools; every issue with its place."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from engine.data.examples import (
    DataIssue,
    Dataset,
    Example,
    make_dataset,
)
from engine.data.formats.columns import SUGGESTED, parse_columns
from engine.data.formats.raw import RawQuestion
from engine.data.formats.registry import raw_questions, split_values
from engine.data.formats.source import read_values
from engine.data.formats.table import CHECK_HINT
from engine.data.issues import DataIssues
from engine.data.samples import find_dataset
from engine.data.split import split_by_context, split_by_question
from engine.data.validate import validate
from engine.errors import DataError


def load_dataset(
    path: str | Path,
    *,
    eval_path: str | Path | None = None,
    eval_fraction: float = 0.2,
    seed: int = 42,
    strict: bool = False,
    columns: str | None = None,
) -> Dataset:
    """A validated data set, ready to learn from.

    The file's own split is used where it has one; with `eval_path` that file is the eval half; else
    `eval_fraction` of the passages are held out, chosen by `seed`. `columns` names the columns of a table, as
    `--columns` does. Raises DataError (one message) where a file can't be read, any question has an error, with
    `strict` also where one was repaired, or where there is nothing to learn from or to evaluate on.
    """
    path = find_dataset(path)
    dataset = read_dataset(path, eval_path=eval_path, eval_fraction=eval_fraction, seed=seed, columns=columns)
    bad = [f for f in dataset.issues if f.level == "error" or (strict and f.level == "repaired")]
    if bad:
        more = f" ({len(bad) - 1:,} more issues)" if len(bad) > 1 else ""
        file, place = path, f"{path.name}: {bad[0].place}"
        if eval_path is not None and belongs_to(bad[0].place, Path(eval_path).name):
            file, place = find_dataset(eval_path), bad[0].place
        message = bad[0].message.partition(SUGGESTED)[0]  # the hint ends with it
        raise DataError(
            f"{place}: {message}.{more}",
            hint=_hint(bad[0], shlex.quote(str(file))),
        )
    lack = missing_requirements(dataset)
    if lack:
        name = Path(eval_path).name if eval_path and not dataset.eval else path.name
        raise DataError(f"{name}: {lack[0]}.", hint=lack[1])
    return dataset


def belongs_to(place: str, part: str) -> bool:
    """Whether an issue's place lies in the part of that name (a second file)."""
    return place == part or place.startswith(f"{part}: ")


def _hint(issue: DataIssue, file: str) -> str:
    """What to do about the first issue of a file."""
    if issue.kind == "columns":
        option = issue.message.partition(SUGGESTED)[2]
        return f"Try: bertqa-tui check {file}{' --columns ' + option if option else ' with the right --columns'}"
    if issue.kind == "no answer" and issue.id is None and issue.level == "error":
        return 'Mark them "is_impossible": true if that is what is meant.'
    fixed = "Fix the text or the offset" if issue.level == "error" else "Repairs are refused (strict)"
    return f"{fixed}, or run: bertqa-tui check {file} --repair fixed.json"


def missing_requirements(dataset: Dataset) -> tuple[str, str] | None:
    """Why nothing can be learned from the data set, with a hint; None where all is well."""
    if not dataset.train:
        return "there are no training questions", CHECK_HINT
    if not any(example.answers for example in dataset.train):
        hint = "Answers are needed to learn from; to be scored on such questions alone, give the file with --eval."
        return "no training question has an answer", hint
    if not dataset.eval:
        return "there are no questions to evaluate on", "Add questions, or name a second file with --eval FILE."
    return None


def read_dataset(
    path: str | Path,
    *,
    eval_path: str | Path | None = None,
    eval_fraction: float = 0.2,
    seed: int = 42,
    columns: str | None = None,
) -> Dataset:
    """As `load_dataset`, but questions with errors are left out and reported in `issues`, and halves may be empty.

    Raises DataError only where a file can't be read as data at all.
    """
    path = find_dataset(path)
    issues = DataIssues()
    if eval_path is not None:
        second = find_dataset(eval_path)
        halves = read_halves(path, issues, use=("train", "all", "eval"), columns=columns)
        others = read_halves(second, issues, use=("eval", "all", "train"), part=second.name, columns=columns)
        (train,), (evaluation,) = halves.values(), others.values()
    else:
        halves = read_halves(path, issues, columns=columns)
        if len(halves) == 2:
            train, evaluation = halves["train"], halves["eval"]
        else:
            (examples,) = halves.values()
            train, evaluation = _held_out(examples, eval_fraction, seed, issues)
    return make_dataset(train, evaluation, issues.all(), issues.notes)


def read_halves(
    path: Path, issues: DataIssues, *, use: tuple[str, ...] = (), part: str = "", columns: str | None = None
) -> dict[str, list[Example]]:
    """The usable examples of a file: {"train": …, "eval": …}, one of them, or {"all": …} without a split.

    `use` names, best first, which single one is wanted; `part` keeps the file's places apart from another's.
    """
    return examples_of(read_values(path), issues, use=use, part=part, columns=columns)


def examples_of(
    values: Any,
    issues: DataIssues,
    *,
    use: tuple[str, ...] = (),
    part: str = "",
    columns: str | None = None,
    origins: dict[str, list[list[RawQuestion]]] | None = None,
) -> dict[str, list[Example]]:
    """As `read_halves`, of a file's content as plain values. `origins` gets what each example was made of, by half."""
    named = parse_columns(columns)
    parts, warning = split_values(values)
    if use and len(parts) == 2:
        parts = {use[0]: parts[use[0]]}
        warning = f"only its {SPLIT_NAMES[use[0]]} half is used"
    if warning:
        issues.add("warning", part or "the file", warning)
    several = len(parts) > 1
    return {
        role: validate(
            raw_questions(values, part or (SPLIT_NAMES[role] if several else ""), issues, named, own_names=bool(part)),
            issues,
            origins=None if origins is None else origins.setdefault(role, []),
        )
        for role, values in parts.items()
    }


SPLIT_NAMES = {"train": "train", "eval": "validation", "all": ""}


def _held_out(
    examples: list[Example], fraction: float, seed: int, issues: DataIssues
) -> tuple[list[Example], list[Example]]:
    train, evaluation = split_by_context(examples, fraction, seed)
    if not evaluation and len(examples) > 1:
        issues.add("warning", "the file", "has a single passage, so its questions are split and not its passages")
        train, evaluation = split_by_question(examples, fraction, seed)
    return train, evaluation
