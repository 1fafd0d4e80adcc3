"""Asking a fine-tuned model through the answering process: the same answers as the run's snapshots, and its ends."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest

from engine import messages
from engine.answering_model import source_of
from engine.data.examples import Example, read_examples
from engine.errors import DataError, ModelError, UsageError, UserError
from engine.launch import start
from engine.learning import answer as process
from engine.messages import (
    AnswerRequest,
    Answers,
    Decision,
    Failure,
    Load,
    Ready,
    decode_reply,
    read_bytes,
    write_record,
)
from engine.reader import Reader
from engine.rundir.calibration import calibration_of_model, write_calibration
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.snapshot import Snapshot, snapshot_name
from tests.tiny_run import kept_run, tiny_config
from tests.waiting import until

CONTEXT = "For the winter fever 7 take honey 7, then rest for 9 days."
QUESTION = "What do I take?"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return kept_run(tmp_path_factory)


@pytest.fixture(scope="module")
def reader(run: RunDir) -> Iterator[Reader]:
    with Reader(run.path) as made:
        yield made


def pairs_of(examples: tuple[Example, ...]) -> list[tuple[str, str]]:
    return [(example.question, example.context) for example in examples]


def process_of(reader: Reader) -> psutil.Process:
    return psutil.Process(reader.pid)


# -- answers ---------------------------------------------------------------------------------------------------


def test_an_answer_with_its_place_and_its_rivals(reader: Reader) -> None:
    answer = reader.answer(QUESTION, CONTEXT, n_best=4, scores="best")
    assert answer.text == CONTEXT[answer.char_start : answer.char_end] != ""
    assert answer.null_odds is None
    assert answer.windows == 1
    assert [one.probability for one in answer.n_best] == sorted(
        (one.probability for one in answer.n_best), reverse=True
    )
    assert len(answer.n_best) == 4
    assert answer.n_best[0].text == answer.text
    assert answer.n_best[0].probability == answer.probability
    assert 0 < sum(one.probability for one in answer.n_best) < 1
    [window] = answer.scores
    assert window.tokens[0] == "[CLS]"
    assert len(window.tokens) == len(window.start_logits) == len(window.end_logits) == len(window.segment)
    assert window.segment[window.start] == window.segment[window.end] == 2
    assert (window.char_start[window.start], window.char_end[window.end]) == (answer.char_start, answer.char_end)
    assert window.start_logits[window.start] + window.end_logits[window.end] == pytest.approx(answer.score)


@pytest.mark.parametrize("index", [1, 2])
def test_answers_are_those_of_the_snapshot(run: RunDir, index: int) -> None:
    examples = read_examples(run.examples_file).eval
    with Reader(run.path, index) as made, Snapshot(run.path / snapshot_name(index)) as snapshot:
        answers = made.answers(pairs_of(examples), n_best=0, scores="none")
        assert [answer.char_start for answer in answers] == snapshot.column("pred_char_start").tolist()
        assert [answer.char_end for answer in answers] == snapshot.column("pred_char_end").tolist()
        assert np.array_equal(np.array([answer.score for answer in answers], np.float32), snapshot.column("score"))


def test_a_hub_model_gives_the_same_answers_as_the_packed_one(reader: Reader, run: RunDir, tmp_path: Path) -> None:
    """A folder that transformers saved; its type is one that Hugging Face's own code computes."""
    kept = Path(reader.source.model)
    folder = tmp_path / "model"
    shutil.copytree(kept, folder)
    config = msgspec.json.decode((folder / "config.json").read_bytes())
    (folder / "config.json").write_bytes(msgspec.json.encode(config | {"is_decoder": False, "hidden_act": "gelu_new"}))
    with Reader(folder, precision="fp32") as other:
        theirs = other.answer(QUESTION, CONTEXT)
        assert other.ready is not None
        assert not other.ready.packed
    ours = reader.answer(QUESTION, CONTEXT)
    assert theirs.score == pytest.approx(ours.score, abs=0.05)


def test_a_model_in_the_hubs_cache(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tmp_path / "models--someone--tiny"
    shutil.copytree(reader.source.model, cached / "snapshots" / "1234")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("1234")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with Reader("someone/tiny", precision="fp32") as made:
        assert made.answer(QUESTION, CONTEXT).score == reader.answer(QUESTION, CONTEXT).score
        assert made.snapshots() == []
    with Reader("someone/else") as made, pytest.raises(ModelError, match="not in the Hub's cache"):
        made.answer(QUESTION, CONTEXT)


def test_another_snapshot_is_loaded_by_the_same_process(run: RunDir) -> None:
    with Reader(run.path, 1) as made:
        first = made.answer(QUESTION, CONTEXT)
        pid = process_of(made).pid
        made.use(2)
        second = made.answer(QUESTION, CONTEXT)
        assert made.ready is not None
        assert made.ready.source.label.startswith("epoch 2")
        assert process_of(made).pid == pid
    assert first.score != second.score


def test_a_passage_of_many_windows(reader: Reader) -> None:
    context = "Nothing to see here. " * 200 + CONTEXT
    answer = reader.answer(QUESTION, context, scores="all")
    assert answer.windows == len(answer.scores) > 20
    assert answer.text == context[answer.char_start : answer.char_end]
    [held] = [window for window in answer.scores if window.start >= 0]
    assert held.char_start[held.start] == answer.char_start
    assert reader.answer(QUESTION, context, scores="best").scores == (held,)


def test_a_passage_of_a_million_characters(reader: Reader) -> None:
    context = ("Nothing   " + " " * 90) * 9_999 + CONTEXT
    assert len(context) > 999_000
    process = psutil.Process(reader.pid)
    reader.answer(QUESTION, context[-50_000:])
    before = process.memory_info().rss
    seen: list[tuple[int, int]] = []
    [answer] = reader.answers([(QUESTION, context)], progress=lambda done, total: seen.append((done, total)))
    assert answer.windows == seen[-1][0] == seen[-1][1] > 700
    assert answer.text == context[answer.char_start : answer.char_end] != ""
    assert process.memory_info().rss - before < 200 << 20  # all windows at once would take gigabytes


def test_nothing_asked_is_nothing_answered(reader: Reader) -> None:
    assert reader.answers([]) == []


def test_answers_of_a_run_with_unanswerable_questions(tmp_path: Path) -> None:
    config = msgspec.structs.replace(tiny_config(tmp_path), early_snapshots=False, epochs=1)
    data = json.loads(Path(config.dataset).read_bytes())
    for split in data.values():
        for article in split["data"][::3]:
            article["paragraphs"][0]["qas"][0] |= {"answers": [], "is_impossible": True}
    Path(config.dataset).write_text(json.dumps(data))
    started = start(msgspec.structs.replace(config, run_dir=str(tmp_path / "run")))
    assert started.wait() is State.FINISHED
    run = started.directory
    examples = read_examples(run.examples_file).eval
    with Reader(run.path) as made, Snapshot(run.path / snapshot_name(1)) as snapshot:
        assert made.source.allow_null
        answers = made.answers(pairs_of(examples), n_best=0, decision=Decision(threshold=0.0))
        assert [answer.char_start for answer in answers] == snapshot.column("pred_char_start").tolist()
        odds = snapshot.column("null_score") - snapshot.column("score")
        assert np.array_equal(np.array([answer.null_odds for answer in answers], np.float32), odds)


def test_no_answer_where_it_may_be_predicted(run: RunDir) -> None:
    with Reader(run.path, allow_null=True) as made:
        odds = made.answer(QUESTION, CONTEXT).null_odds
        assert odds is not None
        given = made.answer(QUESTION, CONTEXT, decision=Decision(threshold=odds + 1))
        null = made.answer(QUESTION, CONTEXT, decision=Decision(threshold=odds - 1))
        assert given.text != ""
        assert (null.text, null.char_start, null.withheld) == ("", -1, False)
        [candidate] = [one for one in null.n_best if one.char_start < 0]
        assert candidate.probability == pytest.approx(null.probability)
        assert candidate.score - given.score == pytest.approx(odds, abs=1e-5)


def test_an_improbable_answer_is_withheld(reader: Reader) -> None:
    answer = reader.answer(QUESTION, CONTEXT, decision=Decision())
    kept = reader.answer(QUESTION, CONTEXT, decision=Decision(min_probability=answer.probability * 0.99))
    held_back = reader.answer(QUESTION, CONTEXT, decision=Decision(min_probability=answer.probability * 1.01))
    assert kept == answer
    assert (held_back.text, held_back.char_start, held_back.withheld) == ("", -1, True)
    assert held_back.n_best[0].text == answer.text
    flat = reader.answer(QUESTION, CONTEXT, decision=Decision(temperature=100.0))
    assert flat.text == answer.text
    assert flat.probability < answer.probability


def test_asking_without_waiting(reader: Reader) -> None:
    number = reader.submit_pairs([(QUESTION, CONTEXT)] * 3, progress=True)
    replies = []

    def answered() -> bool:
        replies.extend(reader.poll())
        return any(isinstance(reply, Answers) for reply in replies)

    until(answered)
    assert {reply.id for reply in replies} == {number}
    assert isinstance(replies[-1], Answers)
    assert len(replies[-1].answers) == 3
    assert replies[-2].done == replies[-2].total == 3  # type: ignore[union-attr]


# -- what can't be answered -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "context", "said"),
    [
        ("", CONTEXT, "the question is empty"),
        (" \n", CONTEXT, "the question is empty"),
        (QUESTION, "", "the passage is empty"),
        (QUESTION, "a \ud83d b", "half a surrogate pair at character 2"),
    ],
)
def test_empty_and_broken_texts_are_refused(reader: Reader, question: str, context: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        reader.answer(question, context)
    assert reader.answer(QUESTION, CONTEXT).text  # and the process is none the worse


def test_weights_that_are_not_there(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"snapshot 0 \(untrained\) are not kept.*--keep-weights all"):
        Reader(run.path, 0)
    with pytest.raises(UsageError, match="not a run, so there is no snapshot 3"):
        source_of(tmp_path, 3)
    copied = tmp_path / "copied"
    shutil.copytree(run.path, copied)
    half = copied / "checkpoints" / "epoch-0002"
    (half / "MANIFEST.json").unlink()
    with pytest.raises(DataError, match="half written"):
        Reader(half)
    assert source_of(copied).label.startswith("epoch 1")
    with pytest.raises(DataError, match="epoch-0002 is half written"):
        Reader(copied, 2)


def test_a_model_that_left_its_run_may_decline_as_its_calibration_tells(run: RunDir, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(Path(run.config.model), folder)
    assert not source_of(folder).allow_null
    found = calibration_of_model(run.checkpoints / "epoch-0002")
    assert found is not None
    for threshold, may in ((None, False), (1.5, True)):
        write_calibration(folder, msgspec.structs.replace(found, no_answer_threshold=threshold))
        assert source_of(folder).allow_null is may
    assert not source_of(folder, allow_null=False).allow_null


def test_what_is_no_model_or_has_not_learned_to_answer(run: RunDir, tmp_path: Path) -> None:
    with Reader(tmp_path) as made, pytest.raises(ModelError, match=r"no config\.json"):
        made.answer(QUESTION, CONTEXT)
    bare = tmp_path / "bare"
    shutil.copytree(Path(run.config.model), bare)
    from safetensors.numpy import load_file, save_file

    weights = {name: value for name, value in load_file(bare / "model.safetensors").items() if "qa_outputs" not in name}
    save_file(weights, bare / "model.safetensors", {"format": "pt"})
    with Reader(bare) as made, pytest.raises(ModelError, match=r"no question-answering head.*Fine-tune it first"):
        made.answer(QUESTION, CONTEXT)


def test_damaged_weights(run: RunDir, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(Path(run.config.model), folder)
    (folder / "model.safetensors").write_bytes(b"nonsense")
    with Reader(folder) as made:
        for _ in range(2):  # said again, and not that no model is loaded
            with pytest.raises(ModelError, match="can't be read"):
                made.answer(QUESTION, CONTEXT)


# -- the process -------------------------------------------------------------------------------------------------


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.learning.answer", "--idle", "60"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        yield process
        process.kill()


def exchange(process: subprocess.Popen[bytes], data: bytes) -> object:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(len(data).to_bytes(4, "big") + data)
    process.stdin.flush()
    reply = read_bytes(process.stdout)  # type: ignore[arg-type]
    assert reply is not None
    return decode_reply(reply)


def test_nothing_that_is_asked_ends_the_process(worker: subprocess.Popen[bytes], run: RunDir) -> None:
    encode = msgspec.msgpack.encode
    for nonsense in (b"\xc1", b"hello", encode({"type": "dance", "id": 1}), encode({"type": "answer"}), encode([])):
        reply = exchange(worker, nonsense)
        assert isinstance(reply, Failure)
        assert reply.id == -1
        assert reply.message.startswith("not a request")
    early = AnswerRequest(id=4, contexts=("a",), questions=((0, "b"),))
    reply = exchange(worker, encode(early))
    assert isinstance(reply, Failure)
    assert (reply.id, reply.message) == (4, "no model is loaded.")
    assert isinstance(exchange(worker, encode(Load(id=5, source=source_of(run.path)))), Ready)
    for questions, contexts in ((((7, "b"),), ("a",)), (((0, "b"),), (" ",))):
        reply = exchange(worker, encode(AnswerRequest(id=6, contexts=contexts, questions=questions)))
        assert isinstance(reply, Failure)
        assert reply.id == 6
    reply = exchange(worker, encode(early))
    assert isinstance(reply, Answers)


def test_it_ends_when_nobody_asks_any_more(worker: subprocess.Popen[bytes]) -> None:
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait() == 0


def test_it_ends_when_idle_and_starts_again_when_asked(run: RunDir) -> None:
    with Reader(run.path, idle_seconds=0.2) as made:
        first = made.answer(QUESTION, CONTEXT)
        process = process_of(made)
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
        assert made.answer(QUESTION, CONTEXT) == first
        assert process_of(made).pid != process.pid


def test_a_killed_process_fails_what_was_asked_and_the_next_one_answers(run: RunDir) -> None:
    with Reader(run.path) as made:
        first = made.answer(QUESTION, CONTEXT)
        process_of(made).suspend()
        number = made.submit_pairs([(QUESTION, CONTEXT)])
        process_of(made).kill()
        with pytest.raises(UserError, match="signal 9"):
            made.wait(number)
        assert made.answer(QUESTION, CONTEXT) == first


def test_it_ends_with_its_parent(run: RunDir, tmp_path: Path) -> None:
    code = (
        "import sys, time, psutil; from engine import Reader\n"
        f"reader = Reader({str(run.path)!r}); reader.answer({QUESTION!r}, {CONTEXT!r})\n"
        "assert 'torch' not in sys.modules\n"
        # A fork that lives on holds the pipe open, as a careless app's may.
        "import os\n"
        "child = psutil.Process().children()[0]\n"
        "if not os.fork(): time.sleep(600)\n"
        "print(child.pid, [c.pid for c in psutil.Process().children() if c.pid != child.pid][0], flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, fork = map(int, parent.stdout.readline().split())
        try:
            child = psutil.Process(pid)
            assert child.is_running()
            parent.kill()
            until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
        finally:
            os.kill(fork, signal.SIGKILL)


def test_a_closed_reader_answers_no_more(run: RunDir) -> None:
    made = Reader(run.path)
    process = process_of(made)
    made.close()
    made.close()
    assert not process.is_running()
    assert made.poll() == []


class Broken:
    """Stands for the process's work: requests fail as `error` does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception = RuntimeError("no idea")
        handlers: dict[Any, Any] = process.HANDLERS
        monkeypatch.setitem(handlers, AnswerRequest, self)

    def __call__(self, session: process.Session, request: AnswerRequest) -> Answers:
        raise self.error

    def reply(self) -> Failure:
        sent: list[object] = []
        waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        waiting.put(msgspec.msgpack.encode(AnswerRequest(id=8, contexts=("a",), questions=((0, "b"),))))
        waiting.put(process.END)
        process.serve(process.Session(sent.append), waiting, idle=60)
        [failure] = sent
        assert isinstance(failure, Failure)
        assert failure.id == 8
        return failure


def test_what_nobody_foresaw_is_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    broken = Broken(monkeypatch)
    assert broken.reply().message == "answering failed: RuntimeError: no idea"
    assert "Traceback" in capfd.readouterr().err  # for the log
    broken.error = ValueError("bad\nnews")
    assert broken.reply().message == "answering failed: ValueError: bad"
    for no_room in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")):
        broken.error = no_room
        assert broken.reply().message == "there is not enough memory to answer."
        assert "shorter passage" in broken.reply().hint


def test_a_warm_up_that_fails_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    session = process.Session(lambda reply: None, cold=[128, 64])
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    process.serve(session, waiting, idle=0.01)  # no model is loaded: the first size fails, and ends the warm-up
    assert session.cold == []


def test_too_much_at_a_time_is_refused(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    first = reader.answer(QUESTION, CONTEXT)
    with monkeypatch.context() as patched:
        patched.setattr(messages, "MAX_RECORD", 1000)
        with pytest.raises(UsageError, match=r"too much .* fewer questions"):
            reader.answer(QUESTION, CONTEXT * 100)
    assert reader.answer(QUESTION, CONTEXT) == first


def test_records_are_cut_by_their_length(tmp_path: Path) -> None:
    path = tmp_path / "records"
    request = AnswerRequest(id=3, contexts=("a",), questions=((0, "b"),), decision=Decision(threshold=float("inf")))
    with path.open("wb") as file:
        write_record(file, request)
        file.write(b"\0\0\0\7only")
    with path.open("rb") as file:
        assert msgspec.msgpack.decode(read_bytes(file) or b"", type=AnswerRequest) == request
        assert read_bytes(file) is None  # torn
    path.write_bytes(b"\xff\xff\xff\xffx")
    with path.open("rb") as file, pytest.raises(ValueError, match="too large"):
        read_bytes(file)
