"""Exports of Argilla and doccano, and rows whose passage is a list of paragraphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.data.examples import Answer
from engine.data.squad import read_dataset
from tests.engine.test_data_columns import answers, read, write
from tests.engine.test_data_fuzz import loose
from tests.engine.test_data_fuzz import read as read_anything

HONEY = "Honey soothes a cough, says the nurse."
FIELDS = {"context": HONEY, "question": "Who?"}
SPAN = {"start": 32, "end": 37, "label": "answer"}
NURSE = {"Who?": (Answer("nurse", 32),)}


def nested(responses: Any, suggestions: Any = None, **more: Any) -> dict[str, Any]:
    """A record as version 2 writes it to JSON."""
    return {
        "id": "r1",
        "fields": FIELDS,
        "metadata": {},
        "suggestions": suggestions or {},
        "responses": responses,
        "vectors": {},
        "_server_id": "5c1",
        **more,
    }


def old(*responses: dict[str, Any], suggestions: Any = ()) -> dict[str, Any]:
    """A record of version 1."""
    return {"fields": FIELDS, "responses": list(responses), "suggestions": list(suggestions), "external_id": "r1"}


def said(value: Any, status: str = "submitted") -> dict[str, Any]:
    return {"user_id": "u", "values": {"answer": {"value": value}}, "status": status}


def flat(**more: Any) -> dict[str, Any]:
    """A row as in a Hugging Face dataset, where each column is in every row."""
    empty = {"answer.responses": None, "answer.responses.users": None, "answer.responses.status": None}
    return {"id": "r1", **FIELDS, **empty, "answer.suggestion": None, "answer.suggestion.score": None, **more}


def responded(*values: Any, statuses: tuple[str, ...] = ()) -> dict[str, Any]:
    status = list(statuses) or ["submitted"] * len(values)
    return {
        "answer.responses": list(values),
        "answer.responses.users": ["u"] * len(values),
        "answer.responses.status": status,
    }


RECORDS: dict[str, dict[str, Any]] = {
    "spans": nested({"answer": [{"value": [SPAN], "user_id": "u"}]}),
    "text": nested({"answer": [{"value": "nurse", "user_id": "u"}]}),
    "another name": nested({"span": [{"value": [SPAN]}], "quality": [{"value": 4}], "topic": [{"value": "health"}]}),
    "response before suggestion": nested(
        {"answer": [{"value": "nurse"}]}, {"answer": {"value": "Honey", "score": 0.9}}
    ),
    "old spans": old(said([SPAN])),
    "old text": old(said("nurse"), said("Honey", "discarded")),
    "flat spans": flat(**responded([SPAN])),
    "flat by column": flat(**responded({"start": [32], "end": [37], "label": ["answer"]})),
    "flat text": flat(**responded("nurse", "Honey", statuses=("submitted", "draft"))),
    "old in a dataset": {
        **FIELDS,
        "answer": [{"user_id": "u", "value": "nurse", "status": "submitted"}],
        "answer-suggestion": None,
    },
    "old by column": {
        **FIELDS,
        "answer": {"user_id": ["u"], "value": ["nurse"], "status": ["submitted"]},
        "answer-suggestion": "Honey",
    },
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet"])
def test_argilla(tmp_path: Path, name: str, kind: str) -> None:
    record = RECORDS[name]
    if kind == "parquet":
        kept = {key: value for key, value in record.items() if value not in ({}, None)}
        pq.write_table(
            pa.Table.from_pylist(
                [kept | {"answer-suggestion": ""} if name.startswith("old ") and "by" in name else kept]
            ),
            tmp_path / "set.parquet",
        )
        path = tmp_path / "set.parquet"
        if "dataset" in name:
            return  # without its empty column the row is a plain one
    else:
        path = write(tmp_path, json.dumps(record) + "\n" if kind == "jsonl" else [record], f"set.{kind}")
    assert read(path) == NURSE
    assert not [issue for issue in read_dataset(path).issues if issue.kind == "label"]


def test_argilla_several_annotators(tmp_path: Path) -> None:
    both = nested({"answer": [{"value": [SPAN]}, {"value": [{"start": 28, "end": 37, "label": "answer"}]}]})
    assert read(write(tmp_path, [both])) == {"Who?": (Answer("nurse", 32), Answer("the nurse", 28))}


def test_argilla_no_answer_is_an_empty_list_of_spans(tmp_path: Path) -> None:
    for record in (nested({"answer": [{"value": []}]}), old(said([])), flat(**responded([]))):
        dataset = read_dataset(write(tmp_path, [record, nested({"answer": [{"value": [SPAN]}]}, id="r2")]))
        assert sorted(example.is_impossible for example in (*dataset.train, *dataset.eval)) == [False, True]
        assert not [issue for issue in dataset.issues if issue.kind == "no answer"]  # it says so itself
    (issue,) = (i for i in read_dataset(write(tmp_path, [old(said(" "))])).issues if i.kind == "label")
    assert (issue.level, issue.message[:27]) == ("error", "has a response without text")


def test_argilla_suggestions_and_what_nobody_labelled(tmp_path: Path) -> None:
    for record in (
        nested({}, {"answer": {"value": [SPAN], "score": 0.9, "agent": "m"}}),
        old(suggestions=[{"question_name": "answer", "value": "nurse"}]),
        flat(**{"answer.suggestion": [SPAN], "answer.suggestion.score": 0.3}),
    ):
        path = write(tmp_path, [record])
        assert answers(read_dataset(path)) == NURSE
        (issue,) = (i for i in read_dataset(path).issues if i.kind == "label")
        assert (issue.level, issue.message) == ("warning", "is labelled by a suggestion alone, which is taken")
    for record in (nested({}), old(), flat(), old(said("nurse", "discarded"))):
        dataset = read_dataset(write(tmp_path, [record]))
        assert answers(dataset) == {}
        assert "is not annotated yet and left out" in [issue.message for issue in dataset.issues]


def test_argilla_an_unclear_answer_is_an_error(tmp_path: Path) -> None:
    record = nested({"who": [{"value": "nurse"}], "where": [{"value": "here"}]})
    (issue,) = (i for i in read_dataset(write(tmp_path, [record])).issues if i.kind == "label")
    assert issue.level == "error"
    assert 'annotators were asked "who", "where", and which of these is the answer is unclear' in issue.message


def test_argilla_with_named_fields(tmp_path: Path) -> None:
    record = nested({"answer": [{"value": [SPAN]}]}, fields={"body": HONEY, "ask": "Who?"})
    assert read(write(tmp_path, [record]), "context=body,question=fields.ask") == NURSE


def test_records_without_known_fields_list_them_and_guess(tmp_path: Path) -> None:
    record = nested({"answer": [{"value": [SPAN]}]}, fields={"body": HONEY, "ask": "Who?"})
    task = {"data": {"body": HONEY, "ask": "Who?"}, "annotations": [{"result": []}]}
    for item in (record, task):
        (issue, *_) = read_dataset(write(tmp_path, [item] * 2)).issues
        assert (issue.level, issue.kind) == ("error", "columns")
        assert "--columns context=body,question=ask" in issue.message
        assert read_dataset(tmp_path / "set.json", columns="context=body,question=ask").train


ENTITY: dict[str, Any] = {"id": 7, "label": "Answer", "start_offset": 32, "end_offset": 37}
DOCCANO: dict[str, dict[str, Any]] = {
    "entities": {"text": HONEY, "question": "Who?", "entities": [ENTITY], "relations": [], "Comments": []},
    "question in meta": {"text": HONEY, "meta": {"question": "Who?"}, "entities": [ENTITY], "relations": []},
    "spans": {"text": HONEY, "meta": {"question": "Who?"}, "label": [[32, 37, "Answer"]]},
    "annotations": {
        "text": HONEY,
        "meta": {"question": "Who?"},
        "annotations": [{"label": 3, "start_offset": 32, "end_offset": 37, "user": 1}],
    },
    "other labels": {
        "text": HONEY,
        "question": "Who?",
        "entities": [{**ENTITY, "label": "Food", "start_offset": 0, "end_offset": 5}, ENTITY],
    },
    "text": {"text": HONEY, "question": "Who?", "answer": "nurse", "label": []},
}


@pytest.mark.parametrize("name", DOCCANO)
@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_doccano(tmp_path: Path, name: str, kind: str) -> None:
    item = {"id": 1, **DOCCANO[name]}
    path = write(tmp_path, json.dumps(item) + "\n" if kind == "jsonl" else [item], f"set.{kind}")
    assert read(path) == NURSE


def test_doccano_labels_that_do_not_say_which_is_the_answer(tmp_path: Path) -> None:
    entities = [{**ENTITY, "label": "Food"}, {**ENTITY, "label": "Person", "start_offset": 0}]
    (issue,) = read_dataset(write(tmp_path, [{"text": HONEY, "question": "Who?", "entities": entities}])).issues[:1]
    assert issue.message == "has spans with several labels (Food, Person), and none is named Answer"


SENTENCES = [["Salt", ["Salt is old.", " The nurse sells it."]], ["Honey", ["Honey soothes.", " The nurse says so."]]]
JOINED = "Salt\nSalt is old. The nurse sells it.\n\nHoney\nHoney soothes. The nurse says so."
BY_COLUMN = {"title": ["Salt", "Honey"], "sentences": [one[1] for one in SENTENCES]}
HOTPOT: dict[str, dict[str, Any]] = {
    "pairs": {"_id": "h1", "context": SENTENCES, "supporting_facts": [["Honey", 1]]},
    "by column": {"id": "h1", "context": BY_COLUMN, "supporting_facts": {"title": ["Honey"], "sent_id": [1]}},
    "paragraphs": {
        "id": "h1",
        "paragraphs": [
            {"idx": 0, "title": "Salt", "paragraph_text": "Salt is old. The nurse sells it.", "is_supporting": False},
            {"idx": 1, "title": "Honey", "paragraph_text": "Honey soothes. The nurse says so.", "is_supporting": True},
        ],
    },
}


@pytest.mark.parametrize("name", HOTPOT)
@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet"])
def test_paragraphs(tmp_path: Path, name: str, kind: str) -> None:
    item = {**HOTPOT[name], "question": "Who?", "answer": "The nurse", "type": "bridge"}
    if kind == "parquet":
        if name == "pairs":
            return  # a column can't hold pairs of text and list
        path = tmp_path / "set.parquet"
        pq.write_table(pa.Table.from_pylist([item]), path)
    else:
        path = write(tmp_path, json.dumps(item) + "\n" if kind == "jsonl" else [item], f"set.{kind}")
    assert read(path) == {"Who?": (Answer("The nurse", JOINED.rindex("The nurse")),)}  # the supporting one
    dataset = read_dataset(path)
    (example,) = (*dataset.train, *dataset.eval)
    assert (example.id, example.context) == ("h1", JOINED)
    assert not [issue for issue in dataset.issues if issue.level != "warning" and issue.kind != "file"]
    assert dataset.notes == ("passages given as lists of paragraphs are joined, each paragraph under its title",)


def test_paragraphs_without_support(tmp_path: Path) -> None:
    item = {"question": "Who?", "context": SENTENCES, "answer": "The nurse"}
    assert read(write(tmp_path, [item])) == {"Who?": (Answer("The nurse", JOINED.index("The nurse")),)}
    yes = {"question": "Is it?", "context": SENTENCES, "answer": "yes"}
    (issue,) = (i for i in read_dataset(write(tmp_path, [item, yes])).issues if i.level == "error")
    assert 'the answer "yes" is not in the passage' in issue.message
    no = {"question": "What?", "paragraphs": HOTPOT["paragraphs"]["paragraphs"], "answer": "sugar", "answerable": False}
    dataset = read_dataset(write(tmp_path, [item, no]))
    assert sorted(example.is_impossible for example in (*dataset.train, *dataset.eval)) == [False, True]


MISSING_LIKE = st.sampled_from(
    ["NA", "N/A", "null", "None", "nan", "#N/A", "-", "~", "yes", "no", "true", "1e5", "007", "2024-01-01", "=SUM(A1)"]
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MISSING_LIKE, st.sampled_from(["argilla", "old argilla", "flat argilla", "doccano", "hotpot"]))
def test_words_for_missing_values_are_answers(tmp_path: Path, word: str, kind: str) -> None:
    context = f"The form says {word} in its last line."
    fields = {"context": context, "question": "What?"}
    start = context.index(word)
    item: dict[str, Any] = {
        "argilla": nested({"answer": [{"value": word}]}, fields=fields),
        "old argilla": {**old(said(word)), "fields": fields},
        "flat argilla": {**flat(**responded(word)), **fields},
        "doccano": {
            "text": context,
            "meta": {"question": "What?"},
            "entities": [{"label": "Answer", "start_offset": start, "end_offset": start + len(word)}],
        },
        "hotpot": {"question": "What?", "context": [["Form", [context]]], "answer": word},
    }[kind]
    dataset = read_dataset(write(tmp_path, [item]))
    assert [a.text for golds in answers(dataset).values() for a in golds] == [word]


KEYS = st.sampled_from(
    [
        "fields",
        "responses",
        "suggestions",
        "answer.responses",
        "answer.responses.status",
        "answer.suggestion",
        "answer",
        "answer-suggestion",
        "values",
        "value",
        "status",
        "question_name",
        "context",
        "question",
        "text",
        "meta",
        "entities",
        "start_offset",
        "end_offset",
        "label",
        "start",
        "end",
        "title",
        "sentences",
        "supporting_facts",
        "sent_id",
        "paragraphs",
        "paragraph_text",
        "is_supporting",
        "columns",
        "data",
        "rows",
        "row",
        "0",
        "1",
        "answerable",
        "q",
    ]
)
odd = st.recursive(
    loose, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_export(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever stands in such records, reading ends: with examples, or with one DataError."""
    known = st.sampled_from([*RECORDS.values(), *DOCCANO.values(), *({"question": "?", **h} for h in HOTPOT.values())])

    def garbled(value: Any) -> Any:
        if data.draw(st.integers(0, 7)) == 0:
            return data.draw(odd)
        if isinstance(value, dict):
            return {key: garbled(inner) for key, inner in value.items()}
        return [garbled(inner) for inner in value] if isinstance(value, list) else value

    items = [garbled(data.draw(known)) for _ in range(data.draw(st.integers(1, 3)))]
    items = data.draw(st.sampled_from([items, {"rows": [{"row": item} for item in items]}, dict(enumerate(items))]))
    read_anything(tmp_path / "set.json", json.dumps(items).encode())
