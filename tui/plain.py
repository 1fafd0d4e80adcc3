"""Runs without a full screen: progress bars on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.config import stop_signals
from engine.errors import ExitCode, UsageError
from engine.events import (
    AnyEvent,
    CheckpointSaved,
    CommandDone,
    Failed,
    Finished,
    Metrics,
    Paused,
    Phase,
    Resumed,
    RunStarted,
    SnapshotTaken,
    Step,
    Stopped,
    Warned,
    metric_table,
    score_texts,
)
from engine.rundir.disk_plan import DiskPlan
from tui.drawing.format import clock
from tui.drawing.text import plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from engine.config import RunConfig, stop_signals
    from engine.launch import Run
    from engine.rundir.commands import CommandName

SECONDS_BETWEEN_STEP_LINES = 10.0


def metrics_line(metrics: Metrics, seen: Metrics | None = None, unseen: Metrics | None = None) -> str:
    """One line of scores, fit for a log or a screen reader."""
    table = metric_table()
    line = "  ".join(score_texts(metrics).values())
    for name, part in (("seen", seen), ("unseen", unseen)):
        if part is not None:
            apart = [metric.text(getattr(part, field)) for field, metric in table.items() if metric.shown_apart]
            line += f"  | {name} {' '.join(apart)}"
    return line


def event_line(event: AnyEvent) -> str | None:
    """What happened, as one line of plain text; None for what is only progress."""
    match event:
        case RunStarted():
            from_step = event.resumed_from_step
            resumed = "" if from_step is None else f", resumed at step {from_step}"
            return (
                f"{event.model} on {event.device} ({event.precision}), lr {event.lr:g}, "
                f"{event.train_examples} train and {event.eval_examples} eval examples, "
                f"{event.epochs} epochs = {event.total_steps} steps{resumed}{_disk(event)}"
            )
        case SnapshotTaken():
            return f"{event.label:>10}  {metrics_line(event.metrics, event.seen, event.unseen)}"
        case CheckpointSaved():
            return f"saved {event.path}"
        case CommandDone():
            return f"{event.command}: {event.outcome}"
        case Paused():
            return f"paused at step {event.step}"
        case Resumed():
            return f"going on at step {event.step}"
        case Warned():
            return f"warning: {event.message} {event.hint}".rstrip()
        case Finished():
            why = f" ({event.reason})" if event.reason else ""
            return f"finished: {event.step} steps in {clock(event.seconds)}{why}"
        case Stopped():
            return f"stopped at step {event.step}: {event.reason}; it can be resumed"
        case Failed():
            return f"failed: {event.message} {event.hint}".rstrip()
        case Phase() | Step():
            return None


def _disk(event: RunStarted) -> str:
    """`; writes …`, where the engine said it."""
    if not event.snapshots:
        return ""
    plan = DiskPlan(
        snapshots=event.snapshots, snapshot_bytes=event.snapshot_bytes, checkpoint_bytes=event.checkpoint_bytes
    )
    return f"; {plan.text}"


def follow(run: Run, *, as_json: bool = False, bars: bool = False, owns_run: bool = True, after: int = 0) -> int:
    """Print a run's events with a number above `after` until it ends; returns the run's exit code.

    `bars` adds progress bars, which need a terminal that can move its cursor.

    The run's stop signals (SIGTERM, SIGINT, SIGUSR1, SIGUSR2 and its `stop_signal`) stop a run that this command
    started (`owns_run`), which then saves a checkpoint and ends with 75; a second one leaves at once. A run that is
    only watched is left alone.
    """
    return asyncio.run(_follow(run, as_json=as_json, bars=bars, owns_run=owns_run, after=after))


async def _follow(run: Run, *, as_json: bool, bars: bool, owns_run: bool, after: int) -> int:
    loop = asyncio.get_running_loop()
    leave = asyncio.Event()
    asked = False

    def interrupted() -> None:
        nonlocal asked
        if asked or not owns_run:
            leave.set()
            return
        asked = True
        run.stop()
        print("stopping after this step, saving a checkpoint; again to leave at once", file=sys.stderr)

    for name in stop_signals(run.directory.config):
        loop.add_signal_handler(signal.Signals[name], interrupted)

    return await watch_to_end(run, leave, as_json=as_json, bars=bars, owns_run=owns_run, after=after)


async def watch_to_end(
    run: Run,
    leave: asyncio.Event,
    *,
    as_json: bool = False,
    bars: bool = False,
    owns_run: bool = True,
    after: int = 0,
    label: str = "",
) -> int:
    """Print a run's events with a number above `after` until it ends or `leave` is set; returns its exit code.

    A `label` stands before each line, and JSON records name their run, where several runs print at the same time.
    """
    mark = f"[{label}] " if label else ""
    if not as_json:
        print(f"{mark}run {plain(str(run.path))}", flush=True)
    printer = _JsonLines(run.directory.name if label else "") if as_json else _Bars() if bars else _Lines(mark)
    ending: AnyEvent | None = None
    with printer:
        reader = asyncio.create_task(_read(run, printer, after))
        left = asyncio.create_task(leave.wait())
        await asyncio.wait({reader, left}, return_when=asyncio.FIRST_COMPLETED)
        left.cancel()
        if reader.done():
            ending = reader.result()
        else:
            reader.cancel()
    match ending:
        case Finished():
            return int(ExitCode.OK)
        case Stopped():
            print(f"resume it with: bertqa-tui resume {plain(str(run.path))}", file=sys.stderr)
            return int(ExitCode.STOPPED)
        case Failed():
            return event_exit_code(ending)
        case _ if leave.is_set():
            return int(ExitCode.STOPPED) if owns_run else int(ExitCode.OK)
        case _:
            print(f"bertqa-tui: the engine died; see {plain(str(run.path))}/engine.log", file=sys.stderr)
            print(f"resume it with: bertqa-tui resume {plain(str(run.path))}", file=sys.stderr)
            return int(ExitCode.RUN_FAILED)


def event_exit_code(failed: Failed) -> int:
    """The documented exit code a failure names; 1 where it names none of them."""
    known = failed.exit_code in {int(code) for code in ExitCode}
    return failed.exit_code if known else int(ExitCode.RUN_FAILED)


async def _read(run: Run, printer: _Lines | _Bars | _JsonLines, after: int) -> AnyEvent | None:
    ending: AnyEvent | None = None
    async for event in run.events():
        if event.seq > after:
            printer.show(event)
        ending = event
    return ending if isinstance(ending, Finished | Stopped | Failed) else None


class _JsonLines:
    """Every event as one JSON object a line, with the name of its run where there is one."""

    def __init__(self, run: str = "") -> None:
        self._run = run

    def __enter__(self) -> _JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: AnyEvent) -> None:
        record = {"run": self._run, **msgspec.to_builtins(event)} if self._run else event
        sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
        sys.stdout.flush()


class _Lines:
    """A line for each thing that happened, and now and then one with the progress of training."""

    def __init__(self, mark: str = "") -> None:
        """`mark` begins every line."""
        self._mark = mark
        self._told_at = 0.0
        self._phase = ("", "")
        self._total_steps = 0

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: AnyEvent) -> None:
        line = event_line(event)
        if isinstance(event, RunStarted):
            self._total_steps = event.total_steps
        if isinstance(event, Phase) and (str(event.name), event.detail) != self._phase:
            self._phase = (str(event.name), event.detail)
            line = f"{event.name} {event.detail}".rstrip()
        elif isinstance(event, Step) and time.monotonic() - self._told_at > SECONDS_BETWEEN_STEP_LINES:
            self._told_at = time.monotonic()
            line = (
                f"step {event.step}/{self._total_steps}  epoch {event.epoch:.2f}  loss {event.loss:.3f}"
                f"  {event.examples_per_second:.1f} examples/s"
            )
        if line is not None:
            print(f"{self._mark}{plain(line)}", flush=True)


class _Bars:
    """Progress bars of rich below the lines that scroll by."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            refresh_per_second=2,
        )
        self._training: TaskID | None = None
        self._phase: TaskID | None = None
        self._total_steps = 0

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: AnyEvent) -> None:
        line = event_line(event)
        if line is not None:
            self._progress.console.print(plain(line), markup=False, highlight=False, soft_wrap=True)
        match event:
            case RunStarted():
                self._total_steps = event.total_steps
            case Phase(name="training") | Finished() | Stopped() | Failed():
                self._drop_phase()
            case Phase():
                if self._phase is None:
                    self._phase = self._progress.add_task("", total=None, note="")
                self._progress.update(
                    self._phase,
                    description=plain(f"{event.name} {event.detail}".rstrip()),
                    completed=event.done,
                    total=event.total or None,
                )
            case Step():
                if self._training is None:
                    self._training = self._progress.add_task("training", total=self._total_steps, note="")
                self._progress.update(
                    self._training,
                    completed=event.step,
                    note=f"loss {event.loss:.3f}  {event.examples_per_second:.1f} examples/s",
                )
            case _:
                pass

    def _drop_phase(self) -> None:
        if self._phase is not None:
            self._progress.remove_task(self._phase)
            self._phase = None


def send_and_wait(path: Path, command: CommandName, *, seconds: float = 30.0) -> int:
    """Send a command to the live run at `path` and print what became of it.

    Raises UsageError when no engine is alive there, or none answers in time.
    """
    from engine.launch import attach

    run = attach(path)
    if not run.is_live():
        hint = "Resume it: bertqa-tui resume." if command != "resume" else ""
        raise UsageError(f"{path}: no engine is at work on this run.", hint=hint)
    ident = run.stop() if command == "stop" else run.command(command)
    if not ident:
        print("stop: the disk is too full for a command; the engine got a SIGTERM, saves and stops")
        return int(ExitCode.OK)

    async def answer() -> str | None:
        async for event in run.events():
            if isinstance(event, CommandDone) and event.id == ident:
                return event.outcome
        return None

    async def bounded() -> str | None:
        return await asyncio.wait_for(answer(), seconds)

    try:
        outcome = asyncio.run(bounded())
    except TimeoutError:
        raise UsageError(
            f"{path}: the engine has not answered within {seconds:.0f} s.", hint="It may be in a long step."
        ) from None
    print(plain(f"{command}: {outcome or 'the run ended first'}"))
    return int(ExitCode.OK)


def print_runs(runs_dir: Path, *, as_json: bool = False) -> None:
    """Print a table of all runs in `runs_dir`, or one JSON object for each."""
    from engine.rundir.removal import disk_use
    from tui.model.followed_runs import RunsFolder

    rows = [msgspec.structs.replace(row, size=disk_use(Path(row.path))) for row in RunsFolder(runs_dir).poll()]
    if as_json:
        for row in rows:
            print(msgspec.json.encode(row).decode())
        return
    if not rows:
        print(f"no runs in {plain(str(runs_dir))}; start one: bertqa-tui DATASET (sample data: bertqa-tui remedies)")
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tui.drawing.format import value_text
    from tui.model.run_rows import apart_text, notes_text

    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    whole = {"run", "state", "epoch", "size"}  # the name is what one types
    for name in ("run", "state", "data", "model", "epoch", "best", "size"):
        table.add_column(name, overflow="fold", no_wrap=name in whole, min_width=5)
    for row in rows:
        best = f"{row.best:.3f}" if row.best is not None else "-"
        best += f" ({apart})" if (apart := apart_text(row)) else ""
        size = value_text(row.size, "bytes")
        cells = (row.name, row.state, row.dataset, row.model, f"{row.epoch:.1f}/{row.epochs}", best, size)
        table.add_row(*(Text(plain(str(cell))) for cell in cells))
    console = Console()
    console.print(table)
    for row in rows:
        if noted := " ".join(part for part in (row.title, notes_text(row)) if part):
            console.print(f"{plain(row.name)}: {plain(noted)}", markup=False, highlight=False, soft_wrap=True)
        if row.reason and row.state in ("dead", "failed", "silent"):
            console.print(f"{plain(row.name)}: {plain(row.reason)}", markup=False, highlight=False, soft_wrap=True)


def print_check(config: RunConfig, *, repair: Path | None, as_json: bool = False) -> int:
    """Print the findings about a data set, `as_json` a record for each issue; BAD_DATA where errors are left."""
    from engine.data.check import check_dataset, issue_records, refusal_record, repair_dataset
    from engine.data.check_text import report_lines
    from engine.data.samples import find_dataset
    from engine.errors import DataError, ModelError
    from engine.models import locate_model

    path = find_dataset(config.dataset)
    try:
        tokenizer = locate_model(config).tokenizer_file
    except ModelError as error:
        print(f"windows are not counted: {plain(str(error))}", file=sys.stderr)
        tokenizer = None
    try:
        report = check_dataset(path, config, tokenizer)
    except DataError as error:
        if as_json:
            print(json.dumps(refusal_record(config.dataset, error)))
        raise
    if as_json:
        for record in issue_records(report, config.dataset, config.eval):
            print(json.dumps(record))  # ASCII alone: no control character of a data set reaches the terminal
    else:
        for line in report_lines(report):
            print(plain(line))
    if repair is not None:
        written, left_out = repair_dataset(path, repair, config.columns)
        where = sys.stderr if as_json else sys.stdout
        print(
            plain(f"wrote {written} questions to {repair}; {left_out} could not be repaired and are left out"),
            file=where,
        )
    return int(ExitCode.BAD_DATA if report.errors and repair is None else ExitCode.OK)
