"""The app: a frame of status, timeline and keys around the screens, and what they share.

How to add a screen: write a `View` in `tui/screens/` with `renew` (draw what changed) and `do_<command>` methods;
name it in `SCREENS` below; give it a title, a help text and its keys in `tui/commands.py`. The app calls `renew` of
the view in front whenever the run, the place or the theme changes; `app.viewer` is the run, `app.place` where the
user is in it, `app.style_of(role)` the colours, `app.say(...)` a line for the user, `app.changed()` redraws after
a view has changed the place.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, Literal

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Input

from engine.commands import CommandName, send_command
from engine.errors import UserError
from engine.events import CommandDone
from engine.ownership import State
from tui.commands import BY_ID, COMMANDS, VIEWS
from tui.place import SCALES, Place, Scale
from tui.screens.curves import Curves
from tui.screens.dialogs import Help, Leave
from tui.screens.heatmap import HeatMap
from tui.screens.journey import Journey
from tui.screens.spans import SpanScreen
from tui.screens.view import View
from tui.settings import SavedPlace, Settings, load_place, read_settings, save_place
from tui.text import plain
from tui.theme import choose_theme, style_of, theme_names
from tui.viewer import Viewer
from tui.widgets.bars import KeyBar, StatusBar, Timeline

POLL_SECONDS = 0.5
DEBOUNCE_SECONDS = 0.08
MESSAGE_SECONDS = 6.0
PACES = (0.25, 0.5, 1.0, 2.0, 4.0)
OVER = frozenset({State.FINISHED, State.STOPPED, State.FAILED, State.DEAD})
SCREENS: dict[str, Callable[..., View]] = {
    "journey": Journey,
    "spans": SpanScreen,
    "curves": Curves,
    "heatmap": HeatMap,
}


class BertQAApp(App[int]):
    """Watches the run at `run_path`; without one, shows the runs in `runs_dir`."""

    TITLE = "bertqa-tui"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    CSS = """
    Screen { layout: vertical; overflow: hidden; }
    ContentSwitcher { height: 1fr; }
    #search { dock: bottom; height: 1; border: none; padding: 0 1; display: none; background: ansi_default; }
    """
    BINDINGS: ClassVar = [
        Binding(command.keys, f"do('{command.id}')", command.help, id=command.id, show=False) for command in COMMANDS
    ]

    def __init__(
        self,
        run_path: Path | None = None,
        *,
        runs_dir: Path = Path("runs"),
        config_file: Path | None = None,
        ascii_only: bool = False,
        theme_name: str | None = None,
        settings: Settings | None = None,
        remember: bool = True,
    ) -> None:
        """Raises UsageError for a run, a theme or a setting that is not there."""
        # The terminal's own background shows through: no cell is painted that says nothing.
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.settings = settings if settings is not None else read_settings(config_file)
        self.theme_name = choose_theme(theme_name or self.settings.theme)
        self.style_of = style_of(self.theme_name)
        self.ascii_only = ascii_only or self.settings.ascii
        self.runs_dir = runs_dir
        self.place = Place()
        self.view_name = "journey" if run_path else "runs"
        self.viewer = Viewer(run_path) if run_path else None
        self.message = ""
        self.farewell: list[str] = []
        self.pace = 2
        self._remember = remember
        self._saved: SavedPlace | None = None
        self._message_timer: Timer | None = None
        self._draw_timer: Timer | None = None
        self._drawn_at = 0.0
        self._playing: Timer | None = None
        self._polling = False
        if self.settings.keys:
            self.set_keymap(self.settings.keys)
        if self.viewer is not None:
            self._come_back()

    def compose(self) -> ComposeResult:
        yield StatusBar()
        yield Timeline()
        with ContentSwitcher(initial=self.view_name):
            for name, screen in SCREENS.items():
                yield screen(id=name)
        yield Input(id="search", placeholder="search", select_on_focus=False)
        yield KeyBar()

    async def on_mount(self) -> None:
        # Textual leaves the terminal in the alternate screen when a signal ends it (its issue 5140).
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            try:
                loop.add_signal_handler(number, self.exit)
            except (ValueError, RuntimeError):
                break  # not the main thread: the tests' business
        self.set_interval(POLL_SECONDS, self._poll)
        self._focus_view()
        await self._poll()

    # -- the run -------------------------------------------------------------------------------------------

    def open_run(self, path: Path) -> None:
        """Watch another run from now on. Raises UsageError where there is none."""
        viewer = Viewer(path)
        self._save_place()
        if self.viewer is not None:
            self.viewer.close()
        self.viewer, self.place = viewer, Place()
        self._come_back()
        self.show_view("journey")
        self.run_worker(self._poll(), exclusive=False)

    def _come_back(self) -> None:
        """Take the place up again where the user left this run."""
        assert self.viewer is not None
        self._saved = load_place(self.viewer.run.path) if self._remember else None
        if self._saved is not None:
            saved = self._saved
            scale: Scale = saved.scale if saved.scale in SCALES else "logit"
            self.place = Place(example=saved.example, token=saved.token, scale=scale, following=saved.snapshot < 0)
            if saved.view in VIEWS:
                self.view_name = saved.view

    def _save_place(self) -> None:
        if self.viewer is None or not self._remember:
            return
        place = self.place
        snapshot = -1 if place.following else place.snapshot
        save_place(self.viewer.run.path, SavedPlace(self.view_name, snapshot, place.example, place.token, place.scale))

    async def _poll(self) -> None:
        viewer = self.viewer
        if viewer is None or self._polling:
            return
        self._polling = True
        try:
            # In a thread: a network file system may take its time.
            known = len(viewer.snapshots)
            changed = await asyncio.to_thread(viewer.poll)
            if viewer.state in OVER and changed:
                await asyncio.to_thread(viewer.find_snapshots)
            if viewer is not self.viewer:
                return
            if viewer.snapshots and not known:
                self._first_snapshots()
            elif len(viewer.snapshots) > known:
                self._new_snapshots()
            self.place.snapshot = min(self.place.snapshot, max(0, len(viewer.snapshots) - 1))
            for event in viewer.take_news():
                if isinstance(event, CommandDone):
                    self.say(f"{event.command}: {event.outcome}")
                else:
                    self.say(f"{event.message} {event.hint}".strip())
            if changed or not known:
                self.draw()
        finally:
            self._polling = False

    def _first_snapshots(self) -> None:
        assert self.viewer is not None
        last = len(self.viewer.snapshots) - 1
        if self._saved is not None and self._saved.snapshot >= 0:
            self.place.snapshot = min(self._saved.snapshot, last)
        else:
            self.place.snapshot = last
        examples = self.viewer.examples
        if self._saved is None and self.viewer.config.probe:
            probe = self.viewer.config.probe
            found = [n for n, example in enumerate(examples) if probe in (example.id, example.question)]
            self.place.example = found[0] if found else 0
        self.place.example = min(self.place.example, max(0, len(examples) - 1))

    def _new_snapshots(self) -> None:
        assert self.viewer is not None
        last = len(self.viewer.snapshots) - 1
        if self.place.following:
            self.place.snapshot = last
        else:
            self.say(f"{self.viewer.snapshots[last].label} is ready: f follows")

    # -- drawing -------------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The view in front."""
        return self.query_one(f"#{self.view_name}", View)

    def draw(self) -> None:
        """Draw what changed, in the frame and in the view in front."""
        self._drawn_at = time.monotonic()
        if self._draw_timer is not None:
            self._draw_timer.stop()
            self._draw_timer = None
        for bar in (StatusBar, Timeline, KeyBar):
            self.query_one(bar).redraw()
        self.view.renew()

    def changed(self) -> None:
        """The place changed: draw now, or, when keys come fast, only the last of them, a little later."""
        wait = self._drawn_at + DEBOUNCE_SECONDS - time.monotonic()
        if wait <= 0:
            self.draw()
        elif self._draw_timer is None:
            self._draw_timer = self.set_timer(wait, self.draw)

    def say(self, message: str) -> None:
        """Show a line in place of the keys for some seconds."""
        self.message = message
        if self._message_timer is not None:
            self._message_timer.stop()
        self._message_timer = self.set_timer(MESSAGE_SECONDS, self._unsay)
        self.query_one(KeyBar).redraw()

    def _unsay(self) -> None:
        self.message = ""
        self.query_one(KeyBar).redraw()

    def show_view(self, name: str) -> None:
        """Bring a view to the front."""
        self.view_name = name
        self.query_one(ContentSwitcher).current = name
        self._focus_view()
        self.call_after_refresh(self._entered)

    def _entered(self) -> None:
        self.view.enter()
        self.draw()

    def _focus_view(self) -> None:
        focusable = [widget for widget in self.view.query("*") if widget.can_focus]
        self.set_focus(focusable[0] if focusable else None)

    # -- commands ------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action != "do":
            return True
        if len(self.screen_stack) > 1 or isinstance(self.focused, Input):
            return False
        views = BY_ID[str(parameters[0])].views
        return not views or self.view_name in views

    def action_do(self, name: str) -> None:
        """Run a command of the table: the view's own method where it has one, else the app's."""
        handler = getattr(self.view, f"do_{name}", None) or getattr(self, f"do_{name}", None)
        if handler is None:
            return
        try:
            handler()
        except UserError as error:
            self.say(str(error))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for command in COMMANDS:
            if not command.views or self.view_name in command.views:
                yield SystemCommand(command.help.capitalize(), command.id, lambda name=command.id: self.action_do(name))

    def go_to(self, snapshot: int, *, follow: bool = False) -> None:
        """Show the snapshot at a position of the timeline."""
        if self.viewer is None or not self.viewer.snapshots:
            return
        self.place.snapshot = max(0, min(snapshot, len(self.viewer.snapshots) - 1))
        self.place.following = follow
        self.changed()

    def do_previous(self) -> None:
        self.go_to(self.place.snapshot - 1)

    def do_next(self) -> None:
        last = len(self.viewer.snapshots) - 1 if self.viewer else 0
        self.go_to(self.place.snapshot + 1, follow=self.place.following and self.place.snapshot + 1 >= last)

    def do_first(self) -> None:
        self.go_to(0)

    def do_latest(self) -> None:
        self.go_to(1 << 30, follow=True)

    def do_follow(self) -> None:
        if self.place.following:
            self.place.following = False
            self.changed()
        else:
            self.do_latest()

    def do_play(self) -> None:
        if self._playing is not None:
            self._stop_playing()
            return
        self.go_to(0)
        self._playing = self.set_interval(1 / PACES[self.pace], self._play_on)

    def _play_on(self) -> None:
        if self.viewer is None or self.place.snapshot + 1 >= len(self.viewer.snapshots):
            self._stop_playing()
            return
        self.go_to(self.place.snapshot + 1)

    def _stop_playing(self) -> None:
        if self._playing is not None:
            self._playing.stop()
            self._playing = None

    def do_faster(self) -> None:
        self._set_pace(self.pace + 1)

    def do_slower(self) -> None:
        self._set_pace(self.pace - 1)

    def _set_pace(self, pace: int) -> None:
        self.pace = max(0, min(pace, len(PACES) - 1))
        self.say(f"playing {PACES[self.pace]:g} snapshots a second")
        if self._playing is not None:
            self._playing.stop()
            self._playing = self.set_interval(1 / PACES[self.pace], self._play_on)

    def go_to_example(self, example: int) -> None:
        """Show another example."""
        if self.viewer is None:
            return
        count = len(self.viewer.examples)
        self.choose_example(max(0, min(example, count - 1)))
        self.changed()

    def choose_example(self, example: int) -> None:
        """Another example is chosen; the caller draws what shows it."""
        if example != self.place.example:
            self.place.example, self.place.window, self.place.token = example, None, -1

    def do_down(self) -> None:
        self.go_to_example(self.place.example + 1)

    def do_up(self) -> None:
        self.go_to_example(self.place.example - 1)

    def do_pause(self) -> None:
        if self.viewer is None or self.viewer.state in OVER:
            self.say("this run is not training")
            return
        command: Literal["pause", "resume"] = "resume" if self.viewer.state is State.PAUSED else "pause"
        self.send(command)

    def send(self, command: CommandName) -> None:
        """Ask the engine of the run that is watched."""
        if self.viewer is not None:
            send_command(self.viewer.run, command)
            self.say(f"asked the engine to {command}")

    def do_copy(self) -> None:
        self.say("nothing to copy here")

    def copy(self, text: str) -> None:
        """Put `text`, made harmless, on the clipboard of the terminal (OSC 52)."""
        self.copy_to_clipboard("\n".join(plain(line) for line in text.split("\n")))
        self.say("copied (where the terminal allows OSC 52)")

    def do_view_journey(self) -> None:
        self.show_view("journey")

    def do_view_spans(self) -> None:
        self.show_view("spans")

    def do_view_curves(self) -> None:
        self.show_view("curves")

    def do_view_compare(self) -> None:
        self.show_view("compare")

    def do_view_runs(self) -> None:
        self.show_view("runs")

    def do_view_heatmap(self) -> None:
        self.show_view("heatmap")

    def do_themes(self) -> None:
        names = theme_names()
        self.theme_name = names[(names.index(self.theme_name) + 1) % len(names)]
        self.style_of = style_of(self.theme_name)
        self.say(f"theme: {self.theme_name}")
        self.draw()

    def do_help(self) -> None:
        self.push_screen(Help(self.view_name, self.settings.keys))

    def do_search(self) -> None:
        box = self.query_one("#search", Input)
        box.display = True
        box.value = ""
        box.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._close_search()
        self.view.do_search_text(event.value)

    def on_key(self, event: object) -> None:
        if isinstance(self.focused, Input) and getattr(event, "key", "") == "escape":
            self._close_search()

    def _close_search(self) -> None:
        self.query_one("#search", Input).display = False
        self._focus_view()

    async def action_quit(self) -> None:
        self.do_quit()

    def do_quit(self) -> None:
        if self.viewer is None or self.viewer.state in OVER:
            self._leave("leave")
        else:
            self.push_screen(Leave(self.viewer.run.path), self._leave)

    def _leave(self, choice: str | None) -> None:
        if choice not in ("leave", "stop"):
            return
        self._save_place()
        if self.viewer is not None:
            path = plain(str(self.viewer.run.path))
            if choice == "stop":
                send_command(self.viewer.run, "stop")
                self.farewell = [f"asked the engine to stop; go on with it: bertqa-tui resume {path}"]
            elif self.viewer.state not in OVER:
                self.farewell = [f"training goes on; come back: bertqa-tui attach {path}"]
        self.exit(0)
