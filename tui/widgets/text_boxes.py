"""Boxes that text is typed and pasted into: what they show is harmless, whatever was pasted."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import Input, TextArea
from textual.widgets.text_area import Edit, EditResult

from tui.drawing.text import visible

LONGEST_EDITED = 50_000
"""Characters: what is longer is taken over as it is, since wrapping it again at each key would take too long."""


def unix_lines(text: str) -> str:
    """Line ends as in files: terminals paste them as carriage returns."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


class LineBox(Input):
    """One line of text. It can be focused only between `open` and its end, so that keys are commands elsewhere."""

    DEFAULT_CSS = """
    LineBox { height: 1; border: none; padding: 0 1; background: ansi_default; text-style: bold; }
    LineBox:focus { border: none; background: ansi_default; }
    """

    def __init__(self, *, id: str | None = None, placeholder: str = "") -> None:
        super().__init__(id=id, placeholder=placeholder, select_on_focus=False)
        self.can_focus = False

    def validate_value(self, value: str) -> str:
        return visible(value)

    def open(self) -> None:
        """Let the user type, at the end of the text."""
        self.can_focus = True
        self.cursor_position = len(self.value)
        self.focus()

    def on_blur(self) -> None:
        self.can_focus = False
        self.cursor_position = 0  # of a long line the beginning is seen


class FormBox(Input):
    """One line of text in a dialog, where keys are nothing but text."""

    DEFAULT_CSS = """
    FormBox { height: 1; border: none; padding: 0 1; background: ansi_default; text-style: underline; }
    FormBox:focus { border: none; background: ansi_default; text-style: bold underline; }
    """

    def __init__(self, value: str = "", *, id: str, placeholder: str = "", max_length: int = 0) -> None:
        super().__init__(value, id=id, placeholder=placeholder, max_length=max_length, select_on_focus=False)

    def validate_value(self, value: str) -> str:
        return visible(value)


class TextBox(TextArea):
    """Text of many lines, as LineBox. `text` is what is shown; `original` what was pasted, where nothing was changed
    since."""

    DEFAULT_CSS = """
    TextBox { border: none; padding: 0 1; background: ansi_default; scrollbar-size-vertical: 1; }
    TextBox:focus { border: none; background: ansi_default; }
    """

    class TooLong(Message):
        """A text was pasted that is not to be edited here."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            id=id, soft_wrap=True, tab_behavior="focus", show_line_numbers=False, highlight_cursor_line=False
        )
        self.can_focus = False
        self._pasted = ""

    @property
    def original(self) -> str:
        """The text for the model: what was pasted, with the characters that are only shown by others."""
        return self._pasted if visible(self._pasted) == self.text else self.text

    def edit(self, edit: Edit) -> EditResult:
        edit.text = visible(edit.text)
        return super().edit(edit)

    def load_text(self, text: str) -> None:
        self._pasted = text
        super().load_text(visible(text))

    def open(self) -> None:
        """Let the user type."""
        self.can_focus = True
        self.focus()

    def on_blur(self) -> None:
        self.can_focus = False

    def _on_paste(self, event: events.Paste) -> None:  # type: ignore[override]
        """Textual calls that of TextArea after this one."""
        event.text = unix_lines(event.text)
        if len(event.text) + len(self.text) > LONGEST_EDITED:
            event.prevent_default()
            event.stop()
            self.post_message(self.TooLong(event.text))
        elif not self.text or self.selected_text == self.text:
            self._pasted = event.text
