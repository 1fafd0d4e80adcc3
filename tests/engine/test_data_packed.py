"""Gzip files of every kind are read; bombs, damaged files and workbooks are refused in words."""

from __future__ import annotations

import gzip
import json
import zipfile
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.data.examples import Answer
from engine.data.formats.source import read_values
from engine.data.squad import read_dataset
from engine.errors import DataError

ROW = {"context": "Honey soothes a cough.", "question": "What?", "answer_text": "Honey", "answer_start": 0}


def content(kind: str, folder: Path) -> bytes:
    """One question as a file of some kind."""
    qa = {"qid": "q", "question": "What?", "detected_answers": [{"text": "Honey", "char_spans": [[0, 4]]}]}
    mrqa = [{"header": {"dataset": "x"}}, {"context": ROW["context"], "qas": [qa]}]
    match kind:
        case "csv":
            return ("context,question,answer_text,answer_start\n" + ",".join(map(str, ROW.values())) + "\n").encode()
        case "parquet":
            pq.write_table(pa.Table.from_pylist([ROW]), folder / "plain.parquet")
            return (folder / "plain.parquet").read_bytes()
        case "mrqa":
            return "\n".join(map(json.dumps, mrqa)).encode()
        case "jsonl":
            return (json.dumps(ROW) + "\n").encode()
        case _:
            return json.dumps([ROW]).encode()


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet", "mrqa"])
def test_gzip_of_every_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"set.{kind}.gz"
    path.write_bytes(gzip.compress(content(kind, tmp_path)))
    dataset = read_dataset(path)
    (example,) = (*dataset.train, *dataset.eval)
    assert example.answers == (Answer("Honey", 0),)


def test_a_bomb_a_torn_file_and_gzip_in_gzip(tmp_path: Path) -> None:
    path = tmp_path / "set.json.gz"
    path.write_bytes(gzip.compress(bytes(120_000_000)))
    with pytest.raises(DataError, match="unpacks to more than"):
        read_values(path)
    whole = gzip.compress(content("json", tmp_path))
    path.write_bytes(whole[:-9])
    with pytest.raises(DataError, match="not a whole gzip file"):
        read_values(path)
    path.write_bytes(gzip.compress(whole))
    with pytest.raises(DataError):
        read_values(path)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, 60))
def test_any_bytes_end_in_words(tmp_path: Path, noise: bytes, place: int) -> None:
    whole = gzip.compress(content("json", tmp_path))
    path = tmp_path / "set.gz"
    for data in (whole[:place] + noise + whole[place:], b"\x1f\x8b" + noise, gzip.compress(noise)):
        path.write_bytes(data)
        with suppress(DataError):
            read_dataset(path)


def test_a_workbook_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "set.xlsx"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(DataError, match="an Excel workbook is not read") as caught:
        read_values(path)
    assert "CSV" in str(caught.value.hint)
