"""Curves: loss, scores, learning rate, throughput and memory over the steps of training."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

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
from tui.model.viewer import Viewer
from tui.screens.base import ScreenView
from tui.screens.curves.model import Curves as CurveSet
from tui.screens.curves.model import Human, StepColumns, curves
from tui.screens.curves.strips import GUTTER, MARGIN, grid_strips, share_grid
from tui.widgets.picture import Picture

NO_CURVES = CurveSet((), 0.0, 0.0)


class CurvesScreen(ScreenView):
    """A grid of panels, one of them chosen; z shows it alone."""

    DEFAULT_CSS = """
    CurvesScreen { layout: vertical; }
    CurvesScreen #curve-gpu { height: 1; display: none; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._chosen = 0
        self._zoomed = False
        self._human: Human | None = None
        self._asked_human: Viewer | None = None
        self._made = NO_CURVES
        self._made_of: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield Picture(self._draw, id="curve-picture")
        yield Picture(self._draw_gpu, id="curve-gpu")

    def renew(self) -> None:
        viewer = self.tui.viewer
        if viewer is not None and viewer.eval_set is not None and self._asked_human is not viewer:
            self._asked_human, self._human = viewer, None
            self.run_worker(self._ask_people(viewer), group="people", exclusive=True)
        self._make(viewer)
        self.query_one("#curve-gpu", Picture).display = bool(self.tui.gpus)
        for picture in self.query(Picture):
            picture.redraw()

    def progressed(self) -> None:
        self.renew()

    def _make(self, viewer: Viewer | None) -> None:
        if viewer is None:
            self._made, self._made_of = NO_CURVES, ()
            return
        key = (viewer, len(viewer.steps), len(viewer.snapshots), self._human, viewer.started)
        if key == self._made_of:
            return
        self._made_of = key
        self._made = curves(
            step_columns(viewer),
            viewer.snapshots,
            total_steps=viewer.started.total_steps if viewer.started else 0,
            human=self._human,
        )
        self._chosen = min(self._chosen, len(self._made.panels) - 1)

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
        if viewer is None:
            return [Strip([Segment("no run is open: 6 lists the runs", self.style_of("dim"))])]
        glyphs = glyphs_of(self.tui.ascii_only)
        return grid_strips(
            self._made, self._chosen, self._step(), width, height, self.style_of, glyphs, zoomed=self._zoomed
        )

    def _draw_gpu(self, width: int, height: int) -> Sequence[Strip]:
        return [Strip([Segment(fit_text(f" {plain(gpu_line(self.tui.gpus))}", width), self.style_of("dim"))])]

    def _step(self) -> float | None:
        """The step of the snapshot in view; None while the newest values are looked at."""
        viewer, state = self.tui.viewer, self.tui.view_state
        if viewer is None or state.following or state.snapshot >= len(viewer.snapshots):
            return None
        return float(viewer.snapshots[state.snapshot].step)

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
        low, high = self._made.x_limits
        step = low + (event.x % grid.width - GUTTER) / max(1, columns - 1) * (high - low)
        if viewer.snapshots and event.x % grid.width >= GUTTER and event.y % grid.height:
            nearest = min(range(len(viewer.snapshots)), key=lambda n: abs(viewer.snapshots[n].step - step))
            self.tui.go_to(nearest)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.renew)


def step_columns(viewer: Viewer) -> StepColumns:
    """The step events of a run as columns."""
    steps = viewer.steps
    return StepColumns(
        *(
            np.fromiter((getattr(step, name) for step in steps), dtype=np.float64, count=len(steps))
            for name in ("step", "loss", "learning_rate", "examples_per_second", "tokens_per_second", "memory")
        )
    )
