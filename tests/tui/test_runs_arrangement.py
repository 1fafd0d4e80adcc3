"""Which runs are listed, in which order, and how much of the disk they take."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from engine.rundir.liveness import State
from engine.rundir.notes import Notes, write_notes
from tests.fake_run import make_run
from tui.cli.main import main
from tui.model.disk_use import AGAIN_SECONDS, DiskUse
from tui.model.run_rows import RunRow
from tui.screens.runs.model import Arrangement, arranged, words_of
from tui.view_state import Shown, Sort


def row(name: str, state: State, best: float | None, title: str = "", tags: tuple[str, ...] = ()) -> RunRow:
    return RunRow(name, name, state, "", "remedies.json", "MiniLM", 1.0, 5, best, title=title, tags=tags)


ROWS = [
    row("d", State.LIVE, None),
    row("c", State.FINISHED, 0.5, "Aspirin", ("paper", "cased")),
    row("b", State.STOPPED, 0.9, tags=("paper",)),
    row("a", State.DEAD, 0.7),
]
SIZES = {"d": 10, "c": 40, "b": 30}


def names(by: Arrangement) -> str:
    return "".join(found.name for found in arranged(ROWS, by, SIZES.get))


@pytest.mark.parametrize(
    ("sort", "order"), [("date", "dcba"), ("score", "bacd"), ("state", "dacb"), ("size", "cbda"), ("name", "acbd")]
)
def test_orders(sort: Sort, order: str) -> None:
    assert names(Arrangement(sort)) == order


@pytest.mark.parametrize(
    ("shown", "listed"), [("all", "dcba"), ("training", "d"), ("resumable", "ba"), ("finished", "c")]
)
def test_by_state(shown: Shown, listed: str) -> None:
    assert names(Arrangement(shown=shown)) == listed


@pytest.mark.parametrize(
    ("text", "listed"),
    [("", "dcba"), ("#paper", "cb"), ("#paper #CASED", "c"), ("aspirin", "c"), ("minilm dead", "a"), ("nothing", "")],
)
def test_by_words(text: str, listed: str) -> None:
    assert names(Arrangement(text=text)) == listed


def test_keys_walk_through_all_and_say_so() -> None:
    by = Arrangement()
    assert words_of(by) == ""
    assert [(by := by.next_sort()).sort for _ in range(5)] == ["score", "state", "size", "name", "date"]
    assert [(by := by.next_shown()).shown for _ in range(4)] == ["training", "resumable", "finished", "all"]
    assert words_of(Arrangement("size", "finished", " #a ")) == "by size, finished alone, with “#a”"


def test_a_run_is_measured_again_when_it_has_changed_and_time_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2, tokens=20)
    now, walks = [100.0], itertools.count(1)
    monkeypatch.setattr("tui.model.disk_use.disk_use", lambda path: 7 * next(walks))
    uses, path = DiskUse(lambda: now[0]), str(run.path)
    assert uses.size(path) is uses.total([path]) is None
    assert uses.measure([path])
    assert uses.size(path) == uses.total([path]) == 7
    (run.checkpoints / "new").mkdir()
    assert not uses.measure([path])
    now[0] += AGAIN_SECONDS
    assert uses.measure([path])
    now[0] += AGAIN_SECONDS
    assert not uses.measure([path])
    assert uses.size(path) == 14
    assert uses.total([path, "other"]) is None
    uses.measure([])
    assert uses.size(path) is None


def test_the_command_shows_size_and_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, name="one", examples=4, snapshots=2, tokens=20)
    write_notes(run, Notes("Cased", "a\x1b]0;x\x07note", ("paper",)))
    assert main(["runs", "--runs-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "one: Cased #paper a␛]0;x␇note" in shown
    assert "KiB" in shown
    assert main(["runs", "--runs-dir", str(tmp_path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["title"], record["tags"], record["size"] > 10_000) == ("Cased", ["paper"], True)
