"""Ask: any question on the example's passage or on pasted text, to the run's kept weights."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip
from textual.widgets import Input

from engine.data.examples import Example
from engine.messages import Answer
from engine.rundir.checkpoints import KeptWeights
from engine.rundir.layout import RunDir
from tui.drawing.columns import fit_text
from tui.drawing.frame import Glyphs, glyphs_of
from tui.drawing.messages import message_lines
from tui.drawing.text import plain, visible
from tui.drawing.token_bars import GUTTER
from tui.drawing.token_geometry import Geometry, fit
from tui.drawing.token_words import token_strip
from tui.model.explainer import Target
from tui.model.predictions import NO_ANSWER
from tui.screens.ask.asking import Asking
from tui.screens.ask.model import AnswerWindow, answer_window
from tui.screens.ask.strips import all_strips, answer_strips, chart_strips, passage_strips
from tui.screens.base import ScreenView
from tui.view_state import SCALE_NAMES, SCALES
from tui.widgets.picture import Picture
from tui.widgets.text_boxes import LineBox, TextBox

LOOK_SECONDS = 0.1
LEAST_CHART, MOST_CHART = 4, 16
KEEP_ALL = "no others are kept: --keep-weights all keeps every epoch's"


class AskScreen(ScreenView):
    """A box for the question, one for the passage while it is edited, and a picture of the answer.

    The boxes have the keys only while they are open; else keys are commands, as everywhere.
    """

    DEFAULT_CSS = """
    AskScreen { layout: vertical; }
    AskScreen #ask-passage { height: 1fr; display: none; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._asking = Asking()
        self._pasted: str | None = None
        self._offered = ""
        """The question that the box was filled with."""
        self._token = -1
        self._first: int | None = None
        self._reading: int | None = None
        self._of: tuple[str, int] = ("", -1)

    def compose(self) -> ComposeResult:
        yield LineBox(id="ask-question", placeholder="enter: type a question")
        yield TextBox(id="ask-passage")
        yield Picture(self._draw, id="ask-picture")

    def on_mount(self) -> None:
        self.set_interval(LOOK_SECONDS, self._look)

    @property
    def box(self) -> LineBox:
        return self.query_one("#ask-question", LineBox)

    @property
    def editor(self) -> TextBox:
        return self.query_one("#ask-passage", TextBox)

    # -- coming and going ----------------------------------------------------------------------------------

    def enter(self) -> None:
        self._asking.find_weights(self._run)
        super().enter()

    def on_hide(self) -> None:
        self._asking.stop()

    def on_unmount(self) -> None:
        self._asking.stop()

    def renew(self) -> None:
        self._follow_example()
        self.query_one(Picture).redraw()

    def _follow_example(self) -> None:
        """Another run or example: offer its question, unless the user has typed one; a token cursor is put away."""
        viewer, example = self.tui.viewer, self._example
        place = (str(viewer.run.path) if viewer else "", self.tui.view_state.example if example else -1)
        if place == self._of:
            return
        if place[0] != self._of[0]:
            self._asking.forget()
            self._asking.find_weights(self._run)
        self._of, self._token, self._first, self._reading = place, -1, None, None
        if self._pasted is None:
            self._asking.asked = None
        if example is not None and self._pasted is None and self.box.value in ("", self._offered):
            self._offer(example)

    def _offer(self, example: Example) -> None:
        self._offered = self.box.value = visible(example.question)
        self.box.cursor_position = 0

    def _look(self) -> None:
        if self.tui.view_name == self.id and self._asking.pop_changed():
            self.query_one(Picture).redraw()

    # -- what is asked, and of whom ------------------------------------------------------------------------

    @property
    def _run(self) -> RunDir | None:
        viewer = self.tui.viewer
        return viewer.run if viewer is not None else None

    @property
    def _example(self) -> Example | None:
        viewer = self.tui.viewer
        if viewer is None or not viewer.ready or not viewer.examples:
            return None
        return viewer.examples[min(self.tui.view_state.example, len(viewer.examples) - 1)]

    @property
    def _passage(self) -> str:
        """The pasted passage, or that of the example in view."""
        if self._pasted is not None:
            return self._pasted
        return self._example.context if self._example is not None else ""

    @property
    def _question(self) -> str:
        """What the box holds; the example's question as it is in the data where it is offered unchanged."""
        example = self._example
        if example is not None and self.box.value == self._offered == visible(example.question):
            return example.question
        return self.box.value

    @property
    def _expected(self) -> tuple[int, int] | None:
        """Where the example's first gold answer stands, if the question and the passage are its own."""
        example = self._example
        if example is None or self._asking.asked != (example.question, example.context) or not example.answers:
            return None
        first = example.answers[0]
        return first.start, first.start + len(first.text)

    def _ask(self) -> None:
        """Ask what the box and the passage hold."""
        self._asking.find_weights(self._run)
        if not self._asking.kept:
            self.tui.say(self._asking.trouble or "no weights are kept")
            return
        if not self._question.strip():
            self.tui.say("the question is empty: enter, and type one")
            return
        if not self._passage.strip():
            self.tui.say("the passage is empty: e, and type or paste one")
            return
        self._asking.asked = (self._question, self._passage)
        self._token, self._first = -1, None
        self._want()

    def _want(self) -> None:
        self._asking.want()
        self.tui.changed()

    # -- drawing -------------------------------------------------------------------------------------------

    @property
    def _glyphs(self) -> Glyphs:
        return glyphs_of(self.tui.ascii_only)

    def _line(self, text: str, width: int, role: str = "text") -> Strip:
        return Strip([Segment(" " + fit_text(plain(text, 2000), max(0, width - 1)), self.style_of(role))])

    def _draw(self, width: int, height: int) -> Sequence[Strip]:
        asking, weights = self._asking, self._asking.weights
        if weights is None:
            return [self._line(line, width, "warn") for line in message_lines(asking.trouble, width - 2, height)]
        others = f"{len(asking.kept)} kept: < and > choose, a shows all" if len(asking.kept) > 1 else KEEP_ALL
        lines = [self._line(f"{weights.label}; {others}", width, "dim")]
        found = asking.found(weights)
        if asking.all and asking.asked is not None:
            rows = [(one.label, asking.found(one)) for one in asking.kept]
            shown = max(1, min(len(rows), (height - 1) // 2))
            lines += all_strips(rows, asking.chosen, width, shown, self.style_of, self._glyphs)
            return [*lines, *self._text(found, None, width, height - len(lines))]
        if isinstance(found, str):
            hint = "enter: type a question, enter asks it; e: paste a passage" if asking.asked is None else found
            lines.append(self._line(hint, width, "dim" if asking.asked is None else "text"))
            return [*lines, *self._text(found, None, width, height - len(lines))]
        return [*lines, *self._answer(found, width, height - len(lines))]

    def _answer(self, answer: Answer, width: int, height: int) -> list[Strip]:
        style, glyphs = self.style_of, self._glyphs
        window = answer_window(answer, self._expected)
        below = max(2, min(6, height // 5))
        lines = answer_strips(answer, width, below, style, glyphs)
        if window is not None:
            rows = max(LEAST_CHART, min(MOST_CHART, (height - below) * 38 // 100))
            geometry = self._geometry(window, width)
            lines += chart_strips(window, geometry, rows, self._token, self.tui.view_state.scale, style, glyphs)
            lines.append(
                token_strip(
                    window.texts, window.start, window.end, window.choosable, self._token, style,
                    hint="[ and ] choose a token, m jumps to the answer",
                )
            )  # fmt: skip
        return [*lines, *self._text(answer, window, width, height - len(lines))]

    def _geometry(self, window: AnswerWindow, width: int) -> Geometry:
        cursor = (self._token,) if self._token >= 0 else ()
        in_view = (*cursor, *window.predicted, *window.expected)
        overview = self.tui.view_state.overview
        geometry = fit(len(window.texts), width - GUTTER, in_view=in_view, first=self._first, overview=overview)
        if not geometry.overview:
            self._first = geometry.first
        return geometry

    def _text(self, found: Answer | str, window: AnswerWindow | None, width: int, rows: int) -> list[Strip]:
        asked = self._asking.asked
        context = asked[1] if asked is not None and isinstance(found, Answer) else self._passage
        predicted = None
        if isinstance(found, Answer) and found.char_start >= 0:
            predicted = (found.char_start, found.char_end)
        strips, self._reading = passage_strips(
            context,
            predicted,
            self._expected if isinstance(found, Answer) else None,
            width,
            rows,
            self.style_of,
            self._glyphs,
            cursor=window.chars(self._token) if window is not None else None,
            first=self._reading,
        )
        return strips

    # -- the boxes -----------------------------------------------------------------------------------------

    def do_type_question(self) -> None:
        if self._asking.kept:
            self._asking.start()  # it loads while the question is typed
        self.box.open()

    def do_type_passage(self) -> None:
        self.editor.load_text(self._pasted or "")
        self._show_editor(True)
        self.editor.open()
        self.tui.say("type or paste a passage; escape takes it")

    def _show_editor(self, shown: bool) -> None:
        self.editor.display = shown
        self.query_one(Picture).display = not shown

    def do_own_passage(self) -> None:
        self._pasted = self._asking.asked = None
        if self._example is not None:
            self._offer(self._example)
        self.tui.changed()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._leave_boxes()
        self._ask()

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape" and (self.box.has_focus or self.editor.has_focus):
            event.stop()
            if self.editor.has_focus:
                self._take_passage(self.editor.original)
            self._leave_boxes()

    def on_text_box_too_long(self, event: TextBox.TooLong) -> None:
        self._take_passage(event.text)
        self._leave_boxes()

    def _take_passage(self, text: str) -> None:
        self._pasted = text if text.strip() else None
        if self._pasted is not None:
            self.tui.say(f"{len(text):,} characters are the passage now; o goes back to the example's")
            if self.box.value == self._offered:
                self.box.value = ""
        if self._asking.asked is not None and self._asking.asked[1] != self._passage:
            self._asking.asked = None
        self._reading = None

    def _leave_boxes(self) -> None:
        self._show_editor(False)
        self.screen.set_focus(None)
        self.tui.changed()

    # -- commands ------------------------------------------------------------------------------------------

    def do_weights_next(self) -> None:
        self._choose(self._asking.chosen + 1)

    def do_weights_previous(self) -> None:
        self._choose(self._asking.chosen - 1)

    def _choose(self, number: int) -> None:
        self._asking.choose(number)
        self.tui.changed()

    def do_weights_best(self) -> None:
        self._asking.choose_best()
        self.tui.changed()

    def do_weights_in_view(self) -> None:
        viewer, position = self.tui.viewer, self.tui.view_state.snapshot
        if viewer is None or position >= len(viewer.snapshots):
            return
        seen = viewer.snapshots[position]
        if not self._asking.choose_step(seen.step):
            names = ", ".join(_name(one) for one in self._asking.kept) or "none"
            how = "--keep-weights all keeps every epoch's"
            self.tui.say(f"weights of {seen.label} are not kept ({how}); kept: {names}")
            return
        self.tui.changed()

    def do_all_weights(self) -> None:
        self._asking.all = not self._asking.all
        self._want()

    def do_scale(self) -> None:
        state = self.tui.view_state
        state.scale = SCALES[(SCALES.index(state.scale) + 1) % len(SCALES)]
        self.tui.say(f"bars show {SCALE_NAMES[state.scale]}")
        self.tui.changed()

    def _window(self) -> AnswerWindow | None:
        answer = self._asking.answer
        return answer_window(answer, self._expected) if answer is not None else None

    def move_token(self, by: int) -> None:
        window = self._window()
        if window is not None:
            token = max(window.predicted[0], 0) if self._token < 0 else self._token + by
            self._token = max(0, min(token, len(window.texts) - 1))
            self.tui.changed()

    def do_no_token(self) -> None:
        self._token = -1
        self.tui.changed()

    def do_jump(self) -> None:
        window = self._window()
        stops = list(dict.fromkeys(t for t in (*window.predicted, *window.expected) if t >= 0)) if window else []
        if stops:
            at = stops.index(self._token) + 1 if self._token in stops else 0
            self._token = stops[at % len(stops)]
            self.tui.changed()

    def do_copy(self) -> None:
        answer = self._asking.answer
        if self._asking.asked is None or answer is None:
            self.tui.say("nothing was answered yet")
            return
        words = f"{answer.text or f'({NO_ANSWER})'} ({100 * answer.probability:.1f} %)"
        self.tui.copy(f"{self._asking.asked[0]}\nanswer: {words}")

    def do_why(self) -> None:
        """Explain the answer of the weights in view."""
        weights, asker = self._asking.weights, self._asking.asker
        if self._asking.asked is None or weights is None:
            self.tui.say("ask something first: enter")
            return
        question, context = self._asking.asked
        path = self._run.path if self._run is not None else weights.folder
        target = Target(question, context, path, step=weights.manifest.step, seen=weights.label)
        self.tui.explain(target, asker.lend if asker is not None else None)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.renew)


def _name(weights: KeptWeights) -> str:
    """For example `epoch 2`."""
    return weights.snapshot.label if weights.snapshot is not None else f"step {weights.manifest.step}"
