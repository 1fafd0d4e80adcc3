"""The scores of every eval example at one moment: written once, read lazily."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.config import SnapshotDtype
from engine.errors import DataError
from engine.events import Metrics, SnapshotTaken
from engine.insight.calibration import Calibration, decode_calibration
from engine.storage.atomic_io import make_folder
from engine.storage.tensors import Tensors, write_tensors

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
    """What a snapshot is of: `index` counts from 0 (untrained), `epoch` may be a fraction, `time` is Unix seconds."""

    index: int
    label: str
    step: int
    epoch: float
    time: float
    metrics: Metrics
    seen: Metrics | None = None
    unseen: Metrics | None = None


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
) -> str:
    """Write a snapshot into the run folder `run`; returns its name relative to it.

    `start_logits` and `end_logits` are float32[T], flat over all eval windows; `columns` has every name of
    COLUMNS. With `dtype` float16 the scores of tokens are rounded to 11 bits; columns and metrics, which were computed
    before, are as exact as ever. Raises WriteError.
    """
    arrays = _columns(columns)
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
        time=info.time,
    )


class Snapshot:
    """An open snapshot file; one of the training examples has no scores of tokens."""

    def __init__(self, path: Path, *, train: bool = False) -> None:
        """Open the file; raises FileNotFoundError, and DataError where it is damaged."""
        self._tensors = Tensors(path)
        try:
            self.info = msgspec.json.decode(self._tensors.metadata["snapshot"], type=SnapshotInfo)
            if missing := set(REQUIRED_TRAIN if train else REQUIRED) - set(self._tensors.names):
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
            dtype = np.dtype(COLUMNS[name])
            return np.full(len(range(self.n_examples)[lo:hi]), MISSING[dtype.kind], dtype)
        return self._tensors.read(name, lo, hi)

    def prediction(self, example: int) -> Prediction:
        """What the model answered to one example."""

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
        """Start and end scores float32[hi - lo] of tokens `lo` to `hi`, counted over all windows."""
        start, end = self._tensors.read("start_logits", lo, hi), self._tensors.read("end_logits", lo, hi)
        return start.astype(np.float32, copy=False), end.astype(np.float32, copy=False)

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
