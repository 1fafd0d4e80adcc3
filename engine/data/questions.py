"""Reads a file of questions to be answered, with or without labels, in every layout that a data set may have."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from engine.data.examples import DataIssue, Example
from engine.data.formats.columns import parse_columns
from engine.data.formats.registry import raw_questions, split_values
from engine.data.formats.source import read_values
from engine.data.issues import DataIssues
from engine.data.samples import find_dataset
from engine.data.squad import SPLIT_NAMES
from engine.data.validate import validate
from engine.errors import DataError


class QuestionPart(Struct, frozen=True):
    """The questions of one split of a file, or of the whole file (`name` is "" then); ids are unique in the file.

    `unlabelled` are the ids of those whose answers are not known: what is predicted for them can't be scored.
    """

    name: str
    examples: tuple[Example, ...]
    unlabelled: frozenset[str]

    @property
    def labelled(self) -> list[int]:
        """Numbers of the examples that can be scored."""
        return [number for number, example in enumerate(self.examples) if example.id not in self.unlabelled]


class QuestionFile(Struct, frozen=True):
    """All questions of a file, split by split; `issues` say what can't be asked (errors) and what was noticed."""

    parts: tuple[QuestionPart, ...]
    issues: tuple[DataIssue, ...]

    @property
    def examples(self) -> list[Example]:
        return [example for part in self.parts for example in part.examples]


def read_questions(path: str | Path, split: str | None = None, columns: str | None = None) -> QuestionFile:
    """Every question of a file that has a passage; of the split `train` or `validation` alone where it is named.

    `columns` names the columns of a table, as `--columns` does.

    Raises DataError where the file can't be read as data, or no question can be asked.
    """
    path = find_dataset(path)
    issues = DataIssues()
    named = parse_columns(columns)
    values, _ = split_values(read_values(path))
    parts = []
    taken: set[str] = set()
    for role, part in values.items():
        name = SPLIT_NAMES[role]
        if split is not None and name != split:
            continue
        unlabelled: set[str] = set()
        examples = validate(raw_questions(part, name, issues, named), issues, unlabelled=unlabelled)
        repeated = [example.id for example in examples if example.id in taken]
        if repeated:
            raise DataError(
                f"{path.name}: the id {repeated[0]!r} stands in several splits ({len(repeated):,} such ids).",
                hint="Predictions go by id: choose one with --split train or --split validation.",
            )
        taken |= {example.id for example in examples}
        parts.append(QuestionPart(name, tuple(examples), frozenset(unlabelled)))
    if split is not None and not parts:
        there = ", ".join(name for role in values if (name := SPLIT_NAMES[role])) or "none"
        raise DataError(f"{path.name}: has no split named {split}; its splits: {there}.")
    found = QuestionFile(tuple(parts), tuple(issues.all()))
    if not found.examples:
        errors = [issue for issue in found.issues if issue.level == "error"]
        why = f": {errors[0].place}: {errors[0].message}" if errors else ""
        raise DataError(f"{path.name}: has no question to answer{why}.")
    return found
