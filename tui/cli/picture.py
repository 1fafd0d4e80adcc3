"""Draws a screen of a run without a terminal, for `export RUN -o screen.svg`."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from engine.errors import DataError, UsageError
from engine.rundir.checkpoints import best_epoch, snapshot_infos
from tui.app import BertQAApp
from tui.drawing.svg import svg_of
from tui.screens.curves.overlay import MOST_RUNS
from tui.screens.curves.screen import CurvesScreen
from tui.screens.registry import SCREENS
from tui.settings import Settings

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from engine.export.kinds import Request
    from engine.rundir.layout import RunDir

SIZE = (120, 40)
SMALLEST, LARGEST = (40, 10), (400, 200)
LOOK_SECONDS = 0.02
QUIET_LOOKS = 3
"""A screen that had nothing to do for so many looks is drawn."""
PATIENCE = 120.0
"""Seconds for reading a run."""


def draw(request: Request) -> bytes:
    """The picture that `screen`, `example`, `snapshot`, `size` and `theme` of a request ask for, as SVG.

    Raises UsageError for what is not there, DataError for a run that can't be read.
    """
    screen = request.screen or SCREENS[0]
    if screen not in SCREENS:
        raise UsageError(f"--screen {screen}: there is no such screen.", hint=f"Known are {', '.join(SCREENS)}.")
    if screen != "curves" and (request.overlay or request.spread):
        raise UsageError(f"--overlay and --spread have no meaning for {screen}.", hint="Use --screen curves.")
    if len(request.overlay) >= MOST_RUNS:
        raise UsageError(f"--overlay: {MOST_RUNS} runs at most in one picture.", hint="Choose some of them.")
    if request.spread and not request.overlay:
        raise UsageError("--spread has no meaning for one run.", hint="Name others: --overlay RUN.")
    size, index = _size(request.size), _snapshot(request.run, request.snapshot)
    app = BertQAApp(
        request.run.path,
        runs_dir=request.run.path.parent,
        settings=Settings(),
        remember=False,
        few_colours=False,
        theme_name=request.theme or "dark",
        marked=[path.absolute() for path in request.overlay],
    )
    return asyncio.run(_drawn(app, size, screen, index, request))


async def _drawn(app: BertQAApp, size: tuple[int, int], screen: str, index: int, request: Request) -> bytes:
    async with app.run_test(size=size) as pilot:
        await _until_quiet(pilot, app)
        viewer = app.viewer
        assert viewer is not None
        places = [place for place, snapshot in enumerate(viewer.snapshots) if snapshot.index == index]
        if not viewer.ready or not places:
            raise DataError(f"{viewer.run.path}: snapshot {index} can't be shown.", hint="Look at it in the app.")
        app.go_to(places[0], follow=places[0] == app.last_snapshot)
        if (example := request.example) is not None:
            found = [n for n, known in enumerate(viewer.examples) if example in (known.id, known.question)]
            if not found:
                raise UsageError(
                    f"--example {example}: no evaluation example has this id or question.",
                    hint="`bertqa-tui export RUN -o spans.csv` writes a table of all of them.",
                )
            app.go_to_example(found[0])
        app.show_view(screen)
        await _until_quiet(pilot, app)
        if isinstance(app.view, CurvesScreen):
            app.view.set_look(band=request.spread or "")
            await _until_quiet(pilot, app)
        return svg_of(app.export_screenshot())


async def _until_quiet(pilot: Pilot[Any], app: BertQAApp) -> None:
    """Wait until the run is read, and nothing is left to compute or to draw."""
    quiet = 0
    for _ in range(int(PATIENCE / LOOK_SECONDS)):
        await pilot.pause(LOOK_SECONDS)
        busy = any(not worker.is_finished for worker in app.workers) or not app.is_drawn
        quiet = 0 if busy or app.viewer is None or not app.viewer.ready else quiet + 1
        if quiet == QUIET_LOOKS:
            return


def _size(text: str | None) -> tuple[int, int]:
    if text is None:
        return SIZE
    if not re.fullmatch(r"[0-9]{1,4}[x×][0-9]{1,4}", text):
        raise UsageError(f"--size {text}: not a size.", hint="Columns x rows, as in 120x40.")
    width, height = (int(part) for part in re.split("[x×]", text))
    if not (SMALLEST[0] <= width <= LARGEST[0] and SMALLEST[1] <= height <= LARGEST[1]):
        raise UsageError(
            f"--size {text}: out of range.",
            hint="From {}x{} to {}x{} characters.".format(*SMALLEST, *LARGEST),
        )
    return width, height


def _snapshot(run: RunDir, wanted: str | None) -> int:
    """The number of the snapshot that is asked for. Raises UsageError."""
    infos = snapshot_infos(run)
    if not infos:
        raise UsageError(f"{run.path}: there is no snapshot yet.", hint="Wait for the first one.")
    if wanted in (None, "last"):
        return infos[-1].index
    if wanted == "best":
        best = best_epoch(infos)
        if best is None:
            raise UsageError(f"{run.path}: no epoch has been scored yet.", hint="--snapshot last, or a number.")
        return best.index
    found = [info.index for info in infos if str(info.index) == wanted]
    if not found:
        raise UsageError(
            f"--snapshot {wanted}: there is no such snapshot.",
            hint=f"They count from {infos[0].index} to {infos[-1].index}; best and last are known too.",
        )
    return found[0]
