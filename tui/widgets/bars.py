"""The lines around every screen: views and state above, timeline below them, keys at the bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import harmonic_mean
from typing import Protocol, cast

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.strip import Strip

from engine.events import Phase, SnapshotTaken, metric_table, score_texts
from engine.rundir.liveness import State
from tui.drawing.format import clock
from tui.drawing.frame import glyphs_of
from tui.drawing.messages import message_lines
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf
from tui.model.gpu import Gpu, gpu_brief
from tui.model.viewer import Viewer
from tui.view_state import ViewState
from tui.widgets.strip_view import StripView

PHASES = {
    "loading": "loading the model",
    "reading": "reading the data",
    "tokenizing": "tokenising",
    "training": "training",
    "evaluating": "evaluating",
    "saving": "saving",
}
STEPS_FOR_RATE = 20
"""The time left is estimated from this many of the last steps."""
SPARKS = "▁▂▃▄▅▆▇█"
SAMPLED = "~"
"""Stands before the name of a snapshot at which only a sample is scored."""
TROUBLE = frozenset({State.DEAD, State.FAILED, State.SILENT})
Runs = list[tuple[str, str]]


class PhaseClock:
    """Estimates how long a countable phase still takes, from how long it took so far."""

    def __init__(self) -> None:
        self._key = ("", "", "")
        self._began = 0.0
        self._done = 0

    def text(self, phase: Phase) -> str:
        """For example `evaluating: 41 %, 12 s left`."""
        key = (phase.part, phase.name, phase.detail)
        if key != self._key:
            self._key, self._began = key, time.monotonic()
            self._done = phase.done
        words = f"{phase.part}, " if phase.part else ""
        words += PHASES.get(phase.name, phase.name)
        if phase.detail:
            words += f" ({phase.detail})"
        if not phase.total:
            return f"{words} …"
        share = phase.done / phase.total
        elapsed = time.monotonic() - self._began
        # Training in a fold goes on, after an evaluation, from where it was.
        since, left = phase.done - self._done, ""
        if since > 0 and share < 1 and elapsed > 1:
            left = f", {clock(elapsed / since * (phase.total - phase.done))} left"
        return f"{words}: {100 * share:.0f} %{left}"


class FrameHost(Protocol):
    """The app, as its frame knows it."""

    viewer: Viewer | None
    view_state: ViewState
    ascii_only: bool
    style_of: StyleOf
    message: str
    gpus: list[Gpu]

    view_name: str

    def views(self) -> list[tuple[str, str, str]]:
        """Name, key and title of every view, in their order."""

    def show_view(self, name: str) -> None:
        """Bring a view to the front."""

    @property
    def playing(self) -> bool:
        """Whether the snapshots are played."""

    def footer_of_view(self) -> list[tuple[str, str]]:
        """Keys and words of the screen in front, most important first."""

    def go_to(self, snapshot: int) -> None:
        """Show the snapshot at a position of the timeline."""


class Bar(StripView):
    """One or a few lines of the app's own words."""

    @property
    def tui(self) -> FrameHost:
        return cast("FrameHost", self.app)


class ViewBar(Bar):
    """All views with their keys, the one in front in brackets. A click brings a view to the front."""

    DEFAULT_CSS = "ViewBar { height: 1; }"

    def __init__(self) -> None:
        super().__init__(id="views")
        self._places: list[tuple[int, int, str]] = []

    def build(self, width: int, height: int) -> Sequence[Strip]:
        style, glyphs = self.tui.style_of, glyphs_of(self.tui.ascii_only)
        views = self.tui.views()
        names = [name for name, _, _ in views]
        widths = [len(key) + 1 + len(title) for _, key, title in views]
        lo, hi = 0, len(views)
        if sum(widths) + len(views) + 1 > width:
            lo, hi = stretch(widths, names.index(self.tui.view_name), width - 3)
        self._places, x = [], 1
        segments, before = [], glyphs.before if lo else " "
        for name, key, title in views[lo:hi]:
            here = name == self.tui.view_name
            segments += [
                Segment("[" if here else before, style("heading" if here else "dim")),
                Segment(key, style("key")),
                Segment(f" {title}", style("heading" if here else "dim")),
            ]
            before = "]" if here else " "
            end = x + len(key) + 2 + len(title)
            self._places.append((x, end, name))
            x = end
        segments.append(Segment(before, style("heading" if before == "]" else "dim")))
        if hi < len(views):
            segments.append(Segment(glyphs.after, style("dim")))
        return [Strip(segments)]

    def on_click(self, event: events.Click) -> None:
        for lo, hi, name in self._places:
            if lo <= event.x < hi:
                self.tui.show_view(name)


class StatusBar(Bar):
    """Data, model, state in words, and how far training is."""

    DEFAULT_CSS = "StatusBar { height: 1; }"

    def __init__(self) -> None:
        super().__init__(id="status")
        self._clock = PhaseClock()

    def build(self, width: int, height: int) -> Sequence[Strip]:
        viewer = self.tui.viewer
        if viewer is None:
            return [self._line([(" bertqa-tui", "text")], width)]
        role = "bad" if viewer.state in TROUBLE else "good" if viewer.state is State.LIVE else "text"
        runs = [
            (" ", "text"),
            (viewer.state.upper(), role),
            (" ", "text"),
            (self.progress(), "text"),
        ]
        used = sum(len(text) for text, _ in runs)
        data, gpus = f"{viewer.config.dataset.rpartition('/')[2]} · {self._model()}", gpu_brief(self.tui.gpus)
        for what in (f"{gpus} · {data}" if gpus else data, gpus):
            if what and width - used > len(what) + 2:
                runs += [(" " * (width - used - len(what) - 1), "text"), (what, "dim")]
                break
        return [self._line(runs, width)]

    def _line(self, runs: Runs, width: int) -> Strip:
        segments = [Segment(plain(text), self.tui.style_of(role)) for text, role in runs if text]
        return Strip(segments).adjust_cell_length(width)

    def _model(self) -> str:
        viewer = self.tui.viewer
        assert viewer is not None
        name = viewer.started.model if viewer.started else viewer.config.model
        return name.rstrip("/").rpartition("/")[2]

    def progress(self) -> str:
        """How far the run is, in words; why it is in trouble and what to do."""
        viewer = self.tui.viewer
        if viewer is None:
            return ""
        step = viewer.steps[-1] if viewer.steps else None
        match viewer.state:
            case State.PAUSED:
                if viewer.phase is not None and viewer.phase.part:
                    return f"in {viewer.phase.part}; p goes on"
                return f"at step {step.step}; p goes on" if step else "p goes on"
            case State.DEAD | State.STOPPED:
                return f"{viewer.reason}; 6 and R resume it"
            case State.FAILED | State.SILENT:
                return viewer.reason
            case State.FINISHED:
                return ", ".join(part for part in (f"{step.step} steps" if step else "", viewer.reason) if part)
        if viewer.phase is None:
            return viewer.reason
        if viewer.phase.part or viewer.phase.name != "training" or step is None:
            return self._clock.text(viewer.phase)
        words = f"epoch {step.epoch:.1f}, step {step.step}"
        if viewer.started is not None:
            words = f"epoch {step.epoch:.1f}/{viewer.started.epochs}, step {step.step}/{viewer.started.total_steps}"
        # Steps have equal numbers of examples, so the mean speed is the harmonic one.
        rate = harmonic_mean([max(0.0, other.examples_per_second) for other in viewer.steps[-STEPS_FOR_RATE:]])
        words += f", loss {step.loss:.3f}, {rate:.0f} examples/s"
        if viewer.started is not None and rate > 0:
            left = (viewer.started.total_steps - step.step) * viewer.started.batch_size / rate
            words += f", {clock(left)} left"
        return words


class Timeline(Bar):
    """All snapshots in a row, the one that is shown in brackets, and its scores."""

    DEFAULT_CSS = "Timeline { height: 2; }"

    def __init__(self) -> None:
        super().__init__(id="timeline")
        self._places: list[tuple[int, int, int]] = []

    def build(self, width: int, height: int) -> Sequence[Strip]:
        viewer, state = self.tui.viewer, self.tui.view_state
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
        follow = "  playing" if self.tui.playing else "  following" if state.following else ""
        if not follow and state.snapshot < newest:
            follow = "  f follows"
        segments.append(Segment(follow, style("dim")))
        return [Strip(segments), self._scores(viewer.snapshots[state.snapshot], width)]

    def _pieces(self, width: int) -> list[tuple[str, str, int]]:
        viewer, chosen = self.tui.viewer, self.tui.view_state.snapshot
        assert viewer is not None
        labels = [short_label(event) for event in viewer.snapshots]
        # A little bar behind each label: the mean of start and end accuracy.
        sparks = ["" if self.tui.ascii_only else spark(event) for event in viewer.snapshots]
        glyphs = glyphs_of(self.tui.ascii_only)
        lo, hi = stretch([len(label + sign) + 1 for label, sign in zip(labels, sparks, strict=True)], chosen, width)
        pieces: list[tuple[str, str, int]] = [(glyphs.before if lo else " ", "dim", -1)]
        for position in range(lo, hi):
            here = position == chosen
            pieces.append(
                (f"[{labels[position]}" if here else f" {labels[position]}", "heading" if here else "", position)
            )
            pieces.append((sparks[position], "dim", position))
            pieces.append(("]" if here else " ", "heading" if here else "", position))
        pieces.append((glyphs.after if hi < len(labels) else " ", "dim", -1))
        return pieces

    def _scores(self, event: SnapshotTaken, width: int) -> Strip:
        """The snapshot's name and scores, the most important first; what does not fit is left out whole."""
        style, metrics = self.tui.style_of, event.metrics
        count = len(self.tui.viewer.snapshots) if self.tui.viewer else 0
        texts, table = score_texts(metrics), metric_table()
        scores = [text for field, text in texts.items() if not table[field].lower_is_better]
        if event.seen is not None and event.unseen is not None:
            scores.append(f"seen {event.seen.mean_accuracy:.2f} unseen {event.unseen.mean_accuracy:.2f}")
        scores += [text for field, text in texts.items() if table[field].lower_is_better]
        name, number = f" {plain(event.label, 20)}", f" ({self.tui.view_state.snapshot + 1}/{count})"
        sample = f"  {event.sample_text}:" if event.sample_text else ""
        segments = [Segment(name, style("heading")), Segment(number, style("dim")), Segment(sample, style("warn"))]
        room = width - len(name) - len(number) - len(sample)
        for text in scores:
            room -= len(text) + 2
            if room < 0:
                break
            segments.append(Segment(f"  {text}", style("text")))
        return Strip(segments)

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            for lo, hi, position in self._places:
                if lo <= event.x < hi:
                    self.tui.go_to(position)


def short_label(event: SnapshotTaken) -> str:
    """`untrained` as it is, `step 12` -> s12, `epoch 3` -> E3; ~s12 where it is of a sample."""
    mark = "" if event.sampled_of is None else SAMPLED
    if event.index == 0:
        return f"{mark}untrained"
    kind, _, number = event.label.partition(" ")
    return mark + {"step": f"s{number}", "epoch": f"E{number}"}.get(kind, plain(event.label, 12))


def spark(event: SnapshotTaken) -> str:
    """A bar as high as the mean accuracy."""
    return SPARKS[min(len(SPARKS) - 1, int(event.metrics.mean_accuracy * len(SPARKS)))]


def stretch(widths: Sequence[int], chosen: int, room: int) -> tuple[int, int]:
    """First and one past the last of the items around `chosen` that fit `room` cells; an item takes its width and one
    cell more. The chosen one is always among them."""
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
    """The keys of the screen, or for some seconds what there is to say, which takes more lines where it is long."""

    DEFAULT_CSS = "KeyBar { height: 1; dock: bottom; }"

    def __init__(self) -> None:
        super().__init__()
        self._height = 1

    def redraw(self) -> None:
        height = max(1, len(self._message(self.size.width)))
        if height != self._height:
            self.styles.height = self._height = height
        super().redraw()

    def on_resize(self) -> None:
        self.redraw()

    def _message(self, width: int) -> list[str]:
        """The message in lines; it takes a quarter of the screen at most."""
        return message_lines(self.tui.message, width - 2, max(1, self.app.size.height // 4))

    def build(self, width: int, height: int) -> Sequence[Strip]:
        style = self.tui.style_of
        if self.tui.message:
            return [Strip([Segment(f" {line}", style("warn"))]) for line in self._message(width)]
        items = self.tui.footer_of_view()
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
