"""What `train`, `runs`, `check` and commands to a run print without a full screen."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from engine.config import RunConfig
from engine.data.samples import find_dataset
from engine.errors import ExitCode, UsageError
from engine.events import (
    AnyEvent,
    CheckpointSaved,
    CommandDone,
    Failed,
    Finished,
    Paused,
    Phase,
    Resumed,
    Step,
    Stopped,
    Warned,
)
from engine.launch import Run
from engine.rundir.commands import CommandName, take_commands
from engine.rundir.layout import RunDir
from engine.rundir.log import read_events
from engine.rundir.notes import Notes, write_notes
from tests.fake_run import append_events, make_run, seem_alive
from tests.waiting import Clock
from tui.plain import follow, printers
from tui.plain.event_lines import event_line
from tui.plain.findings import print_check
from tui.plain.printers import Bars, JsonLines, Lines
from tui.plain.runs_table import print_runs
from tui.plain.send import send_and_wait

STEP = Step(
    step=7,
    epoch=0.7,
    loss=1.25,
    learning_rate=1e-4,
    grad_norm=1.0,
    examples_per_second=40.0,
    tokens_per_second=6e3,
    memory=1_000_000,
)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make_run(tmp_path, examples=6, snapshots=3, tokens=20)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (CheckpointSaved(path="checkpoints/epoch-0001", step=3, epoch=1.0), "saved checkpoints/epoch-0001"),
        (CommandDone(id="1", command="pause", outcome="done"), "pause: done"),
        (Paused(step=4), "paused at step 4"),
        (Resumed(step=4), "going on at step 4"),
        (Warned(message="the loss is flat", hint="lower --lr"), "warning: the loss is flat lower --lr"),
        (Finished(step=20, epoch=2.0, seconds=60.0), "finished: 20 steps in 1:00"),
        (Finished(step=20, epoch=2.0, seconds=60.0, reason="no better"), "finished: 20 steps in 1:00 (no better)"),
        (Stopped(step=4, epoch=0.4, reason="asked to stop"), "stopped at step 4: asked to stop; it can be resumed"),
        (Failed(message="no room", hint="make some"), "failed: no room make some"),
        (Phase(name="loading"), None),
        (STEP, None),
    ],
)
def test_an_event_as_a_line(event: AnyEvent, line: str | None) -> None:
    assert event_line(event) == line


def test_lines_name_phases_once_and_steps_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    clock.sleep(1000.0)
    monkeypatch.setattr(printers, "time", clock)
    tokenizing = Phase(name="tokenizing", detail="dev\x1b[2J", done=1, total=9)
    with Lines("[seed 1] ") as lines:
        for event in (tokenizing, tokenizing, STEP, STEP):
            lines.show(event)
        clock.sleep(printers.SECONDS_BETWEEN_STEP_LINES + 1)
        lines.show(STEP)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("[seed 1] tokenizing dev")
    assert said[1:] == ["[seed 1] step 7/0  epoch 0.70  loss 1.250  40.0 examples/s"] * 2
    assert "\x1b" not in said[0]


def test_lines_say_now_and_then_how_far_a_fold_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(printers, "time", clock)
    with Lines() as lines:
        for done in (1, 2, 3):
            lines.show(Phase(name="training", part="fold 2 of 5", done=done, total=9))
            clock.sleep(printers.SECONDS_BETWEEN_STEP_LINES * 0.6)
        lines.show(Phase(name="evaluating", detail="epoch 1", part="fold 2 of 5"))
        lines.show(Phase(name="evaluating", detail="epoch 1", part="fold 3 of 5"))
    assert capsys.readouterr().out.splitlines() == [
        "fold 2 of 5: training",
        "fold 2 of 5: training: 2/9",
        "fold 2 of 5: evaluating epoch 1",
        "fold 3 of 5: evaluating epoch 1",
    ]


def test_json_lines_name_their_run_where_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    for printer in (JsonLines(), JsonLines("fake")):
        with printer:
            printer.show(STEP)
    alone, named = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert alone["type"] == named["type"] == "step"
    assert "run" not in alone
    assert named["run"] == "fake"


def test_bars_follow_phases_and_steps(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.show(Phase(name="tokenizing", detail="dev", done=3, total=9))
        [phase] = bars._progress.tasks
        assert (phase.description, phase.completed, phase.total) == ("tokenizing dev", 3, 9)
        for event in read_events(run.events_file):
            bars.show(event)
        [training] = bars._progress.tasks  # the bar of the phase went with the run's end
        assert training.description == "training"
        assert training.completed == training.total == 20
        assert "examples/s" in training.fields["note"]
        bars.show(Phase(name="training", part="fold 1 of 2", done=1, total=8))
        fold = bars._progress.tasks[1]
        assert (fold.description, fold.completed, fold.total) == ("fold 1 of 2: training", 1, 8)
        bars.show(Finished(step=20, epoch=2.0, seconds=60.0))
        assert bars._progress.tasks == [training]
    said = capsys.readouterr().out
    assert "untrained" in said
    assert "finished: 20 steps" in said


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (Finished(step=20, epoch=2.0, seconds=1.0), ExitCode.OK),
        (Stopped(step=4, epoch=0.4, reason="SIGTERM"), ExitCode.STOPPED),
        (Failed(message="no room", exit_code=int(ExitCode.CANNOT_WRITE)), ExitCode.CANNOT_WRITE),
        (Failed(message="odd", exit_code=99), ExitCode.RUN_FAILED),
    ],
)
def test_the_exit_code_is_that_of_the_ending(
    ending: AnyEvent, code: ExitCode, run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    append_events(run, ending)
    assert follow.follow(Run(run.path), as_json=True) == code
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1])["type"] == msgspec.to_builtins(ending)["type"]
    assert ("bertqa-tui resume" in said.err) == isinstance(ending, Stopped)


def test_only_news_are_printed_of_a_run_that_was_resumed(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    known = max(event.seq for event in read_events(run.events_file))
    append_events(run, Warned(message="again"), Finished(step=20, epoch=2.0, seconds=1.0))
    assert follow.follow(Run(run.path), after=known) == ExitCode.OK
    assert capsys.readouterr().out.splitlines()[1:] == ["warning: again", "finished: 20 steps in 0:01"]


def test_a_run_whose_engine_died_says_where_to_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2, tokens=20, live=True)
    run.owner_file.write_bytes(run.owner_file.read_bytes().replace(b'"pid":', b'"pid":1000000'))
    assert follow.follow(Run(run.path)) == ExitCode.RUN_FAILED
    said = capsys.readouterr().err
    assert "engine.log" in said
    assert f"bertqa-tui resume {run.path}" in said


def test_a_command_is_answered_refused_or_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2, tokens=20)
    with pytest.raises(UsageError, match="no engine is at work"):
        send_and_wait(run.path, "pause")

    run = make_run(tmp_path, name="live", examples=4, snapshots=2, tokens=20, live=True)
    with pytest.raises(UsageError, match="has not answered within 0 s"):
        send_and_wait(run.path, "pause", seconds=0.2)
    [late] = take_commands(run)

    ask = Run.command

    def answered(self: Run, command: CommandName) -> str:
        ident = ask(self, command)
        append_events(run, CommandDone(id=late.id, command="pause", outcome="late"))
        append_events(run, CommandDone(id=ident, command=command, outcome="done at step 4"))
        return ident

    seem_alive(run)
    monkeypatch.setattr(Run, "command", answered)
    assert send_and_wait(run.path, "pause") == ExitCode.OK
    assert capsys.readouterr().out == "pause: done at step 4\n"


def test_the_table_of_runs(tmp_path: Path, run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    print_runs(tmp_path / "empty")
    assert capsys.readouterr().out.startswith("no runs in ")

    write_notes(run, Notes("Ginger", "small \x1b[2J rate", ("baseline",)))
    failed = make_run(tmp_path, name="failed", examples=4, snapshots=2, tokens=20)
    append_events(failed, Failed(message="no room", hint="make some"))
    print_runs(tmp_path)
    said = capsys.readouterr().out
    assert "fake: Ginger #baseline small " in said
    assert "failed: no room make some" in said
    assert "\x1b" not in said

    print_runs(tmp_path, as_json=True)
    records = {record["name"]: record for record in map(json.loads, capsys.readouterr().out.splitlines())}
    assert records["fake"]["tags"] == ["baseline"]
    assert records["fake"]["size"] > 0
    assert records["failed"]["state"] == "failed"


def test_findings_about_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = json.loads(find_dataset("remedies").read_text())
    parts = list(sample.values()) if "data" not in sample else [sample]
    first = parts[0]["data"][0]["paragraphs"][0]["qas"][0]
    first["answers"][0]["text"] = "not in the passage"
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(sample))
    config = RunConfig(dataset=str(broken))

    assert print_check(config, repair=None) == ExitCode.BAD_DATA
    assert first["id"] in capsys.readouterr().out
    assert print_check(config, repair=tmp_path / "repaired.json", as_json=True) == ExitCode.OK
    said = capsys.readouterr()
    assert [json.loads(line)["id"] for line in said.out.splitlines()].count(first["id"]) == 1
    assert "1 could not be repaired" in said.err
    assert print_check(RunConfig(dataset=str(tmp_path / "repaired.json"), model="no/such"), repair=None) == ExitCode.OK
    assert "windows are not counted" in capsys.readouterr().err
