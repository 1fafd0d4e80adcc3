"""Heat map: one example's whole journey, snapshots downwards and tokens to the right, for start and end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual.app import ComposeResult
from textual.strip import Strip

from engine.errors import UserError
from engine.rundir.eval_set import EvalSet, Tokens
from tui.drawing.columns import fit_text
from tui.drawing.frame import glyphs_of
from tui.drawing.heat_map import Columns, share_columns
from tui.drawing.heat_strips import LABEL, PARTS, VERDICT, legend_strip, map_strips, share_rows
from tui.drawing.text import plain
from tui.model.predictions import NO_ANSWER
from tui.model.verdict_words import verdict_words
from tui.screens.base import ScreenView
from tui.screens.heatmap.model import story
from tui.screens.heatmap.scores import ExampleJourney, HeatData
from tui.widgets.picture import Picture

WIDE = 120
HEAD = 2
"""Lines above the maps: the question and what became of it."""
LEAST_STORY = 12
"""Cells below which what became of the example is not shown beside a token."""


class HeatmapScreen(ScreenView):
    """Two maps on the same columns, one below the other."""

    DEFAULT_CSS = "HeatmapScreen { layout: vertical; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._source: EvalSet | None = None
        self._data: HeatData | None = None
        self._journey: ExampleJourney | None = None
        self._labels: list[str] = []
        """Of the snapshots that the journey holds: the run may know of a newer one that is not read yet."""
        self._window = 0
        self._tokens: Tokens | None = None
        self._words: list[str] = []
        self._trouble = ""

    def compose(self) -> ComposeResult:
        yield Picture(self._draw, id="heat-picture")

    def renew(self) -> None:
        self._load()
        self.query_one(Picture).redraw()

    def _load(self) -> None:
        viewer, state = self.tui.viewer, self.tui.view_state
        examples = viewer.eval_set if viewer else None
        self._journey, self._trouble = None, ""
        if viewer is None or examples is None or not viewer.snapshots:
            self._source = self._data = None
            return
        try:
            if examples is not self._source or self._data is None:
                self._source, self._data, self._tokens = examples, HeatData(examples, viewer.snapshot), None
            self._window = self._data.home_window(state.example) if state.window is None else state.window
            marks = [(event.index, event.time) for event in viewer.snapshots]
            tokens = self._data.tokens(state.example, self._window)
            if self._tokens is None or self._tokens.feature != tokens.feature:
                self._words = examples.token_texts(tokens)
            self._tokens = tokens
            self._journey = self._data.journey(state.example, self._window, marks)
            self._labels = [plain(event.label, 20) for event in viewer.snapshots]
        except (OSError, UserError) as error:
            self._trouble = f"the snapshots can't be read: {error}"

    @property
    def _width(self) -> int:
        return self.query_one(Picture).size.width

    def _columns(self) -> Columns:
        tokens = self._tokens.hi - self._tokens.lo if self._tokens else 1
        return share_columns(tokens, self._width - LABEL - VERDICT - self._note_width)

    @property
    def _note_width(self) -> int:
        """Cells for what the model answered, where the screen is wide."""
        return min(48, self._width // 4) if self._width >= WIDE else 0

    def _notes(self, number: int) -> list[str]:
        """At the first map what each snapshot answered, at the second how probable the expected answer was."""
        journey, data = self._journey, self._source
        if journey is None or data is None or not self._note_width:
            return []
        if number == 0:
            context = data.examples[self.tui.view_state.example].context
            notes = [plain(context[a:b], 200) if a >= 0 else NO_ANSWER for a, b in journey.answers]
            for lost in journey.unreadable:
                notes[lost] = "can't be read"
            for left_out in journey.not_scored:
                notes[left_out] = ""
        else:
            start, end = journey.start, journey.end
            if start.expected < 0:
                return []
            shares = zip(start.probability[:, start.expected], end.probability[:, end.expected], strict=True)
            notes = [f"expected: start {100 * a:.0f} %, end {100 * b:.0f} %" for a, b in shares]
            for left_out in journey.not_scored:
                notes[left_out] = ""
        return [fit_text(text, self._note_width - 1) for text in notes]

    def _map_height(self, height: int) -> int:
        """Lines of each map, one for the legend left."""
        return max(3, (height - HEAD - 1) // 2)

    def _draw(self, width: int, height: int) -> Sequence[Strip]:
        viewer, state = self.tui.viewer, self.tui.view_state
        journey, tokens = self._journey, self._tokens
        if viewer is None or self._source is None or journey is None or tokens is None:
            words = self._trouble or (
                "waiting for the first snapshot" if viewer else "no run is open: 6 lists the runs"
            )
            return [Strip([Segment(plain(words), self.style_of("dim"))])]
        glyphs = glyphs_of(self.tui.ascii_only)
        labels = self._labels
        example = self._source.examples[state.example]
        windows = len(self._source.features_of(state.example))
        where = f"window {self._window + 1}/{windows}  " if windows > 1 else ""
        judged = verdict_words(viewer.verdict(state.example), 20)
        label = f"label {plain(judged)}  " if judged else ""
        head = fit_text(f" {state.example + 1}. {where}{label}{plain(example.question, 400)}", width)
        verdict = self._verdict(journey)
        lines = [Strip([Segment(head, self.style_of("heading"))]), self._token_line(width, verdict)]
        columns = self._columns()
        for number, part in enumerate(PARTS):
            lines += map_strips(
                part,
                journey.start if part == "start" else journey.end,
                labels,
                columns,
                current=state.snapshot,
                token=state.token if state.token < tokens.hi - tokens.lo else -1,
                width=width,
                height=self._map_height(height),
                style=self.style_of,
                glyphs=glyphs,
                notes=self._notes(number),
            )
        lines = lines[: height - 1]
        return [*lines, legend_strip(width, self.style_of, glyphs)]

    def _verdict(self, journey: ExampleJourney) -> str:
        """What became of the example, as far as it is scored and snapshots can be read."""
        lost, known = journey.unreadable, journey.known
        right = journey.right[known].tolist()
        words = story(right, right, [self._labels[number] for number in known])
        if left_out := len(journey.not_scored):
            words += f"; not scored at {left_out} of {len(journey.right)} snapshots"
        names = ", ".join(self._labels[number] for number in lost)
        return f"{words}; can't be read: {names}" if lost else words

    def _token_line(self, width: int, verdict: str) -> Strip:
        """What became of the example, and the token under the cursor with its probabilities, which go first where
        there is not room for both."""
        state, journey = self.tui.view_state, self._journey
        story_style, token_style = self.style_of("text"), self.style_of("dim")
        if journey is None or not 0 <= state.token < len(self._words) or state.snapshot >= len(journey.right):
            return Strip([Segment(fit_text(f" {verdict}", width), story_style)])
        start = float(journey.start.probability[state.snapshot, state.token])
        end = float(journey.end.probability[state.snapshot, state.token])
        word = plain(self._words[state.token], 40)
        token = f"token {state.token} {word!r}: start {100 * start:.1f} %, end {100 * end:.1f} %"
        room = width - cell_len(token) - 4
        if room < LEAST_STORY:
            return Strip([Segment(fit_text(f" {token}", width), token_style)])
        shown = fit_text(verdict, min(room, cell_len(verdict)))
        return Strip([Segment(f" {shown}", story_style), Segment(f"   {token}", token_style)])

    def on_picture_pressed(self, event: Picture.Pressed) -> None:
        """A click on a map chooses the snapshot of its row and the token of its column."""
        if self._journey is None:
            return
        state, height = self.tui.view_state, self._map_height(event.picture.size.height)
        number, line = divmod(event.y - HEAD, height)
        if number not in (0, 1) or event.y >= event.picture.size.height - 1:
            return
        columns, column = self._columns(), event.x - LABEL
        if 0 <= column < columns.count:
            state.token = columns.at(column).start
        rows, tall = share_rows(state.snapshot, len(self._labels), height)
        if 1 <= line <= len(rows) * tall:
            self.tui.go_to(rows[(line - 1) // tall])
        self.tui.changed()

    def do_window(self) -> None:
        """Go on to the next window of a long passage."""
        if self._source is None or self._data is None:
            return
        state = self.tui.view_state
        count = len(self._source.features_of(state.example))
        if count < 2:
            self.tui.say("this passage fits one window")
            return
        state.window, state.token = (self._window + 1) % count, -1
        self.tui.changed()

    def move_token(self, by: int) -> None:
        if self._tokens is None or self._journey is None:
            return
        state, count = self.tui.view_state, self._tokens.hi - self._tokens.lo
        start = state.token if state.token >= 0 else max(0, self._journey.start.expected) - by
        state.token = max(0, min(count - 1, start + by))
        self.tui.changed()

    def do_jump(self) -> None:
        """The token cursor goes round expected and predicted start and end."""
        journey, state = self._journey, self.tui.view_state
        if journey is None or state.snapshot >= len(journey.right):
            return
        stops = [journey.start.expected, journey.end.expected]
        stops += [int(journey.start.predicted[state.snapshot]), int(journey.end.predicted[state.snapshot])]
        marks = sorted({stop for stop in stops if stop >= 0})
        if marks:
            state.token = next((mark for mark in marks if mark > state.token), marks[0])
            self.tui.changed()
