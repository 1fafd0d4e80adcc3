"""What Runs shows around its table and in the rows of it, as lines and cells. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.segment import Segment
from textual.strip import Strip

from engine.rundir.liveness import State
from tui.drawing.columns import Column, fit_text
from tui.drawing.format import value_text
from tui.drawing.text import path_from_here, plain
from tui.drawing.theme import StyleOf
from tui.model.run_rows import (
    RESUMABLE,
    RUNNING,
    STATE_WORDS,
    RunRow,
    apart_text,
    notes_text,
    progress_text,
    summary,
)
from tui.screens.runs.model import Arrangement, words_of
from tui.widgets.row_list import CellText, Row

CELL_LIMIT = 300
MARK = "* "
COLUMNS = (
    Column("state", "state", 8),
    Column("name", "run", 16, share=3),
    Column("dataset", "data", 10, share=1),
    Column("model", "model", 8, share=1, from_width=90),
    Column("epoch", "epoch", 7, align="right"),
    Column("best", "best", 5, align="right"),
    Column("size", "size", 7, align="right", from_width=72),
    Column("reason", "", 10, share=3, from_width=64),
)
ROLES = {
    State.LIVE: "good",
    State.STARTING: "good",
    State.PAUSED: "warn",
    State.SILENT: "warn",
    State.DEAD: "bad",
    State.FAILED: "bad",
    State.FINISHED: "text",
    State.STOPPED: "text",
}


def head_strips(
    rows: Sequence[RunRow] | None,
    runs_dir: Path,
    width: int,
    style: StyleOf,
    *,
    by: Arrangement,
    listed: int,
    size: int | None,
) -> list[Strip]:
    """How many runs there are in the folder (None: not looked yet), of which `listed` are listed, their `size` in
    bytes, and what to do where there is none."""
    folder = plain(path_from_here(runs_dir), CELL_LIMIT)
    hint = ""
    if rows is None:
        words = f"looking for runs in {folder}"
    elif not rows:
        words = f"There are no runs in {folder} yet."
        hint = "Enter on a sample data set starts training; it goes on when you leave."
    else:
        taken = "" if size is None else f", {value_text(size, 'bytes')}"
        words = f"{summary(rows)}{taken} in {folder}"
        hint = plain(words_of(by), CELL_LIMIT)
        if by.narrows:
            words = f"{listed} of {words}"
    return [
        Strip([Segment(fit_text(f" {words}", width), style("heading"))]),
        Strip([Segment(fit_text(f" {hint}", width), style("text"))]),
    ]


def sample_detail(sample: str, width: int, style: StyleOf) -> list[Strip]:
    """What Enter does on the row of a sample data set."""
    words = f" fine-tunes the default model on {sample}, 5 epochs"
    return [
        Strip.blank(width),
        Strip([Segment(fit_text(words, width), style("text"))]),
        Strip([Segment(" Enter starts it", style("dim"))]),
    ]


def run_detail(row: RunRow, question: str, width: int, style: StyleOf) -> list[Strip]:
    """Where a run is, how it stands, and what can be done with it; or the `question` that is asked first."""
    model = plain(row.model, CELL_LIMIT)
    reason = f": {plain(row.reason, 2000)}" if row.reason else ""
    reason += f"  best: {apart}" if (apart := apart_text(row)) else ""
    keys = ["Enter opens it"]
    if row.state in RUNNING:
        keys.append("S stops it")
    if row.state in RESUMABLE:
        keys.append("R resumes it")
    if row.state not in RUNNING:
        keys.append("X removes it")
    where = plain(path_from_here(Path(row.path)), 2000)
    if noted := plain(notes_text(row), 2200):
        where += f"  {noted}"
    last = Segment(fit_text(f" {question or ', '.join(keys)}", width), style("warn" if question else "dim"))
    return [
        Strip([Segment(fit_text(f" {where}", width), style("dim"))]),
        Strip(
            [
                Segment(f" {STATE_WORDS[row.state]}", style(ROLES[row.state])),
                Segment(fit_text(f"{reason}  model {model}", max(0, width - 12))),
            ]
        ),
        Strip([last]),
    ]


def sample_row(sample: str) -> Row:
    """The cells of a sample data set that a run can be started on."""
    return {
        "state": CellText("new", "heading"),
        "name": CellText("start a run"),
        "dataset": CellText(sample, "heading"),
        "reason": CellText("sample data", "dim"),
    }


def run_row(row: RunRow, *, is_open: bool, is_marked: bool = False) -> Row:
    """The cells of a run; `is_open`: the one that is watched; `is_marked`: for Curves."""
    name = row.title or row.name
    said = f"{notes_text(row, tags_only=bool(row.reason))} {row.reason}"
    return {
        "state": CellText(STATE_WORDS[row.state], ROLES[row.state]),
        "name": CellText(f"{MARK * is_marked}{plain(name, CELL_LIMIT)}", "heading" if is_open else "text"),
        "dataset": CellText(plain(row.dataset, CELL_LIMIT)),
        "model": CellText(plain(row.model.rstrip("/").rpartition("/")[2], CELL_LIMIT)),
        "epoch": CellText(progress_text(row)),
        "best": CellText("-" if row.best is None else f"{row.best:.3f}"),
        "size": CellText("" if row.size is None else value_text(row.size, "bytes")),
        "reason": CellText(plain(said.strip(), CELL_LIMIT), "dim"),
    }
