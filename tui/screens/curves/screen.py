"""Curves: loss, scores, learning rate, throughput and memory over the steps of training."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.insight.metrics import human_line
from tui.drawing.columns import fit_text
from tui.drawing.frame import glyphs_of
from tui.drawing.text import plain
from tui.model.gpu import gpu_line
from tui.model.overlaid_runs import OverlaidRuns
from tui.model.viewer import Viewer
from tui.screens.base import ScreenView
from tui.screens.curves.model import AXES, Human
from tui.screens.curves.model import Curves as CurveSet
from tui.screens.curves.overlay import BANDS, MOST_RUNS, SMOOTHINGS, Look, following, logarithmic, looked_at
from tui.screens.curves.runs import curves_of, overlay_of, x_of
from tui.screens.curves.strips import (
    GUTTER,
    MARGIN,
    grid_strips,
    legend_strips,
    moved,
    range_text,
    share_grid,
    x_text,
)
from tui.screens.curves.zoom import Range, holding, inside, part_of, zoomed_in, zoomed_out
from tui.widgets.picture import Picture

NO_CURVES = CurveSet((), 0.0, 0.0)
POLL_SECONDS = 1.0
MOST_LEGEND = 4


class CurvesScreen(ScreenView):
    """A grid of panels, one of them chosen; z shows it alone. Of the run that is open, or of several overlaid."""

    DEFAULT_CSS = """
    CurvesScreen { layout: vertical; }
    CurvesScreen #curve-gpu { height: 1; display: none; }
    CurvesScreen #curve-legend { height: 1; display: none; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._chosen = 0
        self._zoomed = False
        self._human: Human | None = None
        self._asked_human: Viewer | None = None
        self._made = NO_CURVES
        self._made_of: tuple[object, ...] = ()
        self._window: Range | None = None
        """The stretch of the x axis that is shown; None: all of it."""
        self._shown = NO_CURVES
        """The curves on that stretch."""
        self._shown_of: tuple[object, ...] = ()
        self._look = Look()
        self._cursor: float | None = None
        """Place of the cursor on the x axis; None where it is put away."""
        self._cursor_set_at: object = None
        self._held: object = None
        """The place that the stretch was moved to hold."""
        self._overlaying = True
        self._overlaid = OverlaidRuns(MOST_RUNS)
        self._legend: list[tuple[str, str, str]] = []
        self._polling = False

    def compose(self) -> ComposeResult:
        yield Picture(self._draw_legend, id="curve-legend")
        yield Picture(self._draw, id="curve-picture")
        yield Picture(self._draw_gpu, id="curve-gpu")

    def on_mount(self) -> None:
        self.set_interval(POLL_SECONDS, self._poll)

    def enter(self) -> None:
        super().enter()
        self.run_worker(self._poll(), exclusive=False)

    async def _poll(self) -> None:
        """Look what is new in the runs that are overlaid."""
        if self._polling or self.tui.view_name != self.id or not self._is_overlay:
            return
        self._polling, more = True, True
        try:
            while more:
                changed, more = self._overlaid.apply(await asyncio.to_thread(self._overlaid.poll))
                if changed:
                    self.renew()
        finally:
            self._polling = False

    @property
    def _is_overlay(self) -> bool:
        return self._overlaying and bool(self.tui.marked)

    def renew(self) -> None:
        viewer = self.tui.viewer
        self._overlaid.choose(self.tui.marked if self._is_overlay else (), viewer)
        if viewer is not None and viewer.eval_set is not None and self._asked_human is not viewer:
            self._asked_human, self._human = viewer, None
            self.run_worker(self._ask_people(viewer), group="people", exclusive=True)
        self._make(viewer)
        self._show_part()
        self.query_one("#curve-gpu", Picture).display = bool(self.tui.gpus)
        self._fit_legend()
        for picture in self.query(Picture):
            picture.redraw()

    def progressed(self) -> None:
        self.renew()

    def _make(self, viewer: Viewer | None) -> None:
        watched = self._watched(viewer)
        key = (
            self._look,
            self._human,
            self._is_overlay,
            tuple((path, id(run), len(run.steps), len(run.snapshots), run.started) for path, run in watched.items()),
        )
        if key == self._made_of:
            return
        self._made_of = key
        if self._is_overlay:
            made, self._legend = overlay_of(watched, self._overlaid.slots, self._look)
        elif viewer is not None:
            made, self._legend = looked_at(curves_of(viewer, self._human), self._look, x_of(viewer, self._look)), []
        else:
            made, self._legend = NO_CURVES, []
        self._made = logarithmic(made) if self._look.log else made
        self._chosen = max(0, min(self._chosen, len(self._made.panels) - 1))

    def _show_part(self) -> None:
        """Cut the curves to the stretch that is shown; a snapshot or a cursor that moved is on it."""
        place, extent, state = self._place(), self._made.extent, self.tui.view_state
        if self._window is not None:
            moved_to = (place, state.snapshot)
            if place is not None and moved_to != self._held:
                self._window = holding(self._window, place, extent)
            self._held = moved_to
            self._window = inside(self._window, extent)
        key = (self._made_of, self._window)
        if key != self._shown_of:
            self._shown_of = key
            self._shown = self._made if self._window is None else part_of(self._made, self._window)

    def _watched(self, viewer: Viewer | None) -> dict[Path, Viewer]:
        """The runs that are shown, in the order of their marks."""
        found = {**({viewer.run.path: viewer} if viewer is not None else {}), **self._overlaid.viewers}
        return {path: found[path] for path in sorted(found, key=lambda path: self._overlaid.slots.get(path, 0))}

    async def _ask_people(self, viewer: Viewer) -> None:
        """How well people agree, where questions have several answers. Takes a while on large sets."""
        answers = [[answer.text for answer in example.answers] for example in viewer.examples]
        found = await asyncio.to_thread(human_line, answers, by_character=viewer.by_character)
        if found is not None and viewer is self.tui.viewer:
            self._human = Human(found[0], found[1])
            self.renew()

    # ------------------------------------------------------------------ pictures

    def _draw(self, width: int, height: int) -> Sequence[Strip]:
        viewer = self.tui.viewer
        if viewer is None and not self._is_overlay:
            return [Strip([Segment("no run is open: 6 lists the runs", self.style_of("dim"))])]
        glyphs = glyphs_of(self.tui.ascii_only)
        return grid_strips(
            self._shown, self._chosen, self._place(), width, height, self.style_of, glyphs, zoomed=self._zoomed
        )

    def _draw_gpu(self, width: int, height: int) -> Sequence[Strip]:
        return [Strip([Segment(fit_text(f" {plain(gpu_line(self.tui.gpus))}", width), self.style_of("dim"))])]

    def _draw_legend(self, width: int, height: int) -> Sequence[Strip]:
        return legend_strips(self._legend, self._words(), width, height, self.style_of)

    def _words(self) -> str:
        """How the curves are looked at, and where the cursor is."""
        cursor = "" if self._cursor is None else f"cursor: {x_text(self._cursor, self._made.axis)}"
        left_out = len({*self.tui.marked}) - len(self._overlaid.slots) if self._is_overlay else 0
        more = f"{left_out} marked runs are left out" if left_out > 0 else ""
        stretch = "" if self._window is None else range_text(self._window, self._made.axis)
        return ", ".join(part for part in (stretch, self._look.words, cursor, more) if part)

    def _fit_legend(self) -> None:
        """Give the legend the lines it needs, none for one run as it is."""
        legend, width = self.query_one("#curve-legend", Picture), max(1, self.size.width)
        needed = len(legend_strips(self._legend, self._words(), width, MOST_LEGEND, self.style_of))
        legend.display = needed > 0
        if needed:
            legend.styles.height = needed

    def _place(self) -> float | None:
        """Where the guide stands on the x axis: at the cursor, or at the snapshot in view; None while the newest values
        are looked at."""
        viewer, state = self.tui.viewer, self.tui.view_state
        if self._cursor is not None and self._cursor_set_at == (state.snapshot, state.following):
            return self._cursor
        self._cursor = None
        if viewer is None or state.following or state.snapshot >= len(viewer.snapshots):
            return None
        return self._x(viewer, viewer.snapshots[state.snapshot].step)

    def _x(self, viewer: Viewer, step: int) -> float:
        return float(x_of(viewer, self._look)(np.array([step], np.float64))[0])

    # ------------------------------------------------------------------ commands

    def do_panel_next(self) -> None:
        self._choose(self._chosen + 1)

    def do_panel_previous(self) -> None:
        self._choose(self._chosen - 1)

    def _choose(self, panel: int) -> None:
        if self._made.panels:
            self._chosen = panel % len(self._made.panels)
            self.tui.changed()

    def do_panel_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self.tui.changed()

    def do_cursor_right(self) -> None:
        self._move_cursor(1)

    def do_cursor_left(self) -> None:
        self._move_cursor(-1)

    def do_cursor_far_right(self) -> None:
        self._move_cursor(10)

    def do_cursor_far_left(self) -> None:
        self._move_cursor(-10)

    def _move_cursor(self, by: int) -> None:
        """Move the cursor by columns; it begins at the guide, or at the end of the curves."""
        size, place, state = self.query_one("#curve-picture", Picture).size, self._place(), self.tui.view_state
        grid = share_grid(len(self._made.panels), self._chosen, size.width, size.height, zoomed=self._zoomed)
        columns = max(1, grid.width - GUTTER - MARGIN)
        shown, extent = self._shown.x_limits, self._made.extent
        start = min(max(self._made.last_step, shown[0]), shown[1]) if place is None else place
        self._cursor = moved(start, by, shown, columns, extent)
        self._cursor_set_at = (state.snapshot, state.following)
        self.tui.changed()

    def do_x_zoom_in(self) -> None:
        self._zoom(zoomed_in(self._shown.x_limits, self._middle, self._made.extent, self._made.axis))

    def do_x_zoom_out(self) -> None:
        self._zoom(zoomed_out(self._shown.x_limits, self._middle, self._made.extent))

    def do_x_whole(self) -> None:
        self._zoom(self._made.extent)

    @property
    def _middle(self) -> float:
        """What is zoomed around: the cursor, the snapshot in view, or the newest values."""
        place = self._place()
        return self._made.last_step if place is None else place

    def _zoom(self, shown: Range) -> None:
        whole = shown == self._made.extent
        self._window = None if whole else shown
        self.tui.say("the whole x axis" if whole else range_text(shown, self._made.axis))
        self.tui.changed()

    def do_no_token(self) -> None:
        self._cursor = None
        self.tui.changed()

    def do_smoothing(self) -> None:
        self._set_look(smoothing=following(SMOOTHINGS, self._look.smoothing))

    def do_log_y(self) -> None:
        self._set_look(log=not self._look.log)

    def do_x_axis(self) -> None:
        self._cursor = self._window = None
        self._set_look(axis=following(AXES, self._look.axis))

    def do_band(self) -> None:
        if not self._is_overlay:
            self.tui.say("spread is over several runs: mark them by space in Runs")
            return
        self._set_look(band=following(BANDS, self._look.band))

    def do_overlay(self) -> None:
        if not self.tui.marked:
            self.tui.say("no run is marked: space in Runs marks one")
            return
        self._overlaying = not self._overlaying
        self.tui.changed()
        self.run_worker(self._poll(), exclusive=False)

    def set_look(self, **changes: Any) -> None:
        """Change how the curves are looked at: fields of Look."""
        self._look = replace(self._look, **changes)
        self.tui.changed()

    def _set_look(self, **changes: Any) -> None:
        self.set_look(**changes)
        self.tui.say(self._look.words or "plain curves over steps")

    def on_picture_pressed(self, event: Picture.Pressed) -> None:
        """A click chooses a panel, and on its canvas the snapshot nearest to its step."""
        viewer, size = self.tui.viewer, event.picture.size
        if viewer is None or not self._made.panels or event.picture.id != "curve-picture":
            return
        grid = share_grid(len(self._made.panels), self._chosen, size.width, size.height, zoomed=self._zoomed)
        panel = grid.first + event.y // grid.height * grid.across + event.x // grid.width
        if panel >= grid.last or event.x // grid.width >= grid.across:
            return
        self._choose(panel)
        columns = max(1, grid.width - GUTTER - MARGIN)
        low, high = self._shown.x_limits
        place = low + (event.x % grid.width - GUTTER) / max(1, columns - 1) * (high - low)
        if viewer.snapshots and event.x % grid.width >= GUTTER and event.y % grid.height:
            nearest = min(
                range(len(viewer.snapshots)), key=lambda n: abs(self._x(viewer, viewer.snapshots[n].step) - place)
            )
            self.tui.go_to(nearest)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.renew)
