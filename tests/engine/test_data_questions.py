"""Files of questions to answer: with labels, without, and with labels that can't be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.data.questions import QuestionFile, read_questions
from engine.data.squad import load_dataset
from engine.errors import DataError
from engine.messages import Answer
from engine.predictions import score_part

CONTEXT = "Take honey, then rest."


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps({"context": CONTEXT, "question": "what?"} | row) for row in rows))
    return path


def read(path: Path, rows: list[dict[str, object]]) -> QuestionFile:
    return read_questions(written(path, rows))


def test_a_file_without_labels_is_read_though_training_refuses_it(tmp_path: Path) -> None:
    path = written(tmp_path / "questions.jsonl", [{"id": "a"}, {"id": 3}])
    with pytest.raises(DataError, match="no key with answers"):
        load_dataset(path)
    found = read_questions(path)
    [part] = found.parts
    assert [example.id for example in part.examples] == ["a", "3"]
    assert part.unlabelled == {"a", "3"}
    assert part.labelled == []
    assert not any(issue.level == "error" for issue in found.issues)


def test_the_hidden_answers_of_a_test_set_are_no_labels(tmp_path: Path) -> None:
    squad = {"data": [{"paragraphs": [{"context": CONTEXT, "qas": [{"id": "a", "question": "q", "answers": []}]}]}]}
    (tmp_path / "test.json").write_text(json.dumps(squad))
    [part] = read_questions(tmp_path / "test.json").parts
    assert part.unlabelled == {"a"}
    squad["data"][0]["paragraphs"][0]["qas"][0]["is_impossible"] = True  # type: ignore[index]
    (tmp_path / "marked.json").write_text(json.dumps(squad))
    [part] = read_questions(tmp_path / "marked.json").parts
    assert part.unlabelled == frozenset()


def test_a_label_that_cant_be_used_leaves_its_question(tmp_path: Path) -> None:
    found = read(
        tmp_path / "some.jsonl",
        [
            {"id": "good", "answers": {"text": ["honey"], "answer_start": [5]}},
            {"id": "moved", "answers": {"text": ["honey"], "answer_start": [4]}},
            {"id": "not there", "answers": {"text": ["sugar"], "answer_start": [5]}},
            {"id": "unread", "answers": {"text": ["honey", "rest"], "answer_start": [5]}},
            {"id": "none", "answers": {"text": [], "answer_start": []}, "is_impossible": True},
            {"id": "no passage", "context": None, "answers": {"text": ["honey"], "answer_start": [5]}},
        ],
    )
    [part] = found.parts
    assert [example.id for example in part.examples] == ["good", "moved", "not there", "unread", "none"]
    assert part.unlabelled == {"not there", "unread"}
    assert part.examples[1].answers[0].start == 5
    unscored = [issue.id for issue in found.issues if issue.message.endswith("it is not scored")]
    assert unscored == ["not there", "unread"]
    assert [issue.id for issue in found.issues if issue.level == "error"] == ["no passage"]


def test_splits_are_kept_apart_and_one_may_be_chosen(tmp_path: Path) -> None:
    row: dict[str, object] = {
        "context": CONTEXT,
        "question": "what?",
        "answers": {"text": ["honey"], "answer_start": [5]},
    }
    splits = {"train": [row | {"id": "1"}], "dev": [row | {"id": "2"}, row | {"id": "3"}]}
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(splits))
    found = read_questions(path)
    assert [(part.name, len(part.examples)) for part in found.parts] == [("train", 1), ("validation", 2)]
    assert [example.id for example in read_questions(path, "validation").examples] == ["2", "3"]
    with pytest.raises(DataError, match=r"no split named train; its splits: none"):
        read_questions(written(tmp_path / "whole.jsonl", [row | {"id": "1"}]), "train")
    path.write_text(json.dumps({"train": [row | {"id": "1"}], "dev": [row | {"id": "1"}]}))
    with pytest.raises(DataError, match=r"'1' stands in several splits.*--split"):
        read_questions(path)
    assert len(read_questions(path, "train").examples) == 1


def test_nothing_to_answer_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no question to answer: .*has no passage"):
        read(tmp_path / "empty.jsonl", [{"id": "1", "context": None}])


def given(text: str) -> Answer:
    return Answer(text=text, char_start=0, char_end=1, probability=1.0, score=1.0, null_odds=None)


def test_scores_are_those_of_labelled_questions_with_and_without_answers_apart(tmp_path: Path) -> None:
    honey = {"text": ["honey"], "answer_start": [5]}
    [part] = read(
        tmp_path / "some.jsonl",
        [
            {"id": "1", "answers": honey},
            {"id": "2", "answers": honey},
            {"id": "3", "answers": {"text": [], "answer_start": []}, "is_impossible": True},
            {"id": "4", "answers": {"text": ["sugar"], "answer_start": [5]}},
        ],
    ).parts
    answers = {"1": given("the honey"), "2": given("honey, then"), "3": given(""), "4": given("rest")}
    scores = score_part(part, answers, allow_null=False)
    assert scores is not None
    assert (scores.questions, scores.unlabelled) == (3, 1)
    assert scores.exact_match == pytest.approx(200 / 3)
    assert scores.f1 == pytest.approx(100 * (1 + 2 / 3 + 1) / 3)
    assert scores.has_answer == pytest.approx((50.0, 100 * (1 + 2 / 3) / 2, 2))
    assert scores.no_answer == (100.0, 100.0, 1)
    assert score_part(read(tmp_path / "none.jsonl", [{"id": "1"}]).parts[0], answers, allow_null=False) is None
