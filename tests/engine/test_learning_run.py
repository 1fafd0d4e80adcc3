"""Whole runs in this process, on a tiny model: which snapshots there are, that looking changes nothing, what is kept on
disk, and checkpoints of earlier versions."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from engine.config import RunConfig
from engine.data import sample
from engine.data.examples import read_examples
from engine.data.run_data import load_run_data
from engine.errors import UserError, WriteError
from engine.events import AnyEvent, CheckpointSaved, Finished, Metrics, Phase, RunStarted, SnapshotTaken, Step
from engine.insight import scoring
from engine.learning import checkpoint, folds, loop, snapshots
from engine.learning.control import Control, Signals, StopAsked
from engine.learning.distributed import Group
from engine.learning.encoder.optimizer import MOMENTS
from engine.learning.prepare import prepare
from engine.learning.schedule import Plan
from engine.learning.snapshots import (
    EARLY_SHARE,
    FREE_TOKENS,
    TRAINING_COST,
    Planned,
    numbered_as_stored,
    plan_snapshots,
)
from engine.rundir.calibration import CALIBRATION
from engine.rundir.checkpoints import MANIFEST, STATE_TENSORS
from engine.rundir.dynamics import read_dynamics, snapshot_files
from engine.rundir.layout import RunDir
from engine.rundir.log import EventLog, read_events
from engine.rundir.snapshot import COLUMNS, Snapshot, SnapshotInfo
from engine.storage.tensors import Tensors, write_tensors
from tests.tiny_run import tiny_config

PER_EPOCH = 6


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    made = tiny_config(tmp_path_factory.mktemp("tiny"))
    return msgspec.structs.replace(made, early_snapshots=False, keep_weights="all", epochs=2)


def work(run: RunDir, *, stop_after: int | None = None) -> list[AnyEvent]:
    """Let this process be the engine of `run`, until its end or a signal after a step; returns all its events."""
    group = Group()
    signals = Signals(group)
    with EventLog(run.events_file) as log:

        def emit(event: AnyEvent) -> None:
            log.append(event)
            if isinstance(event, Step) and event.step == stop_after:
                signals.name = "SIGTERM"

        control = Control(run, signals, group, emit)
        asked = run.exact_config
        try:
            folds.run_session(loop.Session(run, asked, group, control, emit), prepare(asked, emit, stored=run))
        except StopAsked:
            assert stop_after is not None
    return read_events(run.events_file)


def new_run(config: RunConfig, path: Path, **changes: Any) -> RunDir:
    return RunDir.create(path, msgspec.structs.replace(config, run_dir=str(path), **changes))


def weights(run: RunDir) -> bytes:
    """The newest epoch's."""
    return (sorted(run.checkpoints.glob("epoch-*"))[-1] / "model.safetensors").read_bytes()


def learned(events: list[AnyEvent]) -> list[tuple[int, float, float, float]]:
    """What steps tell of learning, without what depends on the machine."""
    return [(e.step, e.loss, e.grad_norm, e.learning_rate) for e in events if isinstance(e, Step)]


# -- which snapshots there are --------------------------------------------------------------------------------


def planned(
    epochs: int,
    per_epoch: int,
    *,
    early: bool = True,
    train_tokens: int = 10_000,
    eval_tokens: int = 1000,
    sample_tokens: int | None = None,
) -> dict[int, Planned]:
    plan = Plan(
        seed=1, batch_size=4, epochs=epochs, steps_per_epoch=per_epoch, lr=1e-3, warmup_steps=0, weight_decay=0.0,
        max_grad_norm=1.0,
    )  # fmt: skip
    return plan_snapshots(
        plan, early=early, train_tokens=train_tokens, eval_tokens=eval_tokens, sample_tokens=sample_tokens
    )


tokens = st.integers(1, 10**9)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 60), st.integers(1, 5000), st.booleans(), tokens, tokens)
def test_a_plan_of_snapshots(epochs: int, per_epoch: int, early: bool, train_tokens: int, eval_tokens: int) -> None:
    found = planned(epochs, per_epoch, early=early, train_tokens=train_tokens, eval_tokens=eval_tokens)
    steps = list(found)
    # The untrained model first, then in the order of steps, numbered without gaps; the end of every epoch among them.
    assert steps == sorted(set(steps))
    assert [planned.index for planned in found.values()] == list(range(len(found)))
    assert found[0] == Planned(0, "untrained")
    assert steps[-1] == epochs * per_epoch
    for epoch in range(1, epochs + 1):
        assert found[epoch * per_epoch].label == f"epoch {epoch}"
    # All others are early ones: inside the first epoch, at powers of one number, within what they may cost.
    others = [step for step in steps if step % per_epoch]
    assert all(found[step].label == f"step {step}" for step in others)
    assert len({planned.label for planned in found.values()}) == len(found)
    assert not any(planned.sampled for planned in found.values())
    if not early:
        assert not others
    if others:
        assert others[0] == 1
        assert others[-1] < per_epoch
        factor = others[1] if len(others) > 1 else 64
        assert others == [factor**n for n in range(len(others))]
        assert others[-1] * factor >= per_epoch or len(others) == 1
        assert factor in (2, 4, 8, 16, 32, 64)
        assert len(others) * eval_tokens <= max(EARLY_SHARE * TRAINING_COST * train_tokens, FREE_TOKENS)
    # The same wherever and whenever it is computed.
    again = planned(epochs, per_epoch, early=early, train_tokens=train_tokens, eval_tokens=eval_tokens)
    assert list(again.items()) == list(found.items())


def test_early_snapshots_lie_at_powers_of_two_as_long_as_they_are_cheap() -> None:
    assert list(planned(2, 40)) == [0, 1, 2, 4, 8, 16, 32, 40, 80]
    # Six of them would take more than a fifth of the epoch.
    assert list(planned(2, 40, train_tokens=1_000_000, eval_tokens=200_000)) == [0, 1, 4, 16, 40, 80]
    assert list(planned(2, 40, train_tokens=1_000_000, eval_tokens=700_000)) == [0, 40, 80]
    assert list(planned(1, 1)) == [0, 1]


def test_early_snapshots_are_of_a_sample_where_the_whole_is_too_dear() -> None:
    def steps(*, train_tokens: int, eval_tokens: int, sample_tokens: int) -> tuple[list[int], list[int]]:
        found = planned(2, 40, train_tokens=train_tokens, eval_tokens=eval_tokens, sample_tokens=sample_tokens)
        return list(found), [step for step, planned in found.items() if planned.sampled]

    assert steps(train_tokens=1_000_000, eval_tokens=700_000, sample_tokens=50_000) == (
        [0, 1, 2, 4, 8, 16, 32, 40, 80],
        [1, 2, 4, 8, 16, 32],
    )
    # The whole at those steps at which it was scored without a sample, which fills the gaps.
    assert steps(train_tokens=1_000_000, eval_tokens=150_000, sample_tokens=40_000) == (
        [0, 1, 2, 4, 8, 16, 32, 40, 80],
        [2, 8, 32],
    )
    assert steps(train_tokens=1_000_000, eval_tokens=90_000, sample_tokens=40_000)[1] == []
    # A sample may be too dear as well, and an epoch is always of all.
    assert steps(train_tokens=1, eval_tokens=10**7, sample_tokens=10**6) == ([0, 40, 80], [])


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000), tokens, tokens, tokens)
def test_a_sample_adds_snapshots_and_takes_none_away(per_epoch: int, train: int, whole: int, sample: int) -> None:
    without = planned(2, per_epoch, train_tokens=train, eval_tokens=whole)
    found = planned(2, per_epoch, train_tokens=train, eval_tokens=whole, sample_tokens=sample)
    sampled = {step for step, planned in found.items() if planned.sampled}
    assert found.keys() - sampled == without.keys()
    assert all(0 < step < per_epoch for step in sampled)
    early = [step for step in found if 0 < step < per_epoch]
    cost = sum(sample if found[step].sampled else whole for step in early)
    assert cost <= max(EARLY_SHARE * TRAINING_COST * train, FREE_TOKENS)


# -- looking changes nothing ----------------------------------------------------------------------------------


def test_looking_changes_nothing(tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses and final weights are the same, bit for bit, with snapshots in the first epoch, without, and without any
    snapshot at all."""
    often = new_run(config, tmp_path / "often", early_snapshots=True)
    seldom = new_run(config, tmp_path / "seldom")
    never = new_run(config, tmp_path / "never")
    events = {run.name: work(run) for run in (often, seldom)}
    monkeypatch.setattr(loop, "plan_snapshots", lambda plan, **_: {})
    events["never"] = work(never)
    taken = {name: [event.step for event in told if isinstance(event, SnapshotTaken)] for name, told in events.items()}
    assert taken == {"often": [0, 1, 2, 4, 6, 12], "seldom": [0, 6, 12], "never": []}
    assert [step for step, *_ in learned(events["never"])] == list(range(1, 2 * PER_EPOCH + 1))
    assert learned(events["often"]) == learned(events["seldom"]) == learned(events["never"])
    assert weights(often) == weights(seldom) == weights(never)


def test_a_first_look_at_a_large_set(tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample is scored before the whole, and in the first epoch where the whole is too dear; training is the same."""
    plain = new_run(config, tmp_path / "plain", epochs=1)
    usual = work(plain)
    monkeypatch.setattr(sample, "MOST_TOKENS", 200)
    monkeypatch.setattr(sample, "GLANCE", 2)
    monkeypatch.setattr(snapshots, "FREE_TOKENS", 1000)
    monkeypatch.setattr(snapshots, "EARLY_SHARE", 0.0)
    run = new_run(config, tmp_path / "run", epochs=1, early_snapshots=True, probe="validation-7")
    events = work(run)
    taken = [event for event in events if isinstance(event, SnapshotTaken)]
    assert [(event.index, event.label, event.sampled_of) for event in taken] == [
        *[(0, "untrained", 24)] * 2,
        (0, "untrained", None),
        (1, "step 1", 24),
        (2, "step 2", 24),
        (3, "step 4", 24),
        (4, "epoch 1", None),
    ]
    assert learned(events) == learned(usual)
    assert weights(run) == weights(plain)
    (began,) = [event for event in events if isinstance(event, RunStarted)]
    written = sum(path.stat().st_size for path in run.snapshots.iterdir())
    assert began.snapshots == 5
    assert began.snapshot_bytes == pytest.approx(written, rel=0.4)
    first, second, early = taken[0], taken[1], taken[3]
    assert 1 == first.metrics.examples < second.metrics.examples < 12
    assert early.metrics.examples == second.metrics.examples
    assert second.sample_text == f"{second.metrics.examples} of 24 scored"
    untrained = Snapshot(run.path / taken[2].file)
    assert untrained.info.sampled_of is None
    with Snapshot(run.path / early.file) as of_sample:
        assert of_sample.n_examples == untrained.n_examples == 24
        assert of_sample.scored[7]
        assert int(of_sample.scored.sum()) == early.metrics.examples
        exact = of_sample.column("exact_match")
        assert 100 * exact[of_sample.scored].mean() == pytest.approx(early.metrics.exact_match)
        assert np.isnan(exact[~of_sample.scored]).all()
    # Resumed before the whole was there: it is scored, the sample is not scored again.
    again = new_run(config, tmp_path / "again", epochs=1, probe="validation-7")
    (again.path / taken[0].file).parent.mkdir(exist_ok=True)
    shutil.copy(run.path / early.file, again.path / taken[0].file)
    file = again.path / taken[0].file
    with Tensors(file) as tensors:
        arrays = {name: tensors.read(name) for name in tensors.names}
        info = json.loads(tensors.metadata["snapshot"]) | {"index": 0, "step": 0}
    write_tensors(file, arrays, {"snapshot": json.dumps(info)})
    assert [(e.index, e.sampled_of) for e in work(again) if isinstance(e, SnapshotTaken)] == [(0, None), (1, None)]


def test_a_first_look_on_a_slow_machine(tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = new_run(config, tmp_path / "plain", epochs=1)
    usual = work(plain)
    monkeypatch.setattr(
        snapshots, "glance", lambda features, total, _, probe: sample.glance(features, total, 20, probe)
    )
    run = new_run(config, tmp_path / "run", epochs=1, probe="validation-7")
    events = work(run)
    taken = [(e.index, e.metrics.examples, e.sampled_of) for e in events if isinstance(e, SnapshotTaken)]
    assert taken == [(0, 2, 24), (0, 24, None), (1, 24, None)]
    assert learned(events) == learned(usual)
    assert weights(run) == weights(plain)


def test_snapshots_keep_the_numbers_they_have_on_disk() -> None:
    def stored(*steps: int) -> list[SnapshotInfo]:
        score = Metrics(examples=1, start_accuracy=0, end_accuracy=0, exact_match=0, f1=0)
        return [
            SnapshotInfo(index=index, label="", step=step, epoch=0.0, time=0.0, metrics=score)
            for index, step in enumerate(steps)
        ]

    plan = planned(4, 10)
    steps = [0, 1, 2, 4, 8, 10, 20, 30, 40]
    assert list(plan) == steps

    def numbers(*on_disk: int) -> list[int]:
        found = numbered_as_stored(plan, stored(*on_disk))
        assert list(found) == steps
        return [planned.index for planned in found.values()]

    assert numbers() == numbers(0) == numbers(0, 1, 2) == numbers(*steps) == list(range(9))
    # Fewer were planned before: those of the epochs are found, and what comes has room after them.
    assert numbers(0, 10, 20)[-4:] == [1, 2, 7, 8]
    # More were planned before: none of them is written over.
    assert numbers(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20)[-4:] == [10, 11, 12, 13]


def test_a_run_of_a_version_that_planned_fewer_snapshots_goes_on(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(config, tmp_path / "run", epochs=3, early_snapshots=True, keep_weights="best")
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "FREE_TOKENS", 0)
        patch.setattr(snapshots, "EARLY_SHARE", 0.0)
        work(run, stop_after=PER_EPOCH + 1)
    before = {path.name: path.read_bytes() for path in run.snapshots.iterdir()}
    assert sorted(before) == ["0000.safetensors", "0001.safetensors"]
    taken = [event for event in work(run) if isinstance(event, SnapshotTaken)]
    assert [event.label for event in taken] == ["untrained", "epoch 1", "epoch 2", "epoch 3"]
    assert [event.index for event in taken] == [0, 1, 5, 6]
    assert {name: (run.snapshots / name).read_bytes() for name in before} == before
    best = max(taken[1:], key=lambda event: (event.metrics.f1, event.step))
    kept = {int(path.name.removeprefix("epoch-")) for path in run.checkpoints.glob("epoch-*")}
    assert kept == {best.step // PER_EPOCH, 3}


# -- what is kept on disk -------------------------------------------------------------------------------------


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The F1 of a run's snapshots, in their order."""
    given: list[float] = []
    real: Callable[..., Any] = scoring.score_snapshot
    left = iter(given)

    def score_snapshot(*arguments: Any, **options: Any) -> Any:
        columns, metrics, seen, unseen = real(*arguments, **options)
        return columns, msgspec.structs.replace(metrics, f1=next(left)), seen, unseen

    monkeypatch.setattr(snapshots, "score_snapshot", score_snapshot)
    yield given
    assert next(left, None) is None


@pytest.mark.parametrize(
    ("keep", "f1", "kept"),
    [
        ("all", [0, 30, 50, 50, 20], [1, 2, 3, 4]),
        ("last", [0, 30, 50, 50, 20], [4]),
        ("best", [0, 30, 50, 50, 20], [3, 4]),  # the latest of equals, and the newest to go on from
        ("best", [90, 40, 30, 20, 10], [1, 4]),  # the untrained model is no epoch
        ("best", [0, 10, 20, 30, 40], [4]),
    ],
)
def test_whose_weights_stay(
    tmp_path: Path, config: RunConfig, scores: list[float], keep: str, f1: list[float], kept: list[int]
) -> None:
    """With a checkpoint after every step as well: none of those is left."""
    scores += f1
    run = new_run(config, tmp_path / "run", keep_weights=keep, epochs=4, checkpoint_minutes=1e-9)
    events = work(run)
    saved = [event.path for event in events if isinstance(event, CheckpointSaved)]
    assert len(saved) == len(set(saved)) == 4 * PER_EPOCH
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [f"epoch-{epoch:04}" for epoch in kept]
    for epoch in kept:
        folder = run.checkpoints / f"epoch-{epoch:04}"
        files = {path.name for path in folder.iterdir()}
        assert {"model.safetensors", "config.json", "tokenizer.json"} <= files
        # Only the newest is gone on from; what the others would need for it is not kept.
        assert ("state.safetensors" in files) == ("state.json" in files) == (epoch == 4)
        listed = json.loads((folder / "MANIFEST.json").read_bytes())["files"]
        assert files == {*listed, "MANIFEST.json", CALIBRATION}
    assert len({(run.checkpoints / f"epoch-{n:04}" / "model.safetensors").read_bytes() for n in kept}) == len(kept)


def test_a_limit_of_what_snapshots_score(tmp_path: Path, config: RunConfig) -> None:
    run = new_run(config, tmp_path / "run", epochs=1, snapshot_limit=5, probe="validation-7")
    events = work(run)
    ids = [example.id for example in read_examples(run.examples_file).eval]
    assert ids == ["validation-0", "validation-7", "validation-12", "validation-17", "validation-23"]
    (began,) = [event for event in events if isinstance(event, RunStarted)]
    assert (began.train_examples, began.eval_examples, began.eval_features) == (24, 5, 5)
    for event in events:
        if isinstance(event, SnapshotTaken):
            assert event.metrics.examples == 5
            with Snapshot(run.path / event.file) as snapshot:
                assert len(snapshot.column("f1")) == 5
    # Training is what it is without a limit.
    whole = new_run(config, tmp_path / "whole", epochs=1)
    assert learned(work(whole)) == learned(events)
    assert weights(run) == weights(whole)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(-1, 23))
def test_the_examples_of_a_limit_are_evenly_spaced(config: RunConfig, limit: int, probe: int) -> None:
    name = None if probe < 0 else f"validation-{probe}"
    data = load_run_data(msgspec.structs.replace(config, snapshot_limit=limit, probe=name)).dataset
    numbers = [int(example.id.removeprefix("validation-")) for example in data.eval]
    assert len(numbers) == min(limit, 24)
    assert numbers == sorted(set(numbers))
    assert len(data.train) == 24
    if name is not None:
        assert probe in numbers
    elif limit > 1:
        gaps = [high - low for low, high in pairwise(numbers)]
        assert (numbers[0], numbers[-1]) == (0, 23)
        assert max(gaps) - min(gaps) <= 1


# -- checkpoints of earlier versions --------------------------------------------------------------------------


def name_as_before(folder: Path) -> list[str]:
    """Give the optimizer's state in a checkpoint the names that earlier versions gave it; returns those changed."""
    state = folder / STATE_TENSORS
    former = {f".{now}.": f".{before}." for now, before in checkpoint.FORMER_NAMES.items()}
    renamed, changed = {}, []
    for name, tensor in load_file(state).items():
        old = name
        for now, before in former.items():
            old = old.replace(now, before)
        renamed[old] = tensor
        changed += [old] if old != name else []
    save_file(renamed, state, {"format": "pt"})
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"][state.name] = {
        "size": state.stat().st_size,
        "sha256": hashlib.sha256(state.read_bytes()).hexdigest(),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return changed


def test_a_checkpoint_with_former_names_is_gone_on_from(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = new_run(config, tmp_path / "whole")
    expected = work(whole)
    run = new_run(config, tmp_path / "run")
    work(run, stop_after=8)
    changed = name_as_before(run.checkpoints / "step-00000008")
    assert sorted(changed) == sorted(
        f"{kind}.{name}.weight" for kind in MOMENTS for name in ("words", "places", "types")
    )
    with monkeypatch.context() as unknown:
        unknown.setattr(checkpoint, "FORMER_NAMES", {})
        with pytest.raises(UserError, match="another version of bertqa-tui"):
            work(run)
    events = work(run)
    begun = [event.resumed_from_step for event in events if isinstance(event, RunStarted)]
    assert begun == [None, 8]
    assert isinstance(events[-1], Finished)
    assert (learned(events), weights(run)) == (learned(expected), weights(whole))


# -- training examples --------------------------------------------------------------------------------------------


def test_training_examples_are_scored_after_each_epoch(tmp_path: Path, config: RunConfig) -> None:
    plain, tracked = new_run(config, tmp_path / "plain"), new_run(config, tmp_path / "tracked", track_train=True)
    without, events = work(plain), work(tracked)
    assert read_dynamics(plain, "train") is None
    assert not plain.train_snapshots.exists()
    assert [path.name for path in snapshot_files(tracked.train_snapshots)] == ["0001.safetensors", "0002.safetensors"]
    trained = read_dynamics(tracked, "train")
    assert trained is not None
    assert (trained.snapshots, trained.labels, len(trained)) == ((1, 2), ("epoch 1", "epoch 2"), 24)
    assert np.isfinite(trained.confidence).all()
    told = [e for e in events if isinstance(e, Phase) and e.detail == "epoch 2, training examples"]
    assert (told[-1].done, told[-1].total) == (24, 24)
    # Looking changes nothing.
    assert learned(without) == learned(events)
    assert weights(plain) == weights(tracked)


def test_the_scores_of_training_examples_are_those_of_an_eval_set_of_the_same(
    tmp_path: Path, config: RunConfig
) -> None:
    same = tmp_path / "same.json"
    halves = json.loads(Path(config.dataset).read_text())
    same.write_text(json.dumps({"train": halves["train"], "validation": halves["train"]}))
    run = new_run(config, tmp_path / "run", dataset=str(same), track_train=True)
    work(run)
    for name in ("0001", "0002"):
        with (
            Snapshot(run.train_snapshots / f"{name}.safetensors", train=True) as train,
            Snapshot(run.snapshots / f"{name}.safetensors") as evaluated,
        ):
            assert train.info.metrics == evaluated.info.metrics
            for column in COLUMNS:
                np.testing.assert_array_equal(train.column(column), evaluated.column(column), err_msg=column)


def test_training_examples_that_were_not_scored_before_the_end_are_scored_on_resume(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = (new_run(config, tmp_path / name, track_train=True) for name in ("whole", "stopped"))
    expected = work(whole)

    def full(*_: Any) -> None:
        raise WriteError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "write_train_snapshot", full)
        with pytest.raises(WriteError):
            work(stopped)
    assert [path.name for path in snapshot_files(stopped.snapshots)] == ["0000.safetensors", "0001.safetensors"]
    assert not snapshot_files(stopped.train_snapshots)
    events = work(stopped)
    assert learned(events) == learned(expected)
    assert weights(stopped) == weights(whole)
    for of_whole, of_stopped in zip(
        snapshot_files(whole.train_snapshots), snapshot_files(stopped.train_snapshots), strict=True
    ):
        with Snapshot(of_whole, train=True) as one, Snapshot(of_stopped, train=True) as other:
            assert one.info.step == other.info.step
            for column in COLUMNS:
                np.testing.assert_array_equal(one.column(column), other.column(column), err_msg=column)
