"""`export --dataset`: verdicts applied to the user's data, as a new file, and never to the wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.config import RunConfig
from engine.data.examples import Answer, Example, dump_examples
from engine.data.run_data import load_run_data
from engine.data.squad import load_dataset
from engine.errors import DataError, UsageError, WriteError
from engine.export.dataset import change_lines, export_dataset
from engine.rundir.layout import RunDir, StartInfo, data_identity
from engine.rundir.verdicts import Half, give_verdict, read_verdicts, take_back
from tests.tiny_run import write_data


def start(folder: Path, *, second: bool = False, limit: int | None = None) -> RunDir:
    """A run as `launch.start` leaves it, on twelve questions a half."""
    write_data(folder / "data.json", 12)
    (folder / "eval.json").write_text(json.dumps(json.loads((folder / "data.json").read_text())["validation"]))
    paths = [folder / "data.json", *([folder / "eval.json"] if second else [])]
    config = RunConfig(
        dataset=str(paths[0]), eval=str(paths[1]) if second else None, snapshot_limit=limit, run_dir=str(folder / "run")
    )
    run = RunDir.create(folder / "run", config)
    data = load_run_data(config)
    run.examples_file.write_bytes(dump_examples(data.dataset))
    run.write_start(StartInfo(data=tuple(data_identity(path) for path in paths), allow_null=False))
    return run


def example(run: RunDir, half: Half, number: int) -> Example:
    dataset = load_dataset(run.config.dataset, eval_path=run.config.eval)
    return (dataset.train if half == "train" else dataset.eval)[number]


def judge(run: RunDir) -> None:
    """The first eval label is right, the next one becomes "days", one has no answer; a training question goes."""
    give_verdict(run, "validation", example(run, "validation", 0), "keep")
    second = example(run, "validation", 1)
    give_verdict(run, "validation", second, "replace", Answer("days", second.context.index("days")), by="model")
    give_verdict(run, "validation", example(run, "validation", 2), "unanswerable")
    give_verdict(run, "train", example(run, "train", 3), "drop")


def test_one_file_gets_every_verdict(tmp_path: Path) -> None:
    run = start(tmp_path)
    judge(run)
    before = (tmp_path / "data.json").read_bytes()
    done = export_dataset(run, tmp_path / "fixed.json")
    assert (tmp_path / "data.json").read_bytes() == before
    found = load_dataset(tmp_path / "fixed.json")
    assert [len(found.train), len(found.eval)] == [11, 12]
    assert "train-3" not in [item.id for item in found.train]
    assert [answer.text for item in found.eval[:4] for answer in item.answers] == ["honey 0", "days", "honey 3"]
    assert found.eval[2].is_impossible
    assert (done.layout, done.kept, done.source) == ("JSON", 1, str(tmp_path / "data.json"))
    lines = change_lines(done)
    assert "3 labels changed: 1 replaced, 1 without an answer, 1 dropped" in lines[0]
    assert any(
        'question "validation-1"' in line and '"honey 1" at' in line and '-> "days" at' in line for line in lines
    )
    assert any('question "train-3"' in line and line.endswith("-> dropped") for line in lines)


def test_nothing_is_overwritten_and_nothing_to_do_is_said(tmp_path: Path) -> None:
    run = start(tmp_path)
    with pytest.raises(UsageError, match="no verdict changes a label"):
        export_dataset(run, tmp_path / "fixed.json")
    give_verdict(run, "validation", example(run, "validation", 0), "keep")
    verdict = give_verdict(run, "train", example(run, "train", 0), "drop")
    with pytest.raises(WriteError, match="exists already"):
        export_dataset(run, tmp_path / "data.json")
    take_back(run, verdict)
    assert len(read_verdicts(run)) == 1
    with pytest.raises(UsageError, match="no verdict changes a label"):
        export_dataset(run, tmp_path / "fixed.json")
    assert not (tmp_path / "fixed.json").exists()


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    run = start(tmp_path)
    judge(run)
    path = tmp_path / "data.json"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(DataError, match="changed since the run read it"):
        export_dataset(run, tmp_path / "fixed.json")
    done = export_dataset(run, tmp_path / "fixed.json", from_run=True)
    assert (done.layout, done.source) == ("SQuAD JSON", "")
    assert len(load_dataset(tmp_path / "fixed.json").train) == 11


def test_a_file_that_is_gone_comes_from_the_run(tmp_path: Path) -> None:
    run = start(tmp_path, limit=6)
    give_verdict(run, "train", example(run, "train", 3), "drop")
    (tmp_path / "data.json").unlink()
    done = export_dataset(run, tmp_path / "fixed.json")
    found = load_dataset(tmp_path / "fixed.json")
    assert [len(found.train), len(found.eval)] == [11, 6]
    assert "is gone" in done.notes[0]
    assert "only the questions that it scored" in done.notes[1]


def test_two_files_are_written_one_after_the_other(tmp_path: Path) -> None:
    run = start(tmp_path, second=True)
    give_verdict(run, "validation", example(run, "validation", 2), "unanswerable")
    done = export_dataset(run, tmp_path / "eval-fixed.json")
    assert done.source == str(tmp_path / "eval.json")
    judge(run)
    with pytest.raises(UsageError, match="verdicts on both files"):
        export_dataset(run, tmp_path / "train-fixed.json")
    export_dataset(run, tmp_path / "train-fixed.json", "train")
    export_dataset(run, tmp_path / "eval-fixed-2.json", "validation")
    found = load_dataset(tmp_path / "train-fixed.json", eval_path=tmp_path / "eval-fixed-2.json")
    assert [len(found.train), len(found.eval)] == [11, 12]
    assert found.eval[1].answers[0].text == "days"
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="single file"):
        export_dataset(start(tmp_path / "other"), tmp_path / "x.json", "train")


def test_a_verdict_on_a_question_that_the_file_lacks(tmp_path: Path) -> None:
    run = start(tmp_path)
    strange = Example("nobody", "", "?", "A passage.", (Answer("A", 0),))
    give_verdict(run, "train", strange, "drop")
    for from_run in (False, True):
        with pytest.raises(DataError, match="no question 'nobody'"):
            export_dataset(run, tmp_path / "fixed.json", from_run=from_run)
