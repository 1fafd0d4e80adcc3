"""Reading data sets: every shape, every issue with its place."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.data.examples import Answer, Dataset, Example, dump_examples, make_dataset, read_examples, seen_mask
from engine.data.samples import find_dataset, sample_names
from engine.data.squad import load_dataset, read_dataset
from engine.errors import DataError, ExitCode
from tests.waiting import calls_of

REAL = Path(__file__).parents[3] / "shared" / "data"
CONTEXT = "Keep warm and dry. Rest for a day; rest does wonders."
OTHER = "Salt water helps a sore throat. Honey does too."


def real(name: str) -> Path:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"real data is absent: {name}")
    return path


def write(folder: Path, value: Any, name: str = "set.json") -> Path:
    path = folder / name
    if isinstance(value, bytes):
        path.write_bytes(value)
    elif isinstance(value, str):
        path.write_text(value, encoding="utf-8", newline="")
    else:
        path.write_text(json.dumps(value), encoding="utf-8")
    return path


def qa(number: int, text: str | None, start: int | None, **more: Any) -> dict[str, Any]:
    answers = [] if text is None else [{"text": text, "answer_start": start}]
    return {"id": f"q{number}", "question": f"What helps {number}?", "answers": answers, **more}


def squad(*paragraphs: tuple[str, list[dict[str, Any]]], version: str = "1.1") -> dict[str, Any]:
    return {
        "version": version,
        "data": [{"title": "Colds", "paragraphs": [{"context": context, "qas": qas} for context, qas in paragraphs]}],
    }


def rows(first: str = "answers") -> list[dict[str, Any]]:
    """Three questions on two passages, the last unanswerable, as flat rows."""
    golds: list[dict[str, Any]] = [
        {"text": ["warm and dry"], "answer_start": [5]},
        {"text": ["Honey", "Salt water"], "answer_start": [32, 0]},
        {"text": [], "answer_start": []},
    ]
    contexts = [CONTEXT, OTHER, OTHER]
    return [
        {"id": f"q{n}", "context": c, "question": f"What helps {n}?", first: g}
        for n, (c, g) in enumerate(zip(contexts, golds, strict=True))
    ]


def everything(dataset: Dataset) -> dict[str, Example]:
    return {example.id: example for example in (*dataset.train, *dataset.eval)}


def assert_rows(dataset: Dataset) -> None:
    found = everything(dataset)
    assert found["q0"].answers == (Answer("warm and dry", 5),)
    assert found["q1"].answers == (Answer("Honey", 32), Answer("Salt water", 0))
    assert found["q2"].answers == ()
    assert found["q2"].is_impossible
    assert dataset.has_impossible
    assert not [issue for issue in dataset.issues if issue.level != "warning"]


def two_halves() -> dict[str, Any]:
    return {
        "train": squad((CONTEXT, [qa(1, "warm", 5)])),
        "validation": squad((OTHER, [qa(2, "Honey", 32)])),
    }


class TestShapes:
    def test_squad_v1(self, tmp_path: Path) -> None:
        path = write(tmp_path, squad((CONTEXT, [qa(1, "warm and dry", 5)]), (OTHER, [qa(2, "Honey", 32)])))
        dataset = load_dataset(path)
        assert {e.id: e.title for e in (*dataset.train, *dataset.eval)} == {"q1": "Colds", "q2": "Colds"}
        assert len(dataset.train) == len(dataset.eval) == 1
        assert not dataset.has_impossible
        assert not dataset.issues
        assert not dataset.overlap

    def test_squad_v2_leaves_plausible_answers_aside(self, tmp_path: Path) -> None:
        unanswerable = qa(3, None, None, is_impossible=True, plausible_answers=[{"text": "Salt", "answer_start": 0}])
        path = write(
            tmp_path,
            squad((CONTEXT, [qa(1, "warm", 5, is_impossible=False)]), (OTHER, [unanswerable]), version="v2.0"),
        )
        example = everything(read_dataset(path))["q3"]
        assert example.is_impossible
        assert example.answers == ()

    @pytest.mark.parametrize("wrap", [lambda r: r, lambda r: {"data": r}, lambda r: {"version": "1", "data": r}])
    def test_rows_as_json(self, tmp_path: Path, wrap: Any) -> None:
        assert_rows(read_dataset(write(tmp_path, wrap(rows()))))

    def test_rows_as_json_lines_with_blank_lines_and_bom(self, tmp_path: Path) -> None:
        text = "\ufeff" + "\r\n\n".join(json.dumps(row) for row in rows()) + "\n"
        assert_rows(read_dataset(write(tmp_path, text, "set.csv")))  # the ending says nothing

    @pytest.mark.parametrize("delimiter", [",", "\t", ";"])
    @pytest.mark.parametrize("as_cell", [json.dumps, repr])
    def test_rows_as_table(self, tmp_path: Path, delimiter: str, as_cell: Any) -> None:
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=delimiter)
        writer.writerow(["id", "context", "question", "answers"])
        for row in rows():
            writer.writerow([row["id"], row["context"], row["question"], as_cell(row["answers"])])
        assert_rows(read_dataset(write(tmp_path, out.getvalue(), "set.json")))

    def test_table_cell_with_numpy_reprs(self, tmp_path: Path) -> None:
        cell = "{'text': array(['Honey'], dtype=object), 'answer_start': array([32], dtype=int32)}"
        path = write(tmp_path, f'context,question,answers\n"{OTHER}",What helps?,"{cell}"\n')
        assert read_dataset(path).train[0].answers == (Answer("Honey", 32),)

    def test_table_of_scalars(self, tmp_path: Path) -> None:
        table = (
            "Context\tQuestion\tanswer_text\tanswer_start\tis_impossible\n"
            f"{OTHER}\tWhat helps?\tHoney\t32.0\tFalse\n"
            f"{OTHER}\tWhat hurts?\t\tnan\tTrue\n"
            f"{OTHER}\tWhat tastes?\t\t\t\n"
        )
        first, second, third = everything(read_dataset(write(tmp_path, table))).values()
        found = sorted((first, second, third), key=lambda e: e.id)
        assert [e.answers for e in found] == [(Answer("Honey", 32),), (), ()]
        assert [e.is_impossible for e in found] == [False, True, True]

    def test_table_keeps_line_ends_inside_cells(self, tmp_path: Path) -> None:
        path = write(tmp_path, 'context,question,answer,answer_start\r\n"Dry.\r\nWarm.",What?,Warm,6\r\n')
        dataset = read_dataset(path)
        assert dataset.train[0].context == "Dry.\r\nWarm."
        assert dataset.train[0].answers == (Answer("Warm", 6),)
        assert not dataset.issues

    def test_table_with_several_rows_for_one_question_merges_golds(self, tmp_path: Path) -> None:
        table = f"id,context,question,answer,answer_start\n1,{OTHER},What?,Honey,32\n1,{OTHER},What?,Salt water,0\n"
        dataset = read_dataset(write(tmp_path, table))
        assert [e.answers for e in dataset.train] == [(Answer("Honey", 32), Answer("Salt water", 0))]
        assert [issue.level for issue in dataset.issues] == ["repaired"]

    def test_parquet(self, tmp_path: Path) -> None:
        path = tmp_path / "set.json"
        pq.write_table(pa.Table.from_pylist(rows()), path)
        assert_rows(read_dataset(path))

    def test_columns(self, tmp_path: Path) -> None:
        table = rows()
        by_list = {name: [row[name] for row in table] for name in table[0]}
        by_key = {name: {str(n): row[name] for n, row in enumerate(table)} for name in table[0]}
        assert_rows(read_dataset(write(tmp_path, by_list)))
        assert_rows(read_dataset(write(tmp_path, by_key)))

    @pytest.mark.parametrize(
        "answers",
        [
            {"answers": [{"text": "Honey", "answer_start": 32}]},
            {"answers": [{"text": "Honey", "answer_start": "32"}]},
            {"answers": {"text": "Honey", "answer_start": 32}},
            {"answer": "Honey", "answer_start": 32},
            {"answer": {"text": "Honey", "answer_start": 32}},
            {"answers": ["Honey"], "answer_start": [32]},
            {"answers": ["Honey"], "answer_start": 32},
            {"answer_text": "Honey", "answer_start": 32.0},
            {"text": "Honey", "start": 32},
            {"answers": [{"start": 32, "end": 37}]},
            {"answer_start": 32, "answer_end": 37},
        ],
    )
    def test_answer_shapes(self, tmp_path: Path, answers: dict[str, Any]) -> None:
        dataset = read_dataset(write(tmp_path, [{"context": OTHER, "question": "What?", **answers}]))
        assert dataset.train[0].answers == (Answer("Honey", 32),)
        assert not dataset.issues

    @pytest.mark.parametrize("empty", [{"answers": None}, {"answers": []}, {"answers": float("nan")}])
    def test_no_answer_in_a_row(self, tmp_path: Path, empty: dict[str, Any]) -> None:
        dataset = read_dataset(write(tmp_path, [{"context": OTHER, "question": "What?", **empty}]))
        assert dataset.train[0].is_impossible

    def test_paragraphs_without_articles(self, tmp_path: Path) -> None:
        path = write(tmp_path, [{"context": CONTEXT, "qas": [qa(1, "warm", 5)]}])
        assert everything(read_dataset(path))["q1"].answers == (Answer("warm", 5),)

    def test_haystack(self, tmp_path: Path) -> None:
        span = {"answer_id": 5, "document_id": 1, "text": "Honey", "answer_start": 32}
        questions = [
            {"id": 7, "question": "What?", "is_impossible": False, "answers": [span | {"answer_category": "SHORT"}]},
            {"id": 8, "question": "Why?", "is_impossible": False, "answers": [span | {"answer_category": "NOT_GIVEN"}]},
        ]
        path = write(tmp_path, {"data": [{"paragraphs": [{"document_id": 1, "context": OTHER, "qas": questions}]}]})
        found = everything(read_dataset(path))
        assert found["7"].answers == (Answer("Honey", 32),)
        assert found["8"].is_impossible

    def test_label_studio(self, tmp_path: Path) -> None:
        def annotation(*spans: tuple[int, int, str], cancelled: bool = False) -> dict[str, Any]:
            values = [{"start": a, "end": b, "text": t, "labels": ["Answer"]} for a, b, t in spans]
            return {
                "was_cancelled": cancelled,
                "result": [{"from_name": "answer", "type": "labels", "value": value} for value in values],
            }

        data = {"text": OTHER, "question": "What?"}
        tasks = [
            {"id": 1, "data": data, "annotations": [annotation((32, 37, "Honey")), annotation((0, 10, "Salt water"))]},
            {"id": 2, "data": data, "annotations": [annotation()]},
            {"id": 3, "data": data, "annotations": [annotation((0, 4, "Salt"), cancelled=True)]},
        ]
        dataset = read_dataset(write(tmp_path, tasks))
        found = everything(dataset)
        assert found["1"].answers == (Answer("Honey", 32), Answer("Salt water", 0))
        assert found["2"].is_impossible
        assert set(found) == {"1", "2"}
        assert [(f.level, f.place) for f in dataset.issues if "annotated" in f.message] == [
            ("warning", 'question "3" (task 3)')
        ]

    def test_label_studio_flat(self, tmp_path: Path) -> None:
        spans = [{"start": 32, "end": 37, "text": "Honey", "labels": ["Answer"]}]
        for key in ("answer", "label"):
            path = write(tmp_path, [{"id": 1, "text": OTHER, "question": "What?", key: spans}])
            assert everything(read_dataset(path))["1"].answers == (Answer("Honey", 32),)

    def test_mrqa(self, tmp_path: Path) -> None:
        question = {
            "qid": "abc",
            "question": "What?",
            "answers": ["Honey"],
            "detected_answers": [{"text": "Honey", "char_spans": [[32, 36]]}],
        }
        lines = [{"header": {"dataset": "Cold"}}, {"context": OTHER, "qas": [question]}]
        path = write(tmp_path, "\n".join(map(json.dumps, lines)))
        dataset = read_dataset(path)
        assert dataset.train[0].answers == (Answer("Honey", 32),)
        assert not dataset.issues


class TestSplits:
    @pytest.mark.parametrize("name", ["validation", "valid", "val", "eval", "dev", "test", "Test"])
    def test_named_splits(self, tmp_path: Path, name: str) -> None:
        halves = two_halves()
        dataset = load_dataset(write(tmp_path, {"train": halves["train"], name: halves["validation"]["data"]}))
        assert [e.id for e in dataset.train] == ["q1"]
        assert [e.id for e in dataset.eval] == ["q2"]

    def test_unused_split_is_told(self, tmp_path: Path) -> None:
        dataset = load_dataset(write(tmp_path, two_halves() | {"test": []}))
        assert [issue.message for issue in dataset.issues] == ['not used: "test"']

    def test_second_file(self, tmp_path: Path) -> None:
        first = write(tmp_path, squad((CONTEXT, [qa(1, "warm", 5)])), "a.json")
        second = write(tmp_path, squad((OTHER, [qa(2, "Honey", 31)])), "b.json")
        dataset = load_dataset(first, eval_path=second)
        assert [e.id for e in dataset.train] == ["q1"]
        assert [e.id for e in dataset.eval] == ["q2"]
        assert dataset.issues[0].place.startswith("b.json: question")

    def test_fault_in_the_second_file_names_it(self, tmp_path: Path) -> None:
        first = write(tmp_path, squad((CONTEXT, [qa(1, "warm", 5)])), "a.json")
        second = write(tmp_path, squad((OTHER, [qa(2, "nowhere", 31)])), "b.json")
        with pytest.raises(DataError) as caught:
            load_dataset(first, eval_path=second)
        assert caught.value.message.startswith('b.json: question "q2"')
        assert "b.json --repair" in caught.value.hint

    def test_split_is_by_passage_and_deterministic(self, tmp_path: Path) -> None:
        table = [
            {"id": f"{c}-{q}", "context": f"Passage {c} says yes.", "question": f"{q}?", "answer": "yes", "start": 15}
            for c in range(10)
            for q in range(3)
        ]
        for row in table:
            row["start"] = str(row["context"]).index("yes")
        path = write(tmp_path, table)
        first, again = load_dataset(path, seed=1), load_dataset(path, seed=1)
        assert first == again
        assert len(first.eval) == 6
        assert not first.overlap
        backwards = load_dataset(write(tmp_path, table[::-1], "b.json"), seed=1)
        assert {e.id for e in backwards.eval} == {e.id for e in first.eval}
        assert len({tuple(e.id for e in load_dataset(path, seed=s).eval) for s in range(5)}) > 1

    def test_single_passage_is_split_by_question_and_told(self, tmp_path: Path) -> None:
        dataset = load_dataset(write(tmp_path, squad((CONTEXT, [qa(n, "warm", 5) for n in range(5)]))))
        assert (len(dataset.train), len(dataset.eval)) == (4, 1)
        assert dataset.overlap
        assert "single passage" in dataset.issues[0].message

    def test_overlap_and_seen(self, tmp_path: Path) -> None:
        halves = {
            "train": squad((CONTEXT, [qa(1, "warm", 5)])),
            "dev": squad((OTHER, [qa(2, "Honey", 32)]), (CONTEXT, [qa(3, "dry", 14)])),
        }
        dataset = load_dataset(write(tmp_path, halves))
        assert dataset.overlap
        assert seen_mask(dataset).tolist() == [False, True]
        assert seen_mask(dataset).dtype == np.bool_


def repaired(tmp_path: Path, context: str, text: str, start: Any) -> tuple[Answer, str]:
    dataset = read_dataset(write(tmp_path, squad((context, [qa(1, text, start)]))))
    (issue,) = (f for f in dataset.issues if f.level != "warning")
    assert issue.level == "repaired", issue
    assert issue.place == 'question "q1" (article "Colds", paragraph 1)'
    (answer,) = dataset.train[0].answers
    assert context[answer.start : answer.start + len(answer.text)] == answer.text
    return answer, issue.message


class TestRepairs:
    def test_nearest_match_wins_and_ambiguity_is_told(self, tmp_path: Path) -> None:
        answer, message = repaired(tmp_path, "rest, then rest, then rest", "rest", 12)
        assert answer.start == 11
        assert "stands in 3 places, the nearest" in message

    @pytest.mark.parametrize(("start", "expected"), [(0, 1), (5, 4), (7, 8), (-3, 1), (99, 8)])
    def test_nearest_on_either_side(self, tmp_path: Path, start: int, expected: int) -> None:
        answer, _ = repaired(tmp_path, " ab ab  ab", "ab", start)
        assert answer.start == expected

    def test_past_the_end(self, tmp_path: Path) -> None:
        answer, message = repaired(tmp_path, CONTEXT, "warm", 4000)
        assert answer.start == 5
        assert "past the passage's end, 53" in message

    def test_white_space_at_the_edges(self, tmp_path: Path) -> None:
        for text, start, expected in ((" warm ", 4, 5), ("warm ", 5, 5), ("\twarm", 5, 5), ("warm", 4, 5)):
            answer, message = repaired(tmp_path, CONTEXT, text, start)
            assert answer == Answer("warm", expected)
            assert "white space" in message

    @pytest.mark.parametrize(
        ("context", "unit", "cause"),
        [
            ("😀😀😀 ab tea leaves; a tea leaf", "utf-16-le", "UTF-16 units"),
            ("éé—é ab tea leaves; a tea leaf", "utf-8", "UTF-8 bytes"),
        ],
    )
    @pytest.mark.parametrize("text", ["tea", "a tea", "leaf"])
    def test_other_units(self, tmp_path: Path, context: str, unit: str, cause: str, text: str) -> None:
        place = context.index(text)
        start = len(context[:place].encode(unit)) // (2 if unit == "utf-16-le" else 1)
        answer, message = repaired(tmp_path, context, text, start)
        assert answer.start == place
        assert cause in message

    def test_other_units_beat_a_nearer_match(self, tmp_path: Path) -> None:
        answer, message = repaired(tmp_path, "😀😀😀 tea tea", "tea", 7)
        assert answer.start == 4
        assert "stands in 2 places" in message

    def test_line_ends_lost(self, tmp_path: Path) -> None:
        labelled = "one\r\ntwo one\r\none three\r\none"
        now = labelled.replace("\r\n", "\n")
        for text in ("three", "one three"):
            answer, message = repaired(tmp_path, now, text, labelled.index(text))
            assert answer.start == now.index(text)
            assert "line ends" in message

    def test_line_ends_gained(self, tmp_path: Path) -> None:
        labelled = "one\ntwo one\none three\none"
        now = labelled.replace("\n", "\r\n")
        answer, message = repaired(tmp_path, now, "one three", labelled.index("one three"))
        assert answer.start == now.index("one three")
        assert "line ends" in message

    def test_line_end_inside_the_answer(self, tmp_path: Path) -> None:
        answer, message = repaired(tmp_path, "one\r\ntwo\r\nthree", "two\nthree", 4)
        assert answer == Answer("two\r\nthree", 5)
        assert "line ends" in message

    def test_unicode_form(self, tmp_path: Path) -> None:
        answer, message = repaired(tmp_path, "Un cafe\u0301 noir", "caf\u00e9", 3)
        assert answer.text == "cafe\u0301"
        assert "Unicode form" in message

    def test_missing_offset(self, tmp_path: Path) -> None:
        answer, message = repaired(tmp_path, CONTEXT, "warm", None)
        assert answer.start == 5
        assert "no offset was given" in message
        _, message = repaired(tmp_path, CONTEXT, "rest", None)
        assert "stands" in message

    def test_exact_label_of_a_repeated_text_stays(self, tmp_path: Path) -> None:
        context = "rest, then rest"
        dataset = read_dataset(write(tmp_path, squad((context, [qa(1, "rest", 11)]))))
        assert dataset.train[0].answers == (Answer("rest", 11),)
        assert not dataset.issues

    def test_contexts_are_never_stripped(self, tmp_path: Path) -> None:
        context = " \n keep warm \t"
        dataset = read_dataset(write(tmp_path, squad((context, [qa(1, "warm", 8)]))))
        assert dataset.train[0].context == context
        assert not dataset.issues

    def test_duplicate_ids_become_unique(self, tmp_path: Path) -> None:
        questions = [qa(1, "warm", 5), qa(1, "dry", 14, question="And?"), qa(1, "warm", 5)]
        dataset = read_dataset(write(tmp_path, squad((CONTEXT, questions))))
        assert set(everything(dataset)) == {"q1", "q1#2"}
        assert [f.message for f in dataset.issues if f.level == "repaired"] == [
            'the id is taken; it is now "q1#2"',
            "the same question again; left out",
        ]

    @pytest.mark.parametrize(
        ("value", "expected"), [(7, "7"), (7.0, "7"), ("x", "x"), (None, "question-1"), ("", "question-1")]
    )
    def test_ids_become_text(self, tmp_path: Path, value: Any, expected: str) -> None:
        dataset = read_dataset(write(tmp_path, squad((CONTEXT, [qa(1, "warm", 5) | {"id": value}]))))
        assert dataset.train[0].id == expected

    def test_contradictions(self, tmp_path: Path) -> None:
        questions = [qa(1, "warm", 5, is_impossible=True), qa(2, None, None, is_impossible=False), qa(3, None, None)]
        dataset = read_dataset(write(tmp_path, squad((CONTEXT, questions))))
        assert [e.is_impossible for e in everything(dataset).values()] == [True, True, True]
        assert [f.level for f in dataset.issues if "answer" in f.message] == ["repaired", "repaired", "warning"]

    def test_strict_refuses(self, tmp_path: Path) -> None:
        path = write(tmp_path, squad((CONTEXT, [qa(1, "warm", 4)]), (OTHER, [qa(2, "Honey", 32)])))
        assert len(load_dataset(path).issues) == 1
        with pytest.raises(DataError, match="strict"):
            load_dataset(path, strict=True)


ERRORS: list[tuple[str, Any, str]] = [
    ("text not there", qa(1, "cold", 5), 'the answer "cold" is not in the passage'),
    ("empty answer", qa(1, "  ", 5, is_impossible=False), "the answer is empty"),
    (
        "answer a number",
        {"id": "q1", "question": "?", "answers": [{"text": 3, "answer_start": 1}]},
        "a number, not text",
    ),
    (
        "offset a list",
        {"id": "q1", "question": "?", "answers": [{"text": "warm", "answer_start": [5]}]},
        "a list, not a whole number",
    ),
    (
        "offset half",
        {"id": "q1", "question": "?", "answers": [{"text": "warm", "answer_start": 5.5}]},
        "a number, not a whole number",
    ),
    (
        "offset true",
        {"id": "q1", "question": "?", "answers": [{"text": "warm", "answer_start": True}]},
        "true or false",
    ),
    (
        "lengths differ",
        {"id": "q1", "question": "?", "answers": {"text": ["warm", "dry"], "answer_start": [5]}},
        "2 answer texts but 1 offsets",
    ),
    ("question missing", {"id": "q1", "answers": [{"text": "warm", "answer_start": 5}]}, "has no question text"),
    ("question a number", {"id": "q1", "question": 5, "answers": []}, "the question is a number"),
    (
        "question half a pair",
        {"id": "q1", "question": "a\ud800", "answers": []},
        "half a surrogate pair at character 1",
    ),
    ("id a list", {"id": [1], "question": "?", "answers": []}, "the id is a list"),
    ("flag odd", {"id": "q1", "question": "?", "answers": [], "is_impossible": "maybe"}, "neither true nor false"),
    ("question a text", "what?", "is text, not an object"),
]


class TestErrors:
    @pytest.mark.parametrize(("question", "message"), [case[1:] for case in ERRORS], ids=[c[0] for c in ERRORS])
    def test_question_with_error_is_left_out_and_told(self, tmp_path: Path, question: Any, message: str) -> None:
        path = write(tmp_path, squad((CONTEXT, [question, qa(2, "dry", 14)]), (OTHER, [qa(3, "Honey", 32)])))
        dataset = read_dataset(path)
        errors = [issue for issue in dataset.issues if issue.level == "error"]
        assert [message in issue.message for issue in errors] == [True]
        assert 'article "Colds", paragraph 1' in errors[0].place
        assert set(everything(dataset)) == {"q2", "q3"}
        with pytest.raises(DataError) as caught:
            load_dataset(path)
        assert caught.value.message.startswith("set.json: ")
        assert errors[0].place in caught.value.message
        assert "--repair" in caught.value.hint
        assert caught.value.exit_code == ExitCode.BAD_DATA

    @pytest.mark.parametrize(
        ("context", "message"),
        [
            ("", "the passage is empty"),
            (" \n", "the passage is empty"),
            (None, "no passage"),
            (3, "a number, not text"),
        ],
    )
    def test_bad_context(self, tmp_path: Path, context: Any, message: str) -> None:
        dataset = read_dataset(
            write(tmp_path, {"data": [{"paragraphs": [{"context": context, "qas": [qa(1, "a", 0)]}]}]})
        )
        assert message in dataset.issues[0].message
        assert "article 1, paragraph 1" in dataset.issues[0].place

    @pytest.mark.parametrize(
        ("values", "place"),
        [
            ({"data": [{"title": "A", "paragraphs": 3}]}, 'article "A"'),
            ({"data": [{"title": "A", "paragraphs": [7]}]}, 'article "A", paragraph 1'),
            ({"data": [{"title": "A", "paragraphs": [{"context": "x"}]}]}, 'article "A", paragraph 1'),
            ([3], "item 1"),
            ([{"a": 1}], "the file"),
            ([{"a": 1}, {"context": "x", "question": "y", "answers": []}], "item 1"),
            ({"train": [], "validation": [{"b": 2}]}, "validation"),
        ],
    )
    def test_wrong_structure(self, tmp_path: Path, values: Any, place: str) -> None:
        dataset = read_dataset(write(tmp_path, values))
        assert place in [issue.place for issue in dataset.issues if issue.level == "error"]
        with pytest.raises(DataError):
            load_dataset(tmp_path / "set.json")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "the file is empty"),
            (b"\xef\xbb\xbf \n", "the file is empty"),
            (b'{"data": [\n  {"title": }]}', "line 2, column 13: not valid JSON"),
            (b'{"data": [{"title": "x"', "The file seems to be cut off"),
            (b'{"data": "caf\xe9"}', "line 1, column 14: byte 0xe9 is not UTF-8"),
            ('{"data": []}'.encode("utf-16"), "looks like UTF-16"),
            (b"\x1f\x8b\x08\x00abc", "not a whole gzip file"),
            (b"PAR1 and no more", "not a readable Parquet file"),
            (b"hello, world\n", "neither JSON nor a table"),
            (b'{"a": 1}\n{"b": \n', "line 2"),
            (b"[" * 200_000, "nested too deeply"),
            (b'{"a": ' + b"9" * 5000 + b"}", "a number can't be read"),
            (b"[]", "there are no training questions"),
            (b"{}", "is not a question"),
            (b"3", "neither JSON nor a table"),
        ],
    )
    def test_unreadable_file(self, tmp_path: Path, content: bytes, message: str) -> None:
        path = write(tmp_path, content)
        with pytest.raises(DataError) as caught:
            load_dataset(path)
        assert message in str(caught.value)
        assert "\n" not in caught.value.message

    def test_missing_file_and_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="there is no such file"):
            load_dataset(tmp_path / "nothing.json")
        with pytest.raises(DataError, match="a folder"):
            load_dataset(tmp_path)
        with pytest.raises(DataError, match="not a regular file"):
            load_dataset("/dev/zero")
        with pytest.raises(DataError):
            load_dataset("x" * 5000)
        with pytest.raises(DataError):
            load_dataset("a\0b")

    def test_nothing_to_learn_or_to_score(self, tmp_path: Path) -> None:
        unanswered = squad((CONTEXT, [qa(1, None, None)]), (OTHER, [qa(2, None, None)]))
        with pytest.raises(DataError, match="none of the 2 questions has an answer"):
            load_dataset(write(tmp_path, unanswered))
        with pytest.raises(DataError, match="no questions to evaluate on"):
            load_dataset(write(tmp_path, squad((CONTEXT, [qa(1, "warm", 5)]))))

    def test_a_file_wrong_throughout_does_not_fill_the_memory(self, tmp_path: Path) -> None:
        dataset = read_dataset(write(tmp_path, "[" + "1," * 50_000 + "1]"))
        assert len(dataset.issues) < 20_000
        assert "40,001 more issues" in dataset.issues[-1].message


class TestStored:
    def test_round_trip_keeps_order_of_interleaved_passages(self, tmp_path: Path) -> None:
        train = [
            Example(f"{n}", f"t{n % 3}", f"q{n}", f"passage {n % 2} — 😀", (Answer("passage", 0),)) for n in range(12)
        ]
        evaluation = [Example("x", "", "?", "else", (), True)]
        dataset = make_dataset(train, evaluation)
        path = tmp_path / "examples.json"
        path.write_bytes(dump_examples(dataset))
        assert read_examples(path) == dataset
        stored = json.loads(path.read_bytes())
        assert set(stored) == {"train", "validation"}
        assert sum(len(a["paragraphs"]) for a in stored["train"]["data"]) == 6  # each (title, passage) once

    @pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"train": 3}', b"\xff"])
    def test_damaged(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(DataError, match="damaged"):
            read_examples(write(tmp_path, content))

    @pytest.mark.parametrize("order", [[0], [0, 0], [0, 5], [-1, 0]])
    def test_damaged_order(self, tmp_path: Path, order: list[int]) -> None:
        dataset = make_dataset([Example(f"{n}", "t", "?", "c", ()) for n in range(2)], [])
        stored = json.loads(dump_examples(dataset))
        stored["train"]["order"] = order
        with pytest.raises(DataError, match="damaged"):
            read_examples(write(tmp_path, stored))

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="can't be read"):
            read_examples(tmp_path / "no.json")

    def test_the_stored_form_is_itself_a_data_set(self, tmp_path: Path) -> None:
        dataset = make_dataset(
            [Example("1", "t", "?", CONTEXT, (Answer("warm", 5),))],
            [Example("2", "t", "?", OTHER, (Answer("Honey", 32),))],
        )
        assert load_dataset(write(tmp_path, dump_examples(dataset))) == dataset


class TestRealData:
    @pytest.mark.parametrize(
        ("name", "questions"),
        [("squad/dev-v1.1.json", 10570), ("squad/train-v1.1-44-articles.json", 11877)]
        + [(f"xquad/xquad.{language}.json", 1190) for language in ("en", "zh", "ar", "de")],
    )
    def test_loads_without_a_fault(self, name: str, questions: int) -> None:
        dataset = load_dataset(real(name), strict=True)
        assert len(dataset.train) + len(dataset.eval) == questions
        assert not dataset.issues
        assert not dataset.overlap
        for example in (*dataset.train, *dataset.eval):
            assert all(example.context.startswith(a.text, a.start) for a in example.answers)

    def test_examples_are_read_with_little_work_for_each(self, tmp_path: Path) -> None:
        dataset = load_dataset(real("squad/train-v1.1-44-articles.json"), eval_path=real("squad/dev-v1.1.json"))
        path = tmp_path / "examples.json"
        path.write_bytes(dump_examples(dataset))
        assert read_examples(path) == dataset
        assert calls_of(lambda: read_examples(path)) < 2 * (len(dataset.train) + len(dataset.eval))


class TestSamples:
    def test_found_by_any_of_their_names(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert {"remedies", "harbour"} <= set(sample_names())
        for name in ("remedies", "remedies.json", "datasets/remedies.json"):
            assert find_dataset(name).is_file()
        for name in ("other/remedies.json", "remedies.csv", str(tmp_path / "remedies.json"), "nothing", ".json"):
            assert find_dataset(name) == Path(name)

    def test_a_file_of_that_name_wins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "remedies.json").write_text("{}")
        assert find_dataset("remedies.json") == Path("remedies.json")

    @pytest.mark.parametrize("name", ["remedies", "harbour"])
    def test_load_without_a_fault(self, name: str) -> None:
        dataset = load_dataset(name, strict=True)
        assert not dataset.issues
        assert dataset.overlap == (name == "remedies")

    def test_answers_struct_is_what_msgspec_reads(self) -> None:
        assert msgspec.json.decode(b'{"text":"a","answer_start":3}', type=Answer) == Answer("a", 3)
