"""A run's name, note and tags, to edit."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from engine.rundir.notes import MAX_NAME, MAX_NOTE, Notes, split_tags
from tui.drawing.text import show_line
from tui.screens.dialogs import Dialog
from tui.widgets.text_boxes import FormBox

MAX_TAG_LINE = 400


class NotesDialog(Dialog[Notes | None]):
    """Gives the notes as edited, or None where the user left them as they were."""

    AUTO_FOCUS = "FormBox"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "leave it as it was"),
        Binding("down", "app.focus_next", "next line"),
        Binding("up", "app.focus_previous", "previous line"),
    ]

    def __init__(self, folder: str, notes: Notes) -> None:
        """`folder` is the name of the run's folder."""
        super().__init__()
        self._folder, self._notes = folder, notes

    def compose(self) -> ComposeResult:
        notes = self._notes
        with Vertical():
            yield Static(show_line(self._folder, 200))
            yield Static(Content("name"))
            yield FormBox(notes.title, id="notes-title", placeholder="the folder's name", max_length=MAX_NAME)
            yield Static(Content("note"))
            yield FormBox(notes.note, id="notes-note", max_length=MAX_NOTE)
            yield Static(Content("tags, apart by blanks"))
            yield FormBox(" ".join(notes.tags), id="notes-tags", max_length=MAX_TAG_LINE)
            yield Static(Content("enter keeps it, tab goes to the next line, escape leaves it as it was"))

    def on_input_submitted(self, event: FormBox.Submitted) -> None:
        event.stop()
        title, note, tags = (self.query_one(f"#notes-{name}", FormBox).value for name in ("title", "note", "tags"))
        self.dismiss(Notes(title.strip(), note.strip(), split_tags([tags])))
