"""Groups of questions and their scores, on cases worked by hand."""

from __future__ import annotations

import numpy as np

from engine.data.examples import Answer, Example
from engine.insight.groups import Group, group_scores, groups_of, question_words, shares_right


def example(question: str, answer: str | None, words: int) -> Example:
    context = " ".join([answer or "word", *["word"] * (words - len((answer or "word").split()))])
    return Example(question, "", question, context, (Answer(answer, 0),) if answer else (), answer is None)


EXAMPLES = [
    example("What is it?", "one", 10),
    example("In what year?", "one two", 10),
    example("How many were there?", "one two three", 20),
    example("Whose hat?", "a b c d e f", 20),
    example("Name it.", None, 40),
    example("WHO did it?", "one", 40),
]


def rows(groups: list[Group], kind: str) -> dict[str, list[int]]:
    return {group.name: group.rows.tolist() for group in groups if group.kind == kind}


def test_groups() -> None:
    groups = groups_of(EXAMPLES, np.array([True, True, False, False, False, False]))
    assert rows(groups, "all") == {"all examples": [0, 1, 2, 3, 4, 5]}
    assert rows(groups, "question word") == {"what": [0, 1], "who": [3, 5], "how many": [2], "other": [4]}
    assert list(rows(groups, "question word")) == ["what", "who", "how many", "other"]
    assert rows(groups, "answer length") == {
        "1 word": [0, 5], "2 words": [1], "3 to 5 words": [2], "6 to 10 words": [3],
    }  # fmt: skip
    assert rows(groups, "passage length") == {
        "1 to 12 words": [0, 1], "13 to 20 words": [2, 3], "36 words and more": [4, 5],
    }  # fmt: skip
    assert rows(groups, "passage") == {"unseen": [2, 3, 4, 5], "seen in training": [0, 1]}
    assert rows(groups, "answer") == {"with an answer": [0, 1, 2, 3, 5], "without an answer": [4]}


def test_what_says_nothing_is_left_out() -> None:
    groups = groups_of(EXAMPLES[:4], np.ones(4, np.bool_))
    assert {group.kind for group in groups} == {"all", "question word", "answer length", "passage length"}
    assert groups_of([])[0].rows.tolist() == []


def test_questions_in_another_language() -> None:
    german = ["Wer war das?", "Wer ist es?", "Wann kam er?", "Wann ging er?", "Warum?"]
    assert question_words(german) == ["wer", "wer", "wann", "wann", "other"]
    assert question_words(["Nenne ihn, what?", "When?", "?"]) == ["what", "when", "other"]


def test_lengths_in_characters() -> None:
    chinese = [Example("1", "", "谁?", "张 三和李四", (Answer("张 三", 0),)), Example("2", "", "谁?", "张三", ())]
    assert rows(groups_of(chinese, by_character=True), "answer length") == {"2 characters": [0]}


def test_scores() -> None:
    groups = [Group("g", "first", np.array([0, 1], np.int32)), Group("g", "rest", np.array([2, 3], np.int32))]
    right, was = np.array([True, False, True, True]), np.array([False, True, False, True])
    f1 = np.array([1, 0.5, 1, 1], np.float32)
    first, rest = group_scores(groups, right, f1, was)
    assert (first.count, first.right, first.f1, first.learned, first.forgotten) == (2, 1, 0.75, 1, 1)
    assert (rest.count, rest.right, rest.f1, rest.learned, rest.forgotten) == (2, 2, 1.0, 1, 0)
    assert [score.learned for score in group_scores(groups, right, f1, None)] == [0, 0]
    assert shares_right(groups[0], np.stack([was, right])).tolist() == [0.5, 0.5]
    assert shares_right(groups[1], np.stack([was, right])).tolist() == [0.5, 1.0]
