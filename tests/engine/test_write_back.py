"""Corrected data in the user's own layout: the labels concerned change, all else stays as it was."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from engine.config import RunConfig
from engine.data.check import check_dataset
from engine.data.examples import Answer, Example
from engine.data.formats.source import read_values
from engine.data.issues import DataIssues
from engine.data.squad import examples_of
from engine.data.write_back.labels import Correction
from engine.data.write_back.rewrite import Rewritten, rewrite

CONTEXTS = [
    "Keep the feet dry, and take honey twice a day; honey helps.",
    "The harbour of Gënüa, “La Superba”, closed in 1797 🙂 and opened in 1806.",
    "Nothing is said here of anything.",
]
QUESTIONS = ["What to take?", "When did it close?", "Who says it?"]
SECOND_HONEY = CONTEXTS[0].rindex("honey")


def answer(context: int, text: str, start: int | None = None) -> Answer:
    return Answer(text, CONTEXTS[context].index(text) if start is None else start)


LABELS = [answer(0, "feet dry"), answer(1, "1806"), None]
CHANGES = {
    "q0": Correction(LABELS[0], answer(0, "honey", SECOND_HONEY)),
    "q1": Correction(LABELS[1], answer(1, "1797 🙂")),
    "q2": Correction(None, answer(2, "Nothing")),
}
EMPTY = {"q0": Correction(LABELS[0], None)}
DROP = {"q1": Correction(drop=True)}


def gold(label: Answer | None, **more: Any) -> list[dict[str, Any]]:
    return [] if label is None else [{"text": label.text, "answer_start": label.start, **more}]


def squad(*, version: str = "v2.0") -> dict[str, Any]:
    paragraphs = [
        {
            "context": context,
            "note": ["kept", {"x": 1.5}],
            "qas": [
                {
                    "answers": gold(label, answer_category="SHORT"),
                    "id": f"q{number}",
                    "question": question,
                    "is_impossible": label is None,
                    "mark": number,
                }
            ],
        }
        for number, (context, question, label) in enumerate(zip(CONTEXTS, QUESTIONS, LABELS, strict=True))
    ]
    return {"version": version, "data": [{"title": "T", "paragraphs": paragraphs}], "licence": "CC"}


def rows(*, ids: bool = True) -> list[dict[str, Any]]:
    return [
        {
            **({"id": f"q{number}"} if ids else {}),
            "context": context,
            "question": question,
            "answers": {
                "text": [label.text] if label else [],
                "answer_start": [label.start] if label else [],
            },
            "extra": None,
        }
        for number, (context, question, label) in enumerate(zip(CONTEXTS, QUESTIONS, LABELS, strict=True))
    ]


def table(delimiter: str = ",", end: str = "\r\n", *, pandas: bool = False) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    if pandas:
        writer.writerow(["", "id", "Context", "question", "answers"])
        for number, row in enumerate(rows()):
            writer.writerow([number, row["id"], row["context"], row["question"], str(row["answers"])])
        return out.getvalue()
    writer.writerow(["id", "Context", "Question", "Answer Text", "answer_start", "is_impossible", "remark"])
    for row in rows():
        texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
        cells = [*texts, *starts] if texts else ["", ""]
        writer.writerow(
            [row["id"], row["context"], row["question"], *cells, str(not texts), 'say "so"\nover two lines']
        )
    return out.getvalue()


def mrqa() -> str:
    lines = [json.dumps({"header": {"dataset": "x"}})]
    for number, (context, question, label) in enumerate(zip(CONTEXTS[:2], QUESTIONS, LABELS, strict=False)):
        assert label is not None
        spans = [[label.start, label.start + len(label.text) - 1]]
        qa = {
            "qid": f"q{number}",
            "question": question,
            "detected_answers": [{"text": label.text, "char_spans": spans, "token_spans": [[1, 2]]}],
            "answers": [label.text],
        }
        lines.append(json.dumps({"context": context, "qas": [qa]}))
    return "\n".join(lines) + "\n"


def label_studio() -> list[dict[str, Any]]:
    tasks = []
    for number, (context, question, label) in enumerate(zip(CONTEXTS, QUESTIONS, LABELS, strict=True)):
        result = []
        if label:
            value = {
                "start": label.start,
                "end": label.start + len(label.text),
                "text": label.text,
                "labels": ["Answer"],
            }
            result = [{"from_name": "answer", "to_name": "text", "type": "labels", "value": value}]
        data = {"text": context, "question": question}
        tasks.append({"id": f"q{number}", "data": data, "annotations": [{"result": result, "lead_time": 3.2}]})
    return tasks


def doccano() -> str:
    lines = []
    for number, (context, question, label) in enumerate(zip(CONTEXTS[:2], QUESTIONS, LABELS, strict=False)):
        assert label is not None
        spans = [[label.start, label.start + len(label.text), "Answer"]]
        lines.append(json.dumps({"id": f"q{number}", "text": context, "question": question, "label": spans}))
    return "\n".join(lines) + "\n"


FILES: dict[str, str] = {
    "squad": json.dumps(squad()),
    "squad indented": json.dumps(squad(), indent=2, ensure_ascii=False) + "\n",
    "squad compact": json.dumps(squad(), separators=(",", ":")),
    "splits": json.dumps({"train": squad(), "validation": {"data": []}, "notes": "kept"}, indent=1),
    "paragraphs": json.dumps(squad()["data"][0]["paragraphs"]),
    "rows": json.dumps(rows(), ensure_ascii=False),
    "rows under data": json.dumps({"data": rows()}),
    "scalar rows": json.dumps(
        [
            {
                "id": row["id"],
                "context": row["context"],
                "question": row["question"],
                "answer": next(iter(row["answers"]["text"]), None),
                "answer_start": next(iter(row["answers"]["answer_start"]), None),
            }
            for row in rows()
        ]
    ),
    "list of golds": json.dumps([{**row, "answers": gold(label)} for row, label in zip(rows(), LABELS, strict=True)]),
    "json lines": "\n".join(json.dumps(row, ensure_ascii=False) for row in rows()) + "\n",
    "json lines, crlf": "\r\n\r\n".join(json.dumps(row) for row in rows()),
    "csv": table(),
    "tsv": table("\t", "\n"),
    "semicolons": "\n" + table(";", "\n"),
    "pandas": table(pandas=True),
    "mrqa": mrqa(),
    "label studio": json.dumps(label_studio()),
    "doccano": doccano(),
}
NO_ROOM = {("label studio", "q2")}
"""Changes that a layout can't hold."""


def read(path: Path) -> list[Example]:
    return [example for half in examples_of(read_values(path), DataIssues()).values() for example in half]


def write(path: Path, changes: dict[str, Correction]) -> tuple[Rewritten, list[Example]]:
    made = rewrite(path, {("train", ident): change for ident, change in changes.items()})
    out = path.with_name("corrected")
    out.write_bytes(made.content)
    return made, read(out)


@pytest.fixture(params=list(FILES))
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    path = tmp_path / "data"
    path.write_bytes(FILES[request.param].encode())
    return request.param, path


@pytest.mark.parametrize("ident", ["q0", "q1", "q2"])
def test_another_answer(layout: tuple[str, Path], ident: str) -> None:
    name, path = layout
    before = read(path)
    if ident not in [example.id for example in before]:
        return
    made, after = write(path, {ident: CHANGES[ident]})
    for old, new in zip(before, after, strict=True):
        wanted = (CHANGES[ident].answer,) if old.id == ident else old.answers
        assert new.answers == wanted, name
        assert new.is_impossible == (not wanted)
        assert (new.id, new.question, new.context) == (old.id, old.question, old.context)
    assert bool(made.fallback) == ((name, ident) in NO_ROOM), made.fallback
    assert f'"{ident}"' in made.places["train", ident]


def test_no_answer(layout: tuple[str, Path]) -> None:
    name, path = layout
    made, after = write(path, EMPTY)
    assert [example.is_impossible for example in after][:2] == [True, False], name
    assert not made.fallback


def test_a_dropped_question(layout: tuple[str, Path]) -> None:
    name, path = layout
    before = read(path)
    made, after = write(path, DROP)
    assert [example.id for example in after] == [example.id for example in before if example.id != "q1"], name
    assert not made.fallback


def test_only_what_changed_is_written_anew(layout: tuple[str, Path]) -> None:
    """Byte for byte, where the file has lines; value for value, and in the file's own style, elsewhere."""
    name, path = layout
    made, _ = write(path, {"q0": CHANGES["q0"]})
    back, _ = write(path.with_name("corrected"), {"q0": Correction(CHANGES["q0"].answer, LABELS[0])})
    if name == "mrqa":  # its token spans are gone, since they do not fit the new answer
        return
    assert back.content == path.read_bytes()
    if name in ("json lines", "csv", "tsv", "semicolons", "pandas"):
        was, now = path.read_bytes().splitlines(), made.content.splitlines()
        assert sum(one != other for one, other in zip(was, now, strict=True)) == 1


def test_the_result_checks_clean(layout: tuple[str, Path], tmp_path: Path) -> None:
    name, path = layout
    known = {example.id for example in read(path)}
    write(path, {ident: change for ident, change in CHANGES.items() if ident in known and (name, ident) not in NO_ROOM})
    split = tmp_path / "eval.json"
    split.write_text(json.dumps(squad()))
    report = check_dataset(path.with_name("corrected"), RunConfig(dataset="corrected", eval=str(split)))
    assert report.errors == 0, report.issues


def test_misread_labels_are_found_again(tmp_path: Path) -> None:
    """What stands in the file is not what was read: the offset was off by one, a blank stood at the answer's edge."""
    data = squad()
    data["data"][0]["paragraphs"][0]["qas"][0]["answers"] = [
        {"text": " feet dry", "answer_start": LABELS[0].start},  # type: ignore[union-attr]
        {"text": "honey", "answer_start": CONTEXTS[0].index("honey")},
    ]
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data))
    assert read(path)[0].answers[0] == LABELS[0]
    made, after = write(path, {"q0": CHANGES["q0"]})
    assert after[0].answers == (CHANGES["q0"].answer, answer(0, "honey"))
    assert not made.fallback


def test_ids_that_were_made_unique_and_questions_that_were_merged(tmp_path: Path) -> None:
    data = rows()
    data[1]["id"] = "q0"  # the id is taken: it becomes q0#2
    data.append({**data[0], "answers": {"text": ["honey"], "answer_start": [CONTEXTS[0].index("honey")]}})  # merged
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data))
    assert [example.id for example in read(path)] == ["q0", "q0#2", "q2"]
    made, after = write(path, {"q0": EMPTY["q0"], "q0#2": CHANGES["q1"]})
    assert not made.fallback
    assert [example.answers for example in after] == [(), (CHANGES["q1"].answer,), ()]
    made, after = write(path, {"q0": Correction(LABELS[0], answer(0, "day"))})
    assert not made.fallback
    assert after[0].answers == (answer(0, "day"), answer(0, "honey"))
    _, after = write(path, {"q0": Correction(drop=True)})
    assert [example.id for example in after] == ["q0", "q2"]


def test_what_else_an_annotator_said_stays(tmp_path: Path) -> None:
    tasks = label_studio()
    rating = {"from_name": "sure", "to_name": "text", "type": "choices", "value": {"choices": ["No answer"]}}
    tasks[0]["annotations"][0]["result"].append(rating)
    path = tmp_path / "data.json"
    path.write_text(json.dumps(tasks))
    made, after = write(path, {"q0": EMPTY["q0"]})
    assert not made.fallback
    assert after[0].is_impossible
    assert json.loads(made.content)[0]["annotations"][0]["result"] == [rating]


def test_questions_without_ids_are_found_by_their_place(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(rows(ids=False)))
    made, after = write(path, {"question-2": CHANGES["q1"], "question-1": Correction(drop=True)})
    assert not made.fallback
    assert [example.answers for example in after] == [(CHANGES["q1"].answer,), ()]


def test_parquet(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "data.parquet"
    data = [{name: value for name, value in row.items() if name != "extra"} for row in rows()]
    pq.write_table(pa.Table.from_pylist(data), path)
    made, after = write(path, {**CHANGES, "q1": Correction(drop=True)})
    assert (made.layout, made.fallback) == ("Parquet", "")
    assert [example.answers for example in after] == [(CHANGES["q0"].answer,), (CHANGES["q2"].answer,)]
    assert pq.read_schema(path.with_name("corrected")) == pq.read_schema(path)


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "data.json.gz"
    path.write_bytes(gzip.compress(FILES["squad"].encode()))
    made, after = write(path, {"q0": CHANGES["q0"]})
    assert made.layout == "JSON"
    assert after[0].answers == (CHANGES["q0"].answer,)


def test_a_byte_order_mark_stays(tmp_path: Path) -> None:
    for name in ("squad", "json lines", "csv"):
        path = tmp_path / "data"
        path.write_bytes(b"\xef\xbb\xbf" + FILES[name].encode())
        made, _ = write(path, {"q0": CHANGES["q0"]})
        assert made.content.startswith(b"\xef\xbb\xbf")
        assert not made.fallback


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("context,question,answer\n" + f'"{CONTEXTS[0]}",?,feet dry\n', 'no column "answer_start"'),
        (json.dumps({name: [row[name] for row in rows()[:2]] for name in rows()[0]}), "can't hold"),
    ],
    ids=["no column for the offset", "stored by column"],
)
def test_else_it_is_squad(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "data"
    path.write_text(content)
    first, *others = (example.id for example in read(path))
    made, after = write(path, {first: CHANGES["q0"], **{other: Correction(drop=True) for other in others}})
    assert made.layout == "SQuAD JSON"
    assert why in made.fallback
    assert [example.answers for example in after] == [(CHANGES["q0"].answer,)]
    assert "paragraphs" in made.content.decode()


def test_a_half_of_a_file_with_two(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"train": squad(), "validation": squad()}))
    made = rewrite(path, {("train", "q0"): CHANGES["q0"], ("eval", "q0"): EMPTY["q0"]})
    halves = json.loads(made.content)
    golds = {name: half["data"][0]["paragraphs"][0]["qas"][0]["answers"] for name, half in halves.items()}
    assert golds["train"][0]["text"] == "honey"
    assert golds["validation"] == []
    only = json.loads(rewrite(path, {("train", "q0"): EMPTY["q0"]}, use=("train", "all", "eval")).content)
    assert only["validation"] == squad()
