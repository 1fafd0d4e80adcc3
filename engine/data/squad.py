"""Reads a data set: SQuAD v1.1 and v2.0, flat rows, exports of annotation tools; every fault with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.data.examples import (
    Answer,
    Dataset,
    Example,
    Fault,
    dump_examples,
    make_dataset,
    read_examples,
    seen_mask,
)
from engine.data.faults import Faults
from engine.data.samples import find_dataset
from engine.data.shapes import raw_questions, split_values
from engine.data.source import CHECK_HINT, read_values
from engine.data.split import split_by_context, split_by_question
from engine.data.validate import validate
from engine.errors import DataError

__all__ = [
    "Answer",
    "Dataset",
    "Example",
    "Fault",
    "dump_examples",
    "find_dataset",
    "load_dataset",
    "read_dataset",
    "read_examples",
    "seen_mask",
]


def load_dataset(
    path: str | Path,
    *,
    eval_path: str | Path | None = None,
    eval_fraction: float = 0.2,
    seed: int = 42,
    strict: bool = False,
) -> Dataset:
    """A validated data set, ready to learn from.

    The file's own split is used where it has one; with `eval_path` that file is the eval half; else
    `eval_fraction` of the passages are held out, chosen by `seed`. Raises DataError (one message) where a
    file can't be read, any question has an error, with `strict` also where one was repaired, or where there
    is nothing to learn from or to evaluate on.
    """
    path = find_dataset(path)
    dataset = read_dataset(path, eval_path=eval_path, eval_fraction=eval_fraction, seed=seed)
    bad = [f for f in dataset.faults if f.level == "error" or (strict and f.level == "repaired")]
    if bad:
        more = f" ({len(bad) - 1:,} more faults)" if len(bad) > 1 else ""
        fixed = "Fix the text or the offset" if bad[0].level == "error" else "Repairs are refused (strict)"
        raise DataError(
            f"{path.name}: {bad[0].place}: {bad[0].message}.{more}",
            hint=f"{fixed}, or run: bertqa-tui check {path} --repair fixed.json",
        )
    if not any(example.answers for example in dataset.train):
        if not dataset.train:
            raise DataError(f"{path.name}: there are no training questions.", hint=CHECK_HINT)
        raise DataError(f"{path.name}: no training question has an answer.", hint="Answers are needed to learn from.")
    if not dataset.eval:
        raise DataError(
            f"{Path(eval_path or path).name}: there are no questions to evaluate on.",
            hint="Add questions, or name a second file with --eval FILE.",
        )
    return dataset


def read_dataset(
    path: str | Path, *, eval_path: str | Path | None = None, eval_fraction: float = 0.2, seed: int = 42
) -> Dataset:
    """As `load_dataset`, but questions with errors are left out and told in `faults`, and halves may be empty.

    Raises DataError only where a file can't be read as data at all.
    """
    path = find_dataset(path)
    faults = Faults()
    parts, warning = split_values(read_values(path))
    if warning:
        faults.add("warning", "the file", warning)
    if eval_path is not None:
        second = find_dataset(eval_path)
        if "eval" in parts and "train" in parts:
            faults.add("warning", "the file", f"its own evaluation half gives way to {second.name}")
        train = _examples(parts.get("train", parts.get("all", parts.get("eval"))), "", faults)
        del parts
        others, warning = split_values(read_values(second))
        if warning:
            faults.add("warning", second.name, warning)
        evaluation = _examples(others.get("eval", others.get("all", others.get("train"))), second.name, faults)
    elif "train" in parts and "eval" in parts:
        train = _examples(parts.pop("train"), "train", faults)
        evaluation = _examples(parts.pop("eval"), "validation", faults)
    else:
        (values,) = parts.values()
        train, evaluation = _held_out(_examples(values, "", faults), eval_fraction, seed, faults)
    return make_dataset(train, evaluation, faults.all())


def _examples(values: Any, part: str, faults: Faults) -> list[Example]:
    return validate(raw_questions(values, part, faults), faults)


def _held_out(
    examples: list[Example], fraction: float, seed: int, faults: Faults
) -> tuple[list[Example], list[Example]]:
    train, evaluation = split_by_context(examples, fraction, seed)
    if not evaluation and len(examples) > 1:
        faults.add("warning", "the file", "has a single passage, so its questions are split and not its passages")
        train, evaluation = split_by_question(examples, fraction, seed)
    return train, evaluation
