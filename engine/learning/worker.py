"""The engine's process: `python -m engine.learning.worker RUN_DIR` works on one run from where it stands to its end.

Under torchrun every rank runs this; the first alone owns the run and writes.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from engine.config import RunConfig, stop_signals
from engine.errors import ExitCode, UserError
from engine.events import ENDINGS, AnyEvent, Failed, Metrics, Phase, SnapshotTaken, Stopped, Warned
from engine.learning.control import Control, Signals, StopAsked
from engine.learning.distributed import Group, die_with_parent
from engine.learning.on_finish import run_on_finish
from engine.learning.prepare import prepare
from engine.learning.warm_up import warm_up
from engine.rundir.layout import RunDir
from engine.rundir.log import EventLog
from engine.rundir.ownership import Ownership
from engine.rundir.privacy import scrub


def main(argv: Sequence[str] | None = None) -> int:
    """Run one engine; returns its exit code. Every ending but a kill is written to the log first."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) != 1:
        print("usage: python -m engine.learning.worker RUN_DIR", file=sys.stderr)
        return int(ExitCode.USAGE)
    warm_up()
    run = RunDir(Path(arguments[0]))
    group = Group.of_environment()
    signals = Signals(group)
    signals.install()
    if group.world > 1:
        die_with_parent()
    with ExitStack() as held:
        log: EventLog | None = None
        try:
            config = run.exact_config
            signals.install(stop_signals(config))
            if group.rank == 0:
                held.enter_context(Ownership(run))
                log = EventLog(run.events_file)
                held.callback(_close, log)
        except UserError as error:
            print(scrub(str(error)), file=sys.stderr)
            return int(error.exit_code)

        scores: Metrics | None = None

        def emit(event: AnyEvent) -> None:
            nonlocal scores
            if log is None:
                return
            if isinstance(event, SnapshotTaken) and event.sampled_of is None:
                scores = event.metrics
            if (
                isinstance(event, ENDINGS)
                and config.on_finish
                and (problem := run_on_finish(config.on_finish, run, event, scores))
            ):
                log.append(Warned(message=scrub(problem), hint="engine.log holds its output."))
            log.append(event)

        def end(event: Failed | Stopped) -> None:
            with suppress(UserError):
                emit(event)

        control = Control(run, signals, group, emit)
        try:
            task = prepare(config, emit, stored=run, safe_point=control.between_phases)
            emit(Phase(name="loading", detail=task.files.name))
            from engine.learning.folds import run_session
            from engine.learning.loop import Session

            run_session(Session(run, config, group, control, emit), task)
            return int(ExitCode.OK)
        except StopAsked as asked:
            per_epoch = control.steps_per_epoch
            epoch = control.step / per_epoch if per_epoch else 0.0
            end(Stopped(step=control.step, epoch=epoch, reason=str(asked)))
            return int(ExitCode.STOPPED)
        except UserError as error:
            print(scrub(str(error)), file=sys.stderr)
            end(Failed(message=scrub(error.message), hint=scrub(error.hint), exit_code=int(error.exit_code)))
            return int(error.exit_code)
        except Exception as error:
            print(scrub(traceback.format_exc()), file=sys.stderr)
            message, hint = _explain(error, config)
            end(Failed(message=scrub(message), hint=scrub(hint), exit_code=int(ExitCode.RUN_FAILED)))
            return int(ExitCode.RUN_FAILED)
        finally:
            group.leave()


def _close(log: EventLog) -> None:
    """What a log can lose by closing is of no weight for how the run ended; its ending was made to last before."""
    try:
        log.close()
    except UserError as error:
        print(scrub(str(error)), file=sys.stderr)


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


if __name__ == "__main__":
    sys.exit(main())
