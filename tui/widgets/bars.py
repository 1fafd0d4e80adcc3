"""The lines around every screen: state above, timeline below it, keys at the bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.strip import Strip

from engine.events import Metrics, Phase, SnapshotTaken
from engine.ownership import State
from tui.commands import VIEW_TITLES, footer_items
from tui.headless import clock, metrics_line
from tui.text import plain
from tui.widgets.strip_view import StripView

if TYPE_CHECKING:
    from tui.app import BertQAApp

PHASES = {
    "loading": "loading the model",
    "reading": "reading the data",
    "tokenizing": "tokenising",
    "training": "training",
    "evaluating": "evaluating",
    "saving": "saving",
}
TROUBLE = frozenset({State.DEAD, State.FAILED, State.SILENT})
Runs = list[tuple[str, str]]


class PhaseClock:
    """Tells how long a countable phase still takes, from how long it took so far."""

    def __init__(self) -> None:
        self._key = ("", "")
        self._began = 0.0

    def text(self, phase: Phase) -> str:
        """For example `evaluating: 41 %, 12 s left`."""
        key = (phase.name, phase.detail)
        if key != self._key:
            self._key, self._began = key, time.monotonic()
        words = PHASES.get(phase.name, phase.name)
        if phase.detail:
            words += f" ({phase.detail})"
        if not phase.total:
            return f"{words} …"
        share = phase.done / phase.total
        elapsed = time.monotonic() - self._began
        left = f", {clock(elapsed / share * (1 - share))} left" if 0 < share < 1 and elapsed > 1 else ""
        return f"{words}: {100 * share:.0f} %{left}"


class Bar(StripView):
    """One or a few lines of the app's own words."""

    @property
    def tui(self) -> BertQAApp:
        return cast("BertQAApp", self.app)


class StatusBar(Bar):
    """Data, model, state in words, and how far training is."""

    DEFAULT_CSS = "StatusBar { height: 1; }"

    def __init__(self) -> None:
        super().__init__(id="status")
        self._clock = PhaseClock()

    def build(self, width: int, height: int) -> Sequence[Strip]:
        viewer = self.tui.viewer
        title = f" {VIEW_TITLES[self.tui.view_name]} "
        if viewer is None:
            return [self._line([(title, "title"), ("  bertqa-tui", "text")], width)]
        role = "bad" if viewer.state in TROUBLE else "good" if viewer.state is State.LIVE else "text"
        runs = [
            (title, "title"),
            (" ", "text"),
            (viewer.state.upper(), role),
            (" ", "text"),
            (self._progress(), "text"),
        ]
        what = f"{viewer.config.dataset.rpartition('/')[2]} · {self._model()}"
        used = sum(len(text) for text, _ in runs)
        if width - used > len(what) + 2:
            runs += [(" " * (width - used - len(what) - 1), "text"), (what, "dim")]
        return [self._line(runs, width)]

    def _line(self, runs: Runs, width: int) -> Strip:
        segments = [Segment(plain(text), self.tui.style_of(role)) for text, role in runs if text]
        return Strip(segments).adjust_cell_length(width)

    def _model(self) -> str:
        viewer = self.tui.viewer
        assert viewer is not None
        name = viewer.started.model if viewer.started else viewer.config.model
        return name.rstrip("/").rpartition("/")[2]

    def _progress(self) -> str:
        viewer = self.tui.viewer
        assert viewer is not None
        if viewer.state in TROUBLE or viewer.state in (State.STOPPED, State.PAUSED):
            return viewer.reason or ("p goes on" if viewer.state is State.PAUSED else "")
        if viewer.state is State.FINISHED:
            return f"{viewer.steps[-1].step} steps" if viewer.steps else ""
        phase = viewer.phase
        if phase is None:
            return viewer.reason
        if phase.name != "training" or not viewer.steps:
            return self._clock.text(phase)
        step, total = viewer.steps[-1], viewer.started.total_steps if viewer.started else 0
        left = ""
        if step.examples_per_second > 0 and viewer.started is not None:
            left = f", {clock((total - step.step) * viewer.started.batch_size / step.examples_per_second)} left"
        return (
            f"step {step.step}/{total}, epoch {step.epoch:.1f}, loss {step.loss:.3f}, "
            f"{step.examples_per_second:.0f} examples/s{left}"
        )


class Timeline(Bar):
    """All snapshots in a row, the one that is shown in brackets, and its scores."""

    DEFAULT_CSS = "Timeline { height: 2; }"

    def __init__(self) -> None:
        super().__init__(id="timeline")
        self._places: list[tuple[int, int, int]] = []

    def build(self, width: int, height: int) -> Sequence[Strip]:
        viewer, place = self.tui.viewer, self.tui.place
        style = self.tui.style_of
        self._places = []
        if viewer is None or not viewer.snapshots:
            words = "no snapshot yet: the first one, of the untrained model, comes after loading" if viewer else ""
            return [Strip([Segment(words, style("dim"))])]
        pieces = self._pieces(width - 12)
        segments, x = [], 0
        for text, role, position in pieces:
            segments.append(Segment(text, style(role)))
            if position >= 0:
                self._places.append((x, x + len(text), position))
            x += len(text)
        newest = len(viewer.snapshots) - 1
        follow = "  following" if place.following else "  f follows" if place.snapshot < newest else ""
        segments.append(Segment(follow, style("dim")))
        return [Strip(segments), self._scores(viewer.snapshots[place.snapshot], width)]

    def _pieces(self, width: int) -> list[tuple[str, str, int]]:
        viewer, chosen = self.tui.viewer, self.tui.place.snapshot
        assert viewer is not None
        labels = [short_label(event) for event in viewer.snapshots]
        lo, hi = stretch([len(label) + 1 for label in labels], chosen, width)
        pieces: list[tuple[str, str, int]] = [("‹" if lo else " ", "dim", -1)]
        if self.tui.ascii_only:
            pieces = [("<" if lo else " ", "dim", -1)]
        for position in range(lo, hi):
            label = labels[position]
            if position == chosen:
                pieces.append((f"[{label}]", "cursor", position))
            else:
                pieces.append((f" {label} ", "text", position))
        pieces.append((">" if hi < len(labels) else " ", "dim", -1))
        return pieces

    def _scores(self, event: SnapshotTaken, width: int) -> Strip:
        style = self.tui.style_of
        number = f"{self.tui.place.snapshot + 1}/{len(self.tui.viewer.snapshots) if self.tui.viewer else 0}"
        segments = [Segment(f" {event.label}", style("heading")), Segment(f" ({number})  ", style("dim"))]
        segments.append(Segment(metrics_line(event.metrics), style("text")))
        for name, part in (("seen", event.seen), ("unseen", event.unseen)):
            if part is not None:
                segments.append(Segment(f"  {name} {mean_accuracy(part):.3f}", style("text")))
        return Strip(segments).adjust_cell_length(width)

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            for lo, hi, position in self._places:
                if lo <= event.x < hi:
                    self.tui.go_to(position)


def short_label(event: SnapshotTaken) -> str:
    """`untrained` -> 0, `step 12` -> s12, `epoch 3` -> E3."""
    if event.index == 0:
        return "untrained"
    kind, _, number = event.label.partition(" ")
    return {"step": f"s{number}", "epoch": f"E{number}"}.get(kind, plain(event.label, 12))


def mean_accuracy(metrics: Metrics) -> float:
    """Mean of start and end accuracy (0 to 1), the notebook's measure."""
    return (metrics.start_accuracy + metrics.end_accuracy) / 2


def stretch(widths: Sequence[int], chosen: int, room: int) -> tuple[int, int]:
    """The stretch of items around `chosen` that fits `room` (each one cell wider than its width)."""
    lo = hi = chosen
    used = 0
    while True:
        grown = False
        if hi < len(widths) and used + widths[hi] + 1 <= room:
            used, hi, grown = used + widths[hi] + 1, hi + 1, True
        if lo > 0 and used + widths[lo - 1] + 1 <= room:
            used, lo, grown = used + widths[lo - 1] + 1, lo - 1, True
        if not grown:
            return lo, max(hi, min(chosen + 1, len(widths)))


class KeyBar(Bar):
    """The keys of the screen, or for some seconds what there is to say."""

    DEFAULT_CSS = "KeyBar { height: 1; dock: bottom; }"

    def build(self, width: int, height: int) -> Sequence[Strip]:
        style = self.tui.style_of
        if self.tui.message:
            return [Strip([Segment(" " + plain(self.tui.message), style("warn"))])]
        items = footer_items(self.tui.view_name, self.tui.settings.keys, ascii_only=self.tui.ascii_only)
        # `? help` and `q quit`, the last two, are always seen; the rest as far as there is room.
        room = width - sum(_footer_width(item) for item in items[-2:])
        chosen = []
        for item in items[:-2]:
            room -= _footer_width(item)
            if room < 0:
                break
            chosen.append(item)
        segments: list[Segment] = []
        for keys, words in [*chosen, *items[-2:]]:
            segments += [Segment(f" {keys}", style("key")), Segment(f" {words} ", style("dim"))]
        return [Strip(segments)]


def _footer_width(item: tuple[str, str]) -> int:
    return cell_len(item[0]) + len(item[1]) + 3
