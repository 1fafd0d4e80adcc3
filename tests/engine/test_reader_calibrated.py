"""Answers are as probable as the checkpoint's calibration says, and "no answer" wins where it says so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.answering_model import decision_for, source_of
from engine.messages import Decision
from engine.reader import Reader
from engine.rundir.calibration import CALIBRATION, read_calibration, write_calibration
from engine.rundir.layout import RunDir
from tests.engine.test_learning_run import new_run, work
from tests.tiny_run import tiny_config

CONTEXT = "For the winter fever 7 take honey 7, then rest for 9 days."
QUESTION = "What do I take?"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    folder = tmp_path_factory.mktemp("calibrated")
    made = new_run(tiny_config(folder), folder / "run", epochs=1, early_snapshots=False)
    work(made)
    return made


@pytest.fixture
def folder(run: RunDir) -> Path:
    return run.checkpoints / "epoch-0001"


def change(folder: Path, **changes: Any) -> None:
    found = read_calibration(folder)
    assert found is not None
    write_calibration(folder, msgspec.structs.replace(found, **changes))


def test_the_temperature_beside_the_weights_is_used_by_default(run: RunDir, folder: Path) -> None:
    with Reader(run.path) as reader:
        change(folder, temperature=4.0)
        assert decision_for(reader.source) == Decision(temperature=4.0)
        warm = reader.answer(QUESTION, CONTEXT, n_best=3)
        plain = reader.answer(QUESTION, CONTEXT, n_best=3, decision=Decision())
        change(folder, temperature=1.0)  # read again
        again = reader.answer(QUESTION, CONTEXT, n_best=3)
    assert again.n_best == plain.n_best
    assert [one.score for one in warm.n_best] == [one.score for one in plain.n_best]
    assert warm.probability < plain.probability
    for one, two in ((0, 1), (1, 2)):
        ratio = np.log(warm.n_best[one].probability / warm.n_best[two].probability)
        assert ratio == pytest.approx((plain.n_best[one].score - plain.n_best[two].score) / 4, abs=1e-5)


def test_the_no_answer_threshold_decides_and_counts(run: RunDir, folder: Path) -> None:
    """At the threshold itself "no answer" is as probable as the best span."""
    with Reader(run.path, allow_null=True) as reader:
        odds = reader.answer(QUESTION, CONTEXT, decision=Decision()).null_odds
        assert odds is not None
        change(folder, temperature=1.0, no_answer_threshold=odds - 3.0)
        null = reader.answer(QUESTION, CONTEXT)
        change(folder, no_answer_threshold=odds + 3.0)
        span = reader.answer(QUESTION, CONTEXT)
        own = reader.answer(QUESTION, CONTEXT, decision=Decision(threshold=odds - 3.0))
    assert (null.text, null.char_start) == ("", -1)
    assert own == null
    assert span.text != ""
    for answer in (null, span):  # the answer is the most probable one, and first
        assert answer.n_best[0].text == answer.text
        assert answer.n_best[0].probability == pytest.approx(answer.probability)
        assert answer.probability == max(one.probability for one in answer.n_best)
        shares = {one.text: one.probability for one in answer.n_best}
        ratio = np.log(shares[""] / shares[span.text])
        assert ratio == pytest.approx(3.0 if answer is null else -3.0, abs=1e-4)


def test_a_checkpoint_without_one_gets_it_from_its_snapshot(run: RunDir, folder: Path) -> None:
    (folder / CALIBRATION).unlink()
    found = decision_for(source_of(run.path))
    stored = json.loads((folder / CALIBRATION).read_bytes())
    assert found == Decision(temperature=stored["temperature"])


def test_a_damaged_one_and_a_model_of_the_hub_count_as_none(run: RunDir, folder: Path) -> None:
    os.utime(folder / CALIBRATION, (1, 1))
    copy = folder.parent.parent.parent / "copy"
    copy.mkdir()
    (copy / CALIBRATION).write_text("{")
    for model in (str(copy), "deepset/roberta-base-squad2"):
        source = msgspec.structs.replace(source_of(run.path), model=model)
        assert decision_for(source) == Decision()
