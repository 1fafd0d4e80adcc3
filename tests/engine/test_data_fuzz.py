"""Whatever a file holds, reading it ends: with examples, or with one DataError."""

from __future__ import annotations

import io
import json
import tracemalloc
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config import RunConfig
from engine.data.check import check_dataset, repair_dataset
from engine.data.check_text import report_lines
from engine.data.examples import Dataset, dump_examples, read_examples
from engine.data.repair import align
from engine.data.squad import load_dataset, read_dataset
from engine.errors import DataError, WriteError

CONTEXT = "Keep warm 😀 and dry.\r\nRest — a day."
KEYS = [
    "data", "title", "paragraphs", "context", "qas", "question", "id", "answers", "answer", "text", "answer_start",
    "start", "end", "is_impossible", "train", "validation", "test", "annotations", "result", "value",
    "detected_answers",
    "char_spans", "header", "globalOffsets", "was_cancelled", "answer_category", "passage", "label",
]  # fmt: skip

fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.sampled_from(
        ["", "warm", " warm ", "nan", "True", "9", "1e400", CONTEXT, "x", "\x00", "\x1b]0;t\x07", "\u202e"]
    ),
    st.text(max_size=8),
)
loose = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=30,
)


@st.composite
def nearly(draw: st.DrawFn) -> Any:
    """A data set in which anything may have been replaced by anything."""

    def odd(value: Any) -> Any:
        return draw(loose) if draw(st.integers(0, 9)) == 0 else value

    def answer() -> Any:
        return odd({"text": odd("warm"), "answer_start": odd(draw(st.integers(-2, 60)))})

    def question(n: int) -> Any:
        fields = {"id": odd(f"q{n}"), "question": odd("What?"), "answers": odd([answer()])}
        if draw(st.booleans()):
            fields["is_impossible"] = odd(draw(st.booleans()))
        return odd(fields)

    def paragraph(n: int) -> Any:
        return odd({"context": odd(CONTEXT * n), "qas": odd([question(n), question(n + 1)])})

    def row(n: int) -> Any:
        fields = {
            "context": odd(CONTEXT),
            "question": odd("Q"),
            "answers": odd({"text": odd(["dry"]), "answer_start": odd([n])}),
        }
        return odd(fields)

    half: Any = odd(
        [
            odd({"title": odd("T"), "paragraphs": odd([paragraph(1), paragraph(2)])}),
            *([row(14)] * draw(st.integers(0, 2))),
        ]
    )
    return draw(st.sampled_from([half, {"data": half}, {"train": half, "dev": {"data": half}}]))


def read(path: Path, content: bytes) -> Dataset | None:
    """What reading gives (None: refused); everything that may be done with it is done."""
    path.write_bytes(content)
    try:
        dataset = read_dataset(path)
    except DataError as error:
        refusal = error.message
        with pytest.raises(DataError) as caught:
            load_dataset(path)
        assert caught.value.message == refusal != ""
        assert "\n" not in refusal
        return None
    for half in (dataset.train, dataset.eval):
        for example in half:
            assert all(example.context.startswith(a.text, a.start) and a.text for a in example.answers)
            assert example.is_impossible == (not example.answers)
        assert len({example.id for example in half}) == len(half)
    stored = path.with_name("stored.json")
    stored.write_bytes(dump_examples(dataset))
    again = read_examples(stored)
    assert (again.train, again.eval) == (dataset.train, dataset.eval)
    assert report_lines(check_dataset(path, RunConfig(dataset=str(path))))
    if any(issue.level == "error" for issue in dataset.issues):
        with pytest.raises(DataError, match=r"--repair|--columns|is_impossible"):
            load_dataset(path)
    elif any(example.answers for example in dataset.train) and dataset.eval:
        assert load_dataset(path) == dataset
    else:
        with pytest.raises(DataError, match=r"no .*question"):
            load_dataset(path)
    return dataset


@fuzz
@given(content=st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    read(tmp_path / "set.json", content)


@fuzz
@given(
    text=st.text(
        alphabet=st.sampled_from('{}[]":,\\ \n\t\rtruefalsenull0123456789.-eE\u00e9😀context,question'), max_size=120
    )
)
def test_anything_like_json(tmp_path: Path, text: str) -> None:
    read(tmp_path / "set.json", text.encode())


@fuzz
@given(values=loose)
def test_any_values(tmp_path: Path, values: Any) -> None:
    read(tmp_path / "set.json", json.dumps(values).encode())


@fuzz
@given(values=nearly())
def test_nearly_squad(tmp_path: Path, values: Any) -> None:
    path = tmp_path / "set.json"
    dataset = read(path, json.dumps(values).encode())
    fixed = tmp_path / "fixed.json"
    fixed.unlink(missing_ok=True)
    if dataset is None or not (dataset.train or dataset.eval):
        with pytest.raises(DataError):
            repair_dataset(path, fixed)
        return
    written, _ = repair_dataset(path, fixed)
    assert written == len(dataset.train) + len(dataset.eval)
    repaired = read_dataset(fixed)
    assert {f.level for f in repaired.issues} <= {"warning"}
    assert {(e.id, e.question, e.answers) for e in (*repaired.train, *repaired.eval)} == {
        (e.id, e.question, e.answers) for e in (*dataset.train, *dataset.eval)
    }
    with pytest.raises(WriteError, match="exists already"):
        repair_dataset(path, fixed)


@fuzz
@given(values=nearly(), data=st.data())
def test_cut_and_garbled(tmp_path: Path, values: Any, data: st.DataObject) -> None:
    content = bytearray(json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    del content[data.draw(st.integers(0, len(content))) :]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    read(tmp_path / "set.json", bytes(content))


@fuzz
@given(lines=st.lists(st.one_of(loose.map(json.dumps), st.text(max_size=20)), max_size=5))
def test_lines(tmp_path: Path, lines: list[str]) -> None:
    read(
        tmp_path / "set.json",
        "\n".join(['{"context": "a b", "question": "?", "answer": "b"}', *lines]).encode("utf-8", "replace"),
    )


cells = st.one_of(
    st.sampled_from(
        [
            "",
            "warm",
            '"',
            "{'text': ['dry']}",
            '{"text": ["dry"], "answer_start": [2]}',
            "[" * 300,
            "{'a': (" * 40,
            "\\d",
            "[nan]",
        ]
    ),
    st.text(max_size=12),
)


@fuzz
@given(rows=st.lists(st.lists(cells, max_size=6), max_size=5), delimiter=st.sampled_from(",\t;"))
def test_tables(tmp_path: Path, rows: list[list[str]], delimiter: str) -> None:
    head = delimiter.join(["context", "question", "answers", "answer_start", "id"])
    body = "\n".join(delimiter.join(row) for row in rows)
    read(
        tmp_path / "set.csv",
        f"{head}\n{CONTEXT[:9]}{delimiter}?{delimiter}warm{delimiter}5\n{body}".encode("utf-8", "replace"),
    )


@fuzz
@given(data=st.data())
def test_parquet_garbled(tmp_path: Path, data: st.DataObject) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"context": CONTEXT, "question": "?", "answer": "warm"}] * 5), buffer)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    read(tmp_path / "set.parquet", bytes(content))


@settings(max_examples=500, deadline=None)
@given(
    context=st.text(alphabet=st.sampled_from("ab \r\n😀é\u0301"), max_size=30),
    text=st.text(alphabet=st.sampled_from("ab \r\n😀é\u0301"), max_size=6),
    start=st.none() | st.integers(-5, 60),
)
def test_an_aligned_answer_stands_where_it_is_said_to(context: str, text: str, start: int | None) -> None:
    found = align(context, text, start)
    if found is None:
        assert not text.strip() or text.strip() not in context
        return
    assert context.startswith(found.text, found.start)
    assert found.text == found.text.strip() != ""
    assert 0 <= found.start <= len(context) - len(found.text)
    if start is not None and 0 <= start <= len(context) and context.startswith(text, start) and text == text.strip():
        assert (found.text, found.start, found.cause) == (text, start, "")


@cache
def bombs() -> dict[str, bytes]:
    row = {"context": CONTEXT, "question": "?", "answer": "warm", "answer_start": 5}
    buffer = io.BytesIO()
    pq.write_table(
        pa.table({"context": ["warm " * 400_000] * 300, "question": ["?"] * 300}), buffer, compression="zstd"
    )
    nested = {"answers": [{"text": ["warm " * 400_000]}] * 300, "context": [CONTEXT] * 300, "question": ["?"] * 300}
    buffer2 = io.BytesIO()
    pq.write_table(pa.table(nested), buffer2, compression="zstd")
    return {
        "deep lists": b"[" * 1_000_000,
        "deep objects": b'{"data":' * 200_000,
        "deep and whole": b"[" * 100_000 + b"]" * 100_000,
        "deep lines": b'{"context":"a"}\n' + b"[" * 500_000,
        "wrong items": b"[" + b"1," * 200_000 + b"1]",
        "wrong questions": b'[{"context":"a","qas":[' + b"3," * 200_000 + b"3]}]",
        "many issues": json.dumps([row | {"answer": "nowhere"}] * 10_000).encode(),
        "long cell": b'context,question,answers\n"' + b"a" * 1_000_000 + b'",?,"' + b"[" * 900_000 + b'"',
        "unclosed quote": b"context,question,answers\n" + b'"' + b"a,b\n" * 200_000,
        "one word": json.dumps(
            [row | {"context": "a" * 300_000, "answer": "a", "answer_start": k} for k in range(3)]
        ).encode(),
        "parquet that unpacks to much": buffer.getvalue(),
        "parquet that nests much": buffer2.getvalue(),
        "nul": b"\0" * 1_000_000,
        "line ends": b"\n" * 1_000_000,
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_memory_stays_within_a_small_multiple_of_the_file(tmp_path: Path, name: str) -> None:
    content = bombs()[name]
    path = tmp_path / "set.json"
    path.write_bytes(content)
    tracemalloc.start()
    with suppress(DataError):
        read_dataset(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * len(content) + 80_000_000 * ("parquet" in name) + 16_000_000
