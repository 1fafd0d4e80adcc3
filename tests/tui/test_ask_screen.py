"""Ask: with a real answering process on a tiny model, key by key; and its text boxes, whatever is pasted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from textual import events
from textual.pilot import Pilot

from engine.insight.probability import SpanSums, probability
from engine.insight.spans import AnswerRules, n_best
from engine.messages import Answer, Candidate, WindowScores
from engine.reader import Reader
from engine.rundir.checkpoints import MANIFEST, Manifest
from engine.rundir.eval_set import EvalSet
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, snapshot_name
from tests.fake_app import make_app, opened, press, screen_lines, screen_text, settle, until
from tests.fake_run import make_run
from tests.recorded import recorded_run
from tests.tiny_model import make_tiny_model
from tests.tiny_run import kept_run
from tests.tui.test_explainer import answering_processes
from tests.uncounted import count_no_child
from tests.waiting import until as wait_until
from tui.drawing.text import visible
from tui.model.asker import Asked, Asker
from tui.widgets.text_boxes import LONGEST_EDITED

SIZE = (100, 30)
HOSTILE = "\x1b]0;owned\x07 [/b] [@click=app.quit]x[/] \x9b31m \u202edlrow\u200b take honey 12, then rest."


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return kept_run(tmp_path_factory)


@pytest.fixture(autouse=True)
def _uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    count_no_child(monkeypatch)


def best_of(run: RunDir) -> int:
    """The epoch with the highest F1, the latest of equals."""
    scores = []
    for index in (1, 2):
        with Snapshot(run.path / snapshot_name(index)) as snapshot:
            scores.append((snapshot.info.metrics.f1, index))
    return max(scores)[1]


def folder_of(run: RunDir, epoch: int) -> Path:
    return run.checkpoints / f"epoch-{epoch:04}"


def answers(app: Any) -> dict[Asked, Answer]:
    asker = app.view._asking.asker
    return {} if asker is None else dict(asker.answers)


async def asked(pilot: Pilot[Any], *, count: int = 1) -> None:
    """Wait until `count` answers are there, and drawn."""
    app: Any = pilot.app
    await until(pilot, lambda: len(answers(app)) >= count and "…" not in screen_text(app))
    await settle(pilot)


async def paste(pilot: Pilot[Any], text: str) -> None:
    pilot.app.post_message(events.Paste(text))
    await pilot.pause()
    await settle(pilot)


async def test_the_example_its_answer_and_the_end_of_the_process(run: RunDir) -> None:
    app = make_app(run)
    epoch = best_of(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "9")
        example = app.viewer.examples[0]
        assert example.question in screen_text(app)
        assert f"epoch {epoch}" in screen_text(app)
        assert not app.view._asking.asker  # nothing is started before a question is typed
        await press(pilot, "enter")
        asker: Asker = app.view._asking.asker
        await press(pilot, "enter")
        await asked(pilot)
        answer = answers(app)[Asked(example.question, example.context, folder_of(run, epoch))]
        with Snapshot(run.path / snapshot_name(epoch)) as snapshot:
            predicted = snapshot.prediction(0)
            assert predicted is not None
        assert (answer.char_start, answer.char_end) == (predicted.char_start, predicted.char_end)
        shown = screen_text(app)
        assert f"{100 * answer.probability:5.1f} %" in shown
        assert "start of the answer" in shown
        assert "end of the answer" in shown
        assert "▲[" in shown  # the expected answer is marked in the passage
        await press(pilot, "m")
        token = answer.scores[0].start
        assert f"token {token} " in screen_text(app)
        await press(pilot, "right_square_bracket", "y")
        assert f"token {token + 1} " in screen_text(app)
        process = psutil.Process(asker.pid)
        await press(pilot, "2")
        await until(pilot, lambda: not process.is_running())
        await press(pilot, "9")  # what was answered is still there; nothing is started for it
        assert f"{100 * answer.probability:5.1f} %" in screen_text(app)
        assert not app.view._asking.asker


async def test_a_question_of_ones_own_on_pasted_text(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "9")
        await press(pilot, "e")
        await paste(pilot, "Against the fever\r\ntake honey 3,\rthen rest.")
        assert "take honey 3," in screen_text(app)
        await press(pilot, "escape", "enter")
        await press(pilot, *"how?9", "enter")
        assert app.view_name == "ask"  # digits are typed, not commands
        await asked(pilot)
        (question, context, _), answer = next(iter(answers(app).items()))
        assert (question, context) == ("how?9", "Against the fever\ntake honey 3,\nthen rest.")
        assert answer.text == context[answer.char_start : answer.char_end]
        await press(pilot, "c")
        assert "copied" in screen_text(app)
        await press(pilot, "o")
        assert app.viewer.examples[0].question in screen_text(app)
        assert "the validation fever 0" in screen_text(app)
        pid = app.view._asking.asker.pid
    wait_until(lambda: not psutil.pid_exists(pid))  # the process ends with the app


async def test_hostile_text_is_harmless_and_reaches_the_model_as_it_is(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "9")
        await press(pilot, "e")
        await paste(pilot, HOSTILE)
        check_harmless(app)
        await press(pilot, "escape", "enter")
        await paste(pilot, "\x1b[2Jwhat\u202e [b]helps[/b]?\nsecond line")
        check_harmless(app)
        await press(pilot, "enter")
        await asked(pilot)
        check_harmless(app)
        asked_for = next(iter(answers(app)))
        assert asked_for.context == HOSTILE
        assert "[b]helps[/b]?" in screen_text(app)


def check_harmless(app: Any) -> None:
    text = screen_text(app)
    assert not any(ord(char) < 32 and char != "\n" for char in text)
    assert not set("\x7f\x9b\u202e\u200b") & set(text)


async def test_every_kept_epoch_and_all_of_them(run: RunDir) -> None:
    app = make_app(run)
    best = best_of(run)
    other = 3 - best
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "9")
        await press(pilot, "enter", "enter")
        await asked(pilot)
        await press(pilot, "greater_than_sign")
        await asked(pilot, count=2)
        assert {one.folder for one in answers(app)} == {folder_of(run, 1), folder_of(run, 2)}
        assert screen_lines(app)[5].startswith(f" epoch {other} ")
        await press(pilot, "less_than_sign")
        assert screen_lines(app)[5].startswith(f" epoch {best} ")
        await press(pilot, "less_than_sign", "b")
        assert screen_lines(app)[5].startswith(f" epoch {best} ")
        await press(pilot, "a")
        rows = [line for line in screen_lines(app)[6:10] if " epoch " in line]
        assert len(rows) == 2
        for epoch, row in enumerate(rows, 1):
            answer = next(answer for one, answer in answers(app).items() if one.folder == folder_of(run, epoch))
            assert row.lstrip(" ›").startswith(f"epoch {epoch} ")
            assert f"{100 * answer.probability:.1f} %" in row
            assert answer.text in row
        texts = [answer.text for answer in answers(app).values()]
        assert ("changed" in rows[1]) == (texts[0] != texts[1])


async def test_weights_that_are_not_kept_are_told(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "9")
        await press(pilot, "home", "v")
        assert screen_lines(app)[-1] == (
            " weights of untrained are not kept (--keep-weights all keeps every epoch's); kept: epoch 1, epoch 2"
        )
        await press(pilot, "right", "v")
        assert screen_lines(app)[5].startswith(" epoch 1 ")


async def test_a_run_without_weights_and_no_run(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=4, snapshots=3, tokens=30)
    app = make_app(run)
    async with app.run_test(size=(160, 24)) as pilot:
        await opened(pilot, "9")
        assert "no checkpoint is kept" in screen_text(app)
        await press(pilot, "enter", "enter", "a", "b", "v", "m", "c", "i", "greater_than_sign")
        assert app.view._asking.asker is None
    app = make_app(None, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "9", "enter", "enter")
        assert "no run is open" in screen_text(app)


async def test_a_key_explains_the_answer_to_a_question_of_ones_own(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "9")
        await press(pilot, "i")
        assert len(app.screen_stack) == 1
        assert "ask something first" in screen_text(app)
        app.view.box.value = "How long do I rest?"
        await press(pilot, "enter", "enter")
        await asked(pilot)
        [(question, answer)] = answers(app).items()
        before = answering_processes()
        await press(pilot, "i")
        await until(pilot, lambda: "masking the top 5" in screen_text(app))
        assert answering_processes() <= before  # the one that answered explains, too
        explainer = app.screen.explainer
        [found] = explainer.found.values()
        assert question.question == "How long do I rest?"
        assert (found.answer.char_start, found.answer.char_end) == (answer.char_start, answer.char_end)
        assert found.answer.probability == pytest.approx(answer.probability, rel=1e-4)
        assert f"by epoch {best_of(run)} " in screen_lines(app)[0]
        await press(pilot, "escape")
        assert app.view_name == "ask"
        await until(pilot, lambda: explainer.join(0))


async def test_empty_texts_are_not_asked(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "9")
        app.view.box.value = "  "
        await press(pilot, "enter", "enter")
        assert "the question is empty" in screen_text(app)
        await press(pilot, "e")
        await paste(pilot, "\n \n")
        await press(pilot, "escape", "enter", *"why", "enter")
        await asked(pilot)  # white space is no passage: the example's stays
        assert next(iter(answers(app))).context == app.viewer.examples[0].context


async def test_a_long_text_is_not_edited_and_is_answered(run: RunDir) -> None:
    app = make_app(run)
    text = "For the winter fever take honey 7, then rest. " * (LONGEST_EDITED // 40)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "9")
        await press(pilot, "e")
        await paste(pilot, text)
        assert f"{len(text):,} characters are the passage" in screen_text(app)
        await press(pilot, "enter", *"what", "enter")
        await asked(pilot)
        assert next(iter(answers(app).values())).windows > 10
        assert " windows" in screen_text(app)


async def test_another_example_brings_its_question_unless_one_was_typed(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "9")
        await press(pilot, "down")
        assert "the validation fever 1" in screen_text(app)
        await press(pilot, "enter", "x", "escape", "down")
        assert app.view.box.value == "What do I take?x"
        assert "the validation fever 2" in screen_text(app)


async def test_a_process_that_was_killed_is_told_and_started_again(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(160, 30)) as pilot:
        await opened(pilot, "9")
        await press(pilot, "enter", "enter")
        await asked(pilot)
        psutil.Process(app.view._asking.asker.pid).kill()
        await press(pilot, "enter", "x", "enter")
        await until(pilot, lambda: len(answers(app)) == 2 or "ended (signal 9)" in screen_text(app))
        await press(pilot, "enter", "y", "enter")
        await until(pilot, lambda: any(one.question.endswith("xy") for one in answers(app)))


def test_the_process_ends_when_idle_and_starts_again(run: RunDir) -> None:
    asker = Asker(folder_of(run, 2), idle_seconds=0.2)
    try:
        wait_until(lambda: asker.pid is not None)
        first = asker.pid
        assert first is not None
        wait_until(lambda: not psutil.pid_exists(first))
        one = Asked("What do I take?", "For the fever take honey.", folder_of(run, 2))
        asker.ask(one)
        wait_until(lambda: asker.settled(one))
        with Reader(folder_of(run, 2)) as reader:
            assert asker.answers[one] == reader.answer(one.question, one.context, n_best=20, scores="best")
    finally:
        asker.close()
    assert asker.join(30)


def test_a_folder_that_is_no_model_is_told_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    asker = Asker(folder)
    one = Asked("what", "some text", folder)
    asker.ask(one)
    wait_until(lambda: asker.settled(one))
    assert str(folder) in str(asker.failed[one])
    make_tiny_model(folder)
    asker.ask(one)
    wait_until(lambda: one in asker.answers)
    asker.close()
    assert asker.join(30)


@pytest.mark.parametrize("text", [HOSTILE, "a\tb\nc", "é\U0001f600", "\ud800", "\r\n", ""])
def test_visible_text_has_the_same_length(text: str) -> None:
    assert len(visible(text)) == len(text)
    assert not any(ord(char) < 32 and char not in "\t\n" for char in visible(text))


# -- pictures: what the recorded run's snapshots hold, as if its weights had been kept --------------------------


class Recorded:
    """Answers as the process would give them, from the snapshots of a run; by the names of the checkpoints' folders."""

    def __init__(self, run: RunDir) -> None:
        self.run, self.data = run, EvalSet(run)
        self.answers: dict[Asked, Answer] = {}
        self.failed: dict[Asked, Exception] = {}
        self.progress, self.pid, self.ready, self.changes = None, None, True, 0

    def __call__(self, folder: Path) -> Recorded:
        return self

    def close(self) -> None:
        pass

    def ask(self, *wanted: Asked) -> None:
        for one in wanted:
            epoch = int(one.folder.name.removeprefix("epoch-"))
            number = next(n for n, example in enumerate(self.data.examples) if example.context == one.context)
            with Snapshot(self.run.path / snapshot_name(4 + epoch)) as snapshot:
                self.answers[one] = self._answer(snapshot, number)
        self.changes += 1

    def _answer(self, snapshot: Snapshot, number: int) -> Answer:
        data, context = self.data, self.data.examples[number].context
        windows = [data.window(data.tokens(feature), snapshot) for feature in data.features_of(number)]
        start, end = snapshot.logits()
        total = SpanSums.of(
            data.windows(), start, end, len(data.examples), AnswerRules(data.max_answer_length)
        ).log_total()[number]
        found = n_best(windows, AnswerRules(data.max_answer_length), k=20)
        listed = tuple(
            Candidate(
                context[one.char_start : one.char_end], one.char_start, one.char_end, one.start_logit, one.end_logit,
                one.score, float(probability(one.score, total)),
            )
            for one in found
        )  # fmt: skip
        window, best = windows[0], found[0]
        tokens = data.tokens(window.feature)
        scores = WindowScores(
            number=0, tokens=data.token_texts(tokens), segment=window.segment.tolist(),
            char_start=window.char_start.tolist(), char_end=window.char_end.tolist(),
            start_logits=window.start_logits.tolist(), end_logits=window.end_logits.tolist(),
            null_token=window.null_token, start=best.start, end=best.end,
        )  # fmt: skip
        first = listed[0]
        return Answer(
            text=first.text, char_start=first.char_start, char_end=first.char_end, probability=first.probability,
            score=first.score, null_odds=None, n_best=listed, scores=(scores,),
        )  # fmt: skip


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """The recorded run with checkpoints of its five epochs; no process is started."""
    run = recorded_run(tmp_path)
    for index in range(5, 10):
        with Snapshot(run.path / snapshot_name(index)) as snapshot:
            step, epoch = snapshot.info.step, snapshot.info.epoch
        folder = run.checkpoints / f"epoch-{int(epoch):04}"
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_bytes(msgspec.json.encode(Manifest(step, epoch, {})))
    monkeypatch.setattr("tui.screens.ask.asking.Asker", Recorded(run))
    return run


def walk(*keys: str) -> Any:
    async def press_all(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        await press(pilot, *keys)
        app: Any = pilot.app
        app._unsay()
        await settle(pilot)

    return press_all


ASK = ("9", "enter", "enter")
PICTURES = {
    "80x24": ((80, 24), False, (*ASK, "m")),
    "ascii": ((80, 24), True, (*ASK, "less_than_sign")),
    "120x40": ((120, 40), False, (*ASK, "y")),
    "all": ((80, 24), False, (*ASK, "a")),
}


@pytest.mark.parametrize("name", list(PICTURES))
def test_picture(snap_compare: Any, recorded: RunDir, name: str) -> None:
    size, ascii_only, keys = PICTURES[name]
    assert snap_compare(make_app(recorded, ascii_only=ascii_only), terminal_size=size, run_before=walk(*keys))
