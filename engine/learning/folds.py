"""A run with its folds: its own training first, then one model for each fold, which never sees the labels it scores."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.config import RunConfig
from engine.data.examples import make_dataset
from engine.data.features import select_examples
from engine.data.split import fold_by_passage
from engine.errors import DataError, UserError, WriteError
from engine.events import AnyEvent, CommandDone, Failed, Paused, Phase, Resumed, RunStarted, Step, Stopped, Warned
from engine.learning.control import StopAsked
from engine.learning.loop import Session, fine_tune, on_shared_disk
from engine.learning.prepare import Emit, Task
from engine.rundir.checkpoints import checkpoints, drop_state
from engine.rundir.folds import fold_runs, is_finished, read_fold_of, write_fold_of
from engine.rundir.layout import RunDir, StartInfo
from engine.rundir.log import EventLog
from engine.rundir.ownership import Ownership
from engine.rundir.privacy import scrub
from engine.storage.atomic_io import make_folder, remove_folder

REPORT_SECONDS = 0.5
"""How often the run's log says how far a fold is."""


def run_session(session: Session, task: Task) -> None:
    """Work on a run, and on its folds where it has some, from wherever they stand to their end; emit what happens.

    Raises UserError, NotFinite, StopAsked, WriteError.
    """
    finished = fine_tune(session, task)
    if session.config.folds is not None:
        began = time.monotonic()
        _work_on_folds(session, task, epochs=round(finished.epoch))
        finished = msgspec.structs.replace(finished, seconds=finished.seconds + time.monotonic() - began)
    session.emit(finished)


def _work_on_folds(session: Session, task: Task, *, epochs: int) -> None:
    """Work on each fold that is not finished, one after another."""
    fold_of = _assignment(session, task)
    runs = fold_runs(session.run, session.config.folds or 0)
    for number, run in enumerate(runs):
        if session.is_first and not is_finished(run):
            _make_run(session, run, epochs)
        if session.group.highest(int(session.is_first and not is_finished(run))):
            _work(session, run, _held_out(task, fold_of == number), part=f"fold {number + 1} of {len(runs)}")
        if session.is_first:
            # Nothing is gone on from any more.
            for folder, manifest in checkpoints(run).items():
                if manifest.resumable:
                    drop_state(folder, manifest)


def _assignment(session: Session, task: Task) -> NDArray[np.int32]:
    """int32[N]: which fold each training example is held out in, counted from 0; written with the first fold."""
    stored = read_fold_of(session.run)
    if stored is not None and len(stored) == len(task.dataset.train):
        return stored
    fold_of = fold_by_passage(task.dataset.train, session.config.folds or 0, session.config.seed)
    if session.is_first:
        make_folder(session.run.folds)
        write_fold_of(session.run, fold_of)
    return fold_of


def fold_config(config: RunConfig, run: RunDir, *, epochs: int) -> RunConfig:
    """What the run of a fold is asked to do: to learn as the whole run did, and to keep little."""
    return msgspec.structs.replace(
        config,
        epochs=epochs,
        early_stopping_patience=None,
        folds=None,
        track_train=False,
        probe=None,
        early_snapshots=False,
        snapshot_limit=None,
        snapshot_dtype="float16",
        keep_weights="last",
        on_finish=None,
        report_to=None,
        sweep=None,
        run_dir=str(run.path),
    )


def _make_run(session: Session, run: RunDir, epochs: int) -> None:
    """Make the folder of a fold's run, where there is none that is whole. Raises WriteError."""
    if run.config_file.exists():
        return
    remove_folder(run.path)
    RunDir.create(run.path, fold_config(session.config, run, epochs=epochs))
    if (info := session.run.info) is not None:
        run.write_start(StartInfo(data=info.data, allow_null=info.allow_null))


def _held_out(task: Task, held: NDArray[np.bool_]) -> Task:
    """The task of a fold: to learn from the training examples but `held` bool[N], and to be scored on those."""
    examples = task.dataset.train
    known, asked = np.flatnonzero(~held), np.flatnonzero(held)
    train = select_examples(task.train, known)
    if not (train.gold_start >= 0).any():
        raise DataError("without one of the folds no training window holds a whole answer.", hint="Leave --folds out.")
    return replace(
        task,
        dataset=make_dataset([examples[n] for n in known.tolist()], [examples[n] for n in asked.tolist()]),
        train=train,
        eval=select_examples(task.train, asked),
        seen=np.zeros(len(asked), np.bool_),
        looks=(),
    )


def _work(session: Session, run: RunDir, task: Task, *, part: str) -> None:
    """Work on the run of a fold to its end. Raises as `fine_tune`, and names the fold."""
    session.group.wait_for_all()  # for the folder
    with ExitStack() as held:
        log: EventLog | None = None
        if session.is_first:
            held.enter_context(Ownership(run))
            log = EventLog(run.events_file)
            held.callback(_close, log)
        emit = _Emitter(session.emit, log, part)
        control = session.control.of_part(run, emit)
        try:
            on_shared_disk(session, lambda: run.config_file.exists() or None, str(run.config_file))
            emit(fine_tune(Session(run, run.exact_config, session.group, control, emit), task))
        except StopAsked as asked:
            epoch = control.step / control.steps_per_epoch if control.steps_per_epoch else 0.0
            with suppress(WriteError):
                emit(Stopped(step=control.step, epoch=epoch, reason=str(asked)))
            raise StopAsked(f"{asked}, in {part}") from None
        except UserError as error:
            with suppress(WriteError):
                emit(Failed(message=scrub(error.message), hint=scrub(error.hint), exit_code=int(error.exit_code)))
            error.message = f"{part}: {error.message}"
            raise


@dataclass
class _Emitter:
    """Writes the events of a fold's run to its log, and to the whole run's what viewers of that should know."""

    whole: Emit
    log: EventLog | None
    part: str
    total: int = 0
    reported: float = field(default_factory=time.monotonic)

    def __call__(self, event: AnyEvent) -> None:
        if self.log is not None:
            self.log.append(event)
        match event:
            case RunStarted():
                self.total = event.total_steps
            case Phase():
                self.whole(msgspec.structs.replace(event, part=self.part))
            case Step() if time.monotonic() - self.reported > REPORT_SECONDS:
                self.reported = time.monotonic()
                self.whole(Phase(name="training", done=event.step, total=self.total, part=self.part))
            case Warned():
                self.whole(msgspec.structs.replace(event, message=f"{self.part}: {event.message}"))
            case CommandDone() | Paused() | Resumed():
                self.whole(event)
            case _:
                pass


def _close(log: EventLog) -> None:
    with suppress(WriteError):
        log.close()
