"""Questions in, answers out, by the same windows, scores and decoding as evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.config import RunConfig
from engine.data.examples import Example
from engine.data.features import Features, build_features
from engine.data.segments import token_texts
from engine.data.tokenizer import PairTokenizer
from engine.errors import UsageError
from engine.insight.probability import SpanSums, probability
from engine.insight.spans import AnswerRules, FloatArray, Predictions, Window, decode, n_best
from engine.learning.describe import device_name
from engine.learning.encoder.load import Model, choose_device, choose_precision, load_model
from engine.learning.evaluation import score_windows
from engine.learning.prepare import load_tokenizer, window_length
from engine.messages import Answer, AnswerRequest, Candidate, Ready, Source, WindowScores
from engine.models import locate_model

WARM_UP_STEP = 64
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class LoadedModel:
    """A model that answers, as `source` says; `max_length` is what it takes."""

    source: Source
    model: Model
    tokenizer: PairTokenizer
    max_length: int

    def features(self, examples: list[Example]) -> Features:
        """The windows of the examples, as evaluation cuts them."""
        stride = min(self.source.doc_stride, self.max_length - 1)
        return build_features(examples, self.tokenizer, max_length=self.max_length, doc_stride=stride)


def load(source: Source) -> LoadedModel:
    """Load the model and its tokenizer. Raises UserError."""
    config = RunConfig(
        dataset="-",
        model=source.model,
        revision=source.revision,
        trust_remote_code=source.trust_remote_code,
        max_length=source.max_length,
        doc_stride=0,  # where the model's windows are short, the overlap gives way
        device=source.device,
        precision=source.precision,
    )
    files = locate_model(config)
    device = choose_device(config)
    dtype, _ = choose_precision(config, device)
    tokenizer = load_tokenizer(files, trust_remote_code=source.trust_remote_code)
    model = load_model(
        files,
        seed=config.seed,
        device=device,
        dtype=dtype,
        trust_remote_code=source.trust_remote_code,
        draw_head=False,
    )
    return LoadedModel(source, model, tokenizer, window_length(config, files))


def describe(loaded: LoadedModel, number: int, seconds: float) -> Ready:
    """What is loaded, as the reply to request `number`."""
    model = loaded.model
    return Ready(
        id=number,
        source=loaded.source,
        device=device_name(model),
        precision=model.precision,
        parameters=model.parameters,
        packed=model.packed,
        max_length=loaded.max_length,
        seconds=seconds,
    )


def warm_up(loaded: LoadedModel, tokens: int) -> None:
    """Score a window of about `tokens` tokens: the first one of a size takes longer than those after it."""
    example = Example("", "", "a", "a " * max(1, tokens - 4), ())
    score_windows(loaded.model, loaded.features([example]))


def answers(loaded: LoadedModel, request: AnswerRequest, report: Report | None = None) -> tuple[Answer, ...]:
    """The answer to each question; `report(done, total)` counts windows. Raises UsageError."""
    found = decoded(loaded, request, report)
    return tuple(found.answer(number) for number in range(len(found.examples)))


def decoded(loaded: LoadedModel, request: AnswerRequest, report: Report | None = None) -> Decoded:
    """The request's windows, scored and searched for answers. Raises UsageError."""
    examples = _examples(request)
    source, decision = loaded.source, request.decision
    features = loaded.features(examples)
    start, end = score_windows(loaded.model, features, progress=_sparing(report) if report else None)
    spans = decode(features, start, end, len(examples), AnswerRules(source.max_answer_length))
    totals = SpanSums.of(
        features,
        start,
        end,
        len(examples),
        AnswerRules(source.max_answer_length, allow_null=source.allow_null, null_threshold=decision.threshold),
    ).log_total(decision.temperature)
    found = spans.with_null(decision.threshold) if source.allow_null else spans
    first = np.searchsorted(features.feature_example, np.arange(len(examples) + 1)).tolist()
    windows = [range(low, high) for low, high in pairwise(first)]
    return Decoded(loaded, request, examples, windows, features, start, end, spans, found, totals.tolist())


@dataclass(frozen=True)
class Decoded:
    """The scores of a request's windows; `windows` are those of each example, `spans` the best spans, `found` the
    answers with "no answer", `totals` the log of the sum over all answers."""

    loaded: LoadedModel
    request: AnswerRequest
    examples: list[Example]
    windows: list[range]
    features: Features
    start: FloatArray
    end: FloatArray
    spans: Predictions
    found: Predictions
    totals: list[float]

    def place(self, number: int) -> tuple[int, int, int]:
        """The window and the first and last token of an example's answer; of "no answer" the null token, in the window
        that rates it lowest, whose score counts. Raises UsageError where there is neither."""
        if int(self.found.char_start[number]) < 0 and self.loaded.source.allow_null:
            windows = self.windows[number]
            places = self.features.token_offset[windows] + self.features.null_token[windows]
            window = windows[int(np.argmin(self.start[places] + self.end[places]))]
            null = int(self.features.null_token[window])
            return window, null, null
        window = int(self.spans.feature[number])
        if window < 0:
            raise UsageError("the model finds no answer in this passage.", hint="Has it any words?")
        return window, int(self.spans.start[number]), int(self.spans.end[number])

    def answer(self, number: int) -> Answer:
        """What an example's question is answered."""
        example, windows, total = self.examples[number], self.windows[number], self.totals[number]
        source, request = self.loaded.source, self.request
        temperature = request.decision.temperature
        null = int(self.found.char_start[number]) < 0
        score = float(self.spans.score[number])
        counted = self._counted_null(float(self.spans.null_score[number])) if null and source.allow_null else score
        chance = float(probability(counted, total, temperature=temperature))
        withheld = not null and chance < request.decision.min_probability
        low, high = int(self.found.char_start[number]), int(self.found.char_end[number])
        if null or withheld:
            low = high = -1
        best = int(self.spans.feature[number])
        wanted = {"none": [], "all": list(windows), "best": [best if best in windows else windows[0]]}[request.scores]
        return Answer(
            text=example.context[low:high] if low >= 0 else "",
            char_start=low,
            char_end=high,
            probability=chance,
            score=score,
            null_odds=float(self.spans.null_odds[number]) if source.allow_null else None,
            withheld=withheld,
            windows=len(windows),
            n_best=self._candidates(example, windows, total) if request.n_best else (),
            scores=tuple(self.window_scores(number, window) for window in wanted),
        )

    def _candidates(self, example: Example, windows: range, total: float) -> tuple[Candidate, ...]:
        source = self.loaded.source
        found = n_best(
            [self._window(window) for window in windows],
            AnswerRules(source.max_answer_length, allow_null=source.allow_null),
            k=self.request.n_best,
        )
        scores = np.array([one.score if one.start >= 0 else self._counted_null(one.score) for one in found])
        chances = probability(scores, total, temperature=self.request.decision.temperature).tolist()
        order = np.argsort(-scores, kind="stable").tolist()
        return tuple(
            Candidate(
                text=example.context[one.char_start : one.char_end] if one.start >= 0 else "",
                char_start=one.char_start,
                char_end=one.char_end,
                start_logit=one.start_logit,
                end_logit=one.end_logit,
                score=one.score,
                probability=chance,
            )
            for one, chance in ((found[at], chances[at]) for at in order)
        )

    def _counted_null(self, score: float) -> float:
        """The null answer's score as it counts in probabilities: at the threshold it equals the best span's."""
        return score - self.request.decision.threshold

    def _window(self, number: int) -> Window:
        features = self.features
        part = slice(int(features.token_offset[number]), int(features.token_offset[number + 1]))
        return Window(
            feature=number,
            start_logits=self.start[part],
            end_logits=self.end[part],
            segment=features.segment[part],
            char_start=features.char_start[part].astype(np.int32),
            char_end=features.char_end[part].astype(np.int32),
            null_token=int(features.null_token[number]),
        )

    def window_scores(self, number: int, window: int) -> WindowScores:
        """The scores of one of an example's windows, with the tokens that they belong to."""
        example, windows = self.examples[number], self.windows[number]
        part = self._window(window)
        tokenizer = self.loaded.tokenizer
        here = window == int(self.spans.feature[number])
        return WindowScores(
            number=window - windows[0],
            tokens=token_texts(
                example.question,
                example.context,
                (tokenizer.cls_token, tokenizer.sep_token),
                part.segment,
                part.char_start,
                part.char_end,
            ),
            segment=part.segment.tolist(),
            char_start=part.char_start.tolist(),
            char_end=part.char_end.tolist(),
            start_logits=part.start_logits.tolist(),
            end_logits=part.end_logits.tolist(),
            null_token=part.null_token,
            start=int(self.spans.start[number]) if here else -1,
            end=int(self.spans.end[number]) if here else -1,
        )


def _examples(request: AnswerRequest) -> list[Example]:
    for text in request.contexts:
        if not text.strip():
            raise UsageError("the passage is empty.", hint="An answer is a stretch of the passage.")
    if any(not 0 <= number < len(request.contexts) for number, _ in request.questions):
        raise UsageError("a question names a passage that the request lacks.")
    return [
        Example(str(place), "", question, request.contexts[number], ())
        for place, (number, question) in enumerate(request.questions)
    ]


def _sparing(report: Report) -> Report:
    """Calls `report` twice a second, and at the end."""
    last = time.monotonic()

    def spared(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last > 0.5:
            last = time.monotonic()
            report(done, total)

    return spared
