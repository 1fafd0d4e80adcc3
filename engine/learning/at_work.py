"""An engine's process at work: it owns its run, reports what happens, and ends with an exit code that says how.

Under torchrun and srun every rank does this; the first alone owns the run and writes.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
from contextlib import ExitStack, suppress

from engine.config import RunConfig, stop_signals
from engine.errors import ExitCode, UserError
from engine.events import ENDINGS, AnyEvent, Failed, Metrics, Phase, SnapshotTaken, Stopped, Warned
from engine.learning.control import Control, Signals, StopAsked
from engine.learning.distributed import Group, die_with_parent
from engine.learning.on_finish import run_on_finish
from engine.learning.peers import Peers, printed_to
from engine.learning.prepare import prepare
from engine.rundir.layout import RunDir
from engine.rundir.log import EventLog
from engine.rundir.ownership import Ownership
from engine.rundir.privacy import scrub

LAST_WORD_SECONDS = 10.0


def work_on(run: RunDir) -> int:
    """Work on a run as one process of its group; returns the exit code. Every ending but a kill is written to the log
    first."""
    say = printed_to(run)
    try:
        group = Group.of_environment()
        signals = Signals(group)
        signals.install()
        if group.world == 1:
            return _Engine(run, group, signals).work()
        die_with_parent()
        _leave_out_working_folder()
        group.join()
    except UserError as error:
        say(str(error))
        return int(error.exit_code)
    peers = Peers(group, say)
    code = _Engine(run, group, signals, peers).work()
    signals.ignore()
    code = peers.leave(code)
    group.leave()
    return code


class _Engine:
    """One process at work on a run. What it has to say goes to the log, if it is the first of its group."""

    def __init__(self, run: RunDir, group: Group, signals: Signals, peers: Peers | None = None) -> None:
        self._run, self._group, self._signals, self._peers = run, group, signals, peers
        self._log: EventLog | None = None
        self._writing = threading.Lock()
        self._ended = False
        self._scores: Metrics | None = None

    def work(self) -> int:
        """Work on the run to its end; returns the exit code."""
        run, group = self._run, self._group
        with ExitStack() as held:
            try:
                self._config = config = run.exact_config
                self._signals.install(stop_signals(config))
                if group.rank == 0:
                    held.enter_context(Ownership(run))
                    self._log = EventLog(run.events_file)
                    held.callback(self._close)
                if self._peers is not None:
                    self._peers.report = self._report
            except UserError as error:
                print(scrub(str(error)), file=sys.stderr)
                return self._failed(error.message, error.hint, error.exit_code)
            control = Control(run, self._signals, group, self.emit)
            try:
                task = prepare(config, self.emit, stored=run, safe_point=control.between_phases)
                control.together()
                self.emit(Phase(name="loading", detail=task.files.name))
                from engine.learning.folds import run_session
                from engine.learning.loop import Session

                gc.freeze()
                gc.enable()
                run_session(Session(run, config, group, control, self.emit), task)
                return int(ExitCode.OK)
            except StopAsked as asked:
                per_epoch = control.steps_per_epoch
                epoch = control.step / per_epoch if per_epoch else 0.0
                with suppress(UserError):
                    self.emit(Stopped(step=control.step, epoch=epoch, reason=str(asked)))
                return int(ExitCode.STOPPED)
            except UserError as error:
                print(scrub(str(error)), file=sys.stderr)
                return self._failed(error.message, error.hint, error.exit_code)
            except Exception as error:
                if self._peers is not None:
                    self._peers.give_way(error)
                print(scrub(traceback.format_exc()), file=sys.stderr)
                return self._failed(*_explain(error, config), ExitCode.RUN_FAILED)

    def emit(self, event: AnyEvent) -> None:
        """Write an event to the log; nothing follows the one that ends the run. Raises WriteError."""
        with self._writing:
            self._write(event)

    def _write(self, event: AnyEvent) -> None:
        if self._log is None or self._ended:
            return
        if isinstance(event, SnapshotTaken) and event.sampled_of is None:
            self._scores = event.metrics
        if isinstance(event, ENDINGS):
            command = self._config.on_finish
            if command and (problem := run_on_finish(command, self._run, event, self._scores)):
                self._log.append(Warned(message=scrub(problem), hint="engine.log holds its output."))
        self._log.append(event)
        self._ended = isinstance(event, ENDINGS)

    def _failed(self, message: str, hint: str, code: ExitCode) -> int:
        """Report a failure; returns the exit code."""
        event = Failed(message=scrub(message), hint=scrub(hint), exit_code=int(code))
        if self._peers is not None and self._group.rank:
            self._peers.fail(event)
        with suppress(UserError):
            self.emit(event)
        return int(code)

    def _report(self, event: Failed) -> None:
        """What another process ended by, from another thread than the main one, which may be in the midst of writing
        or never come back from it."""
        if self._writing.acquire(timeout=LAST_WORD_SECONDS):
            try:
                with suppress(UserError):
                    self._write(event)
            finally:
                self._writing.release()

    def _close(self) -> None:
        """What a log can lose by closing is of no weight for how the run ended; its ending was made to last before."""
        log, self._log = self._log, None
        try:
            if log is not None:
                log.close()
        except UserError as error:
            print(scrub(str(error)), file=sys.stderr)


def _leave_out_working_folder() -> None:
    """What stands in the folder that torchrun or srun was called in (a folder named datasets/) is nothing to import."""
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]


def _explain(error: Exception, config: RunConfig) -> tuple[str, str]:
    """What went wrong and what to do, for an error that nobody foresaw."""
    import torch

    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return (
            f"out of memory: {text[:300]}",
            f"Lower --batch-size (it was {config.batch_size}) or --max-length ({config.max_length}), "
            "choose a smaller model, or free the device; then resume the run.",
        )
    return f"{type(error).__name__}: {text[:500]}", "engine.log holds the traceback."
