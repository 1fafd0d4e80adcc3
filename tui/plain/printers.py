"""Prints events as they come: plain lines, progress bars, or JSON lines."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import msgspec

from engine.events import AnyEvent, Failed, Finished, Phase, RunStarted, Step, Stopped
from tui.drawing.text import plain
from tui.plain.event_lines import event_line, phase_words

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SECONDS_BETWEEN_STEP_LINES = 10.0


class JsonLines:
    """Every event as one JSON object a line, with the name of its run where there is one."""

    def __init__(self, run: str = "") -> None:
        self._run = run

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: AnyEvent) -> None:
        record = {"run": self._run, **msgspec.to_builtins(event)} if self._run else event
        sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
        sys.stdout.flush()


class Lines:
    """A line for each thing that happened, and now and then one with the progress of training."""

    def __init__(self, mark: str = "") -> None:
        """`mark` begins every line."""
        self._mark = mark
        self._told_at = 0.0
        self._phase = ""
        self._total_steps = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: AnyEvent) -> None:
        line = event_line(event)
        if isinstance(event, RunStarted):
            self._total_steps = event.total_steps
        if isinstance(event, Phase) and phase_words(event) != self._phase:
            line = self._phase = phase_words(event)
        elif isinstance(event, Phase) and event.part and time.monotonic() - self._told_at > SECONDS_BETWEEN_STEP_LINES:
            self._told_at = time.monotonic()
            line = f"{self._phase}: {event.done}/{event.total}"
        elif isinstance(event, Step) and time.monotonic() - self._told_at > SECONDS_BETWEEN_STEP_LINES:
            self._told_at = time.monotonic()
            line = (
                f"step {event.step}/{self._total_steps}  epoch {event.epoch:.2f}  loss {event.loss:.3f}"
                f"  {event.examples_per_second:.1f} examples/s"
            )
        if line is not None:
            print(f"{self._mark}{plain(line)}", flush=True)


class Bars:
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

    def __enter__(self) -> Bars:
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
            case Phase(name="training", part="") | Finished() | Stopped() | Failed():
                self._drop_phase()
            case Phase():
                if self._phase is None:
                    self._phase = self._progress.add_task("", total=None, note="")
                self._progress.update(
                    self._phase,
                    description=plain(phase_words(event)),
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
