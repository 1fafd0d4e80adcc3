"""Journey: one example at one snapshot, every token's start and end score, the passage and the answers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.data.examples import Answer
from engine.data.segments import CONTEXT
from engine.errors import UserError
from engine.rundir.liveness import State
from tui.drawing.frame import Glyphs, glyphs_of
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf
from tui.drawing.token_bars import GUTTER, TokenChart
from tui.drawing.token_geometry import Geometry, fit
from tui.drawing.token_strips import token_strips
from tui.model.explainer import Target
from tui.screens.base import ScreenView
from tui.screens.journey.model import Limits, Scene, make_scene
from tui.screens.journey.texts import answer_strips, beside, chosen_token_strip, passage_strips, question_strip
from tui.view_state import SCALE_NAMES, SCALE_WORDS, SCALES
from tui.widgets.strip_view import StripView

WIDE = 120
"""From this width on the answers stand beside the passage."""
LEAST_CHART, MOST_CHART = 4, 24


class JourneyScreen(ScreenView):
    """The screen; one widget draws all of it, so that a flip sends only what differs."""

    def compose(self) -> ComposeResult:
        yield JourneyPicture()

    def renew(self) -> None:
        self.picture.redraw()

    @property
    def picture(self) -> JourneyPicture:
        return self.query_one(JourneyPicture)

    def scene_at_place(self) -> Scene | None:
        """The scene of the view state; the picture may lag behind keys that come fast."""
        viewer = self.tui.viewer
        return make_scene(viewer, self.tui.view_state) if viewer is not None and viewer.ready else None

    def move_token(self, by: int) -> None:
        scene, state = self.scene_at_place(), self.tui.view_state
        if scene is None:
            return
        token = max(scene.expected_tokens[0], 0) if state.token < 0 else state.token + by
        state.token = max(0, min(token, len(scene.tokens) - 1))
        self.tui.changed()

    def do_jump(self) -> None:
        scene, state = self.scene_at_place(), self.tui.view_state
        if scene is None:
            return
        stops = list(dict.fromkeys(t for t in (*scene.expected_tokens, *scene.predicted_tokens) if t >= 0))
        if stops:
            at = stops.index(state.token) + 1 if state.token in stops else 0
            state.token = stops[at % len(stops)]
            self.tui.changed()

    def do_scale(self) -> None:
        state = self.tui.view_state
        state.scale = SCALES[(SCALES.index(state.scale) + 1) % len(SCALES)]
        self.tui.say(f"bars show {SCALE_NAMES[state.scale]}")
        self.tui.changed()

    def do_fixed(self) -> None:
        state = self.tui.view_state
        state.fixed_scale = not state.fixed_scale
        self.tui.say("one scale for all snapshots" if state.fixed_scale else "each snapshot has its own scale")
        self.tui.changed()

    def do_zoom(self) -> None:
        self.tui.view_state.overview = not self.tui.view_state.overview
        if self.picture.geometry is not None and self.picture.geometry.all_fit:
            self.tui.say("all tokens are in view")
        self.tui.changed()

    def do_change(self) -> None:
        state = self.tui.view_state
        state.change = not state.change
        self.tui.say("shows what rose and fell since the snapshot before" if state.change else "shows scores alone")
        self.tui.changed()

    def do_window(self) -> None:
        scene = self.scene_at_place()
        if scene is None or scene.windows < 2:
            self.tui.say("this passage fits one window")
            return
        state = self.tui.view_state
        state.window, state.token, state.span_from = (scene.window + 1) % scene.windows, -1, -1
        self.tui.changed()

    def do_choose_span(self) -> None:
        """The token under the cursor is the first of the right answer, or its last."""
        scene, state = self.scene_at_place(), self.tui.view_state
        if scene is None:
            return
        if not 0 <= state.token < len(scene.tokens):
            self.move_token(0)
            self.tui.say("[ and ] walk the tokens; S at the first token of the right answer, S again at its last")
        elif scene.tokens.segment[state.token] != CONTEXT:
            self.tui.say("this token is not of the passage")
        elif state.span_from < 0:
            state.span_from = state.token
            self.tui.say("S again at the last token of the right answer; escape gives up")
            self.tui.changed()
        else:
            start, end = scene.span(state.span_from, state.token)
            self.tui.judge("replace", Answer(scene.example.context[start:end], start))

    def do_why(self) -> None:
        """Explain the answer at the kept weights nearest to the snapshot in view."""
        scene, viewer = self.scene_at_place(), self.tui.viewer
        if scene is None or viewer is None:
            return
        seen = viewer.snapshots[self.tui.view_state.snapshot]
        self.tui.explain(
            Target(scene.example.question, scene.example.context, viewer.run.path, step=seen.step, seen=seen.label)
        )

    def do_copy(self) -> None:
        scene = self.scene_at_place()
        if scene is None:
            return
        golds = " | ".join(answer.text for answer in scene.example.answers) or "(no answer)"
        found = scene.predicted_chars
        answer = scene.example.context[slice(*found)] if found else "(no answer)"
        if scene.predicted is None:
            answer = "(not scored at this snapshot)"
        self.tui.copy(f"{scene.example.question}\nexpected: {golds}\npredicted: {answer}")

    def do_search_text(self, text: str) -> None:
        """Go to the next example whose id, question or passage has `text` in it."""
        viewer, state = self.tui.viewer, self.tui.view_state
        if viewer is None or not text:
            return
        wanted, examples = text.casefold(), viewer.examples
        for step in range(1, len(examples) + 1):
            number = (state.example + step) % len(examples)
            example = examples[number]
            if any(wanted in part.casefold() for part in (example.id, example.question, example.context)):
                self.tui.go_to_example(number)
                return
        self.tui.say(f"no example has “{plain(text, 40)}”")


class JourneyPicture(StripView):
    """Question, two charts, the chosen token, the answers and the passage, as lines."""

    DEFAULT_CSS = "JourneyPicture { height: 1fr; width: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self.scene: Scene | None = None
        self.geometry: Geometry | None = None
        self._seen: tuple[int, int] | None = None
        self._read: tuple[int, int] | None = None
        self._limits = Limits()
        self._charts_end = 0

    @property
    def view(self) -> JourneyScreen:
        assert isinstance(self.parent, JourneyScreen)
        return self.parent

    @property
    def _style(self) -> StyleOf:
        return self.view.style_of

    @property
    def _glyphs(self) -> Glyphs:
        return glyphs_of(self.view.tui.ascii_only)

    def build(self, width: int, height: int) -> Sequence[Strip]:
        viewer, self.scene, self._charts_end = self.view.tui.viewer, None, 0
        try:
            self.scene = make_scene(viewer, self.view.tui.view_state) if viewer is not None and viewer.ready else None
        except (OSError, UserError) as error:
            return self._message(["This snapshot can't be read.", "", str(error)], width, height)
        if self.scene is None:
            return self._message(self._waiting(), width, height)
        rows, text_rows = share_rows(height)
        self._charts_end = 1 + 2 * rows
        state, count = self.view.tui.view_state, len(viewer.examples) if viewer else 0
        if self.scene.predicted is None:
            charts, self._charts_end = self._message(self._not_scored(), width, 2 * rows), 0
        else:
            charts = self._charts(self.scene, width, rows)
        return [
            question_strip(self.scene, state.example, count, self._style),
            *charts,
            chosen_token_strip(self.scene, state.token, self._style, state.span_from),
            *self._texts(self.scene, width, text_rows),
        ]

    def _not_scored(self) -> list[str]:
        """Why there are no charts."""
        viewer, position = self.view.tui.viewer, self.view.tui.view_state.snapshot
        assert viewer is not None
        label, text = viewer.snapshots[position].label, viewer.sample_text(position)
        return [
            f"This example is not scored at {label}: {text}.",
            "",
            "Of large sets an even sample is scored here; after every epoch all are.",
            "In Spans, t lists those that are scored.",
        ]

    def _message(self, words: Sequence[str], width: int, height: int) -> list[Strip]:
        lines = [Strip.blank(width)] * max(0, (height - len(words)) // 2)
        for word in words:
            text = plain(word, width)
            lines.append(Strip([Segment(" " * max(0, (width - len(text)) // 2)), Segment(text, self._style("text"))]))
        return [*lines, *[Strip.blank(width)] * (height - len(lines))]

    def _waiting(self) -> list[str]:
        viewer = self.view.tui.viewer
        if viewer is None:
            return ["No run is open.", "", "6 lists the runs and the sample data."]
        if viewer.state in (State.FAILED, State.DEAD, State.STOPPED):
            happened = {State.FAILED: "failed", State.DEAD: "died", State.STOPPED: "was stopped"}[viewer.state]
            log = f"More in {viewer.run.engine_log}"
            return [f"This run {happened} before its first snapshot.", "", viewer.reason, "", log]
        if viewer.snapshots:
            return ["Reading the examples …"]
        return [
            "Waiting for the first snapshot.",
            "",
            self.view.tui.progress,
            "",
            "Before training, the model scores every token at random. After each epoch",
            "the highest bars should come closer to the markers of the expected answer.",
        ]

    # -- the charts ----------------------------------------------------------------------------------------

    def _charts(self, scene: Scene, width: int, rows: int) -> list[Strip]:
        viewer, state = self.view.tui.viewer, self.view.tui.view_state
        assert viewer is not None
        expected, predicted = scene.expected_tokens, scene.predicted_tokens
        low, high = self._limits.of(viewer, scene, state)
        in_view = (state.token, *expected, *predicted) if state.token >= 0 else (*expected, *predicted)
        feature = scene.tokens.feature
        # The stretch stays where it is as long as it shows what matters: a flip moves bars, not tokens.
        first = self._seen[1] if self._seen is not None and self._seen[0] == feature else None
        geometry = fit(len(scene.tokens), width - GUTTER, in_view=in_view, first=first, overview=state.overview)
        self.geometry = geometry
        if not geometry.overview:
            self._seen = (feature, geometry.first)
        strips: list[Strip] = []
        for side, (name, logits) in enumerate((("start", scene.start), ("end", scene.end))):
            chart = TokenChart(
                title=f"{name} of the answer",
                measure=SCALE_WORDS[state.scale],
                values=scene.scaled(logits, state.scale),
                low=low,
                high=high,
                role=name,
                expected_role=f"expected_{name}",
                expected=expected[side],
                predicted=predicted[side],
                cursor=state.token,
                before=scene.scaled(scene.before[side], state.scale) if scene.before else None,
            )
            strips += token_strips(chart, geometry, rows, self._style, self._glyphs)
        return strips

    # -- the words -----------------------------------------------------------------------------------------

    def _texts(self, scene: Scene, width: int, rows: int) -> list[Strip]:
        if width < WIDE:
            below = min(max(2, rows * 2 // 5), 8)
            return [*self._answers(scene, width, below), *self._passage(scene, width, rows - below)]
        left = width * 11 // 20
        answers = self._answers(scene, width - left - 1, rows)
        return beside(self._passage(scene, left - 1, rows), answers, left)

    def _answers(self, scene: Scene, width: int, rows: int) -> list[Strip]:
        return answer_strips(scene, width, rows, self._style, self._glyphs)

    def _passage(self, scene: Scene, width: int, rows: int) -> list[Strip]:
        if rows <= 0:
            return []
        state = self.view.tui.view_state
        first = self._read[1] if self._read is not None and self._read[0] == state.example else None
        strips, begins = passage_strips(
            scene, width, rows, state.token, self._style, self._glyphs, first=first, span_from=state.span_from
        )
        self._read = (state.example, begins)
        return strips

    # -- the mouse -----------------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        if self.geometry is None or not 1 <= event.y < self._charts_end:
            return
        tokens = self.geometry.tokens_of(event.x - GUTTER)
        if tokens:
            self.view.tui.view_state.token = tokens.start
            self.view.tui.changed()


def share_rows(height: int) -> tuple[int, int]:
    """Rows of each chart and of the texts, from the rows of the view (question and token line take one each)."""
    rest = max(0, height - 2)
    chart = max(LEAST_CHART, min(MOST_CHART, rest * 34 // 100))
    return chart, max(0, rest - 2 * chart)
