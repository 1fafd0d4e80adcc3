"""Any text, any layout, any corrections: the file says what it should, and other labels say what they said."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.examples import Answer, Example
from engine.data.formats.source import read_values
from engine.data.issues import DataIssues
from engine.data.squad import examples_of
from engine.data.write_back.labels import Correction, corrected
from engine.data.write_back.rewrite import rewrite

SIGNS = "abé蜜🙂\u2028\"',;\t\\{}[]: \n"
WORD = st.text("abé蜜🙂\"',;\\{}[]:", min_size=1, max_size=4)


@st.composite
def examples(draw: st.DrawFn) -> list[Example]:
    made = []
    for number in range(draw(st.integers(1, 5))):
        words = draw(st.lists(WORD, min_size=2, max_size=6))
        context = draw(st.sampled_from([" ", "\n", "\r\n", "  "])).join(words)
        spans = draw(st.lists(st.sampled_from(words), max_size=2))
        answers = tuple(Answer(word, context.index(word)) for word in spans)
        made.append(Example(f"q{number}", "", draw(st.text(SIGNS, min_size=1, max_size=8)), context, answers[:1]))
    return [Example(e.id, e.title, e.question + "?", e.context, e.answers, not e.answers) for e in made]


@st.composite
def corrections(draw: st.DrawFn, found: list[Example]) -> dict[str, Correction]:
    chosen = draw(st.lists(st.sampled_from(found), unique_by=lambda example: example.id))
    made = {}
    for example in chosen:
        label = example.answers[0] if example.answers else None
        words = sorted(set(example.context.split()))
        word = draw(st.sampled_from(words))
        start = draw(st.sampled_from([example.context.index(word), example.context.rindex(word)]))
        made[example.id] = draw(
            st.sampled_from(
                [Correction(label, Answer(word, start)), Correction(label, None), Correction(label, drop=True)]
            )
        )
    return made


def row(example: Example) -> dict[str, object]:
    answers = {"text": [a.text for a in example.answers], "answer_start": [a.start for a in example.answers]}
    return {"id": example.id, "context": example.context, "question": example.question, "answers": answers}


def written(layout: str, found: list[Example]) -> bytes:
    match layout:
        case "squad":
            paragraphs = [
                {
                    "context": e.context,
                    "qas": [
                        {
                            "id": e.id,
                            "question": e.question,
                            "answers": [{"text": a.text, "answer_start": a.start} for a in e.answers],
                            "is_impossible": e.is_impossible,
                        }
                    ],
                }
                for e in found
            ]
            return json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}, indent=2).encode()
        case "rows":
            return json.dumps([row(e) for e in found], ensure_ascii=False).encode()
        case "lines":
            return b"".join(json.dumps(row(e)).encode() + b"\n" for e in found)
        case _:
            out = io.StringIO()
            table = csv.writer(out, delimiter="\t" if layout == "tsv" else ",")
            table.writerow(["id", "context", "question", "answer", "answer_start", "note"])
            for e in found:
                label = [e.answers[0].text, e.answers[0].start] if e.answers else ["", ""]
                table.writerow([e.id, e.context, e.question, *label, 'a "note"\nof two lines'])
            return out.getvalue().encode()


def read(path: Path) -> list[Example]:
    return [example for half in examples_of(read_values(path), DataIssues()).values() for example in half]


@settings(deadline=None, max_examples=120)
@given(st.data())
def test_the_file_says_what_it_should(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(["squad", "rows", "lines", "csv", "tsv"]))
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "data"), Path(folder, "out")
        path.write_bytes(written(layout, data.draw(examples())))
        before = read(path)
        if not before:
            return
        changes = data.draw(corrections(before))
        made = rewrite(path, {("train", ident): change for ident, change in changes.items()})
        wanted = [found for e in before if (found := corrected(e, changes.get(e.id))) is not None]
        if not wanted:
            return  # nothing is left to read
        out.write_bytes(made.content)
        after = read(out)
        said = [[(e.question, e.context, e.answers, e.is_impossible) for e in some] for some in (after, wanted)]
        assert said[0] == said[1], (layout, made.layout, made.fallback)
        assert not made.fallback, (layout, made.fallback)
