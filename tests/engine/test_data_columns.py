"""Columns of tables: usual names, names that the user gives, guesses; tables as spreadsheets and pandas write them."""

from __future__ import annotations

import json
from contextlib import suppress
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
from engine.data.examples import Answer, Dataset
from engine.data.questions import read_questions
from engine.data.run_data import load_run_data
from engine.data.squad import load_dataset, read_dataset
from engine.errors import DataError, UsageError
from tests.engine.test_data_fuzz import cells, fuzz
from tests.engine.test_data_fuzz import read as read_anything

HONEY = "Honey soothes a cough, says the nurse."
TEA = "Warm tea helps against the cold, too."


def write(folder: Path, content: Any, name: str = "set.json") -> Path:
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8", newline="")
    return path


def read(path: Path, columns: str | None = None) -> dict[str, tuple[Answer, ...]]:
    """Answers by question; nothing is wrong, and neither with the repaired copy."""
    dataset = read_dataset(path, columns=columns)
    assert not [issue for issue in dataset.issues if issue.level == "error"], dataset.issues
    fixed = path.with_name("fixed.json")
    fixed.unlink(missing_ok=True)
    repair_dataset(path, fixed, columns)
    again = read_dataset(fixed)
    assert {issue.kind for issue in again.issues} <= {"file"}
    assert answers(again) == answers(dataset)
    return answers(dataset)


def answers(dataset: Dataset) -> dict[str, tuple[Answer, ...]]:
    return {example.question: example.answers for example in (*dataset.train, *dataset.eval)}


ROWS = [
    {"body": HONEY, "ask": "What soothes?", "found": "Honey", "at": 0},
    {"body": TEA, "ask": "What helps?", "found": "tea", "at": 5},
]
EXPECTED = {"What soothes?": (Answer("Honey", 0),), "What helps?": (Answer("tea", 5),)}
COLUMNS = "context=body,question=ask,answer=found,answer_start=at"


def named(names: dict[str, str]) -> list[dict[str, Any]]:
    return [{names[key]: value for key, value in row.items()} for row in ROWS]


def write_rows(folder: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    match kind:
        case "csv" | "semicolon" | "tsv" | "bar":
            mark = {"csv": ",", "semicolon": ";", "tsv": "\t", "bar": "|"}[kind]
            cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
            quoted = [mark.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
            return write(folder, "\r\n".join(quoted) + "\r\n", "set.csv")
        case "parquet":
            pq.write_table(pa.Table.from_pylist(rows), folder / "set.parquet")
            return folder / "set.parquet"
        case "jsonl":
            return write(folder, "".join(json.dumps(row) + "\n" for row in rows), "set.jsonl")
        case "json by column":
            return write(folder, {name: [row[name] for row in rows] for name in rows[0]})
        case "pandas columns":
            return write(folder, {name: {str(n): row[name] for n, row in enumerate(rows)} for name in rows[0]})
        case "pandas index":
            return write(folder, {str(n): row for n, row in enumerate(rows)})
        case "pandas split":
            table = [list(row.values()) for row in rows]
            return write(folder, {"columns": list(rows[0]), "index": [0, 1], "data": table})
        case "pandas table":
            fields = [{"name": name, "type": "string"} for name in ("index", *rows[0])]
            schema = {"fields": fields, "primaryKey": ["index"], "pandas_version": "1.4.0"}
            return write(folder, {"schema": schema, "data": [{"index": n, **row} for n, row in enumerate(rows)]})
        case "viewer":
            return write(folder, {"features": [], "rows": [{"row_idx": n, "row": row} for n, row in enumerate(rows)]})
        case _:
            return write(folder, rows)


KINDS = (
    "csv", "semicolon", "tsv", "bar", "parquet", "json", "jsonl", "json by column", "pandas columns", "pandas index",
    "pandas split", "pandas table", "viewer",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_named(tmp_path: Path, kind: str) -> None:
    assert read(write_rows(tmp_path, kind, ROWS), COLUMNS) == EXPECTED


@pytest.mark.parametrize("kind", KINDS)
def test_usual_names_are_understood_and_said(tmp_path: Path, kind: str) -> None:
    for names, note in (
        (("text", "q", "reply"), 'read "text" as the context, "q" as the question, "reply" as the answers'),
        (("passage", "query", "answer_text"), 'read "passage" as the context, "query" as the question, "answer_text"'),
        (("Paragraph", "Question", "Answer"), 'read "paragraph" as the context, "answer" as the answers'),
        (("context", "question", "answers"), ""),
    ):
        rows = named(dict(zip(("body", "ask", "found", "at"), (*names, "answer_start"), strict=True)))
        path = write_rows(tmp_path, kind, rows)
        assert read(path) == EXPECTED
        dataset = read_dataset(path)
        assert [text[: len(note)] for text in dataset.notes] == ([note] if note else [])
        lines = report_lines(check_dataset(path, RunConfig(dataset=str(path))))
        assert any(line.startswith(f"note: {note}") for line in lines) == bool(note)
        remarks = [remark.message for remark in load_run_data(RunConfig(dataset=str(path))).remarks]
        assert any(message.startswith(note) for message in remarks if note) == bool(note)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_columns_are_listed_and_guessed(tmp_path: Path, kind: str) -> None:
    path = write_rows(tmp_path, kind, ROWS)
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    said = str(caught.value)
    assert "no column for the context and the question; the columns are " in said
    assert all(f'"{name}"' in said for name in ROWS[0])
    assert '"body" looks like the context, "ask" looks like the question, "found" looks like the answer' in said
    option = next(word for word in said.split() if word.startswith("context=body"))
    assert option == COLUMNS
    assert read(path, option) == EXPECTED
    lines = report_lines(check_dataset(path, RunConfig(dataset=str(path))))
    assert len([line for line in lines if line.startswith("error")]) == 1  # not one for each row
    assert not [line for line in lines if line.startswith("questions")]  # no page of zeros
    fitting = check_dataset(path, RunConfig(dataset=str(path), columns=option))
    assert (fitting.errors, sum(half.questions for half in fitting.halves)) == (0, 2)


def test_without_a_guess_the_option_is_named(tmp_path: Path) -> None:
    for content in ("a,b\n1,2\n3,4\n", [{"a": 1, "b": 2}]):
        with pytest.raises(DataError) as caught:
            load_dataset(write(tmp_path, content))
        assert 'the columns are "a", "b"; name yours. Try: bertqa-tui check' in str(caught.value)
    with pytest.raises(DataError) as caught:
        load_dataset(write(tmp_path, "hello\n"))
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("--columns context=NAME,question=NAME,answer=NAME.")


def test_a_name_with_a_space_is_suggested_as_one_word(tmp_path: Path) -> None:
    rows = [{"The Body": HONEY, "To Ask": "What soothes?", "Its Reply": "Honey"}]
    with pytest.raises(DataError) as caught:
        load_dataset(write(tmp_path, rows))
    assert "--columns 'context=The Body,question=To Ask,answer=Its Reply'" in str(caught.value)
    assert list(read(tmp_path / "set.json", "context=The Body,question=To Ask,answer=Its Reply")) == ["What soothes?"]


@pytest.mark.parametrize(
    "columns", ["body", "context=", "reply=x", "context=a,context=b", "=a", "answer=a,answers=b", "context"]
)
def test_a_bad_option_is_refused(tmp_path: Path, columns: str) -> None:
    with pytest.raises(UsageError, match="--columns"):
        read_dataset(write(tmp_path, ROWS), columns=columns)


def test_a_column_that_is_absent_is_an_error_with_those_found(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='names "cntext", and there is no such column; the columns are "body", "ask"'):
        load_dataset(write(tmp_path, ROWS), columns="context=cntext,question=ask,answer=found")
    squad = {"data": [{"title": "A", "paragraphs": [{"context": HONEY, "qas": []}]}]}
    with pytest.raises(DataError, match='there is no such column; the columns are "title", "paragraphs"'):
        load_dataset(write(tmp_path, squad), columns=COLUMNS)


def test_a_named_column_wins_over_usual_names(tmp_path: Path) -> None:
    row = {"context": "Not this one.", "text": HONEY, "question": "Who?", "answers": ["This"], "gold": "nurse"}
    assert read(write(tmp_path, [row]), "context=text,answer=gold") == {"Who?": (Answer("nurse", 32),)}
    row = {"text": HONEY, "question": "Who?", "gold": "nurse"}
    assert read(write(tmp_path, [row]), "answer=gold") == {"Who?": (Answer("nurse", 32),)}


def test_a_path_leads_into_objects(tmp_path: Path) -> None:
    row = {"doc": {"body": HONEY}, "meta": {"ask": "Who?"}, "gold": {"text": ["nurse"], "answer_start": [32]}}
    assert read(write(tmp_path, [row]), "context=doc.body,question=ask,answer=gold") == {"Who?": (Answer("nurse", 32),)}


def test_questions_to_predict_have_named_columns_too(tmp_path: Path) -> None:
    rows = [{"body": HONEY, "ask": "Who?"}, {"body": TEA, "ask": "What helps?"}]
    file = read_questions(write(tmp_path, rows), columns="context=body,question=ask")
    assert [(example.question, example.context) for example in file.examples] == [
        ("Who?", HONEY), ("What helps?", TEA),
    ]  # fmt: skip


def test_rows_by_id(tmp_path: Path) -> None:
    """As pandas writes a table whose index is the id, with orient="index"."""
    rows = {name: {"context": HONEY, "question": name, "answer": "nurse"} for name in ("first", "second")}
    dataset = read_dataset(write(tmp_path, rows))
    assert {example.id for example in (*dataset.train, *dataset.eval)} == {"first", "second"}


def test_the_eval_file_has_the_same_names_or_its_own(tmp_path: Path) -> None:
    train = write(tmp_path, ROWS)
    for second in (ROWS, named({"body": "context", "ask": "question", "found": "answer", "at": "answer_start"})):
        dataset = load_dataset(train, eval_path=write(tmp_path, second, "eval.json"), columns=COLUMNS)
        assert (len(dataset.train), len(dataset.eval)) == (2, 2)
    bad = write(tmp_path, [{"x": 1, "y": 2}], "eval.json")
    with pytest.raises(DataError, match=r"^eval.json: --columns names .body., and there is no such column"):
        load_dataset(train, eval_path=bad, columns=COLUMNS)


class TestSpreadsheets:
    def test_semicolons_byte_order_mark_and_decimal_offsets(self, tmp_path: Path) -> None:
        for start in ("24.0", "24,0", "24", " 24 ", "2.4e1"):
            cell = f'"{start}"'
            text = f"\ufeffcontext;question;answer;answer_start;\r\n{HONEY} Honey;Who?;says;{cell};\r\n;;;;\r\n;;;;\r\n"
            with_place = {"Who?": (Answer("says", HONEY.index("says")),)}
            assert HONEY.index("says") == 23
            assert read(write(tmp_path, text, "set.csv")) == with_place

    def test_exact_decimal_offset_needs_no_repair(self, tmp_path: Path) -> None:
        text = f'context,question,answer,answer_start\n"{HONEY}",Who?,says,23.0\n'
        assert not [i for i in read_dataset(write(tmp_path, text, "set.csv")).issues if i.level == "repaired"]

    def test_blank_rows_and_columns_at_the_end(self, tmp_path: Path) -> None:
        text = f'context,question,answer,,\n"{HONEY}",Who?,nurse,,\n,,,,\n\n"{TEA}",What?,tea,,,,\n , ,,,\n'
        path = write(tmp_path, text, "set.csv")
        assert list(read(path)) == ["Who?", "What?"]
        assert not [issue for issue in read_dataset(path).issues if "cells" in issue.message]

    def test_quoted_line_breaks(self, tmp_path: Path) -> None:
        text = 'context,question,answer\n"Line one.\r\nLine ""two"".",Which?,"one.\r\nLine"\n'
        assert read(write(tmp_path, text, "set.csv")) == {"Which?": (Answer("one.\r\nLine", 5),)}

    def test_separator_line(self, tmp_path: Path) -> None:
        text = f"sep=;\r\ncontext;question;answer\r\n{HONEY};Who?;nurse\r\n"
        assert read(write(tmp_path, text, "set.csv")) == {"Who?": (Answer("nurse", 32),)}

    def test_index_column_of_pandas(self, tmp_path: Path) -> None:
        cell = "\"{'text': ['nurse'], 'answer_start': [32]}\""
        for first in ("", "Unnamed: 0", "index"):
            text = f'{first},context,question,answers\n0,"{HONEY}",Who?,{cell}\n'
            assert read(write(tmp_path, text, "set.csv")) == {"Who?": (Answer("nurse", 32),)}

    @pytest.mark.parametrize(
        "cell",
        [
            "{'text': array(['nurse', 'the nurse'], dtype=object), 'answer_start': array([32, 28], dtype=int32)}",
            "{'text': array(['nurse', 'the nurse'],\n      dtype=object), 'answer_start': array([32, 28])}",
            "{'text': ['nurse' 'the nurse'], 'answer_start': [32 28]}",
            "[{'text': 'nurse', 'answer_start': 32}\n {'text': 'the nurse', 'answer_start': 28}]",
            '{"text": ["nurse", "the nurse"], "answer_start": [32, 28]}',
        ],
    )
    def test_structures_in_cells(self, tmp_path: Path, cell: str) -> None:
        quoted = cell.replace('"', '""')
        text = f'context,question,answers\n"{HONEY}",Who?,"{quoted}"\n'
        assert read(write(tmp_path, text, "set.csv")) == {"Who?": (Answer("nurse", 32), Answer("the nurse", 28))}

    def test_lists_in_two_cells(self, tmp_path: Path) -> None:
        text = f"context,question,answer,answer_start\n\"{HONEY}\",Who?,\"['nurse' 'the nurse']\",[32 28]\n"
        assert read(write(tmp_path, text, "set.csv")) == {"Who?": (Answer("nurse", 32), Answer("the nurse", 28))}

    @pytest.mark.parametrize(("encoding", "kind"), [("cp1252", "WINDOWS-1252"), ("utf-16", "UTF-16")])
    def test_other_encodings_are_refused_with_the_way_out(self, tmp_path: Path, encoding: str, kind: str) -> None:
        path = write(tmp_path, f"context,question,answer\n{HONEY} Café,Who?,nurse\n".encode(encoding), "set.csv")
        with pytest.raises(DataError) as caught:
            load_dataset(path)
        assert caught.value.hint is not None
        assert f"iconv -f {kind} -t UTF-8 set.csv > utf8.csv" in caught.value.hint
        assert "CSV UTF-8" in caught.value.hint

    def test_two_columns_of_one_name_are_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path, f"context,question,answer,Answer\n{HONEY},Who?,nurse,Honey\n", "set.csv")
        with pytest.raises(DataError, match="two columns are named 'answer'"):
            load_dataset(path)


def test_a_set_without_any_answer_is_refused_unless_it_says_so(tmp_path: Path) -> None:
    rows = [{"context": text, "question": "What?", "answer": ""} for text in (HONEY, TEA)]
    for kind in ("csv", "parquet", "json", "jsonl", "pandas split"):
        path = write_rows(tmp_path, kind, rows)
        with pytest.raises(DataError, match=r"the file: none of the 2 questions has an answer, and none is marked"):
            load_dataset(path)
        train = write(tmp_path, ROWS, "train.json")
        with pytest.raises(DataError, match=rf"^{path.name}: none of the 2 questions has an answer") as caught:
            load_dataset(train, eval_path=path, columns=COLUMNS)
        assert caught.value.hint == 'Mark them "is_impossible": true if that is what is meant.'
        marked = write_rows(tmp_path, kind, [{**row, "is_impossible": "true"} for row in rows])
        dataset = load_dataset(train, eval_path=marked, columns=COLUMNS)
        assert [example.is_impossible for example in dataset.eval] == [True, True]
        with pytest.raises(DataError, match="no training question has an answer"):
            load_dataset(marked)


WORDS = [
    "NA",
    "N/A",
    "null",
    "None",
    "nan",
    "#N/A",
    "-",
    "~",
    "yes",
    "no",
    "true",
    "1e5",
    "007",
    "2024-01-01",
    "=SUM(A1)",
]


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(WORDS), st.sampled_from(KINDS), st.booleans())
def test_words_for_missing_values_survive_every_kind(tmp_path: Path, word: str, kind: str, placed: bool) -> None:
    context = f"In the last line of the form stands {word} alone."
    row = {"body": context, "ask": "What?", "found": word} | ({"at": str(context.index(word))} if placed else {})
    columns = COLUMNS if placed else COLUMNS.rpartition(",")[0]
    dataset = read_dataset(write_rows(tmp_path, kind, [row, row | {"ask": "Else?"}]), columns=columns)
    assert {golds[0].text for golds in answers(dataset).values()} == {word}


@fuzz
@given(
    rows=st.lists(
        st.lists(cells | st.sampled_from(["['a' 'b']", "array([1 2", "sep=;", "24,0", "\ufeff"]), max_size=6),
        max_size=6,
    ),
    delimiter=st.sampled_from(",\t;|"),
    head=st.sampled_from(["text;q;reply", "sep=;", "", "body,ask,found,at", "\ufeffcontext\tquestion", "a|b|c"]),
    columns=st.sampled_from([None, "context=body,question=ask,answer=found", "context=a", "answer=c"]),
)
def test_any_table(tmp_path: Path, rows: list[list[str]], delimiter: str, head: str, columns: str | None) -> None:
    """Whatever stands in a table, whichever columns are named: reading ends with examples, or with one DataError."""
    text = "\n".join([head, *(delimiter.join(row) for row in rows)])
    path = write(tmp_path, text.encode("utf-8", "replace"), "set.csv")
    with suppress(DataError):
        dataset = read_dataset(path, columns=columns)
        assert all(e.context.startswith(a.text, a.start) for e in (*dataset.train, *dataset.eval) for a in e.answers)
    read_anything(path, path.read_bytes())
