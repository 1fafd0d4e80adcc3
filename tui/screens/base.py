"""What every screen is: a widget that draws itself anew from the run and the place when told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.style import Style
from textual.widget import Widget

if TYPE_CHECKING:
    from tui.app import BertQAApp


class View(Widget):
    """Base of the screens. A command `x` of the table calls the method `do_x` of the view in front, where it
    has one, else the app's."""

    DEFAULT_CSS = "View { height: 1fr; width: 1fr; }"

    @property
    def tui(self) -> BertQAApp:
        """The app, with what the screens share: `viewer`, `place`, `style_of`, `ascii_only`."""
        return cast("BertQAApp", self.app)

    def style_of(self, role: str) -> Style:
        return self.tui.style_of(role)

    def renew(self) -> None:
        """Something changed (new events, another snapshot, another example, theme): draw what differs."""
        raise NotImplementedError

    def progressed(self) -> None:
        """Steps and phases were told, and nothing else is new: draw what shows them."""

    def enter(self) -> None:
        """The view comes to the front."""
        self.renew()

    def do_search_text(self, text: str) -> None:
        """The user searched for `text` in this view."""

    def move_token(self, by: int) -> None:
        """Move the token cursor, in views that have one."""

    def do_token_right(self) -> None:
        self.move_token(1)

    def do_token_left(self) -> None:
        self.move_token(-1)

    def do_tokens_right(self) -> None:
        self.move_token(10)

    def do_tokens_left(self) -> None:
        self.move_token(-10)
