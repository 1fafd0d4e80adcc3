"""Journey: one example at one snapshot, every token's start and end score, the passage and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.data.examples import Example
from engine.eval_set import CONTEXT, Tokens
from engine.insight.metrics import prepare_golds
from engine.insight.spans import Candidate
from engine.ownership import State
from tui.charts import ASCII, GUTTER, UNICODE, Geometry, TokenChart, fit, token_strips
from tui.passage import Mark, passage_lines
from tui.place import SCALE_NAMES, SCALES
from tui.screens.view import View
from tui.text import plain
from tui.widgets.bars import PHASES
from tui.widgets.strip_view import StripView

Numbers = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything Journey shows of one window of one example at one snapshot."""

    example: Example
    tokens: Tokens
    texts: list[str]
    window: int
    windows: int
    start: Numbers
    end: Numbers
    candidates: list[Candidate]
    predicted: Candidate | None
    choosable: NDArray[np.bool_]

    @property
    def predicted_tokens(self) -> tuple[int, int]:
        """Start and end of the answer in this window; the null token for "no answer"; -1 where it is elsewhere."""
        if self.predicted is None or self.predicted.feature != self.tokens.feature:
            return -1, -1
        if self.predicted.start < 0:
            return self.tokens.null_token, self.tokens.null_token
        return self.predicted.start, self.predicted.end

    @property
    def expected_tokens(self) -> tuple[int, int]:
        """Start and end of the first gold answer; the null token where there is none; -1 where it is elsewhere."""
        if self.example.is_impossible:
            return self.tokens.null_token, self.tokens.null_token
        return self.tokens.gold_start, self.tokens.gold_end


def probabilities(logits: Numbers, choosable: NDArray[np.bool_]) -> Numbers:
    """float32[n]: softmax over the tokens that may be chosen; 0 for the others."""
    masked = np.where(choosable, logits, -np.inf)
    weights = np.exp(masked - masked.max(initial=-1e30))
    return np.asarray(weights / max(float(weights.sum()), 1e-30), np.float32)


class Journey(View):
    """The screen; one widget draws all of it, so that a flip sends only the lines that differ."""

    def compose(self) -> ComposeResult:
        yield JourneyPicture()

    def renew(self) -> None:
        self.query_one(JourneyPicture).redraw()

    def _picture(self) -> JourneyPicture:
        return self.query_one(JourneyPicture)

    def do_token_right(self) -> None:
        self._move_token(1)

    def do_token_left(self) -> None:
        self._move_token(-1)

    def do_tokens_right(self) -> None:
        self._move_token(10)

    def do_tokens_left(self) -> None:
        self._move_token(-10)

    def _move_token(self, by: int) -> None:
        scene, place = self._picture().scene, self.tui.place
        if scene is None:
            return
        token = max(scene.expected_tokens[0], 0) if place.token < 0 else place.token + by
        place.token = max(0, min(token, len(scene.tokens) - 1))
        self.tui.changed()

    def do_jump(self) -> None:
        scene, place = self._picture().scene, self.tui.place
        if scene is None:
            return
        stops = [token for token in (*scene.expected_tokens, *scene.predicted_tokens) if token >= 0]
        stops = list(dict.fromkeys(stops))
        if stops:
            at = stops.index(place.token) + 1 if place.token in stops else 0
            place.token = stops[at % len(stops)]
            self.tui.changed()

    def do_scale(self) -> None:
        place = self.tui.place
        place.scale = SCALES[(SCALES.index(place.scale) + 1) % len(SCALES)]
        self.tui.say(f"bars show {SCALE_NAMES[place.scale]}")
        self.tui.changed()

    def do_fixed(self) -> None:
        place = self.tui.place
        place.fixed_scale = not place.fixed_scale
        self.tui.say("one scale for all snapshots" if place.fixed_scale else "each snapshot has its own scale")
        self.tui.changed()

    def do_zoom(self) -> None:
        self.tui.place.overview = not self.tui.place.overview
        self.tui.changed()

    def do_change(self) -> None:
        self.tui.place.change = not self.tui.place.change
        self.tui.changed()

    def do_window(self) -> None:
        scene = self._picture().scene
        if scene is None or scene.windows < 2:
            self.tui.say("this passage fits one window")
            return
        self.tui.place.window, self.tui.place.token = (scene.window + 1) % scene.windows, -1
        self.tui.changed()

    def do_copy(self) -> None:
        scene = self._picture().scene
        if scene is None:
            return
        best = scene.predicted
        answer = scene.example.context[best.char_start : best.char_end] if best and best.start >= 0 else ""
        golds = " | ".join(answer.text for answer in scene.example.answers) or "(no answer)"
        self.tui.copy(f"{scene.example.question}\nexpected: {golds}\npredicted: {answer or '(no answer)'}")

    def do_search_text(self, text: str) -> None:
        """Go to the next example whose id, question or passage has `text` in it."""
        viewer, place = self.tui.viewer, self.tui.place
        if viewer is None or not text:
            return
        wanted, examples = text.casefold(), viewer.examples
        for step in range(1, len(examples) + 1):
            number = (place.example + step) % len(examples)
            example = examples[number]
            if any(wanted in part.casefold() for part in (example.id, example.question, example.context)):
                self.tui.go_to_example(number)
                return
        self.tui.say(f"no example has “{plain(text, 40)}”")


class JourneyPicture(StripView):
    """Question, two charts, the chosen token, the passage and the answers, as lines."""

    DEFAULT_CSS = "JourneyPicture { height: 1fr; width: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self.scene: Scene | None = None
        self._geometry: Geometry | None = None
        self._first: tuple[int, int] | None = None
        self._limits: dict[tuple[int, int], tuple[Numbers, Numbers]] = {}
        self._charts_end = 0

    @property
    def view(self) -> Journey:
        assert isinstance(self.parent, Journey)
        return self.parent

    # -- what is shown -------------------------------------------------------------------------------------

    def _make_scene(self) -> Scene | None:
        viewer, place = self.view.tui.viewer, self.view.tui.place
        if viewer is None or not viewer.snapshots or viewer.eval_set is None or not viewer.examples:
            return None
        place.example = min(place.example, len(viewer.examples) - 1)
        windows = viewer.windows(place.example)
        if not windows:
            return None
        candidates = viewer.candidates(place.snapshot, place.example)
        predicted = viewer.predicted(place.snapshot, place.example)
        number = place.window
        if number is None:
            feature = predicted.feature if predicted is not None else -1
            holding = [n for n, tokens in enumerate(windows) if tokens.feature == feature]
            golden = [n for n, tokens in enumerate(windows) if tokens.gold_start >= 0]
            number = (golden or holding or [0])[0]
        tokens = windows[min(number, len(windows) - 1)]
        start, end = viewer.snapshot(place.snapshot).logits(tokens.lo, tokens.hi)
        choosable = tokens.segment == CONTEXT
        if viewer.eval_set.allow_null:
            choosable[tokens.null_token] = True
        return Scene(
            viewer.examples[place.example],
            tokens,
            viewer.eval_set.token_texts(tokens),
            min(number, len(windows) - 1),
            len(windows),
            start,
            end,
            candidates,
            predicted,
            choosable,
        )

    def _scaled(self, logits: Numbers, choosable: NDArray[np.bool_]) -> Numbers:
        match self.view.tui.place.scale:
            case "probability":
                return probabilities(logits, choosable)
            case "shifted":
                return np.asarray(logits - logits.min(), np.float32)
            case _:
                return logits

    def _scale_limits(self, scene: Scene) -> tuple[float, float]:
        """Lowest and highest value of the y axis: one for both charts, and with a fixed scale for all snapshots."""
        viewer, place = self.view.tui.viewer, self.view.tui.place
        assert viewer is not None
        if place.scale == "probability" and place.fixed_scale:
            return 0.0, 1.0
        pairs = [(scene.start, scene.end)]
        if place.fixed_scale:
            pairs = []
            for position, event in enumerate(viewer.snapshots):
                key = (event.index, scene.tokens.feature)
                if key not in self._limits:
                    if len(self._limits) > 4096:
                        self._limits.clear()
                    start, end = viewer.snapshot(position).logits(scene.tokens.lo, scene.tokens.hi)
                    self._limits[key] = (
                        np.array([start.min(), start.max()], np.float32),
                        np.array([end.min(), end.max()], np.float32),
                    )
                pairs.append(self._limits[key])
        if place.scale == "shifted":
            return 0.0, max(1.0, max(float(np.ptp(side)) for pair in pairs for side in pair))
        if place.scale == "probability":
            values = [probabilities(side, scene.choosable) for side in (scene.start, scene.end)]
            return 0.0, max(0.01, *(float(value.max()) for value in values))
        low = min(float(side.min()) for pair in pairs for side in pair)
        high = max(float(side.max()) for pair in pairs for side in pair)
        return min(0.0, float(np.floor(low))), max(1.0, float(np.ceil(high)))

    def build(self, width: int, height: int) -> Sequence[Strip]:
        self.scene = self._make_scene()
        if self.scene is None:
            return self._waiting(width, height)
        scene, style = self.scene, self.view.style_of
        chart_rows, text_rows = _share(height)
        self._charts_end = 1 + 2 * chart_rows
        lines = [self._question(scene, style), *self._charts(scene, width, chart_rows), self._token(scene, style)]
        lines += self._texts(scene, width, text_rows)
        return lines

    def _waiting(self, width: int, height: int) -> list[Strip]:
        viewer, style = self.view.tui.viewer, self.view.style_of
        if viewer is None:
            words = ["No run is open. 6 lists the runs and the sample data."]
        elif viewer.state in (State.FAILED, State.DEAD):
            words = [f"This run {'failed' if viewer.state is State.FAILED else 'died'} before its first snapshot.", ""]
            words += [viewer.reason, "", f"More in {viewer.run.engine_log}"]
        else:
            phase = PHASES.get(viewer.phase.name, "") if viewer.phase else "starting the engine"
            words = [
                f"Waiting for the first snapshot: {phase} …",
                "",
                "Before training, the model scores every token at random. After each epoch",
                "the highest bars should come closer to the markers of the expected answer.",
            ]
        top = max(0, (height - len(words)) // 2)
        lines = [Strip.blank(width)] * top
        for word in words:
            text = plain(word, width)
            lines.append(Strip([Segment(" " * max(0, (width - len(text)) // 2)), Segment(text, style("text"))]))
        return lines

    def _question(self, scene: Scene, style: object) -> Strip:
        role, place = self.view.style_of, self.view.tui.place
        viewer = self.view.tui.viewer
        count = len(viewer.examples) if viewer else 0
        segments = [
            Segment(f" {place.example + 1}/{count} ", role("dim")),
            Segment(plain(scene.example.question, 500), role("heading")),
            Segment(f"  {plain(scene.example.id, 60)}", role("dim")),
        ]
        if scene.windows > 1:
            segments.insert(1, Segment(f"window {scene.window + 1}/{scene.windows} ", role("warn")))
        return Strip(segments)

    def _charts(self, scene: Scene, width: int, rows: int) -> list[Strip]:
        viewer, place = self.view.tui.viewer, self.view.tui.place
        assert viewer is not None
        expected, predicted = scene.expected_tokens, scene.predicted_tokens
        low, high = self._scale_limits(scene)
        in_view = (place.token, *expected, *predicted) if place.token >= 0 else (*expected, *predicted)
        feature = scene.tokens.feature
        first = self._first[1] if self._first is not None and self._first[0] == feature else None
        geometry = fit(len(scene.tokens), width - GUTTER, in_view=in_view, first=first, overview=place.overview)
        self._geometry, self._first = geometry, (feature, geometry.first)
        before: tuple[Numbers, Numbers] | None = None
        if place.change and place.snapshot > 0:
            before = viewer.snapshot(place.snapshot - 1).logits(scene.tokens.lo, scene.tokens.hi)
        note = "" if place.scale == "logit" else SCALE_NAMES[place.scale].split(" among")[0]
        strips: list[Strip] = []
        for side, (title, logits) in enumerate((("start", scene.start), ("end", scene.end))):
            chart = TokenChart(
                title=f"{title} of the answer",
                values=self._scaled(logits, scene.choosable),
                low=low,
                high=high,
                role=title,
                expected_role=f"expected_{title}",
                expected=expected[side],
                predicted=predicted[side],
                cursor=place.token,
                before=self._scaled(before[side], scene.choosable) if before else None,
                note=note,
            )
            glyphs = ASCII if self.view.tui.ascii_only else UNICODE
            strips += token_strips(chart, geometry, rows, self.view.style_of, glyphs)
        return strips

    def _token(self, scene: Scene, style: object) -> Strip:
        role, token = self.view.style_of, self.view.tui.place.token
        if not 0 <= token < len(scene.tokens):
            words = " [ and ] choose a token, m jumps to the expected one"
            return Strip([Segment(words, role("dim"))])
        segments = [
            Segment(f" token {token} ", role("dim")),
            Segment(f"“{plain(scene.texts[token], 40)}”", role("heading")),
        ]
        for name, logits in (("start", scene.start), ("end", scene.end)):
            share = float(probabilities(logits, scene.choosable)[token])
            rank = int((logits > logits[token]).sum()) + 1
            segments.append(Segment(f"  {name} ", role(name)))
            segments.append(Segment(f"{logits[token]:.2f}  p {share:.3f}  rank {rank}", role("text")))
        return Strip(segments)

    # -- the words -----------------------------------------------------------------------------------------

    def _texts(self, scene: Scene, width: int, rows: int) -> list[Strip]:
        if width >= 120:
            left = width * 3 // 5
            passage = self._passage(scene, left - 1, rows)
            answers = self._answers(scene, width - left - 1, rows)
            blank = Strip.blank(left)
            passage += [blank] * (rows - len(passage))
            answers += [Strip.blank(0)] * (rows - len(answers))
            return [
                Strip([*p.adjust_cell_length(left), Segment(" "), *a]) for p, a in zip(passage, answers, strict=True)
            ]
        below = min(max(2, rows * 2 // 5), 8)
        return [*self._answers(scene, width, below), *self._passage(scene, width, rows - below)]

    def _answers(self, scene: Scene, width: int, rows: int) -> list[Strip]:
        role = self.view.style_of
        golds = [answer.text for answer in scene.example.answers]
        shown = " | ".join(dict.fromkeys(plain(gold, 200) for gold in golds)) or "no answer: the passage does not tell"
        lines = [Strip([Segment(" expected  ", role("expected")), Segment(shown, role("text"))])]
        prepared = prepare_golds([golds], v2=scene.example.is_impossible)
        for number, candidate in enumerate(scene.candidates[: max(0, rows - 1)], 1):
            text = scene.example.context[candidate.char_start : candidate.char_end] if candidate.start >= 0 else ""
            exact = prepared.score([text])[0][0] == 1.0
            mark = ("+" if exact else " ") if self.view.tui.ascii_only else ("✓" if exact else " ")
            segments = [
                Segment(f" {number:>2} {mark} ", role("good" if exact else "predicted" if number == 1 else "dim")),
                Segment(f"{100 * candidate.probability:5.1f} % ", role("text" if number == 1 else "dim")),
                Segment(f"{candidate.score:7.2f}  ", role("dim")),
                Segment(plain(text, 300) or "(no answer)", role("heading" if number == 1 else "text")),
            ]
            lines.append(Strip(segments))
        return [line.crop(0, width) for line in lines[:rows]]

    def _passage(self, scene: Scene, width: int, rows: int) -> list[Strip]:
        if rows <= 0:
            return []
        role = self.view.style_of
        marks = []
        first = scene.example.answers[0] if scene.example.answers else None
        gold = (first.start, first.start + len(first.text)) if first else None
        best = scene.predicted
        found = (best.char_start, best.char_end) if best is not None and best.start >= 0 else None
        if gold is not None and gold == found:
            marks.append(Mark(*gold, "both", "both"))
        else:
            if gold is not None:
                marks.append(Mark(*gold, "expected", "expected"))
            if found is not None:
                marks.append(Mark(*found, "predicted", "predicted"))
        cursor, token = None, self.view.tui.place.token
        if 0 <= token < len(scene.tokens) and scene.tokens.segment[token] == CONTEXT:
            cursor = (int(scene.tokens.char_start[token]), int(scene.tokens.char_end[token]))
        lines = passage_lines(
            scene.example.context, width - 2, rows, marks, cursor=cursor, ascii_only=self.view.tui.ascii_only
        )
        strips = []
        for line in lines:
            segments = [Segment(" ")]
            segments += [Segment(text, _styled(role, names)) for text, names in line]
            strips.append(Strip(segments))
        return strips

    # -- the mouse -----------------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        if self._geometry is None or not 1 <= event.y < self._charts_end:
            return
        tokens = self._geometry.tokens_of(event.x - GUTTER)
        if tokens:
            self.view.tui.place.token = tokens.start
            self.view.tui.changed()

    def on_mouse_scroll_down(self) -> None:
        self.view.tui.do_down()

    def on_mouse_scroll_up(self) -> None:
        self.view.tui.do_up()


def _styled(role: object, names: tuple[str, ...]) -> Style:
    style = Style.null()
    for name in names:
        style += role(name) if callable(role) else Style.null()
    return style


def _share(height: int) -> tuple[int, int]:
    """Rows of each chart and of the texts, from the rows of the view (question and token line take one each)."""
    rest = max(0, height - 2)
    chart = max(4, min(16, rest * 31 // 100))
    return chart, max(0, rest - 2 * chart)
