"""Labels are read or refused: no label becomes "no answer" by accident."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.data.examples import Answer, Dataset
from engine.data.squad import read_dataset

OTHER = {"context": "Honey soothes a cough.", "question": "What soothes?", "answers": [{"text": "Honey"}]}
MISSING_LIKE = (
    "Na", "NA", "na", "None", "none", "null", "NULL", "nan", "NaN", "N/A", "n/a", "#N/A", "<NA>", "-nan", "nil",
    "true", "False", "yes", "No", "-", "?", "0", "1e5", "1.0", "~", "inf", "TRUE", "#REF!", "2024-01-01",
    "007", "=SUM(A1)", "01/02/2024", "y", "n", "1,5",
)  # fmt: skip
"""Words that pandas, YAML or a spreadsheet takes for a missing or another kind of value."""


def write_json(folder: Path, values: Any) -> Path:
    path = folder / "set.json"
    path.write_text(json.dumps(values), "utf-8")
    return path


def write_rows(folder: Path, kind: str, rows: list[dict[str, str]]) -> Path:
    """The same rows in a format; every value is text."""
    path = folder / f"set.{kind}"
    match kind:
        case "csv" | "tsv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]), delimiter="," if kind == "csv" else "\t")
                writer.writeheader()
                writer.writerows(rows)
        case "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        case _:
            write_json(folder, rows)
    return path


def all_answers(dataset: Dataset) -> dict[str, tuple[Answer, ...]]:
    return {example.question: example.answers for example in (*dataset.train, *dataset.eval)}


def errors(dataset: Dataset) -> list[str]:
    return [issue.message for issue in dataset.issues if issue.level == "error"]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(MISSING_LIKE), st.sampled_from(["csv", "tsv", "parquet", "jsonl", "json"]), st.booleans())
def test_a_word_for_a_missing_value_is_an_answer(tmp_path: Path, word: str, kind: str, stated: bool) -> None:
    context = f"The symbol of sodium is {word} in every table."
    row = {"context": context, "question": "Which?", "answer_text": word}
    if stated:
        row["answer_start"] = str(context.index(word, 24))
    dataset = read_dataset(write_rows(tmp_path, kind, [row]))
    assert errors(dataset) == []
    ((answer,),) = all_answers(dataset).values()
    assert answer.text == word
    assert context.startswith(word, answer.start)
    if stated:
        assert answer.start == context.index(word, 24)
        assert not dataset.issues


@pytest.mark.parametrize("word", ["None", "nan"])
def test_words_in_squad_json_and_lists(tmp_path: Path, word: str) -> None:
    context = f"The box holds {word}."
    start = context.index(word)
    qas = [
        {"id": "a", "question": "a?", "answers": [{"text": word, "answer_start": start}]},
        {"id": "b", "question": "b?", "answers": {"text": [word], "answer_start": [start]}},
        {"id": "c", "question": "c?", "answer": word},
    ]
    dataset = read_dataset(
        write_json(tmp_path, {"data": [{"title": "", "paragraphs": [{"context": context, "qas": qas}]}]})
    )
    assert set(all_answers(dataset).values()) == {(Answer(word, start),)}


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_such_a_word_that_stands_nowhere_is_an_error_and_an_empty_value_is_none(tmp_path: Path, kind: str) -> None:
    rows = [
        {"context": "Honey soothes a cough.", "question": "What?", "answer": "nan"},
        {"context": "Honey soothes a cough.", "question": "Why?", "answer": ""},
    ]
    dataset = read_dataset(write_rows(tmp_path, kind, rows))
    assert errors(dataset) == [
        'the answer "nan" is not in the passage; where it stands for "no answer", leave the value empty'
    ]
    assert all_answers(dataset) == {"Why?": ()}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"gold_answers": ["Honey"]}, 'a value under "gold_answers"'),
        ({"answers": [], "reference_answer": "Honey"}, 'a value under "reference_answer"'),
        ({"label": "Honey"}, 'a value under "label"'),
        ({"is_impossible": False, "golds": ["Honey"]}, 'a value under "golds"'),
        ({}, 'has no key with answers, such as "answers"'),
        ({"label": [[0, 5, "Food"], [6, 13, "Verb"]]}, "spans with several labels (Food, Verb)"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_label_under_an_unknown_key_is_an_error(
    tmp_path: Path, item: dict[str, Any], message: str, nested: bool
) -> None:
    qa = {"id": "x", "question": "What?", **item}
    values: Any = [OTHER, {"context": OTHER["context"], **qa}]
    if nested:
        values = [{"context": OTHER["context"], "qas": [qa]}]
    (found,) = errors(read_dataset(write_json(tmp_path, values)))
    assert message in found


def test_plausible_answers_and_flags_are_no_unread_labels(tmp_path: Path) -> None:
    qas = [
        {"id": "a", "question": "a?", "answers": [], "plausible_answers": [{"text": "x", "answer_start": 1}]},
        {"id": "b", "question": "b?", "is_impossible": True, "gold_label": "none"},
        {"id": "c", "question": "c?", "answers": [], "answer_type": "span"},
    ]
    dataset = read_dataset(write_json(tmp_path, [{"context": OTHER["context"], "qas": qas}]))
    assert errors(dataset) == []
    assert set(all_answers(dataset).values()) == {()}


@pytest.mark.parametrize(
    "label",
    [
        [[0, 5, "Answer"]],
        [[0, 5]],
        [[0, 5, "Answer"], [6, 13, "Verb"]],
        [{"start_offset": 0, "end_offset": 5, "label": "Answer", "id": 1}],
    ],
)
@pytest.mark.parametrize("key", ["label", "labels", "entities"])
def test_spans_of_doccano(tmp_path: Path, label: list[Any], key: str) -> None:
    path = write_json(tmp_path, [{"text": OTHER["context"], "question": "What?", key: label}])
    dataset = read_dataset(path)
    assert all_answers(dataset) == {"What?": (Answer("Honey", 0),)}
    assert not dataset.issues


def task(*results: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"text": OTHER["context"], "question": "What?"}, "annotations": [{"result": list(results)}]}


def test_label_studio_answers_that_were_typed(tmp_path: Path) -> None:
    typed = {"type": "textarea", "value": {"text": ["Honey"]}}
    span = {"type": "labels", "value": {"start": 0, "end": 5, "text": "Honey", "labels": ["Answer"]}}
    cases: list[tuple[dict[str, Any], tuple[Answer, ...]]] = [
        (task(typed), (Answer("Honey", 0),)),
        (task({"type": "choices", "value": {"choices": ["No answer"]}}), ()),
        (task(), ()),
    ]
    for item, answers in cases:
        assert all_answers(read_dataset(write_json(tmp_path, [item]))) == {"What?": answers}
    beside = read_dataset(write_json(tmp_path, [task(span, {"type": "textarea", "value": {"text": ["a note"]}})]))
    assert all_answers(beside) == {"What?": (Answer("Honey", 0),)}
    assert not beside.issues
    (found,) = errors(read_dataset(write_json(tmp_path, [task({"type": "rating", "value": {"rating": 3}})])))
    assert "no span as its answer, but an annotation of another kind (rating)" in found


def test_questions_to_score_need_an_answer_or_the_files_word(tmp_path: Path) -> None:
    train = write_json(tmp_path, [OTHER])
    file = tmp_path / "eval.json"
    for flag, refused in (({}, True), ({"is_impossible": True}, False)):
        file.write_text(json.dumps([{"context": "Sleep helps.", "question": "Who?", "answers": [], **flag}]))
        found = errors(read_dataset(train, eval_path=file))
        assert any("none of the 1 questions has an answer" in message for message in found) is refused


def test_one_bad_gold_leaves_the_others(tmp_path: Path) -> None:
    golds = [{"text": "Ginger", "answer_start": 3}, {"text": "Honey", "answer_start": 0}, {"text": 7}]
    dataset = read_dataset(write_json(tmp_path, [{**OTHER, "answers": golds}]))
    assert all_answers(dataset) == {"What soothes?": (Answer("Honey", 0),)}
    assert [(issue.level, issue.message) for issue in dataset.issues] == [
        ("repaired", 'the answer "Ginger" is not in the passage; it is left out, the other answers stay'),
        ("repaired", "the answer is a number, not text; it is left out, the other answers stay"),
    ]
    (found,) = errors(read_dataset(write_json(tmp_path, [{**OTHER, "answers": golds[:1]}])))
    assert found == 'the answer "Ginger" is not in the passage'


def test_an_offset_with_white_space_of_unicode(tmp_path: Path) -> None:
    row = {"context": "Honey helps.", "question": "What?", "answer": "helps", "answer_start": "6\x1f"}
    dataset = read_dataset(write_rows(tmp_path, "csv", [row]))
    assert all_answers(dataset) == {"What?": (Answer("helps", 6),)}
