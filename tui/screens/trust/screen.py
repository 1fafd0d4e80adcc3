"""Trust: how often answers of a confidence are right, and what answering only the surer ones does."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.early import child_environment
from engine.errors import UserError
from engine.insight.calibration import Calibration, decode_calibration
from engine.rundir.layout import RunDir
from tui.drawing.columns import fit_text
from tui.drawing.frame import glyphs_of
from tui.drawing.text import plain
from tui.model.viewer import Viewer
from tui.screens.base import ScreenView
from tui.screens.trust.strips import trust_strips
from tui.widgets.picture import Picture

KEPT = 32
"""Snapshots whose calibration is remembered."""
Key = tuple[str, int, float]


class TrustScreen(ScreenView):
    """One picture; the calibration of a snapshot that does not hold its own is computed in a process of its own."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._known: OrderedDict[Key, Calibration | str] = OrderedDict()
        self._computing: Key | None = None
        self._confidence = 60
        self._before = False

    def compose(self) -> ComposeResult:
        yield Picture(self._draw, id="trust-picture")

    def renew(self) -> None:
        self.query_one(Picture).redraw()

    def _draw(self, width: int, height: int) -> Sequence[Strip]:
        found = self.found()
        if isinstance(found, Calibration):
            return trust_strips(
                found,
                self._confidence / 100,
                width,
                height,
                self.style_of,
                glyphs_of(self.tui.ascii_only),
                before=self._before,
            )
        return [Strip([Segment(" " + fit_text(plain(found, 1000), max(0, width - 1)), self.style_of("text"))])]

    def found(self) -> Calibration | str:
        """The calibration of the snapshot in view; in words why there is none (yet)."""
        viewer, state = self.tui.viewer, self.tui.view_state
        if viewer is None:
            return "no run is open: 6 lists the runs"
        if not viewer.snapshots or not viewer.ready:
            return "no snapshot yet: the first one, of the untrained model, comes after loading"
        if sample := viewer.sample_text(state.snapshot):
            return f"{sample} at this snapshot, too few to say: after every epoch all are"
        try:
            snapshot = viewer.snapshot(state.snapshot)
            key = (str(viewer.run.path), snapshot.info.index, snapshot.info.time)
            if key not in self._known and (stored := snapshot.calibration) is not None:
                self._keep(key, stored)
        except (OSError, UserError) as error:
            return f"this snapshot can't be read: {error}"
        if key not in self._known:
            if self._computing is None:
                self._computing = key
                self.run_worker(self._compute(viewer, state.snapshot, key), group="calibration")
            return "computing from the scores of this snapshot …"
        return self._known[key]

    async def _compute(self, viewer: Viewer, position: int, key: Key) -> None:
        """Where several are asked for, the one in view comes next: `renew` asks for it."""
        try:
            file = viewer.run.inside(viewer.snapshots[position].file)
            found: Calibration | str = await _calibration(viewer.run, file)
        except (OSError, UserError, IndexError) as error:
            found = f"this snapshot can't be read: {error}"
        self._computing = None
        self._keep(key, found)
        if self.is_mounted and self.tui.view_name == self.id:
            self.renew()

    def _keep(self, key: Key, found: Calibration | str) -> None:
        self._known[key] = found
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    # -- commands ------------------------------------------------------------------------------------------

    def _move(self, by: int) -> None:
        self._confidence = max(0, min(100, self._confidence + by))
        self.tui.changed()

    def do_confidence_up(self) -> None:
        self._move(1)

    def do_confidence_down(self) -> None:
        self._move(-1)

    def do_confidence_far_up(self) -> None:
        self._move(10)

    def do_confidence_far_down(self) -> None:
        self._move(-10)

    def do_before(self) -> None:
        self._before = not self._before
        self.tui.say("before: probabilities at temperature 1" if self._before else "after: at the fitted temperature")
        self.tui.changed()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.renew)


async def _calibration(run: RunDir, file: Path) -> Calibration | str:
    """Computed in a process of its own: the scores of all examples take more memory than all else in the app."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "engine.rundir.calibration", str(run.path), str(file),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        cwd=os.path.abspath(os.sep), env=child_environment(),
    )  # fmt: skip
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    return decode_calibration(output) or f"this snapshot can't be read: {lines[-1] if lines else 'no reason is known'}"
