"""What an engine says while it works: one tagged record for each kind of event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_type_hints

from msgspec import Struct

BY_ANSWER, BEST, THRESHOLD = "HasAns and NoAns", "Best EM and F1", "Best threshold"
"""Panels of the metrics of sets with unanswerable questions."""


@dataclass(frozen=True)
class Metric:
    """What there is to know of a field of Metrics: how it is named, written, compared, drawn and computed.

    `label` is its full name, `short` its name in a line of scores (there it stands as `spec` formats it); `panel` is
    the chart of Curves it is drawn in, whose axis ends at `top` (None: at the data); `lower_is_better` as for a loss.
    It is the mean over the examples of the per-example array `mean_of`, which is a column of a snapshot or another
    array of scoring, times `scale`; a metric with an empty `mean_of` is computed over the whole set. A metric that is
    `shown_apart` stands beside the others of seen and unseen passages. `lower_is_better` is None where neither is.
    """

    label: str
    short: str
    panel: str
    mean_of: str
    spec: str = ".3f"
    scale: float = 1.0
    top: float | None = None
    lower_is_better: bool | None = False
    shown_apart: bool = False

    def text(self, value: float) -> str:
        """For example `EM 63.5`."""
        return f"{self.short} {value:{self.spec}}"


def percent(label: str, panel: str, mean_of: str = "") -> Metric:
    """A metric from 0 to 100, the mean of an array from 0 to 1."""
    return Metric(label, label, panel, mean_of, ".1f", scale=100.0, top=100.0)


def threshold(label: str) -> Metric:
    """A threshold of the null odds."""
    return Metric(label, label, THRESHOLD, "", "+.2f", lower_is_better=None)


class Metrics(Struct, frozen=True, kw_only=True):
    """Scores of one snapshot over a set of eval examples. This is the one table of metrics: scoring, curves, compare,
    timeline and plain output are made from it, and a new metric is one line here.

    `start_accuracy` and `end_accuracy` are shares (0 to 1) of examples whose predicted token is the first gold
    answer's; `exact_match` and `f1` (0 to 100, best over all golds) follow the official SQuAD scripts; `loss` is the
    mean cross-entropy of gold starts and ends over the tokens that may be chosen.

    Only where the set has unanswerable questions (else None), by the names of evaluate-v2.0.py: HasAns is over the
    questions with an answer, NoAns over those without (there F1 equals EM). A threshold is compared with the null
    odds, the null answer's score minus the best span's: "no answer" is predicted above it. `best_exact_match` and
    `best_f1` are those of the best threshold, which is tuned on the labels it is scored with: upper bounds.

    A metric added later has a default, so that older runs stay readable.
    """

    examples: int
    start_accuracy: Annotated[
        float, Metric("start accuracy", "start", "Accuracy", "start_correct", top=1.0, shown_apart=True)
    ]
    end_accuracy: Annotated[float, Metric("end accuracy", "end", "Accuracy", "end_correct", top=1.0, shown_apart=True)]
    exact_match: Annotated[float, percent("EM", "EM and F1", "exact_match")]
    f1: Annotated[float, percent("F1", "EM and F1", "f1")]
    has_answer_exact_match: Annotated[float | None, percent("HasAns EM", BY_ANSWER, "has_answer_exact_match")] = None
    has_answer_f1: Annotated[float | None, percent("HasAns F1", BY_ANSWER, "has_answer_f1")] = None
    no_answer_exact_match: Annotated[float | None, percent("NoAns EM", BY_ANSWER, "no_answer_exact_match")] = None
    no_answer_f1: Annotated[float | None, percent("NoAns F1", BY_ANSWER, "no_answer_f1")] = None
    best_exact_match: Annotated[float | None, percent("best EM", BEST)] = None
    best_exact_threshold: Annotated[float | None, threshold("threshold of best EM")] = None
    best_f1: Annotated[float | None, percent("best F1", BEST)] = None
    best_f1_threshold: Annotated[float | None, threshold("threshold of best F1")] = None
    loss: Annotated[float | None, Metric("loss", "loss", "Loss", "loss", lower_is_better=True)] = None

    @property
    def mean_accuracy(self) -> float:
        """Mean of start and end accuracy (0 to 1), the notebook's measure."""
        return (self.start_accuracy + self.end_accuracy) / 2


def sample_text(metrics: Metrics, sampled_of: int | None) -> str:
    """For example `200 of 10,570 scored`; "" where all examples are."""
    return "" if sampled_of is None else f"{metrics.examples:,} of {sampled_of:,} scored"


FIRST_OF_UNANSWERABLE = ("has_answer_f1", "no_answer_f1", "best_f1", "f1", "exact_match")
"""What comes first where a set has unanswerable questions: EM and F1 over all may come from "no answer" alone."""


def metric_table(record: type[Struct] = Metrics) -> dict[str, Metric]:
    """The metrics by field name, in the order of their declaration."""
    hints = get_type_hints(record, include_extras=True)
    return {
        name: metric
        for name, hint in hints.items()
        for metric in getattr(hint, "__metadata__", ())
        if isinstance(metric, Metric)
    }


def score_texts(metrics: Metrics) -> dict[str, str]:
    """The scores that are known by field name, each as a short text such as `EM 63.5`, the most important first."""
    table = metric_table(type(metrics))
    order = [*table]
    if metrics.no_answer_f1 is not None:
        order = [*FIRST_OF_UNANSWERABLE, *(name for name in table if name not in FIRST_OF_UNANSWERABLE)]
    return {name: table[name].text(value) for name in order if (value := getattr(metrics, name)) is not None}


class Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """`seq` counts records of a run from 1 without gaps; `time` is Unix seconds. Both are set by the log."""

    seq: int = 0
    time: float = 0.0

    @property
    def type(self) -> str:
        """The kind of event, as in the log: `step`, `snapshot`, …"""
        return str(self.__struct_config__.tag)


class RunStarted(Event, frozen=True, kw_only=True, tag="run_started"):
    """An engine took the run over, for the first time or (`resumed_from_step` set) again. The run writes `snapshots`
    of `snapshot_bytes` in all, and `checkpoint_bytes` are left of its checkpoints at its end (0: not known)."""

    dataset: str
    model: str
    device: str
    precision: str
    lr: float
    batch_size: int
    epochs: int
    total_steps: int
    train_examples: int
    train_features: int
    eval_examples: int
    eval_features: int
    parameters: int
    resumed_from_step: int | None = None
    snapshots: int = 0
    snapshot_bytes: int = 0
    checkpoint_bytes: int = 0


class Phase(Event, frozen=True, kw_only=True, tag="phase"):
    """What the engine does now; `done` of `total` units are finished (0 of 0: not countable). `part` is what it works
    on besides the run's own training, such as `fold 2 of 5`."""

    name: Literal["loading", "reading", "tokenizing", "training", "evaluating", "saving"]
    detail: str = ""
    done: int = 0
    total: int = 0
    part: str = ""


class Step(Event, frozen=True, kw_only=True, tag="step"):
    """One optimiser step. Values may come a few steps late, never out of order."""

    step: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    examples_per_second: float
    tokens_per_second: float
    memory: int


class SnapshotTaken(Event, frozen=True, kw_only=True, tag="snapshot"):
    """The snapshot `file` (relative to the run) is whole on disk. Where `sampled_of` is set, it is of an even sample of
    so many eval examples: the metrics are not those of the whole set. The untrained model's is then taken again under
    the same index, of a larger sample and of all of them."""

    index: int
    label: str
    step: int
    epoch: float
    file: str
    metrics: Metrics
    seen: Metrics | None = None
    unseen: Metrics | None = None
    sampled_of: int | None = None

    @property
    def sample_text(self) -> str:
        """For example `200 of 10,570 scored`; "" where all examples are."""
        return sample_text(self.metrics, self.sampled_of)


class CheckpointSaved(Event, frozen=True, kw_only=True, tag="checkpoint"):
    """The checkpoint folder `path` (relative to the run) is whole on disk."""

    path: str
    step: int
    epoch: float
    resumable: bool = True


class CommandDone(Event, frozen=True, kw_only=True, tag="command"):
    """A viewer's command was read and this became of it."""

    id: str
    command: str
    outcome: str


class Paused(Event, frozen=True, kw_only=True, tag="paused"):
    step: int


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    step: int


class Warned(Event, frozen=True, kw_only=True, tag="warning"):
    message: str
    hint: str = ""


class Finished(Event, frozen=True, kw_only=True, tag="finished"):
    """The run is done. `reason` says why before its last planned epoch; "" where it had them all."""

    step: int
    epoch: float
    seconds: float
    metrics: Metrics | None = None
    reason: str = ""


class Stopped(Event, frozen=True, kw_only=True, tag="stopped"):
    """The run ended early on request and can be resumed."""

    step: int
    epoch: float
    reason: str


class Failed(Event, frozen=True, kw_only=True, tag="failed"):
    """The run ended by a fault: `message` says what, `hint` what to do; `exit_code` as in ExitCode."""

    message: str
    hint: str = ""
    exit_code: int = 1


AnyEvent = (
    RunStarted
    | Phase
    | Step
    | SnapshotTaken
    | CheckpointSaved
    | CommandDone
    | Paused
    | Resumed
    | Warned
    | Finished
    | Stopped
    | Failed
)

ENDINGS = (Finished, Stopped, Failed)
"""Events after which an engine says nothing more."""
