"""`ask` and `predict` as a user meets them: their output, files and exit codes, with a real model in a real process."""

from __future__ import annotations

import io
import json
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from engine.data.examples import read_examples
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, snapshot_name
from tests.pseudo_terminal import PseudoTerminal
from tests.tiny_run import kept_run
from tests.uncounted import count_no_child
from tests.waiting import Clock, until
from tui.cli import progress
from tui.cli.main import main
from tui.drawing.frame import ASCII

CONTEXT = "For the winter fever 7 take honey 7, then rest for 9 days."
QUESTION = "What do I take?"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return kept_run(tmp_path_factory)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    count_no_child(monkeypatch)
    return Call(capsys, monkeypatch)


class Call:
    """Runs a command in this process; `stdin` is what is piped in."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.out = self.err = ""

    def __call__(self, *arguments: object, stdin: str = "") -> int:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8"))
        code = main([str(argument) for argument in arguments])
        self.out, self.err = self._capsys.readouterr()
        return code


def rows(text: str) -> dict[str, str]:
    """Lines `name   value`; the first of each name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition("  ")
        if name.strip():
            found.setdefault(name.strip(), value.strip())
    return found


# -- ask -----------------------------------------------------------------------------------------------------------


def test_an_answer_with_its_place(call: Call, run: RunDir) -> None:
    assert call("ask", run.path, "-q", QUESTION, "-c", CONTEXT, "--nbest", "2") == 0, call.err
    shown = rows(call.out)
    assert shown["answer"] in CONTEXT
    assert shown["probability"].endswith(" %")
    assert shown["place"].endswith(f" of {len(CONTEXT)}")
    assert f"[[{shown['answer']}]]" in call.out
    assert shown["n best"].endswith(shown["answer"])
    assert shown["model"].startswith("epoch ")
    assert "fp32 on cpu" in shown["model"]
    assert call.err == ""


def test_a_passage_from_a_file_and_from_standard_input(call: Call, run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "passage.txt").write_text(CONTEXT)
    outputs = []
    for arguments, stdin in ((["-c", "@passage.txt"], ""), (["-c", "-"], CONTEXT), ([], CONTEXT)):
        assert call("ask", run.path, "-q", QUESTION, *arguments, "--json", stdin=stdin) == 0, call.err
        outputs.append(call.out)
    assert len(set(outputs)) == 1
    record = json.loads(outputs[0])
    assert record["question"] == QUESTION
    assert CONTEXT[record["char_start"] : record["char_end"]] == record["text"]
    assert 0 < record["probability"] < 1
    assert len(record["n_best"]) == 3


def test_questions_that_are_piped_in(call: Call, run: RunDir) -> None:
    assert call("ask", run.path, "-c", CONTEXT, stdin=f"{QUESTION}\n\nHow long do I rest?\n") == 0, call.err
    assert [line.split("  ")[-1].strip() for line in call.out.splitlines() if line.startswith("question")] == [
        QUESTION,
        "How long do I rest?",
    ]
    assert call.out.count("\nmodel ") == 1


def test_how_the_answer_changed(call: Call, run: RunDir) -> None:
    assert call("ask", run.path, "-q", QUESTION, "-c", CONTEXT, "--snapshot", "all") == 0, call.err
    first, second = call.out.splitlines()
    assert first.startswith("  epoch 1 (snapshot 1, F1 ")
    assert second[2:].startswith("epoch 2 (snapshot 2, F1 ")
    texts = []
    for number in (1, 2):
        assert call("ask", run.path, "-q", QUESTION, "-c", CONTEXT, "--snapshot", number, "--json") == 0, call.err
        texts.append(json.loads(call.out))
    assert first.endswith(f"{100 * texts[0]['probability']:.1f} %  {texts[0]['text']}")
    changed = (texts[0]["char_start"], texts[0]["char_end"]) != (texts[1]["char_start"], texts[1]["char_end"])
    assert second.startswith("* " if changed else "  ")


def test_the_checkpoint_and_any_model_folder_can_be_asked(call: Call, run: RunDir, tmp_path: Path) -> None:
    shutil.copytree(run.checkpoints / "epoch-0002", tmp_path / "model")
    (tmp_path / "model" / "MANIFEST.json").unlink()
    answers = []
    for name in (run.checkpoints / "epoch-0002", "model"):
        assert call("ask", name, "-q", QUESTION, "-c", CONTEXT, "--json", "--precision", "fp32") == 0, call.err
        answers.append(json.loads(call.out)["score"])
    assert answers[0] == answers[1]
    assert call("ask", run.path.name, "--runs-dir", run.path.parent, "-q", QUESTION, "-c", CONTEXT) == 0, call.err


def test_thresholds(call: Call, run: RunDir) -> None:
    ask = ("ask", run.path, "-q", QUESTION, "-c", CONTEXT)
    assert call(*ask, "--no-answer", "--threshold", "-1000") == 0, call.err
    assert rows(call.out)["answer"] == "(no answer)"
    assert "place" not in rows(call.out)
    assert call(*ask, "--no-answer", "--threshold", "1000") == 0, call.err
    assert rows(call.out)["answer"] in CONTEXT
    assert call(*ask, "--min-probability", "1") == 0, call.err
    assert rows(call.out)["answer"] == "(withheld: too improbable)"


def test_text_from_outside_is_harmless(call: Call, run: RunDir) -> None:
    assert call("ask", run.path, "-q", "a\x1b[2J", "-q", "b", "-c", "one \x1b[31m\x07 two\u202e", "--nbest", "9") == 0
    assert not {"\x1b", "\x07", "\u202e"} & set(call.out)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-q", "", "-c", CONTEXT], 2, "the question is empty"),
        (["-q", QUESTION, "-c", " "], 2, "the passage is empty"),
        (["-q", QUESTION, "-c", "@nowhere.txt"], 2, "nowhere.txt: the passage can't be read: No such file"),
        (["-q", QUESTION, "-c", "@latin.txt"], 65, "latin.txt, line 1, column 4: byte 0xe9 is not UTF-8"),
        ([], 2, "nothing is asked"),
        (["-q", QUESTION, "-c", CONTEXT, "--snapshot", "0"], 2, "snapshot 0 (untrained) are not kept. Kept: epoch 1"),
        (["-q", QUESTION, "-c", CONTEXT, "--snapshot", "soon"], 2, "'soon' is no snapshot"),
        (["-q", QUESTION, "-c", CONTEXT, "--threshold", "1"], 2, "--threshold means nothing"),
        (["-q", QUESTION, "-c", CONTEXT, "--min-probability", "2"], 2, "--min-probability"),
    ],
)
def test_what_cant_be_asked(
    call: Call, run: RunDir, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert call("ask", run.path, *arguments) == code
    assert call.out == ""
    assert len(call.err.splitlines()) == 1
    assert said in call.err


def test_models_that_are_not_there(call: Call, run: RunDir, tmp_path: Path) -> None:
    ask = ("-q", QUESTION, "-c", CONTEXT)
    for name, code, said in (
        ("rum", 2, "Did you mean run?"),
        ("./nowhere", 2, "there is no such run or folder"),
        ("no-such/model", 69, "no-such/model"),
        ("all-MiniLM-L6-v2", 69, "has no question-answering head"),
        (str(tmp_path), 69, "no config.json"),
    ):
        assert call("ask", name, *ask, "--runs-dir", run.path.parent) == code, (name, call.err)
        assert said in call.err
    copied = tmp_path / "copied"
    shutil.copytree(run.path, copied)
    for half in copied.glob("checkpoints/*/MANIFEST.json"):
        half.unlink()
    assert call("ask", copied, *ask) == 65
    assert "half written" in call.err


def has_asked(terminal: PseudoTerminal, times: int) -> bool:
    return terminal.output.count(b"question (empty: leave)") == times


def test_a_prompt_keeps_the_passage(run: RunDir) -> None:
    command = [sys.executable, "-m", "tui.cli", "ask", str(run.path), "--nbest", "0"]
    with PseudoTerminal(command, environment={"HF_HUB_OFFLINE": "1"}) as terminal:
        until(lambda: b"passage" in terminal.output)
        terminal.press(f"{CONTEXT}\n\n")
        for number, text in enumerate((QUESTION, "How long?", ""), 1):
            until(partial(has_asked, terminal, number))
            terminal.press(f"{text}\n")
        assert terminal.process.wait() == 0
        assert terminal.output.count(b"probability") == 2


def test_a_long_wait_shows_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    with progress.Waiting("reading the passage", "windows") as waiting:
        for done, seconds in ((0, 4.0), (100, 4.0), (300, 4.0), (400, 0.5), (1000, 20.0)):
            clock.now += seconds
            waiting.show(done, 1000)
    assert capsys.readouterr().err == "reading the passage: 300 of 1,000 windows, 0:28 left\n"


# -- predict -------------------------------------------------------------------------------------------------------


def test_predictions_are_those_of_the_snapshot(call: Call, run: RunDir, tmp_path: Path) -> None:
    data = run.config.dataset
    assert call("predict", run.path, data, "-o", "all.json", "--snapshot", "2", "--nbest", "nbest.json") == 0, call.err
    predicted = json.loads((tmp_path / "all.json").read_bytes())
    candidates = json.loads((tmp_path / "nbest.json").read_bytes())
    examples = read_examples(run.examples_file)
    assert list(predicted) == [example.id for example in examples.train + examples.eval]
    with Snapshot(run.path / snapshot_name(2)) as snapshot:
        starts, ends = (snapshot.column(f"pred_char_{edge}").tolist() for edge in ("start", "end"))
        metrics = snapshot.info.metrics
    for example, start, end in zip(examples.eval, starts, ends, strict=True):
        assert predicted[example.id] == example.context[start:end]
        assert candidates[example.id][0]["text"] == predicted[example.id]
        assert len(candidates[example.id]) == 20
    assert f"validation: EM {metrics.exact_match:.2f}  F1 {metrics.f1:.2f}  ({len(starts)} questions)" in call.out
    assert "train: EM " in call.out

    assert call("predict", run.path, data, "-o", "half.json", "--split", "validation", "--json") == 0, call.err
    printed = json.loads(call.out)
    assert printed["questions"] == len(starts)
    assert set(printed["scores"]) == {"validation"}
    assert set(json.loads((tmp_path / "half.json").read_bytes())) == {example.id for example in examples.eval}


def test_a_file_without_labels(call: Call, run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "questions.csv").write_text(f'id,question,context\n1,{QUESTION},"{CONTEXT}"\n2,Why?,"{CONTEXT}"\n')
    odds = ("--null-odds", "odds.json")
    assert call("predict", run.path, "questions.csv", "-o", "out.json", *odds, "--no-answer") == 0, call.err
    assert set(json.loads((tmp_path / "out.json").read_bytes())) == {"1", "2"}
    assert all(isinstance(value, float) for value in json.loads((tmp_path / "odds.json").read_bytes()).values())
    assert "no labels in the file" in call.out
    assert call.err == ""


def test_what_cant_be_answered_is_said_and_the_rest_written(call: Call, run: RunDir, tmp_path: Path) -> None:
    lines = [{"id": "1", "question": QUESTION, "context": CONTEXT}, {"id": "2", "question": QUESTION, "context": ""}]
    (tmp_path / "some.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert call("predict", run.path, "some.jsonl", "-o", "out.json") == 65
    assert call.err.startswith('not answered: question "2" (row 2): has no passage')
    assert set(json.loads((tmp_path / "out.json").read_bytes())) == {"1"}


def test_nothing_is_overwritten_and_bad_files_are_one_line(call: Call, run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("mine")
    (tmp_path / "bad.json").write_text("{")
    data = run.config.dataset
    for arguments, code, said in (
        ((data, "-o", "there.json"), 73, "there.json: exists already"),
        ((data, "-o", "new.json", "--nbest", "there.json"), 73, "there.json: exists already"),
        ((data, "-o", "new.json", "--nbest", "./new.json"), 73, "new.json: is named twice"),
        ((data, "-o", "nowhere/new.json"), 73, "its folder is not there"),
        (("bad.json", "-o", "new.json"), 65, "bad.json, line 1"),
        (("nowhere.json", "-o", "new.json"), 65, "nowhere.json"),
        ((data, "-o", "new.json", "--null-odds", "odds.json"), 2, "there are no null odds"),
    ):
        assert call("predict", run.path, *arguments) == code, call.err
        assert said in call.err
        assert len(call.err.splitlines()) == 1
    assert (tmp_path / "there.json").read_text() == "mine"
    assert not (tmp_path / "new.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_no_room_for_the_predictions(call: Call, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.storage.atomic_io import Operations

    def full(self: Operations, fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Operations, "write", full)
    assert call("predict", run.path, run.config.dataset, "-o", "new.json") == 73
    assert "No space left on device. Make room, or name a file on another disk." in call.err


# -- ask --why -------------------------------------------------------------------------------------------------


def test_why_prints_words_with_weights_and_the_masking_test(run: RunDir, call: Call) -> None:
    assert call("ask", run.path, "-q", QUESTION, "-c", CONTEXT, "--why", "--steps", 5) == 0
    first, second, third = call.out.split("\nwhy, by ")
    assert rows(first)["answer"]
    for part, method in ((second, "gradient of "), (third, "integrated gradients of ")):
        assert part.startswith(method)
        lines = part.splitlines()
        words = [line for line in lines if "%" in line and ("█" in line or "▓" in line)][:12]
        assert len(words) == 12
        assert sum(line.endswith(" masked") for line in words) <= 5
        [tested] = [line for line in lines if "masking the top 5" in line]
        assert "; 5 random others (mean of 5) " in tested
        assert tested.endswith(("they matter", "doubt it"))
    assert "for the answer" in third


def test_why_as_json_has_every_word(run: RunDir, call: Call) -> None:
    assert call("ask", run.path, "-q", QUESTION, "-c", CONTEXT, "--why", "--json") == 0
    record = json.loads(call.out)
    [opinion] = record["why"]
    assert opinion["method"] == "gradient"
    texts = {"question": QUESTION, "passage": CONTEXT}
    for word in opinion["words"]:
        assert word["text"] == texts[word["of"]][word["char_start"] : word["char_end"]]
    assert sum(word["share"] for word in opinion["words"]) == pytest.approx(1)
    assert 0 < sum(word["masked"] for word in opinion["words"]) <= opinion["masked"]["tokens"] == 5
    assert record["answer" if "answer" in record else "text"] is not None


def test_why_in_a_terminal_without_utf8(run: RunDir, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.cli.why_lines._glyphs", lambda: ASCII)
    assert call("ask", run.path, "-q", QUESTION, "-c", CONTEXT, "--why") == 0
    assert call.out.isascii()
    assert "######" in call.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "20"], "--steps means nothing without --why"),
        (["--why", "--snapshot", "all"], "--why explains one answer"),
        (["--why", "--steps", "0"], "0 is not in the range"),
    ],
)
def test_why_refuses_what_means_nothing(run: RunDir, call: Call, options: list[str], words: str) -> None:
    assert call("ask", run.path, "-q", QUESTION, "-c", CONTEXT, *options) == 2
    assert words in call.err
