"""The Map screen, key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from textual.pilot import Pilot

from engine.data.examples import Answer
from engine.events import Finished
from engine.rundir.dynamics import scored_epochs, snapshot_files
from engine.rundir.folds import fold_runs, write_fold_of
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import COLUMNS, Snapshot, snapshot_name, write_snapshot, write_train_snapshot
from engine.rundir.verdicts import read_verdicts
from tests.fake_app import make_app, opened, press, screen_text, until
from tests.fake_run import append_events, append_snapshot, fake_set, make_run, seem_alive


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make_run(tmp_path, examples=30, snapshots=5, tokens=40, noise=3.0)


async def to_map(pilot: Pilot[Any]) -> Any:
    """The Map screen of the run, once its snapshots are read."""
    await opened(pilot, "4")
    app: Any = pilot.app
    await until(pilot, lambda: app.viewer.insight.dynamics is not None)
    await press(pilot)
    return app.view


async def test_the_map_is_walked_by_arrows(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        view = await to_map(pilot)
        assert "never right" in screen_text(app)
        seen = set()
        for key in ("down", "left", "left", "up", "right", "right", "down", "down"):
            before = view._cells.at(app.view_state.example)
            await press(pilot, key)
            after = view._cells.at(app.view_state.example)
            column, row = after[0] - before[0], after[1] - before[1]
            if before != after:
                assert {"down": row < 0, "up": row > 0, "left": column < 0, "right": column > 0}[key]
            example = app.viewer.examples[app.view_state.example]
            assert example.question in screen_text(app)
            assert example.id in screen_text(app)
            seen.add(app.view_state.example)
        assert len(seen) > 2
        example = app.view_state.example
        await press(pilot, "enter")
        assert (app.view_name, app.view_state.example) == ("journey", example)


async def test_lists_say_why_and_learn_from_verdicts(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(140, 40)) as pilot:
        view = await to_map(pilot)
        await press(pilot, "a")
        first = app.viewer.insight.validation.suspects("place", app.viewer.verdicts)
        assert app.view_state.example == first[0].example
        assert "the label says “" in screen_text(app)
        await press(pilot, "M")
        given = read_verdicts(run).of("validation", app.viewer.examples[first[0].example].id)
        assert given is not None
        if first[0].answer is not None:
            assert given.answer is not None
            assert given.answer.start == first[0].answer[0]
        assert first[0].example not in view._list.rows.tolist()
        assert view._list.place == 0  # the cursor is on the one that took its place
        assert app.view_state.example == view._list.rows[0]
        await press(pilot, "K", "D")
        assert len(read_verdicts(run)) == 3
        assert "3 labels judged" in screen_text(app)
        await press(pilot, "u")
        assert len(read_verdicts(run)) == 2
        assert app.view_state.example in view._list.rows.tolist()
        await press(pilot, "v")
        assert "wrong boundary" in screen_text(app)
        await press(pilot, "v")
        assert "all examples" in screen_text(app)
        rows = view._list.rows.tolist()
        confidence = app.viewer.insight.dynamics.confidence
        assert [float(confidence[n]) for n in rows] == sorted(float(value) for value in confidence)
        for sort in ("variability", "right", "forgotten", "first learned", "data", "confidence"):
            await press(pilot, "s")
            assert f"by {sort}" in screen_text(app)
            assert app.view_state.example == view._list.rows[0]


async def test_an_epoch_that_is_added_is_on_the_map(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=12, snapshots=1, tokens=40, live=True)
    seem_alive(run)
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "4")
        await until(pilot, lambda: "waiting for the first one" in screen_text(app))
        append_snapshot(run, fake_set(12, tokens=40), 1)
        await until(pilot, lambda: "variability" in screen_text(app))
        assert len(app.viewer.insight.dynamics.snapshots) == 1


async def test_a_snapshot_that_is_gone_is_no_end(run: RunDir) -> None:
    for path in run.snapshots.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:200])
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "4")
        await until(pilot, lambda: not app.viewer.insight.reading)
        await press(pilot, "down", "v", "M", "n", "c")
        assert app.view_name == "map"


async def test_where_it_fails_leads_to_spans(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "8")
        await until(pilot, lambda: app.viewer.insight.dynamics is not None)
        every = app.view.scores[0]
        right = app.viewer.snapshot(4).column("exact_match") >= 1
        was = app.viewer.snapshot(3).column("exact_match") >= 1
        assert (every.count, every.right) == (30, int(right.sum()))
        assert (every.learned, every.forgotten) == (int((right & ~was).sum()), int((was & ~right).sum()))
        names = [score.group.name for score in app.view.scores]
        await press(pilot, *["down"] * names.index("unseen"))
        group = app.view.scores[names.index("unseen")].group
        await press(pilot, "enter")
        assert app.view_name == "spans"
        assert sorted(app.view.order.rows.tolist()) == group.rows.tolist()
        assert "10 of 30, passage: unseen" in screen_text(app)
        await press(pilot, "t")
        assert app.view.order.rows.tolist() == [n for n in group.rows.tolist() if not right[n]]
        await press(pilot, "escape", "t", "t", "t", "t", "t")
        assert len(app.view.order.rows) == 30
        await press(pilot, "8", "home")
        assert "; since" not in screen_text(app)
        await press(pilot, "s")
        shares = [score.right / score.count for score in app.view.scores]
        assert shares == sorted(shares)


def track_training(run: RunDir) -> None:
    """Score the training examples of the run, as the option track_train does: they are eval examples under other
    names, so theirs are the columns of those."""
    found = scored_epochs(run)
    assert found is not None
    rows = [number for number in range(found.n_examples) if number % 3 != 2]
    stacked = found.read(0, found.n_examples)
    for position, index in enumerate(found.numbers):
        with Snapshot(run.path / snapshot_name(index)) as snapshot:
            columns = {name: snapshot.column(name)[rows] for name in COLUMNS}
            columns |= {name: values[position][rows] for name, values in stacked.items()}
            run.train_snapshots.mkdir(exist_ok=True)
            write_train_snapshot(run.path, snapshot.info, columns)


async def test_training_examples_are_judged_here(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await to_map(pilot)
        await press(pilot, "o")
        assert "--track-train" in screen_text(app)
    track_training(run)
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        view = await to_map(pilot)
        before = app.view_state.example
        await press(pilot, "o")
        half = app.viewer.insight.train
        first = half.suspects("place", app.viewer.verdicts)[0]
        example = half.examples[first.example]
        assert "wrong place, training examples" in screen_text(app)
        assert example.question in screen_text(app)
        await press(pilot, "K", "M", "N", "u", "D")
        given = [verdict for verdict in read_verdicts(run).current.values() if verdict.half == "train"]
        assert len(given) == 3
        assert given[0].example == example.id
        assert app.view_state.example == before
        await press(pilot, "enter")
        assert app.view_name == "map"

        chosen = view.subject()[1]
        words = chosen.context.split()
        await press(pilot, "S", *["left_curly_bracket"] * 9, "right_square_bracket", "S", "right_square_bracket")
        assert f'the right answer: "{words[1]} {words[2]}"' in screen_text(app)
        await press(pilot, "escape")
        assert 'the right answer: "' not in screen_text(app)
        await press(pilot, "S", *["left_curly_bracket"] * 9, "right_square_bracket", "S", "right_square_bracket", "S")
        verdict = read_verdicts(run).of("train", chosen.id)
        assert verdict is not None
        assert verdict.answer == Answer(f"{words[1]} {words[2]}", chosen.context.index(" ") + 1)
        await press(pilot, "o", "K", "o", "u")
        assert len([v for v in read_verdicts(run).current.values() if v.half == "validation"]) == 0


def hold_out(run: RunDir) -> None:
    """Finish two folds of a run whose training examples are scored, as the option folds does: what was held out has the
    columns of those."""
    files = snapshot_files(run.train_snapshots)
    with Snapshot(files[0], train=True) as first:
        fold_of = np.arange(first.n_examples, dtype=np.int32) % 2
    for number, fold in enumerate(fold_runs(run, 2)):
        RunDir.create(fold.path, msgspec.structs.replace(run.config, folds=None))
        for path in files:
            with Snapshot(path, train=True) as snapshot:
                columns = {name: snapshot.column(name)[fold_of == number] for name in COLUMNS}
                nothing = np.zeros(0, np.float32)
                write_snapshot(fold.path, snapshot.info, nothing, nothing, columns)
    write_fold_of(run, fold_of)


async def test_folds_join_the_list_when_they_are_done(tmp_path: Path) -> None:
    run = make_run(tmp_path, name="live", examples=30, snapshots=5, tokens=40, noise=3.0, live=True)
    config = msgspec.structs.replace(run.config, folds=2)
    run.config_file.write_bytes(msgspec.json.encode(config))
    track_training(run)
    app = make_app(run)
    async with app.run_test(size=(160, 30)) as pilot:
        await to_map(pilot)
        await press(pilot, "o")
        assert "; held out, the model answers" not in screen_text(app)
        assert app.viewer.insight.train.dynamics.held_out is None
        hold_out(run)
        append_events(run, Finished(step=40, epoch=4.0, seconds=1.0))
        await until(pilot, lambda: app.viewer.insight.train.dynamics.held_out is not None)
        await until(pilot, lambda: "; held out, the model answers" in screen_text(app))


async def test_the_app_comes_back_to_the_map(run: RunDir) -> None:
    app = make_app(run)
    app.view_name = "map"  # as the app remembers it
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "wrong place" in screen_text(app))
        assert app.view.table.size.height < 10
        await press(pilot, "a", "down")
        assert app.view_state.example == app.view._list.rows[1]
        await pilot.resize_terminal(160, 45)
        await until(pilot, lambda: app.view.table.size.height > 20)
        assert screen_text(app).count("the label says") > 10


async def test_snapshots_that_do_not_fit_each_other_are_said(run: RunDir, tmp_path: Path) -> None:
    other = make_run(tmp_path, name="other", examples=12, snapshots=5, tokens=40)
    (run.path / snapshot_name(3)).write_bytes((other.path / snapshot_name(3)).read_bytes())
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "4")
        await until(pilot, lambda: "can't be read" in screen_text(app))
        await press(pilot, "v", "down", "K")
        assert app.view_name == "map"
