"""The app: a frame of status, timeline and keys around the screens, and what they share.

How to add a screen: a folder in `tui/screens/` with `about.py` (name, key, title, help, commands) and `screen.py` (a
`ScreenView` with `renew` and a method `do_<id>` for each of its commands), and its name in `tui/screens/registry.py`.
The app calls `renew` of the screen in front whenever the run, the view state or the theme changes; what a screen may
ask of the app is `tui.screens.base.Shell`.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Input

from engine.errors import UserError
from engine.launch import Run
from engine.rundir.commands import CommandName
from engine.rundir.layout import RunDir
from engine.rundir.liveness import OVER, State
from tui.commands import KeyCommand
from tui.drawing.svg import picture_name, save_picture
from tui.drawing.text import path_from_here, plain
from tui.drawing.theme import choose_theme, is_light, style_of, theme_names
from tui.following import Following
from tui.model.explainer import Lend, Target
from tui.model.viewer import Viewer
from tui.screens.base import ScreenView
from tui.screens.dialogs import Help, Leave
from tui.screens.registry import about, all_commands, commands_of, footer_items, make_screen, views
from tui.settings import Settings, read_settings
from tui.terminal.ascii_filter import ASCII_FILTER
from tui.widgets.bars import KeyBar, StatusBar, Timeline, ViewBar

MESSAGE_SECONDS = 6.0
MOST_LINES = 4
"""Of a longer message the time does not grow any more."""


class BertQAApp(Following):
    """Watches the run at `run_path`; without one, shows the runs in `runs_dir`."""

    TITLE = "bertqa-tui"
    AUTO_FOCUS = None
    CSS = """
    Screen { layout: vertical; overflow: hidden; }
    Screen.-low ViewBar { display: none; }
    ContentSwitcher { height: 1fr; }
    #search { dock: bottom; height: 1; border: none; padding: 0 1; display: none; background: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(command.keys, f"do('{command.id}')", command.help, id=command.id, show=False)
            for command in all_commands().values()
        ),
        Binding("ctrl+c", "do('quit')", "leave", show=False, priority=True),
    ]

    def __init__(
        self,
        run_path: Path | None = None,
        *,
        runs_dir: Path = Path("runs"),
        config_file: Path | None = None,
        ascii_only: bool = False,
        theme_name: str | None = None,
        light_background: bool | None = None,
        few_colours: bool | None = None,
        settings: Settings | None = None,
        remember: bool = True,
        marked: Sequence[Path] = (),
        look_only: bool = False,
        only: bool = False,
    ) -> None:
        """`look_only`: without the commands that change a run, write or start anything; `light_background`: what the
        terminal said of itself; `few_colours`: draw for 16 colours (default: as the terminal has them);
        `only`: no other run than this one is shown.

        Curves comes first where there are `marked` runs.

        Raises UsageError for a run, a theme or a setting that is not there.
        """
        # The terminal's own background shows through: no cell is painted that says nothing.
        super().__init__(ansi_color=True, remember=remember)
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-high")]
        self.settings = settings if settings is not None else read_settings(config_file)
        self._few_colours = self.console.color_system == "standard" if few_colours is None else few_colours
        self._set_theme(choose_theme(theme_name or self.settings.theme, light_background=light_background))
        self.ascii_only = ascii_only or self.settings.ascii
        self.look_only = look_only
        self.runs_dir = runs_dir
        self.only_run = RunDir(run_path).path if only and run_path else None
        self.view_name = "journey" if run_path else "runs"
        self.viewer = Viewer(run_path) if run_path else None
        self.message = ""
        self.marked = list(marked)
        self.farewell: list[str] = []
        self._message_timer: Timer | None = None
        if self.settings.keys:
            self.set_keymap(self.settings.keys)
        if self.viewer is not None:
            self.come_back()
        if self.marked:
            self.view_name = "curves"

    def _set_theme(self, name: str) -> None:
        self.theme_name = name
        self.style_of = style_of(name, few_colours=self._few_colours)
        self.theme = "ansi-light" if is_light(name) else "ansi-dark"

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return [*filters, ASCII_FILTER] if self.ascii_only else filters

    def compose(self) -> ComposeResult:
        yield ViewBar()
        yield StatusBar()
        yield Timeline()
        with ContentSwitcher(initial=self.view_name):
            yield make_screen(self.view_name)
        yield Input(id="search", placeholder="search", select_on_focus=False)
        yield KeyBar()

    def on_mount(self) -> None:
        # Textual leaves the terminal in the alternate screen when a signal ends it.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Only the main thread may; elsewhere (in tests) signals are not ours.
            with suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, self._end_by_signal, number)
        self.focus_view()
        self.follow_run()

    def on_unmount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(number)

    def _end_by_signal(self, number: int) -> None:
        self.save_state()
        self.exit(return_code=128 + number)

    # -- what the frame shows ------------------------------------------------------------------------------

    def views(self) -> list[tuple[str, str, str]]:
        """Name, key and title of every view, in the order of their keys."""
        return views(self.settings.keys, look_only=self.look_only)

    def footer_of_view(self) -> list[tuple[str, str]]:
        """Keys and words for the bottom of the screen in front, most important first."""
        return footer_items(self.view_name, self.settings.keys, ascii_only=self.ascii_only, look_only=self.look_only)

    # -- drawing -------------------------------------------------------------------------------------------

    @property
    def view(self) -> ScreenView:
        """The view in front."""
        return self.screen_stack[0].query_one(f"#{self.view_name}", ScreenView)

    def draw(self) -> None:
        """Draw what changed, in the frame and in the view in front."""
        self._drawn_at = time.monotonic()
        if not self._stands:
            return
        frame = self.screen_stack[0]
        for bar in (ViewBar, StatusBar, Timeline, KeyBar):
            frame.query_one(bar).redraw()
        try:
            self.view.renew()
        except (OSError, UserError) as error:
            self.say(f"can't be read: {error}")

    @property
    def _stands(self) -> bool:
        """Whether the views are there: an app that ends takes them away before its timers stop."""
        return bool(self.screen_stack) and len(self.screen_stack[0].query(f"ViewBar, KeyBar, #{self.view_name}")) == 3

    def progressed(self) -> None:
        """Training went on, and nothing else is new: draw only what shows it. On a machine that trains on its
        processor, all that the app draws is taken from training."""
        if self._stands and not self.is_behind:
            self.screen_stack[0].query_one(StatusBar).redraw()
            self.view.progressed()

    @property
    def progress(self) -> str:
        """How far the run is, in words. It may quote text from outside: show() it."""
        return self.screen_stack[0].query_one(StatusBar).progress()

    def say(self, message: str) -> None:
        """Show a message in place of the keys for some seconds, more where it takes more lines."""
        self.message = message
        if self._message_timer is not None:
            self._message_timer.stop()
        lines = 1 + len(message) // max(1, self.size.width)
        self._message_timer = self.set_timer(MESSAGE_SECONDS * min(lines, MOST_LINES), self._unsay)
        self._draw_keys()

    def _unsay(self) -> None:
        self.message = ""
        self._draw_keys()

    def _draw_keys(self) -> None:
        if self._stands:
            self.screen_stack[0].query_one(KeyBar).redraw()

    def show_view(self, name: str) -> None:
        """Bring a view to the front."""
        if self.is_refused(name):
            return
        self.view_name = name
        switcher = self.screen_stack[0].query_one(ContentSwitcher)
        if not switcher.query(f"#{name}"):
            switcher.mount(make_screen(name))
        switcher.current = name
        self.call_after_refresh(self._entered)

    def _entered(self) -> None:
        if not self.view.is_mounted:  # a click comes while its widgets are still being made
            self.call_after_refresh(self._entered)
            return
        self.focus_view()
        self.view.enter()
        self.draw()

    def focus_view(self) -> None:
        """Give the keys to the view in front."""
        focusable = [widget for widget in self.view.query("*") if widget.can_focus]
        self.screen_stack[0].set_focus(focusable[0] if focusable else None)

    # -- commands ------------------------------------------------------------------------------------------

    def _commands(self) -> list[KeyCommand]:
        return commands_of(self.view_name, look_only=self.look_only)

    def is_refused(self, view: str) -> bool:
        """Whether a view is for those alone who may do more than look."""
        return self.look_only and about(view).acts

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action != "do" or parameters[0] == "quit":
            return True
        if len(self.screen_stack) > 1 or isinstance(self.focused, Input):
            return False
        return any(command.id == parameters[0] for command in self._commands())

    def action_do(self, name: str) -> None:
        """Run a command of the table: the view's own method where it has one, else the app's."""
        if self.look_only and name in all_commands() and all_commands()[name].acts:
            self.say("you may only look here")
            return
        if name.startswith("view_"):
            self.show_view(name.removeprefix("view_"))
            return
        handler = getattr(self.view, f"do_{name}", None) or getattr(self, f"do_{name}", None)
        if handler is None:
            return
        try:
            handler()
        except (OSError, UserError) as error:
            self.say(str(error))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for command in self._commands():
            title = command.help[:1].upper() + command.help[1:]
            yield SystemCommand(title, "", lambda name=command.id: self.action_do(name))

    def do_pause(self) -> None:
        if self.viewer is None or self.viewer.state in OVER:
            self.say("this run is not training")
        else:
            self.send("resume" if self.viewer.state is State.PAUSED else "pause")

    def send(self, command: CommandName) -> None:
        """Ask the engine of the run that is watched."""
        if not self.look_only and self.viewer is not None:
            Run(self.viewer.run.path).command(command)
            self.say(f"asked the engine to {command}")

    def explain(self, target: Target, lend: Lend | None = None) -> None:
        """Open what explains an answer, in front of whatever is shown."""
        if self.look_only:  # a model would be started
            return
        from tui.screens.explanation.screen import ExplanationScreen  # not every start of the app needs it

        self.push_screen(ExplanationScreen(target, self.style_of, ascii_only=self.ascii_only, lend=lend))

    def do_copy(self) -> None:
        self.say("nothing to copy here")

    def copy(self, text: str) -> None:
        """Put `text`, made harmless, on the clipboard of the terminal (OSC 52)."""
        self.copy_to_clipboard("\n".join(plain(line) for line in text.split("\n")))
        self.say("copied (where the terminal allows OSC 52)")

    def do_picture(self) -> None:
        words = [self.view_name]
        if self.viewer is not None and self.viewer.snapshots:
            words = [self.viewer.run.name, *words, f"snapshot-{self.viewer.snapshots[self.view_state.snapshot].index}"]
        path = save_picture(Path.cwd(), picture_name(*words), self.export_screenshot())
        self.say(f"wrote {path_from_here(path)}")

    def do_themes(self) -> None:
        names = theme_names()
        self._set_theme(names[(names.index(self.theme_name) + 1) % len(names)])
        self.say(f"theme: {self.theme_name}")
        self.draw()

    def do_help(self) -> None:
        self.push_screen(
            Help(
                about(self.view_name),
                self._commands(),
                self.settings.keys,
                self.viewer,
                ascii_only=self.ascii_only,
            )
        )

    def do_search(self) -> None:
        box = self.query_one("#search", Input)
        box.display = True
        box.value = ""
        box.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "search":
            self._close_search()
            self.view.do_search_text(event.value)

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape" and isinstance(self.focused, Input) and self.focused.id == "search":
            self._close_search()

    def _close_search(self) -> None:
        self.query_one("#search", Input).display = False
        self.focus_view()

    async def action_quit(self) -> None:
        self.do_quit()

    def do_quit(self) -> None:
        if self.look_only or self.viewer is None or self.viewer.state in OVER or isinstance(self.screen, Leave):
            self._leave("leave")
        else:
            self.push_screen(Leave(self.viewer.run.path), self._leave)

    def _leave(self, choice: str | None) -> None:
        if choice not in ("leave", "stop"):
            return
        self.save_state()
        if self.viewer is not None:
            path = plain(path_from_here(self.viewer.run.path))
            if choice == "stop":
                try:
                    Run(self.viewer.run.path).stop()
                    self.farewell = [f"asked the engine to save and stop; resume it: bertqa-tui resume {path}"]
                except (OSError, UserError) as error:
                    self.farewell = [
                        f"could not ask the engine to stop, training goes on: {plain(str(error))}",
                        f"come back: bertqa-tui attach {path}",
                    ]
            elif self.viewer.state not in OVER:
                self.farewell = [f"training goes on; come back: bertqa-tui attach {path}"]
        self.exit(0)
