"""Tables of a run: what other tools read from them, and what they never do."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.data.examples import dump_examples
from engine.errors import UsageError, WriteError
from engine.export import tables
from engine.export.contents import open_contents
from engine.export.kinds import Request, write_export
from engine.launch import attach
from engine.rundir.dynamics import read_dynamics
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import COLUMNS, Snapshot, snapshot_name
from engine.storage.atomic_io import replace_file
from tests.fake_run import fake_set, make_run

KINDS = ("parquet", "csv", "json")
EXAMPLES, SNAPSHOTS = 7, 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(
        tmp_path_factory.mktemp("runs"), examples=EXAMPLES, snapshots=SNAPSHOTS, windows=2, has_impossible=True
    )


def write_table(run: RunDir, path: Path, *, tokens: bool = False, passages: bool = False) -> str:
    return write_export(Request(run, path, tokens=tokens, passages=passages)).notes[0]


def _read_pandas(path: Path) -> dict[str, list[Any]]:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = getattr(pandas, f"read_{path.suffix[1:]}")(path)
    return {name: frame[name].tolist() for name in frame.columns}


def _read_polars(path: Path) -> dict[str, list[Any]]:
    polars = pytest.importorskip("polars", reason="Polars is not installed")
    frame = getattr(polars, f"read_{path.suffix[1:]}")(path)
    return dict(frame.to_dict(as_series=False))


def _read_duckdb(path: Path) -> dict[str, list[Any]]:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    with duckdb.connect() as connection:
        cursor = connection.execute(f"select * from '{path}'")
        rows = cursor.fetchall()
        return {column[0]: [row[at] for row in rows] for at, column in enumerate(cursor.description)}


def _missing(value: object) -> bool:
    return value is None or value != value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [_read_pandas, _read_polars, _read_duckdb])
def test_other_tools_open_the_spans(
    run: RunDir, tmp_path: Path, kind: str, read: Callable[[Path], dict[str, list[Any]]]
) -> None:
    path = tmp_path / f"spans.{kind}"
    assert write_table(run, path) == f"{EXAMPLES * SNAPSHOTS} rows, one for each example and snapshot"
    found = read(path)
    assert found["snapshot"] == [s for s in range(SNAPSHOTS) for _ in range(EXAMPLES)]
    assert found["id"] == [f"fake-{n}" for n in range(EXAMPLES)] * SNAPSHOTS
    assert found["label"][-1] == "epoch 2"
    assert [_missing(text) for text in found["expected"]] == [n % 4 == 3 for n in range(EXAMPLES)] * SNAPSHOTS
    assert found["answerable"] == [n % 4 != 3 for n in range(EXAMPLES)] * SNAPSHOTS
    for index in range(SNAPSHOTS):
        with Snapshot(run.path / snapshot_name(index)) as snapshot:
            rows = slice(index * EXAMPLES, (index + 1) * EXAMPLES)
            assert np.mean(found["f1"][rows]) * 100 == pytest.approx(snapshot.info.metrics.f1)
            assert np.mean(found["start_correct"][rows]) == pytest.approx(snapshot.info.metrics.start_accuracy)
            for name in ("score", "gold_start_prob", "iou"):
                assert found[name][rows] == pytest.approx(snapshot.column(name).tolist(), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [_read_pandas, _read_polars, _read_duckdb])
def test_other_tools_open_the_tokens(
    run: RunDir, tmp_path: Path, kind: str, read: Callable[[Path], dict[str, list[Any]]]
) -> None:
    path = tmp_path / f"tokens.{kind}"
    write_table(run, path, tokens=True)
    found = read(path)
    scores = attach(run.path).snapshot(2).scores("fake-1", window=1)
    rows = [
        row
        for row in range(len(found["id"]))
        if (found["snapshot"][row], found["id"][row], found["window"][row]) == (2, "fake-1", 1)
    ]
    assert [found["text"][row] for row in rows] == scores.tokens
    assert [found["start_logit"][row] for row in rows] == pytest.approx(scores.start_logits.tolist(), rel=1e-5)
    assert [found["segment"][row] for row in rows][:2] == ["special", "question"]
    marked = [at for at, row in enumerate(rows) if found["expected_start"][row]]
    assert marked == ([] if scores.gold is None else [scores.gold[0]])
    assert sum(found["end_prob"][row] for row in rows) == pytest.approx(1, abs=1e-4)


def test_every_column_of_snapshots_is_in_the_table(run: RunDir, tmp_path: Path) -> None:
    write_table(run, tmp_path / "spans.json")
    row = json.loads((tmp_path / "spans.json").read_text("utf-8"))[-1]
    assert {name for name in COLUMNS if not name.startswith("pred_")} <= set(row)
    assert "passage" not in row


def test_learned_and_forgotten_are_changes_since_the_snapshot_before(run: RunDir, tmp_path: Path) -> None:
    write_table(run, tmp_path / "spans.json")
    rows = json.loads((tmp_path / "spans.json").read_text("utf-8"))
    assert not any(row["learned"] or row["forgotten"] for row in rows[:EXAMPLES])
    for row, before in zip(rows[EXAMPLES:], rows, strict=False):
        assert row["id"] == before["id"]
        assert row["learned"] == (row["exact_match"] == 1 and before["exact_match"] < 1)
        assert row["forgotten"] == (row["exact_match"] < 1 and before["exact_match"] == 1)
    assert any(row["learned"] for row in rows)


def test_of_a_sample_there_are_rows_for_what_is_scored(tmp_path: Path) -> None:
    sampled = make_run(tmp_path, examples=10, snapshots=4, tokens=20, sampled=(1, 2))
    done = write_export(Request(sampled, tmp_path / "spans.json"))
    assert done.notes[-1] == "step 10, step 20: 2 of 10 scored, an even sample"
    rows = json.loads((tmp_path / "spans.json").read_text("utf-8"))
    counts = {index: sum(row["snapshot"] == index for row in rows) for index in range(4)}
    assert counts == {0: 10, 1: 2, 2: 2, 3: 10}
    assert {row["example"] for row in rows if row["snapshot"] == 1} == {0, 5}
    # Learned are those that were scored at the snapshot before, too.
    right = {(row["snapshot"], row["example"]): row["exact_match"] == 1 for row in rows}
    for row in rows:
        place = row["snapshot"] - 1, row["example"]
        assert row["learned"] == (place in right and not right[place] and row["exact_match"] == 1)
    assert any(row["learned"] for row in rows if row["snapshot"] == 1)
    write_export(Request(sampled, tmp_path / "tokens.json", tokens=True))
    tokens = json.loads((tmp_path / "tokens.json").read_text("utf-8"))
    assert {row["example"] for row in tokens if row["snapshot"] == 1} == {0, 5}
    assert all(row["start_logit"] is not None for row in tokens)


def test_tokens_come_in_pieces_of_bounded_size(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS", 200)
    with open_contents(run) as contents:
        pieces = list(tables.token_tables(contents))
        assert len(pieces) == 5 * SNAPSHOTS
        assert max(piece.num_rows for piece in pieces) <= 200
        assert sum(piece.num_rows for piece in pieces) == SNAPSHOTS * contents.eval_set.token_offset[-1]


HOSTILE = ["=1+1", "+49 30", "-5 °C", "@SUM(A1)", "a;=1+1", "\t=1", 'a "quoted", word', "two\nlines", "\n=2", "a = b-c"]
SAFE = ["'=1+1", "'+49 30", "'-5 °C", "'@SUM(A1)", "a;'=1+1", "'\t=1", 'a "quoted", word', "two\nlines", "\n'=2",
        "a = b-c"]  # fmt: skip


def test_no_text_is_a_formula_for_a_spreadsheet(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=len(HOSTILE), snapshots=1)
    made = fake_set(len(HOSTILE)).dataset
    renamed = [msgspec.structs.replace(e, question=text) for e, text in zip(made.eval, HOSTILE, strict=True)]
    replace_file(run.examples_file, dump_examples(msgspec.structs.replace(made, eval=tuple(renamed))))
    write_table(run, tmp_path / "spans.csv")
    with (tmp_path / "spans.csv").open(newline="", encoding="utf-8") as file:
        assert [row["question"] for row in csv.DictReader(file)] == SAFE
    write_table(run, tmp_path / "spans.json")
    assert [row["question"] for row in json.loads((tmp_path / "spans.json").read_text("utf-8"))] == HOSTILE


def test_passages_are_added_on_request(run: RunDir, tmp_path: Path) -> None:
    write_table(run, tmp_path / "spans.json", passages=True)
    row = json.loads((tmp_path / "spans.json").read_text("utf-8"))[0]
    assert row["passage"][row["predicted_start"] : row["predicted_end"]] == row["predicted"]


def test_nothing_is_overwritten(run: RunDir, tmp_path: Path) -> None:
    path = tmp_path / "spans.csv"
    path.write_text("mine")
    with pytest.raises(WriteError, match="exists already"):
        write_table(run, path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_that_can_not_be_finished_is_not_there(
    run: RunDir, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*_: object, **__: object) -> Any:
        with open_contents(run) as contents:
            yield from list(tables.span_tables(contents))[:1]
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "token_tables", torn)
    with pytest.raises(KeyboardInterrupt):
        write_table(run, tmp_path / f"spans.{kind}", tokens=True)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_ending_is_refused(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no export that ends with \.xlsx"):
        write_table(run, tmp_path / "spans.xlsx")


def test_a_run_without_snapshots_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=3, snapshots=0, live=True)
    with pytest.raises(UsageError, match="no snapshot yet"):
        write_table(run, tmp_path / "spans.csv")


def test_dynamics_are_those_of_the_run(run: RunDir, tmp_path: Path) -> None:
    write_table(run, tmp_path / "spans.json")
    rows = json.loads((tmp_path / "spans.json").read_text("utf-8"))
    found = read_dynamics(run)
    assert found is not None
    for at, row in enumerate(rows):
        number = at % EXAMPLES
        assert row["run_confidence"] == pytest.approx(float(found.confidence[number]), nan_ok=True)
        assert row["run_forgetting"] == found.forgetting[number]
        first = int(found.first_learned[number])
        assert row["run_first_learned"] == (None if first < 0 else first)
