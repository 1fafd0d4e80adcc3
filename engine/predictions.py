"""Predictions for a file of questions: their scores where there are labels, and files as the official scripts read
them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from engine.config import F1Units
from engine.data.examples import Example
from engine.data.questions import QuestionPart
from engine.errors import WriteError
from engine.insight.metrics import percentage
from engine.insight.scoring import prepared
from engine.messages import Answer
from engine.storage.atomic_io import create_file, is_full


class PartScores(Struct, frozen=True):
    """EM and F1 (0 to 100) of the labelled questions of a split; those with and without an answer apart where there are
    both. `questions` counts them, `unlabelled` those that could not be scored."""

    name: str
    questions: int
    unlabelled: int
    exact_match: float
    f1: float
    has_answer: tuple[float, float, int] | None = None
    no_answer: tuple[float, float, int] | None = None


def score_part(
    part: QuestionPart, answers: Mapping[str, Answer], *, allow_null: bool, f1: F1Units = "auto"
) -> PartScores | None:
    """How well the questions of a split are answered; None where none of them has labels. SQuAD v2.0's rules where
    "no answer" may be right or predicted (`allow_null`)."""
    examples = [part.examples[number] for number in part.labelled]
    if not examples:
        return None
    golds = prepared(examples, allow_null=allow_null or any(e.is_impossible for e in examples), f1=f1)
    exact, overlap = golds.score([answers[example.id].text for example in examples])

    def mean(rows: Any) -> tuple[float, float, int]:
        return percentage(exact[rows]), percentage(overlap[rows]), int(np.count_nonzero(rows))

    has = golds.has_answer
    both = bool(has.any() and not has.all())
    return PartScores(
        part.name,
        len(examples),
        len(part.examples) - len(examples),
        percentage(exact),
        percentage(overlap),
        mean(has) if both else None,
        mean(~has) if both else None,
    )


def check_new(paths: Sequence[Path]) -> None:
    """Raise WriteError where one of the files exists, two are the same, or its folder is not there."""
    for number, path in enumerate(paths):
        if path.exists() or path.is_symlink():
            raise WriteError(f"{path}: exists already.", hint="Choose another name; nothing is overwritten.")
        if not path.absolute().parent.is_dir():
            raise WriteError(f"{path}: its folder is not there.", hint="Make the folder first.")
        if os.path.abspath(path) in map(os.path.abspath, paths[:number]):
            raise WriteError(f"{path}: is named twice.", hint="Choose a name for each file.")


def write_predictions(path: Path, examples: Sequence[Example], answers: Sequence[Answer]) -> None:
    """{id: text}, "" for no answer. Raises WriteError where the file exists or can't be written."""
    _write(path, {example.id: answer.text for example, answer in zip(examples, answers, strict=True)})


def write_n_best(path: Path, examples: Sequence[Example], answers: Sequence[Answer]) -> None:
    """{id: [candidates, best first]}. Raises as `write_predictions`."""
    _write(
        path,
        {
            example.id: [
                {
                    "text": one.text,
                    "probability": one.probability,
                    "start_logit": one.start_logit,
                    "end_logit": one.end_logit,
                    "char_start": one.char_start,
                    "char_end": one.char_end,
                }
                for one in answer.n_best
            ]
            for example, answer in zip(examples, answers, strict=True)
        },
    )


def write_null_odds(path: Path, examples: Sequence[Example], answers: Sequence[Answer]) -> None:
    """{id: the null answer's score less the best span's}. Raises as `write_predictions`."""
    _write(path, {example.id: answer.null_odds for example, answer in zip(examples, answers, strict=True)})


def _write(path: Path, values: dict[str, Any]) -> None:
    # Not a number and infinity are no JSON: msgspec writes null.
    data = msgspec.json.format(msgspec.json.encode(values), indent=1) + b"\n"
    try:
        create_file(path, data)
    except WriteError as error:
        if is_full(error):
            raise WriteError(error.message, hint="Make room, or name a file on another disk.") from error
        raise
