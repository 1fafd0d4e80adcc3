"""Why this answer: in front of any screen, which words made it, and what each layer thought of it.

The model works in a process of its own, started by a thread (tui.model.explainer): the app neither loads torch nor
waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.strip import Strip

from engine.messages import Explanation, Layers
from tui.drawing.columns import fit_text
from tui.drawing.frame import glyphs_of
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf
from tui.model.explainer import Explainer, Lend, Target, View, Wanted
from tui.model.predictions import NO_ANSWER
from tui.screens.explanation.layer_lines import layer_strips
from tui.screens.explanation.lines import (
    LIST,
    NARROW,
    Weighed,
    beside,
    keys_strip,
    legend_strip,
    masking_strip,
    text_strips,
    word_strips,
)
from tui.widgets.picture import Picture

LOOK_SECONDS = 0.1
KEYS = [
    ("esc", "back"),
    ("g", "gradient"),
    ("i", "integrated gradients"),
    ("x", "layers"),
    ("< >", "other weights"),
    ("j k", "scroll, layer"),
    ("[ ]", "token"),
]
TITLES: dict[View, str] = {
    "gradient": "Why this answer: gradient",
    "integrated": "Why this answer: integrated gradients",
    "layers": "Layers, a lens, not a proof",
}


class ExplanationScreen(ModalScreen[None]):
    """Asks for one view at a time; what was found once is shown at once."""

    AUTO_FOCUS = None
    DEFAULT_CSS = "ExplanationScreen { background: ansi_default; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "back"),
        Binding("g", "show('gradient')", "gradient"),
        Binding("i", "show('integrated')", "integrated gradients"),
        Binding("x", "show('layers')", "layers"),
        Binding("left,h,less_than_sign", "weights(-1)", "weights before"),
        Binding("right,l,greater_than_sign", "weights(1)", "weights after"),
        Binding("down,j", "scroll(1)", "down"),
        Binding("up,k", "scroll(-1)", "up"),
        Binding("pagedown", "scroll(10)", "page down"),
        Binding("pageup", "scroll(-10)", "page up"),
        Binding("left_square_bracket", "token(-1)", "token to the left"),
        Binding("right_square_bracket", "token(1)", "token to the right"),
        Binding("left_curly_bracket", "token(-10)", "ten to the left"),
        Binding("right_curly_bracket", "token(10)", "ten to the right"),
    ]

    def __init__(
        self,
        target: Target,
        style: StyleOf,
        *,
        ascii_only: bool = False,
        explainer: Explainer | None = None,
        lend: Lend | None = None,
    ) -> None:
        super().__init__()
        self.explainer = explainer or Explainer(target, lend)
        self._target, self._style, self._glyphs = target, style, glyphs_of(ascii_only)
        self._view: View = "gradient"
        self._weights: int | None = None
        self._seen = -1
        self._scroll: int | None = None
        self._lines = 0
        self._layer = -1
        self._token = -1

    def compose(self) -> ComposeResult:
        yield Picture(self._draw, id="explanation")

    def on_mount(self) -> None:
        self.set_interval(LOOK_SECONDS, self._look)

    def on_unmount(self) -> None:
        self.explainer.close()

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.explainer.first if self._weights is None else self._weights, self._view)

    def _look(self) -> None:
        """Draw what the thread has found since; ask for what is looked at."""
        explainer = self.explainer
        if explainer.opened:
            explainer.want(self.wanted)
        if explainer.changes != self._seen:
            self._seen = explainer.changes
            self._redraw()

    def _redraw(self) -> None:
        self.query_one(Picture).redraw()

    # -- keys ----------------------------------------------------------------------------------------------

    def action_show(self, view: View) -> None:
        self._view = view
        self._look()
        self._redraw()

    def action_weights(self, by: int) -> None:
        if self.explainer.kept:
            position = self.wanted.weights + by
            self._weights = max(0, min(position, len(self.explainer.kept) - 1))
            self._scroll = None
            self._look()
            self._redraw()

    def action_scroll(self, by: int) -> None:
        if self._view == "layers":
            found = self.explainer.found.get(self.wanted)
            if isinstance(found, Layers):
                last = len(found.start_probability) - 1
                self._layer = max(0, min(last, (last if self._layer < 0 else self._layer) + by))
        elif self._scroll is not None:
            self._scroll = max(0, min(self._scroll + by, self._lines - 1))
        self._redraw()

    def action_token(self, by: int) -> None:
        found = self.explainer.found.get(self.wanted)
        if isinstance(found, Layers):
            begin = self._token if self._token >= 0 else max(0, found.start) - by
            self._token = max(0, min(len(found.answer.scores[0].tokens) - 1, begin + by))
            self._redraw()

    # -- drawing -------------------------------------------------------------------------------------------

    def _draw(self, width: int, height: int) -> Sequence[Strip]:
        wanted, explainer = self.wanted, self.explainer
        found = explainer.found.get(wanted)
        head = [self._title(wanted, width)]
        if explainer.kept:
            head.append(Strip([Segment(fit_text(f" {plain(explainer.note(wanted), 400)}", width), self._style("dim"))]))
        if isinstance(found, Explanation | Layers):
            head.append(self._answer(found, width))
        room = height - len(head) - 1
        if isinstance(found, Explanation):
            body = self._explanation(found, width, room)
        elif isinstance(found, Layers):
            layer = self._layer if self._layer >= 0 else len(found.start_probability) - 1
            body = layer_strips(
                found, width, room, layer=layer, token=self._token, style=self._style, glyphs=self._glyphs
            )
        else:
            body = self._waiting(wanted, width)
        body = [*body[:room], *[Strip.blank(width)] * (room - len(body))]
        return [*head, *body, keys_strip(KEYS, width, self._style)]

    def _title(self, wanted: Wanted, width: int) -> Strip:
        words = f" {TITLES[wanted.view]}: by {plain(self.explainer.label(wanted), 200)}"
        return Strip([Segment(fit_text(words, width), self._style("heading"))])

    def _answer(self, found: Explanation | Layers, width: int) -> Strip:
        style, answer = self._style, found.answer
        text = plain(answer.text, 200) if answer.char_start >= 0 else NO_ANSWER
        segments = [
            Segment(f" {self._glyphs.predicted} answer ", style("predicted")),
            Segment(text, style("heading")),
            Segment(f"  {100 * answer.probability:.1f} %", style("text")),
        ]
        [window] = answer.scores
        if answer.windows > 1:
            segments.append(Segment(f"  window {window.number + 1}/{answer.windows}", style("warn")))
        if isinstance(found, Explanation):
            here = f"  explained here: P(start) × P(end) = {100 * found.probability:.1f} %"
            segments.append(Segment(here, style("dim")))
        return Strip(segments).crop(0, width)

    def _explanation(self, found: Explanation, width: int, room: int) -> list[Strip]:
        [opinion] = found.opinions
        weighed = Weighed.of(found, opinion, self._target.question, self._target.context)
        head = [masking_strip(opinion.test, self._style), legend_strip(opinion, self._style, self._glyphs)]
        head = [line.crop(0, width) for line in [*head, Strip.blank(width)]]
        rows = max(1, room - len(head))
        listed = LIST if width >= NARROW else 0
        text, at_answer = text_strips(weighed, width - listed - 2, self._style, self._glyphs)
        self._lines = max(1, len(text) - rows + 1)
        if self._scroll is None:
            self._scroll = max(0, min(at_answer - rows // 3, self._lines - 1)) if at_answer >= rows - 1 else 0
        first = min(self._scroll, self._lines - 1)
        shown = text[first : first + rows]
        if not listed:
            return [*head, *(Strip([Segment(" "), *line]) for line in shown)]
        list_of_words = word_strips(weighed, listed, rows, self._style, self._glyphs)
        return [*head, *beside(list_of_words, shown, listed, rows)]

    def _waiting(self, wanted: Wanted, width: int) -> list[Strip]:
        error = self.explainer.trouble or self.explainer.failed.get(wanted)
        if error is not None:
            lines = [error.message, error.hint]
        elif not self.explainer.opened:
            lines = ["Looking for the weights …"]
        else:
            lines = ["The model is loaded and asked …", "The app goes on meanwhile; escape leaves."]
        role = "warn" if error is not None else "dim"
        pieces: list[str] = []
        for line in lines:
            text = plain(line, 1000)
            pieces += [text[low : low + width - 2] for low in range(0, len(text), max(1, width - 2))]
        return [Strip.blank(width), *(Strip([Segment(f" {piece}", self._style(role))]) for piece in pieces)]
