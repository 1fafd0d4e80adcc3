"""What an engine says while it works: one tagged record for each kind of event."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Metrics(Struct, frozen=True, kw_only=True):
    """Scores of one snapshot over a set of eval examples.

    `start_accuracy` and `end_accuracy` are shares (0 to 1) of examples whose predicted token is the first
    gold answer's; `exact_match` and `f1` (0 to 100, best over all golds) follow the official SQuAD scripts;
    `loss` is the mean cross-entropy of gold starts and ends over the tokens that may be chosen.
    """

    examples: int
    start_accuracy: float
    end_accuracy: float
    exact_match: float
    f1: float
    loss: float | None = None

    @property
    def mean_accuracy(self) -> float:
        """Mean of start and end accuracy (0 to 1), the notebook's measure."""
        return (self.start_accuracy + self.end_accuracy) / 2


class Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """`seq` counts records of a run from 1 without gaps; `time` is Unix seconds. Both are set by the log."""

    seq: int = 0
    time: float = 0.0

    @property
    def type(self) -> str:
        """The kind of event, as in the log: `step`, `snapshot`, …"""
        return str(self.__struct_config__.tag)


class RunStarted(Event, frozen=True, kw_only=True, tag="run_started"):
    """An engine took the run over, for the first time or (`resumed_from_step` set) again."""

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


class Phase(Event, frozen=True, kw_only=True, tag="phase"):
    """What the engine does now; `done` of `total` units are finished (0 of 0: not countable)."""

    name: Literal["loading", "reading", "tokenizing", "training", "evaluating", "saving"]
    detail: str = ""
    done: int = 0
    total: int = 0


class Step(Event, frozen=True, kw_only=True, tag="step"):
    """One optimiser step. Values may be told a few steps late, never out of order."""

    step: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    examples_per_second: float
    tokens_per_second: float
    memory: int


class SnapshotTaken(Event, frozen=True, kw_only=True, tag="snapshot"):
    """The snapshot `file` (relative to the run) is whole on disk."""

    index: int
    label: str
    step: int
    epoch: float
    file: str
    metrics: Metrics
    seen: Metrics | None = None
    unseen: Metrics | None = None


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
    step: int
    epoch: float
    seconds: float
    metrics: Metrics | None = None


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
