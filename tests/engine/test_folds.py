"""Folds: who is held out where, a run with folds from start to end, and what the lists make of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import RunConfig
from engine.data import sample
from engine.data.examples import Answer, Example, bare_passage, read_examples
from engine.data.features import Features, select_examples, select_windows
from engine.data.run_data import load_run_data
from engine.data.split import fold_by_passage
from engine.errors import DataError, UsageError
from engine.events import (
    AnyEvent,
    CheckpointSaved,
    CommandDone,
    Finished,
    Paused,
    Phase,
    Resumed,
    RunStarted,
    SnapshotTaken,
    Step,
    Stopped,
)
from engine.insight.suspects import reason, suspicion, wrong_place
from engine.launch import attach, resume, start
from engine.learning import control as control_module
from engine.learning import folds
from engine.learning.control import Control, Signals, StopAsked
from engine.learning.distributed import Group
from engine.learning.loop import Session
from engine.learning.prepare import prepare
from engine.rundir.checkpoints import checkpoints
from engine.rundir.commands import send_command
from engine.rundir.dynamics import held_out_epochs, read_dynamics, snapshot_files
from engine.rundir.folds import FOLD_OF, begun_folds, fold_runs, read_fold_of
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.log import EventLog, read_events
from engine.rundir.process import read_owner
from engine.rundir.removal import check_removable, plan_pruning, prune
from engine.rundir.snapshot import COLUMNS, Snapshot
from engine.storage.tensors import Tensors
from tests.tiny_run import is_in, tiny_config
from tests.waiting import until

# -- who is held out where ----------------------------------------------------------------------------------------

passages = st.lists(st.sampled_from(["honey", "Honey.", "thyme", "sage", " sage", "mint", "lemon"]), min_size=1)


def asked_on(contexts: list[str]) -> list[Example]:
    return [Example(str(n), "", "What?", context, (Answer("x", 0),)) for n, context in enumerate(contexts)]


@settings(max_examples=200, deadline=None)
@given(passages, st.integers(2, 6), st.integers(0, 2**32 - 1), st.randoms())
def test_every_question_is_held_out_once(contexts: list[str], count: int, seed: int, random: object) -> None:
    bare = [bare_passage(context) for context in contexts]
    questions = Counter(bare)
    if len(questions) < count:
        with pytest.raises(DataError, match=f"--folds {count}"):
            fold_by_passage(asked_on(contexts), count, seed)
        return
    fold_of = fold_by_passage(asked_on(contexts), count, seed)
    assert fold_of.shape == (len(contexts),)
    assert set(fold_of.tolist()) == set(range(count))
    # No passage, and no near-duplicate of one, is on two sides.
    assert len(set(zip(bare, fold_of.tolist(), strict=True))) == len(questions)
    sizes = np.bincount(fold_of)
    assert sizes.max() - sizes.min() <= max(questions.values())
    # The order of the file means nothing.
    order = np.random.default_rng(seed).permutation(len(contexts))
    again = fold_by_passage(asked_on([contexts[n] for n in order.tolist()]), count, seed)
    np.testing.assert_array_equal(again, fold_of[order])


def test_the_seed_draws_other_folds() -> None:
    examples = asked_on([f"passage {number}" for number in range(20)])
    drawn = {tuple(fold_by_passage(examples, 4, seed).tolist()) for seed in range(5)}
    assert len(drawn) == 5


def test_windows_of_some_examples() -> None:
    lengths = np.array([2, 3, 1, 4])
    tokens: dict[str, Any] = dict.fromkeys(
        ("input_ids", "type_ids", "char_start", "char_end", "segment"), np.arange(int(lengths.sum()))
    )
    of_windows: dict[str, Any] = dict.fromkeys(("null_token", "gold_start", "gold_end"), np.arange(4, dtype=np.int32))
    features = Features(
        feature_example=np.array([0, 1, 1, 2], np.int32),
        token_offset=np.concatenate(([0], np.cumsum(lengths))),
        **tokens,
        **of_windows,
    )
    chosen = select_examples(features, np.array([1, 2]))
    assert chosen.feature_example.tolist() == [0, 0, 1]
    assert chosen.token_offset.tolist() == [0, 3, 4, 8]
    assert chosen.input_ids.tolist() == list(range(2, 10))
    assert chosen.gold_start.tolist() == [1, 2, 3]
    assert select_windows(features, np.array([1, 2, 3])).feature_example.tolist() == [1, 1, 2]


def test_too_few_passages_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    contexts = ["Take honey for it.", "take honey for it"]
    rows = [
        {"id": f"{n}", "question": "What?", "context": text, "answers": {"text": ["honey"], "answer_start": [5]}}
        for n, text in enumerate(contexts)
    ]
    (tmp_path / "data.json").write_text(json.dumps({"train": rows, "validation": rows}))
    config = RunConfig(dataset=str(tmp_path / "data.json"), folds=2, run_dir=str(tmp_path / "run"))
    with pytest.raises(DataError, match=r"--folds 2: the training half has 1 passage, .*Leave --folds out"):
        start(config)
    assert not (tmp_path / "run").exists()


# -- a run with folds ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    made = tiny_config(tmp_path_factory.mktemp("tiny"))
    return msgspec.structs.replace(made, early_snapshots=False, epochs=2, folds=2)


def work(run: RunDir, *, stop_in: str = "", pause_in: str = "") -> list[AnyEvent]:
    """Let this process be the engine of `run`, until its end or a signal when an epoch of the part `stop_in` is
    saved; returns the events of its log. In `pause_in` a command to the run pauses it, and one to the fold resumes."""
    group = Group()
    signals = Signals(group)
    with EventLog(run.events_file) as log:

        def emit(event: AnyEvent) -> None:
            log.append(event)
            match event:
                case Phase(name="saving", part=part) if part and part == stop_in:
                    signals.name = "SIGTERM"
                case Phase(name="evaluating", detail="epoch 1", done=0, part=part) if part and part == pause_in:
                    send_command(run, "pause")
                case Paused():
                    send_command(begun_folds(run)[-1], "resume")

        control = Control(run, signals, group, emit)
        asked = run.exact_config
        try:
            folds.run_session(Session(run, asked, group, control, emit), prepare(asked, emit, stored=run))
        except StopAsked as stopped:
            emit(Stopped(step=control.step, epoch=2.0, reason=str(stopped)))
    return read_events(run.events_file)


@pytest.fixture(scope="module")
def whole(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A finished run with two folds."""
    path = tmp_path_factory.mktemp("whole") / "run"
    run = RunDir.create(path, msgspec.structs.replace(config, run_dir=str(path)))
    assert isinstance(work(run)[-1], Finished)
    return run


def test_a_run_with_folds_looks_like_one_run(whole: RunDir) -> None:
    events = read_events(whole.events_file)
    assert sum(isinstance(event, RunStarted) for event in events) == 1
    assert [event.label for event in events if isinstance(event, SnapshotTaken)] == ["untrained", "epoch 1", "epoch 2"]
    parts = [event.part for event in events if isinstance(event, Phase)]
    assert list(dict.fromkeys(parts)) == ["", "fold 1 of 2", "fold 2 of 2"]
    told = [event for event in events if isinstance(event, Phase) and event.part and event.name == "training"]
    assert (told[0].done, told[-1].done, told[-1].total) == (0, 6, 6)
    assert [type(event) for event in events].count(Finished) == 1
    assert isinstance(events[-1], Finished)


def test_each_fold_is_a_run_that_never_saw_what_it_scores(whole: RunDir) -> None:
    examples = read_examples(whole.examples_file).train
    fold_of = read_fold_of(whole)
    assert fold_of is not None
    assert len(begun_folds(whole)) == 2
    for number, fold in enumerate(begun_folds(whole)):
        assert attach(fold.path).state()[0] is State.FINISHED
        dataset = read_examples(fold.examples_file)
        assert [e.id for e in dataset.eval] == [examples[n].id for n in np.flatnonzero(fold_of == number)]
        assert [e.id for e in dataset.train] == [examples[n].id for n in np.flatnonzero(fold_of != number)]
        assert {e.context for e in dataset.train}.isdisjoint(e.context for e in dataset.eval)
        ((folder, manifest),) = checkpoints(fold).items()
        assert folder.name == "epoch-0002"
        assert not manifest.resumable  # the optimizer's state is dropped
        assert [path.name for path in snapshot_files(fold.snapshots)] == [f"000{n}.safetensors" for n in range(3)]


def test_held_out_scores_are_in_the_order_of_the_training_examples(whole: RunDir) -> None:
    of = read_dynamics(whole, "train")
    assert of is not None
    assert of.held_out is not None
    assert len(of) == len(of.held_out) == 24
    assert of.held_out.labels == ("epoch 1", "epoch 2")
    held_out = held_out_epochs(whole, 24)
    assert held_out is not None
    ids = [example.id for example in read_examples(whole.examples_file).train]
    for fold in begun_folds(whole):
        held = [ids.index(example.id) for example in read_examples(fold.examples_file).eval]
        with Snapshot(snapshot_files(fold.snapshots)[2]) as snapshot:
            for name, values in held_out.read(0, 24).items():
                np.testing.assert_array_equal(values[1, held], snapshot.column(name), err_msg=name)
    assert of.held_out.passages is not None
    np.testing.assert_array_equal(of.held_out.passages, of.passages)
    # The eval half has none: it is never trained on.
    evaluated = read_dynamics(whole)
    assert evaluated is not None
    assert evaluated.held_out is None


def test_the_journey_is_that_of_a_run_without_folds(whole: RunDir, config: RunConfig, tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", msgspec.structs.replace(config, run_dir=str(tmp_path / "run"), folds=None))
    events = work(run)
    assert not run.folds.exists()
    assert not any(isinstance(event, Phase) and event.part for event in events)
    for one, other in zip(snapshot_files(run.snapshots), snapshot_files(whole.snapshots), strict=True):
        with Snapshot(one) as without, Snapshot(other) as having:
            for name in COLUMNS:
                np.testing.assert_array_equal(without.column(name), having.column(name), err_msg=name)


def test_a_run_stopped_in_its_second_fold_goes_on_there(whole: RunDir, config: RunConfig, tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", msgspec.structs.replace(config, run_dir=str(tmp_path / "run")))
    stopped = work(run, stop_in="fold 2 of 2")
    assert isinstance(stopped[-1], Stopped)
    first, second = begun_folds(run)
    assert [type(read_events(fold.events_file)[-1]) for fold in (first, second)] == [Finished, Stopped]
    assert stopped[-1].reason == "stopped by SIGTERM, in fold 2 of 2"
    of = read_dynamics(run, "train")
    assert of is not None
    assert of.held_out is None  # half of it would rank labels by who scored them
    before = read_events(first.events_file)
    events = work(run)
    assert isinstance(events[-1], Finished)
    assert read_events(first.events_file) == before
    began = [event for event in read_events(second.events_file) if isinstance(event, RunStarted)]
    assert [event.resumed_from_step for event in began] == [None, 3]
    for mine, theirs in zip(begun_folds(run), begun_folds(whole), strict=True):
        for one, other in zip(snapshot_files(mine.snapshots), snapshot_files(theirs.snapshots), strict=True):
            with Snapshot(one) as resumed, Snapshot(other) as straight:
                for name in COLUMNS:
                    np.testing.assert_array_equal(resumed.column(name), straight.column(name), err_msg=name)


def test_folds_take_as_many_epochs_as_a_run_that_ended_early(config: RunConfig, tmp_path: Path) -> None:
    asked = msgspec.structs.replace(config, epochs=9, early_stopping_patience=1, run_dir=str(tmp_path / "run"))
    run = RunDir.create(tmp_path / "run", asked)
    work(run, stop_in="fold 2 of 2")
    epochs = len(snapshot_files(run.train_snapshots))
    assert 1 < epochs < 9
    events = work(run)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason.startswith("early stopping")
    # Resumed in a fold, the run itself learned nothing more.
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 6 * epochs + 1))
    assert len(snapshot_files(run.train_snapshots)) == epochs
    for fold in begun_folds(run):
        assert (fold.config.epochs, fold.config.early_stopping_patience) == (epochs, None)
        assert len(snapshot_files(fold.snapshots)) == epochs + 1


def test_what_is_held_out_is_scored_whole_where_the_eval_half_is_sampled_first(
    whole: RunDir, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MOST_TOKENS", 200)
    run = RunDir.create(tmp_path / "run", msgspec.structs.replace(config, run_dir=str(tmp_path / "run")))
    taken = [event.sampled_of for event in work(run) if isinstance(event, SnapshotTaken)]
    assert taken[0] == 24
    for fold, other in zip(begun_folds(run), begun_folds(whole), strict=True):
        events = read_events(fold.events_file)
        assert [event.sampled_of for event in events if isinstance(event, SnapshotTaken)] == [None] * 3
        with Snapshot(snapshot_files(fold.snapshots)[2]) as one, Snapshot(snapshot_files(other.snapshots)[2]) as same:
            np.testing.assert_array_equal(one.column("gold_log_prob"), same.column("gold_log_prob"))


def test_a_run_writes_what_it_said(whole: RunDir) -> None:
    def size_of(*folders: Path) -> int:
        return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())

    (began,) = [event for event in read_events(whole.events_file) if isinstance(event, RunStarted)]
    parts = begun_folds(whole)
    scores = size_of(whole.snapshots, whole.train_snapshots, *(fold.snapshots for fold in parts))
    assert began.snapshot_bytes == pytest.approx(scores, rel=0.2)
    weights = size_of(whole.checkpoints, *(fold.checkpoints for fold in parts))
    assert began.checkpoint_bytes == pytest.approx(weights, rel=0.2)


def test_a_fold_goes_with_its_run(whole: RunDir) -> None:
    fold = begun_folds(whole)[0]
    for act in (resume, check_removable):
        with pytest.raises(UsageError, match=r"a fold of the run run, not a run of its own.*Name .*run\."):
            act(fold.path)
    assert check_removable(whole.path).path == whole.path


def test_pruning_takes_the_weights_of_finished_folds(whole: RunDir, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    shutil.copytree(whole.path, run.path)
    plan = plan_pruning(run)
    assert [weights.folder.parents[1].name for weights in plan.dropped] == ["1", "2"]
    prune(plan)
    assert [len(checkpoints(fold)) for fold in begun_folds(run)] == [0, 0]
    assert len(checkpoints(run)) == 1
    of = read_dynamics(run, "train")
    assert of is not None
    assert of.held_out is not None


def test_folds_of_another_number_of_examples_are_not_taken(whole: RunDir, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    shutil.copytree(whole.path, run.path)
    with Tensors(run.folds / "folds.safetensors") as stored:
        assert stored.read(FOLD_OF).dtype == np.int32
    (run.folds / "folds.safetensors").write_bytes(b"nothing")
    of = read_dynamics(run, "train")
    assert of is not None
    assert of.held_out is None


def test_commands_to_the_run_and_to_the_fold_at_work(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "LOOK_SECONDS", 0.0)
    run = RunDir.create(tmp_path / "run", msgspec.structs.replace(config, run_dir=str(tmp_path / "run")))
    events = work(run, pause_in="fold 2 of 2")
    assert isinstance(events[-1], Finished)
    first, second = begun_folds(run)
    for log in (events, read_events(second.events_file)):
        answers = [(event.command, event.outcome) for event in log if isinstance(event, CommandDone)]
        assert answers == [("pause", "pauses after this step"), ("resume", "goes on")]
        assert sum(isinstance(event, Paused | Resumed) for event in log) == 2
    assert not any(isinstance(event, CommandDone) for event in read_events(first.events_file))


@pytest.fixture
def engines() -> Iterator[list[RunDir]]:
    """Runs whose engines are killed at the end of a test, whatever happens."""
    runs: list[RunDir] = []
    yield runs
    for run in runs:
        owner = read_owner(run)
        if owner is not None and attach(run.path).is_live():
            os.kill(owner.pid, signal.SIGKILL)


def test_a_run_killed_in_its_second_fold_is_resumed(
    config: RunConfig, tmp_path: Path, engines: list[RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = start(msgspec.structs.replace(config, epochs=10, run_dir=str(tmp_path / "run")))
    engines.append(run.directory)
    first, second = fold_runs(run.directory, 2)
    until(lambda: any(isinstance(event, CheckpointSaved) for event in read_events(second.events_file)))
    owner = read_owner(run.directory)
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    until(lambda: is_in(run, State.DEAD))
    assert [attach(fold.path).state()[0] for fold in (first, second)] == [State.FINISHED, State.DEAD]
    assert resume(run.path).wait() is State.FINISHED
    assert [attach(fold.path).state()[0] for fold in (first, second)] == [State.FINISHED, State.FINISHED]
    of = read_dynamics(run.directory, "train")
    assert of is not None
    assert of.held_out is not None
    assert of.held_out.snapshots == tuple(range(1, 11))


# -- what the lists make of them ----------------------------------------------------------------------------------


def test_the_lists_with_and_without_folds(whole: RunDir) -> None:
    both = read_dynamics(whole, "train")
    assert both is not None
    assert both.held_out is not None
    journey, held_out = replace(both, held_out=None), both.held_out
    for kind in ("place", "boundary"):
        mean = (suspicion(kind, journey) + suspicion(kind, held_out)) / 2
        np.testing.assert_allclose(suspicion(kind, both), mean)
    # What one can't judge the other does alone.
    unknown = np.full_like(journey.evidence.margin, np.nan)
    blind = replace(held_out, evidence=replace(held_out.evidence, margin=unknown))
    np.testing.assert_array_equal(suspicion("place", replace(journey, held_out=blind)), suspicion("place", journey))
    blind = replace(both, evidence=replace(both.evidence, margin=unknown))
    np.testing.assert_array_equal(suspicion("place", blind), suspicion("place", held_out))


def test_the_reason_names_what_was_held_out(whole: RunDir) -> None:
    both = read_dynamics(whole, "train")
    assert both is not None
    assert both.held_out is not None
    examples = read_examples(whole.examples_file).train
    suspect = wrong_place(both)[0]
    example = examples[suspect.example]
    held = both.held_out
    start, end = (int(ends[suspect.example]) for ends in (held.answer_start, held.answer_end))
    label = example.answers[0].text
    told = reason(suspect, both, example.context, label)
    assert told.startswith(reason(suspect, replace(both, held_out=None), example.context, label))
    assert told.endswith(f"; held out, the model answers “{example.context[start:end]}”")
    right = replace(held, answer_iou=np.ones_like(held.answer_iou))
    assert reason(suspect, replace(both, held_out=right), example.context, label).endswith(
        "the model answers as labelled"
    )


def test_folds_are_an_option_of_at_least_two() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"dataset": "x", "folds": 1}, RunConfig)


def test_data_with_enough_passages_is_taken(config: RunConfig) -> None:
    assert len(load_run_data(config).dataset.train) == 24
