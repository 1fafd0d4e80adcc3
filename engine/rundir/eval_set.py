"""The eval examples of a run and their windows of tokens, as features.safetensors and examples.json hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Example, read_examples, seen_mask
from engine.data.segments import CONTEXT, token_texts
from engine.errors import DataError
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot
from engine.storage.tensors import Tensors, write_tensors

if TYPE_CHECKING:
    from engine.data.features import Features
    from engine.insight.spans import Window

STORED = {
    "feature_example": np.int32,
    "token_offset": np.int64,
    "char_start": np.int32,
    "char_end": np.int32,
    "segment": np.int8,
    "null_token": np.int32,
    "gold_start": np.int32,
    "gold_end": np.int32,
}


def write_features(
    run: RunDir, features: Features, *, specials: tuple[str, str], max_answer_length: int, allow_null: bool
) -> None:
    """Write features.safetensors of the eval set; `specials` are the names of the first and the other special
    tokens, for display. Raises WriteError."""
    write_tensors(
        run.features_file,
        {name: getattr(features, name).astype(dtype, copy=False) for name, dtype in STORED.items()},
        {
            "first_special": specials[0],
            "other_special": specials[1],
            "max_answer_length": str(max_answer_length),
            "allow_null": str(int(allow_null)),
        },
    )


@dataclass(frozen=True)
class Tokens:
    """One window of one example: where its tokens stand.

    `char_start`, `char_end` int32[n] are code points of the question or the passage, by `segment` int8[n]
    (special, question, context); `gold_start`, `gold_end` count from the window's first token, -1 where the
    first gold answer is not wholly in the window; `null_token` is the token of the null answer. `lo` and `hi`
    are the window's place in a snapshot's flat scores.
    """

    feature: int
    lo: int
    hi: int
    char_start: NDArray[np.int32]
    char_end: NDArray[np.int32]
    segment: NDArray[np.int8]
    null_token: int
    gold_start: int
    gold_end: int

    def __len__(self) -> int:
        return self.hi - self.lo


@dataclass(frozen=True)
class AllWindows:
    """The windows of all examples, flat: what `engine.insight.margins` needs of `engine.data.features.Features`."""

    feature_example: NDArray[np.int32]
    token_offset: NDArray[np.int64]
    char_start: NDArray[np.int32]
    char_end: NDArray[np.int32]
    segment: NDArray[np.int8]
    null_token: NDArray[np.int32]


@dataclass(frozen=True)
class Scores:
    """Scores of one window at one moment. `gold` and `predicted` are (start, end) tokens, None for no answer here."""

    tokens: list[str]
    start_logits: NDArray[np.float32]
    end_logits: NDArray[np.float32]
    gold: tuple[int, int] | None
    predicted: tuple[int, int] | None


class EvalSet:
    """Reads the two files lazily; both are written once, before the first snapshot."""

    def __init__(self, run: RunDir) -> None:
        """Raises FileNotFoundError as long as the engine has not written the features."""
        self._run = run
        self._features = Tensors(run.features_file)
        metadata = self._features.metadata
        self.max_answer_length = int(metadata["max_answer_length"])
        self.allow_null = metadata["allow_null"] == "1"
        self.special_names = (metadata["first_special"], metadata["other_special"])
        """How the first special token of a window is shown, and how the others are."""
        self.feature_example: NDArray[np.int32] = self._features.read("feature_example")
        self.token_offset: NDArray[np.int64] = self._features.read("token_offset")
        self._small = {name: self._features.read(name) for name in ("null_token", "gold_start", "gold_end")}

    @property
    def examples(self) -> Sequence[Example]:
        """The scored eval examples, in the order of every column of a snapshot."""
        return self._read[0]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """bool[N]: the passage of an example stands in the training half too."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[Sequence[Example], NDArray[np.bool_]]:
        dataset = read_examples(self._run.examples_file)
        return dataset.eval, seen_mask(dataset)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {example.id: number for number, example in enumerate(self.examples)}

    def index_of(self, example_id: str) -> int:
        """Raises KeyError for an id that is not among the scored examples."""
        return self._index[example_id]

    def features_of(self, example: int) -> range:
        """Numbers of the windows of an example."""
        lo, hi = np.searchsorted(self.feature_example, [example, example + 1])
        return range(int(lo), int(hi))

    def windows(self) -> AllWindows:
        """All windows at once, read from the file."""
        read = self._features.read
        return AllWindows(
            feature_example=self.feature_example,
            token_offset=self.token_offset,
            char_start=read("char_start"),
            char_end=read("char_end"),
            segment=read("segment"),
            null_token=self._small["null_token"],
        )

    def tokens(self, feature: int) -> Tokens:
        """Where the tokens of window `feature` stand."""
        lo, hi = int(self.token_offset[feature]), int(self.token_offset[feature + 1])
        read: Any = self._features.read
        return Tokens(
            feature=feature,
            lo=lo,
            hi=hi,
            char_start=read("char_start", lo, hi),
            char_end=read("char_end", lo, hi),
            segment=read("segment", lo, hi),
            null_token=int(self._small["null_token"][feature]),
            gold_start=int(self._small["gold_start"][feature]),
            gold_end=int(self._small["gold_end"][feature]),
        )

    def choosable(self, tokens: Tokens) -> NDArray[np.bool_]:
        """bool[n]: the tokens of a window that an answer may start or end with: those of the passage, and the null
        token where "no answer" may be predicted."""
        chosen: NDArray[np.bool_] = tokens.segment == CONTEXT
        if self.allow_null:
            chosen[tokens.null_token] = True
        return chosen

    def token_texts(self, tokens: Tokens) -> list[str]:
        """What each token of a window covers; specials by their names. Text from outside: show() it."""
        example = self.examples[int(self.feature_example[tokens.feature])]
        return token_texts(
            example.question, example.context, self.special_names, tokens.segment, tokens.char_start, tokens.char_end
        )

    def window(self, tokens: Tokens, snapshot: Snapshot) -> Window:
        """The scores of a window with what n-best decoding needs."""
        from engine.insight.spans import Window  # only this one needs the decoder's room

        start_logits, end_logits = snapshot.logits(tokens.lo, tokens.hi)
        return Window(
            feature=tokens.feature,
            start_logits=start_logits,
            end_logits=end_logits,
            segment=tokens.segment,
            char_start=tokens.char_start,
            char_end=tokens.char_end,
            null_token=tokens.null_token,
        )

    def scores(self, snapshot: Snapshot, example_id: str, window: int | None = None) -> Scores:
        """Scores of an example's window number `window`; of the predicted answer's window where it is None.

        Raises DataError for an example that is not in the snapshot's sample.
        """
        number = self.index_of(example_id)
        features = self.features_of(number)
        predicted = snapshot.prediction(number)
        if predicted is None:
            raise DataError(
                f"{example_id}: not scored at snapshot {snapshot.info.index} ({snapshot.info.sample_text})."
            )
        if window is not None:
            feature = features[window]
        else:
            feature = predicted.feature if predicted.feature in features else features[0]
        tokens = self.tokens(feature)
        start_logits, end_logits = snapshot.logits(tokens.lo, tokens.hi)
        answered_here = predicted.feature == feature and predicted.start >= 0
        return Scores(
            tokens=self.token_texts(tokens),
            start_logits=start_logits,
            end_logits=end_logits,
            gold=(tokens.gold_start, tokens.gold_end) if tokens.gold_start >= 0 else None,
            predicted=(predicted.start, predicted.end) if answered_here else None,
        )

    def close(self) -> None:
        self._features.close()
