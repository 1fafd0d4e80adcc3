"""Walking through a run: snapshots to the left and right, examples up and down, and playing the journey."""

from __future__ import annotations

import time
from typing import Any

from textual.timer import Timer

from tui.model.viewer import Viewer
from tui.terminal.updates import ExactApp
from tui.view_state import ViewState

DEBOUNCE_SECONDS = 0.08
PACES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Snapshots a second."""


class Walking(ExactApp):
    """The part of the app that moves its `view_state` in the run of its `viewer`."""

    viewer: Viewer | None
    state: ViewState

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.view_state = ViewState()
        self.pace = 2
        self._playing: Timer | None = None
        self._draw_timer: Timer | None = None
        self._drawn_at = 0.0

    def draw(self) -> None:
        """Draw what changed, in the frame and in the view in front."""
        raise NotImplementedError

    def say(self, message: str) -> None:
        """Show a line for some seconds."""
        raise NotImplementedError

    def changed(self) -> None:
        """The view state changed: draw now, or, when keys come faster than the terminal swallows them, only where they
        led, a little later."""
        if self._draw_timer is not None:
            return
        wait = self._drawn_at + DEBOUNCE_SECONDS - time.monotonic()
        if wait <= 0 and not self.is_behind:
            self.draw()
        else:
            self._draw_timer = self.set_timer(max(wait, DEBOUNCE_SECONDS / 4), self._draw_later)

    def _draw_later(self) -> None:
        self._draw_timer = None
        self.changed()

    @property
    def is_drawn(self) -> bool:
        """Whether nothing that changed waits to be drawn."""
        return self._draw_timer is None

    @property
    def last_snapshot(self) -> int:
        """Position of the newest snapshot; -1 where there is none."""
        return len(self.viewer.snapshots) - 1 if self.viewer else -1

    @property
    def playing(self) -> bool:
        return self._playing is not None

    def go_to(self, snapshot: int, *, follow: bool = False) -> None:
        """Show the snapshot at a position of the timeline, or the nearest there is."""
        if self.last_snapshot < 0:
            return
        position = max(0, min(snapshot, self.last_snapshot))
        if (position, follow) != (self.view_state.snapshot, self.view_state.following):
            self.view_state.snapshot, self.view_state.following = position, follow
            self.changed()

    def do_previous(self) -> None:
        self._stop_playing()
        self.go_to(self.view_state.snapshot - 1)

    def do_next(self) -> None:
        self._stop_playing()
        at_end = self.view_state.snapshot >= self.last_snapshot
        self.go_to(self.view_state.snapshot + 1, follow=at_end and self.view_state.following)

    def do_first(self) -> None:
        self._stop_playing()
        self.go_to(0)

    def do_latest(self) -> None:
        self._stop_playing()
        self.go_to(self.last_snapshot, follow=True)

    def do_follow(self) -> None:
        self._stop_playing()
        if self.view_state.following:
            self.go_to(self.view_state.snapshot, follow=False)
            self.say("stays at this snapshot")
        else:
            self.go_to(self.last_snapshot, follow=True)
            self.say("follows new snapshots")

    def do_play(self) -> None:
        if self.playing:
            self._stop_playing()
        elif self.last_snapshot > 0:
            if self.view_state.snapshot >= self.last_snapshot:
                self.go_to(0)
            self._play()
            self.say(f"playing {PACES[self.pace]:g} snapshots a second, + faster, - slower")
        self.changed()

    def _play(self) -> None:
        if self._playing is not None:
            self._playing.stop()
        self._playing = self.set_interval(1 / PACES[self.pace], self._play_on)

    def _play_on(self) -> None:
        self.go_to(self.view_state.snapshot + 1)
        if self.view_state.snapshot >= self.last_snapshot:
            self._stop_playing()

    def _stop_playing(self) -> None:
        if self._playing is not None:
            self._playing.stop()
            self._playing = None
            self.changed()

    def do_faster(self) -> None:
        self._set_pace(self.pace + 1)

    def do_slower(self) -> None:
        self._set_pace(self.pace - 1)

    def _set_pace(self, pace: int) -> None:
        self.pace = max(0, min(pace, len(PACES) - 1))
        self.say(f"playing {PACES[self.pace]:g} snapshots a second")
        if self.playing:
            self._play()

    def go_to_example(self, example: int) -> None:
        """Show another example, or the nearest there is."""
        count = len(self.viewer.examples) if self.viewer is not None else 0
        number = max(0, min(example, count - 1))
        if number != self.view_state.example:
            self.view_state.example, self.view_state.window, self.view_state.token = number, None, -1
            self.view_state.span_from = -1
            self.changed()

    def do_down(self) -> None:
        self._walk(1)

    def do_up(self) -> None:
        self._walk(-1)

    def do_ten_down(self) -> None:
        self._walk(10)

    def do_ten_up(self) -> None:
        self._walk(-10)

    def _walk(self, steps: int) -> None:
        """`steps` examples on, among those scored where the snapshot is of a sample."""
        if self.viewer is not None:
            self.go_to_example(self.viewer.neighbour(self.view_state.snapshot, self.view_state.example, steps))

    def do_no_token(self) -> None:
        self.view_state.token = self.view_state.span_from = -1
        self.changed()
