"""`bertqa-tui suspects` and `export --dataset`, as scripts and people see them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from engine.data.examples import Answer, read_examples, split_bytes
from engine.rundir.layout import RunDir, StartInfo, data_identity
from engine.rundir.verdicts import give_verdict
from tests.fake_run import make_run
from tui.cli.main import main


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make_run(tmp_path, examples=24, snapshots=5, tokens=40)


def test_lists_for_scripts(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["suspects", str(run.path), "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    examples = {example.id: example for example in read_examples(run.examples_file).eval}
    assert {record["list"] for record in records} == {"wrong place", "wrong boundary"}
    for record in records:
        example = examples[record["id"]]
        assert record["offset"] == example.answers[0].start
        assert record["label"] == example.answers[0].text
        assert record["label"] in record["reason"]
        assert (record["half"], record["file"]) == ("validation", run.config.dataset)
        if record["answer"]:
            assert example.context.startswith(record["answer"], record["answer_offset"])
    places = [record for record in records if record["list"] == "wrong place"]
    assert [record["rank"] for record in places] == list(range(1, len(places) + 1))
    assert [record["score"] for record in places] == sorted((record["score"] for record in places), reverse=True)
    assert main(["suspects", str(run.path), "--csv", "--limit", "3"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 6
    assert [row["id"] for row in rows[:3]] == [record["id"] for record in places[:3]]


def test_a_table_for_people_and_verdicts_leave_it(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["suspects", str(run.path), "--limit", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"wrong place, validation examples of {run.config.dataset}"
    first = lines[1].split()[1]
    example = next(item for item in read_examples(run.examples_file).eval if item.id == first)
    give_verdict(run, "validation", example, "keep")
    assert main(["suspects", str(run.path), "--limit", "2"]) == 0
    assert first not in capsys.readouterr().out


def test_hostile_text_is_harmless(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    data = run.examples_file.read_bytes()
    run.examples_file.write_bytes(data.replace(b'"fake-', b'"\\u001b]0;x\\u0007fake-'))
    assert main(["suspects", str(run.path)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_what_can_not_be_listed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, examples=4, snapshots=1, tokens=40)
    assert main(["suspects", str(run.path)]) == 2
    assert "no epoch is done" in capsys.readouterr().err
    assert main(["suspects", str(run.path), "--json", "--csv"]) == 2


def test_corrected_data(run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = read_examples(run.examples_file)
    path = tmp_path / "data.json"
    path.write_bytes(split_bytes(dataset))
    run.write_start(StartInfo(data=(data_identity(path),), allow_null=False))
    run.run_file.unlink()
    out = tmp_path / "fixed.json"
    assert main(["export", str(run.path), "--dataset", str(out)]) == 2
    assert "no verdict changes a label" in capsys.readouterr().err
    first = dataset.eval[0]
    word = first.context.split()[0]
    give_verdict(run, "validation", first, "replace", Answer(word, 0))
    assert main(["export", str(run.path), "--dataset", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "1 label changed: 1 replaced" in printed
    assert f'"{first.answers[0].text}" at {first.answers[0].start} -> "{word}" at 0' in printed
    assert main(["export", str(run.path), "--dataset", str(out)]) == 73
    assert main(["check", str(out)]) == 0
    assert main(["export", str(run.path), "--dataset", str(out), "-o", "x"]) == 2
    assert main(["export", str(run.path), "--half", "train"]) == 2
