"""Ask: any question on the example's passage or on pasted text, to the run's kept weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip
from textual.widgets import Input

from engine.data.examples import Example
from engine.errors import UserError
from engine.messages import Answer
from engine.rundir.checkpoints import KeptWeights, best_kept, kept_weights
from tui.drawing.columns import fit_text
from tui.drawing.frame import Glyphs, glyphs_of
from tui.drawing.text import plain, visible
from tui.drawing.token_bars import GUTTER
from tui.drawing.token_geometry import Geometry, fit
from tui.drawing.token_words import token_strip
from tui.model.asker import Asked, Asker
from tui.model.explainer import Target
from tui.model.predictions import NO_ANSWER
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
        self._asker: Asker | None = None
        self._seen = -1
        self._answers: dict[Asked, Answer] = {}
        """What an answering process that was ended had answered."""
        self._kept: list[KeptWeights] = []
        self._trouble = ""
        """Why there are no weights to ask."""
        self._best: Path | None = None
        self._folder: Path | None = None
        """The weights that answer; None: the best epoch's."""
        self._all = False
        self._pasted: str | None = None
        self._offered = ""
        """The question that the box was filled with."""
        self._asked: tuple[str, str] | None = None
        """Question and passage that were asked last."""
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
        self._find_weights()
        super().enter()

    def on_hide(self) -> None:
        self._stop()

    def on_unmount(self) -> None:
        self._stop()

    def _stop(self) -> None:
        """End the answering process; answers stay where they are shown again."""
        if self._asker is not None:
            self._answers = dict(self._asker.answers)
            self._asker.close()
            self._asker = None

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
            self._stop()
            self._folder, self._asked, self._all = None, None, False
            self._find_weights()
        self._of, self._token, self._first, self._reading = place, -1, None, None
        if self._pasted is None:
            self._asked = None
        if example is not None and self._pasted is None and self.box.value in ("", self._offered):
            self._offer(example)

    def _offer(self, example: Example) -> None:
        self._offered = self.box.value = visible(example.question)
        self.box.cursor_position = 0

    def _look(self) -> None:
        if self._asker is not None and self._asker.changes != self._seen and self.tui.view_name == self.id:
            self._seen = self._asker.changes
            self.query_one(Picture).redraw()

    # -- what is asked, and of whom ------------------------------------------------------------------------

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
        if example is None or self._asked != (example.question, example.context) or not example.answers:
            return None
        first = example.answers[0]
        return first.start, first.start + len(first.text)

    def _find_weights(self) -> None:
        viewer = self.tui.viewer
        self._kept, self._trouble = [], "no run is open: 6 lists the runs"
        if viewer is None:
            return
        try:
            self._kept, self._trouble = kept_weights(viewer.run), ""
            if not any(one.folder == self._folder for one in self._kept):
                self._folder = None
            self._best = best_kept(viewer.run).folder
        except (OSError, UserError) as error:
            self._trouble = str(error)

    @property
    def _chosen(self) -> int:
        """Position of the weights that answer; -1 where none are kept."""
        wanted = self._folder or self._best
        return next((number for number, one in enumerate(self._kept) if one.folder == wanted), len(self._kept) - 1)

    def _ask(self) -> None:
        """Ask what the box and the passage hold."""
        self._find_weights()
        if not self._kept:
            self.tui.say(self._trouble or "no weights are kept")
            return
        if not self._question.strip():
            self.tui.say("the question is empty: enter, and type one")
            return
        if not self._passage.strip():
            self.tui.say("the passage is empty: e, and type or paste one")
            return
        self._asked = (self._question, self._passage)
        self._token, self._first = -1, None
        self._want()

    def _want(self) -> None:
        """Ask the weights in view (the others after them, where all are shown) what was asked last."""
        if self._asked is not None and self._chosen >= 0:
            first = self._kept[self._chosen]
            weights = [first, *(one for one in self._kept if one is not first)] if self._all else [first]
            wanted = [Asked(*self._asked, one.folder) for one in weights]
            if not all(one in self._answers for one in wanted):
                self._start().ask(*wanted)
        self.tui.changed()

    def _start(self) -> Asker:
        """Start the answering process, if none is there."""
        if self._asker is None:
            self._asker, self._seen = Asker(self._kept[self._chosen].folder), -1
        return self._asker

    def _found(self, weights: KeptWeights) -> Answer | str:
        """What the weights answered; in words why nothing (yet)."""
        if self._asked is None:
            return "not asked"
        asked = Asked(*self._asked, weights.folder)
        if asked in self._answers:
            return self._answers[asked]
        if self._asker is None:
            return "not asked"
        if asked in self._asker.answers:
            return self._asker.answers[asked]
        if asked in self._asker.failed:
            return str(self._asker.failed[asked])
        progress = self._asker.progress
        if progress is not None and progress.total > 1:
            return f"answering: {progress.done} of {progress.total} windows …"
        return "answering …" if self._asker.ready else "loading the model …"

    # -- drawing -------------------------------------------------------------------------------------------

    @property
    def _glyphs(self) -> Glyphs:
        return glyphs_of(self.tui.ascii_only)

    def _line(self, text: str, width: int, role: str = "text") -> Strip:
        return Strip([Segment(" " + fit_text(plain(text, 2000), max(0, width - 1)), self.style_of(role))])

    def _draw(self, width: int, height: int) -> Sequence[Strip]:
        if self._chosen < 0:
            return [self._line(self._trouble, width, "warn")]
        weights = self._kept[self._chosen]
        others = f"{len(self._kept)} kept: < and > choose, a shows all" if len(self._kept) > 1 else KEEP_ALL
        lines = [self._line(f"{weights.label}; {others}", width, "dim")]
        found = self._found(weights)
        if self._all and self._asked is not None:
            rows = [(one.label, self._found(one)) for one in self._kept]
            shown = max(1, min(len(rows), (height - 1) // 2))
            lines += all_strips(rows, self._chosen, width, shown, self.style_of, self._glyphs)
            return [*lines, *self._text(found, None, width, height - len(lines))]
        if isinstance(found, str):
            hint = "enter: type a question, enter asks it; e: paste a passage" if self._asked is None else found
            lines.append(self._line(hint, width, "dim" if self._asked is None else "text"))
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
        context = self._asked[1] if self._asked is not None and isinstance(found, Answer) else self._passage
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
        if self._kept:
            self._start()  # it loads while the question is typed
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
        self._pasted = self._asked = None
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
        self._asked = None if self._asked is not None and self._asked[1] != self._passage else self._asked
        self._reading = None

    def _leave_boxes(self) -> None:
        self._show_editor(False)
        self.screen.set_focus(None)
        self.tui.changed()

    # -- commands ------------------------------------------------------------------------------------------

    def do_weights_next(self) -> None:
        self._choose(self._chosen + 1)

    def do_weights_previous(self) -> None:
        self._choose(self._chosen - 1)

    def _choose(self, number: int) -> None:
        if self._kept:
            self._folder = self._kept[number % len(self._kept)].folder
            self._want()

    def do_weights_best(self) -> None:
        self._folder = None
        self._want()

    def do_weights_in_view(self) -> None:
        viewer, position = self.tui.viewer, self.tui.view_state.snapshot
        if viewer is None or position >= len(viewer.snapshots):
            return
        seen = viewer.snapshots[position]
        found = next((one for one in self._kept if one.manifest.step == seen.step), None)
        if found is None:
            names = ", ".join(_name(one) for one in self._kept) or "none"
            how = "--keep-weights all keeps every epoch's"
            self.tui.say(f"weights of {seen.label} are not kept ({how}); kept: {names}")
            return
        self._folder = found.folder
        self._want()

    def do_all_weights(self) -> None:
        self._all = not self._all
        self._want()

    def do_scale(self) -> None:
        state = self.tui.view_state
        state.scale = SCALES[(SCALES.index(state.scale) + 1) % len(SCALES)]
        self.tui.say(f"bars show {SCALE_NAMES[state.scale]}")
        self.tui.changed()

    def _window(self) -> AnswerWindow | None:
        found = self._found(self._kept[self._chosen]) if self._chosen >= 0 else ""
        return answer_window(found, self._expected) if isinstance(found, Answer) else None

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
        found = self._found(self._kept[self._chosen]) if self._chosen >= 0 else ""
        if self._asked is None or not isinstance(found, Answer):
            self.tui.say("nothing was answered yet")
            return
        self.tui.copy(f"{self._asked[0]}\nanswer: {found.text or f'({NO_ANSWER})'} ({100 * found.probability:.1f} %)")

    def do_why(self) -> None:
        """Explain the answer of the weights in view."""
        if self._asked is None or self._chosen < 0:
            self.tui.say("ask something first: enter")
            return
        question, context = self._asked
        weights = self._kept[self._chosen]
        viewer = self.tui.viewer
        path = viewer.run.path if viewer is not None else weights.folder
        target = Target(question, context, path, step=weights.manifest.step, seen=weights.label)
        self.tui.explain(target, self._asker.lend if self._asker is not None else None)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.renew)


def _name(weights: KeptWeights) -> str:
    """For example `epoch 2`."""
    return weights.snapshot.label if weights.snapshot is not None else f"step {weights.manifest.step}"
