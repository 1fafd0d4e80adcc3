"""The scores of every eval example at one moment: written once, read lazily."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.config import SnapshotDtype
from engine.errors import DataError
from engine.events import Metrics, SnapshotTaken, sample_text
from engine.insight.calibration import Calibration, decode_calibration
from engine.storage.atomic_io import make_folder
from engine.storage.tensors import Tensors, write_tensors

if TYPE_CHECKING:
    from engine.data.sample import Sample

FloatArray = NDArray[np.float32]

COLUMNS: Mapping[str, str] = {
    "pred_feature": "<i4",
    "pred_start": "<i4",
    "pred_end": "<i4",
    "pred_char_start": "<i4",
    "pred_char_end": "<i4",
    "score": "<f4",
    "null_score": "<f4",
    "gold_start_prob": "<f4",
    "gold_end_prob": "<f4",
    "start_correct": "u1",
    "end_correct": "u1",
    "iou": "<f4",
    "exact_match": "<f4",
    "f1": "<f4",
    "gold_log_prob": "<f4",
    "far_margin": "<f4",
    "near_margin": "<f4",
    "null_margin": "<f4",
    "expected_iou": "<f4",
}
"""Per-example arrays `[N]` of a snapshot and their dtypes. Predicted tokens count from the window's first
token, characters are code points of the passage; -1 is the null answer. `iou` is the overlap of predicted and
first gold answer over their union, in characters (0 to 1); `exact_match` and `f1` are 0 to 1, best of all golds.
`gold_log_prob`, the margins and `expected_iou` are those of `engine.insight.margins.margin_columns`.

A new column takes an entry here, its computation in `engine.insight.scoring` and its display. Snapshots written
before it stay readable: there it holds MISSING."""

MISSING: Mapping[str, float] = {"f": np.nan, "i": -1, "u": 0}
"""What a column holds that a snapshot lacks, by kind of dtype."""


SAMPLE_EXAMPLES, SAMPLE_TOKENS = "sample_examples", "sample_tokens"
"""What only a snapshot of a sample holds, as in `engine.data.sample.Sample`: the numbers of its examples, and where the
tokens of its windows stand among those of all. Its `start_logits` and `end_logits` are those of its windows alone, one
after the other; its columns are as long as any, and hold MISSING for examples that are not scored."""


class Prediction(NamedTuple):
    """The answer to one example at one snapshot: columns of COLUMNS; -1 where the answer is the null answer."""

    feature: int
    start: int
    end: int
    char_start: int
    char_end: int
    score: float
    is_right: bool


FLOAT16_MAX = float(np.finfo(np.float16).max)
REQUIRED = ("start_logits", "end_logits", "score")
"""What every snapshot holds; the length of `score` is the number of examples."""
REQUIRED_TRAIN = ("score",)
"""What every snapshot of the training examples holds."""


class SnapshotInfo(Struct, frozen=True, kw_only=True):
    """What a snapshot is of: `index` counts from 0 (untrained), `epoch` may be a fraction, `time` is Unix seconds.
    `sampled_of`: it is of a sample of so many examples; None where all are scored."""

    index: int
    label: str
    step: int
    epoch: float
    time: float
    metrics: Metrics
    seen: Metrics | None = None
    unseen: Metrics | None = None
    sampled_of: int | None = None

    @property
    def sample_text(self) -> str:
        """For example `200 of 10,570 scored`; "" where all examples are."""
        return sample_text(self.metrics, self.sampled_of)


def snapshot_name(index: int, *, train: bool = False) -> str:
    """File name of snapshot `index`, relative to the run; with `train` that of the training examples."""
    return f"{'train_' if train else ''}snapshots/{index:04}.safetensors"


def write_snapshot(
    run: Path,
    info: SnapshotInfo,
    start_logits: FloatArray,
    end_logits: FloatArray,
    columns: Mapping[str, NDArray[Any]],
    calibration: Calibration | None = None,
    *,
    dtype: SnapshotDtype = "float32",
    sample: Sample | None = None,
) -> str:
    """Write a snapshot into the run folder `run`; returns its name relative to it.

    `start_logits` and `end_logits` are float32[T], flat over all eval windows; `columns` has every name of
    COLUMNS. With `dtype` float16 the scores of tokens are rounded to 11 bits; columns and metrics, which were computed
    before, are as exact as ever. With a `sample` the scores are of its windows and the columns of its examples. Raises
    WriteError.
    """
    arrays = _columns(columns) if sample is None else _sample_columns(columns, sample)
    for name, logits in (("start_logits", start_logits), ("end_logits", end_logits)):
        if dtype == "float16":
            logits = np.clip(logits, -FLOAT16_MAX, FLOAT16_MAX)
        arrays[name] = np.asarray(logits, dtype=dtype)
    name = snapshot_name(info.index)
    metadata = {"snapshot": msgspec.json.encode(info).decode()}
    if calibration is not None:
        metadata["calibration"] = msgspec.json.encode(calibration).decode()
    write_tensors(run / name, arrays, metadata)
    return name


def write_train_snapshot(run: Path, info: SnapshotInfo, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write what the model answers to the training examples: the columns alone, not the scores of tokens, into the run
    folder `run`. Raises WriteError."""
    path = run / snapshot_name(info.index, train=True)
    if not path.parent.exists():
        make_folder(path.parent)
    write_tensors(path, _columns(columns), {"snapshot": msgspec.json.encode(info).decode()})


def _columns(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(columns[name], dtype=dtype) for name, dtype in COLUMNS.items()}


def _sample_columns(columns: Mapping[str, NDArray[Any]], sample: Sample) -> dict[str, NDArray[Any]]:
    """The columns of a sample's examples as those of all, and what the sample is."""
    arrays: dict[str, NDArray[Any]] = {SAMPLE_EXAMPLES: sample.examples, SAMPLE_TOKENS: sample.tokens}
    for name, values in _columns(columns).items():
        arrays[name] = _missing(name, sample.total)
        if name == "pred_feature":
            values = np.where(values < 0, values, sample.windows[values])
        arrays[name][sample.examples] = values
    return arrays


def _missing(name: str, count: int) -> NDArray[Any]:
    dtype = np.dtype(COLUMNS[name])
    return np.full(count, MISSING[dtype.kind], dtype)


def snapshot_event(info: SnapshotInfo) -> SnapshotTaken:
    """The event that announces the snapshot; the file comes first, the event is only a hint."""
    return SnapshotTaken(
        index=info.index,
        label=info.label,
        step=info.step,
        epoch=info.epoch,
        file=snapshot_name(info.index),
        metrics=info.metrics,
        seen=info.seen,
        unseen=info.unseen,
        sampled_of=info.sampled_of,
        time=info.time,
    )


class Snapshot:
    """An open snapshot file; one of the training examples has no scores of tokens."""

    def __init__(self, path: Path, *, train: bool = False) -> None:
        """Open the file; raises FileNotFoundError, and DataError where it is damaged."""
        self._tensors = Tensors(path)
        try:
            self.info = msgspec.json.decode(self._tensors.metadata["snapshot"], type=SnapshotInfo)
            required = {*(REQUIRED_TRAIN if train else REQUIRED)}
            if self.info.sampled_of is not None:
                required |= {SAMPLE_EXAMPLES, SAMPLE_TOKENS}
            if missing := required - set(self._tensors.names):
                raise ValueError(f"no {', '.join(sorted(missing))}")
        except (KeyError, ValueError, msgspec.MsgspecError) as error:
            self._tensors.close()
            raise DataError(f"{path}: not a snapshot ({error}).") from None

    def has(self, name: str) -> bool:
        """Whether the file itself holds the column; one that another version wrote may not."""
        return name in self._tensors.names

    @property
    def n_examples(self) -> int:
        return self._tensors.length("score")

    @property
    def calibration(self) -> Calibration | None:
        """How far its probabilities can be trusted; None where that was not computed with it (see
        engine.rundir.calibration)."""
        return decode_calibration(self._tensors.metadata.get("calibration", "").encode())

    def column(self, name: str, lo: int = 0, hi: int | None = None) -> NDArray[Any]:
        """One value for each example, or for examples `lo` to `hi`; names and dtypes in COLUMNS.

        A column that this snapshot lacks, since another version wrote it, holds MISSING. Raises KeyError for a name
        that is neither in the file nor in COLUMNS.
        """
        if name in COLUMNS and name not in self._tensors.names:
            return _missing(name, len(range(self.n_examples)[lo:hi]))
        return self._tensors.read(name, lo, hi)

    @cached_property
    def scored(self) -> NDArray[np.bool_]:
        """bool[N]: the examples that are scored at this snapshot; all of them but where it is of a sample."""
        if self.info.sampled_of is None:
            return np.ones(self.n_examples, np.bool_)
        found = np.zeros(self.n_examples, np.bool_)
        chosen = self._tensors.read(SAMPLE_EXAMPLES)
        if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < len(found):
            raise DataError(f"{self._tensors.path}: not a snapshot (examples out of range).")
        found[chosen] = True
        return found

    def prediction(self, example: int) -> Prediction | None:
        """What the model answered to one example; None where it is not scored at this snapshot."""
        if not self.scored[example]:
            return None

        def value(name: str) -> float:
            return float(self.column(name, example, example + 1)[0])

        return Prediction(
            feature=int(value("pred_feature")),
            start=int(value("pred_start")),
            end=int(value("pred_end")),
            char_start=int(value("pred_char_start")),
            char_end=int(value("pred_char_end")),
            score=value("score"),
            is_right=value("exact_match") >= 1,
        )

    def logits(self, lo: int = 0, hi: int | None = None) -> tuple[FloatArray, FloatArray]:
        """Start and end scores float32[hi - lo] of tokens `lo` to `hi`, counted over all windows; NaN where they are
        not scored. Of a sample `hi` must be given."""
        if self.info.sampled_of is not None:
            return self._sample_logits("start_logits", lo, hi), self._sample_logits("end_logits", lo, hi)
        start, end = self._tensors.read("start_logits", lo, hi), self._tensors.read("end_logits", lo, hi)
        return start.astype(np.float32, copy=False), end.astype(np.float32, copy=False)

    def _sample_logits(self, name: str, lo: int, hi: int | None) -> FloatArray:
        begins, ends = self._sample_tokens.T
        hi = int(ends[-1]) if hi is None else hi
        stored = np.concatenate([[0], np.cumsum(ends - begins)])
        found = np.full(hi - lo, np.nan, np.float32)
        for window in range(int(np.searchsorted(ends, lo, side="right")), int(np.searchsorted(begins, hi))):
            first, last = max(lo, int(begins[window])), min(hi, int(ends[window]))
            at = int(stored[window] - begins[window])
            found[first - lo : last - lo] = self._tensors.read(name, first + at, last + at)
        return found

    @cached_property
    def _sample_tokens(self) -> NDArray[np.int64]:
        """int64[W, 2]: where the tokens of the scored windows stand among those of all."""
        return self._tensors.read(SAMPLE_TOKENS)

    @property
    def rounded(self) -> bool:
        """Whether the scores of tokens were rounded: answers that are nearly as good as each other may seem equal, and
        the columns tell which one is the best."""
        return self._tensors.dtype("start_logits") == np.float16

    def close(self) -> None:
        self._tensors.close()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
