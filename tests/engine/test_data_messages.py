"""What the messages about a data set say: what was changed, why, and how often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.config import RunConfig
from engine.data.check import CheckReport, check_dataset, repair_dataset
from engine.data.check_text import report_lines
from engine.data.squad import read_dataset
from tests.engine.test_data_check import tokenizer_file

CONTEXT = "Keep warm and dry."


def row(number: int, context: str, text: str, start: int) -> dict[str, Any]:
    answers = {"text": [text], "answer_start": [start]}
    return {"id": f"q{number}", "context": context, "question": f"What {number}?", "answers": answers}


def write(folder: Path, values: Any) -> Path:
    path = folder / "set.json"
    path.write_text(json.dumps(values), "utf-8")
    return path


def repairs(folder: Path, *rows: dict[str, Any]) -> list[str]:
    """Messages about answers, in order; the repaired copy has nothing left to repair."""
    path = write(folder, list(rows))
    fixed = folder / "fixed.json"
    fixed.unlink(missing_ok=True)
    repair_dataset(path, fixed)
    assert not read_dataset(fixed).issues or {i.kind for i in read_dataset(fixed).issues} == {"file"}
    return [issue.message for issue in read_dataset(path).issues if issue.kind == "answer"]


def check(path: Path) -> CheckReport:
    return check_dataset(path, RunConfig(dataset=str(path)), tokenizer_file())


@pytest.mark.parametrize(
    ("text", "start", "message"),
    [
        (" warm ", 4, 'stands at 5 to 9, not at 4 to 10; cut: " " before it and " " after it: white space at'),
        ("warm ", 5, 'stands at 5 to 9, not at 5 to 10; cut: " " after it: white space at'),
        ("\twarm", 5, 'stands at 5 to 9, not at 5 to 10; cut: "\\t" before it: white space at'),
        ("warm", 4, "stands at 5, not at 4: white space at"),
    ],
)
def test_a_cut_of_white_space_shows_what_was_cut_and_where(tmp_path: Path, text: str, start: int, message: str) -> None:
    (found,) = repairs(tmp_path, row(1, CONTEXT, text, start))
    assert found.startswith(f'the answer "warm" {message}')


def test_invisible_characters_are_cut_like_white_space(tmp_path: Path) -> None:
    (found,) = repairs(tmp_path, row(1, "In \u200fNederland\ufeff now", "\u200fNederland\ufeff", 3))
    assert '"Nederland" stands at 4 to 13, not at 3 to 14; cut: "\\u200f" before it and "\\ufeff" after it' in found
    assert found.endswith("invisible characters at the answer's edges")
    path = write(tmp_path, [row(1, "In \u200f now", "\u200f", 3)])
    (issue,) = (i for i in read_dataset(path).issues if i.level == "error")
    assert issue.message == "has an answer of nothing but white space and invisible characters"


ACCENTS = "é è ê tea, then tea and a tea house"
"""Byte counting is three ahead of characters from the fourth word on."""


def test_bytes_are_named_where_they_explain_the_offset(tmp_path: Path) -> None:
    (found,) = repairs(tmp_path, row(1, ACCENTS, "tea", ACCENTS.index("tea") + 3))
    assert "UTF-8 bytes" in found
    assert ACCENTS.index("tea") == 6


def test_bytes_are_not_named_where_other_labels_of_the_file_count_characters(tmp_path: Path) -> None:
    exact = [row(n, ACCENTS, word, ACCENTS.index(word)) for n, word in enumerate(("house", "then", "and"))]
    (found,) = repairs(tmp_path, *exact, row(9, ACCENTS, "tea", ACCENTS.index("tea") + 3))
    assert "UTF-8" not in found
    assert "the offset is wrong" in found


def test_bytes_are_not_named_where_white_space_explains_the_offset(tmp_path: Path) -> None:
    context = "é  tea  tea"  # at 4 in bytes stands the first; from 6 on only white space leads to the second
    (found,) = repairs(tmp_path, row(1, "é" * 3 + " tea  tea", "tea", 7))
    assert "white space" in found
    assert "stands at 9, not at 7" in found
    assert context


@pytest.mark.parametrize(
    ("context", "text", "inside"),
    [
        ("ประเทศไทยสวยงาม", "ไทย", 0),
        ("ປະເທດລາວງາມ", "ລາວ", 0),
        ("ប្រទេសកម្ពុជាស្អាត", "កម្ពុជា", 0),
        ("မြန်မာနိုင်ငံလှသည်", "နိုင်ငံ", 0),
        ("东京是日本的首都", "日本", 0),
        ("서울은 수도이다", "서울", 1),
        ("Restless nights", "Rest", 1),
    ],
)
def test_answers_inside_a_word(tmp_path: Path, context: str, text: str, inside: int) -> None:
    report = check(write(tmp_path, {"train": [row(1, context, text, context.index(text))], "dev": []}))
    assert report.halves[0].mid_word == inside


def test_passages_of_both_halves_count_once(tmp_path: Path) -> None:
    rows = [row(1, CONTEXT, "warm", 5), row(2, CONTEXT, "dry", 14)]
    report = check(write(tmp_path, {"train": rows, "dev": [row(3, CONTEXT, "warm", 5), row(4, "Rest.", "Rest", 0)]}))
    assert report.passages == sum(report.histogram) == 2
    assert report_lines(report)[0] == "set.json: 4 questions on 2 passages"


def test_many_repairs_with_one_cause_are_one_line(tmp_path: Path) -> None:
    rows = [row(n, f"Rest {n}. {CONTEXT}", " warm", len(f"Rest {n}. ") + 4) for n in range(40)]
    lines = report_lines(check(write(tmp_path, [*rows, row(99, CONTEXT, "dry", 3), row(98, CONTEXT, "cold", 3)])))
    found = [line for line in lines if line.startswith(("error", "repaired"))]
    assert len(found) == 3
    assert found[1].startswith("repaired: 40 answers were moved: white space at the answer's edges; first: ")
    assert 'question "q0" (row 1): the answer "warm" stands at' in found[1]
    assert found[1].endswith("(all with --json)")
