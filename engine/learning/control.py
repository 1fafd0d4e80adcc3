"""What is asked of a running engine: signals and commands, obeyed at safe points between steps."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from types import FrameType

from engine.config import STOP_SIGNALS
from engine.events import AnyEvent, CommandDone, Paused, Resumed
from engine.learning.distributed import Group
from engine.rundir.commands import take_commands
from engine.rundir.layout import RunDir

LOOK_SECONDS = 0.2
SAME_SIGNAL_SECONDS = 2.0
GO_ON, SAVE, PAUSE, STOP = range(4)
STOP_NOTE = "stop"


class StopAsked(Exception):
    """The run is to end early, in a state that can be resumed; the argument is the reason."""


class Signals:
    """A signal that asks to stop (`engine.config.STOP_SIGNALS`) sets a flag; a second one ends the process at once. A
    hang-up does nothing unless it is the run's `stop_signal`."""

    def __init__(self, group: Group) -> None:
        self.name = ""
        self._names: tuple[str, ...] = ()
        self._since = 0.0
        self._group = group

    def install(self, names: Iterable[str] = STOP_SIGNALS) -> None:
        """Heed the signals `names` from now on."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._names = (*self._names, *names)
        for name in self._names:
            signal.signal(signal.Signals[name], self._note)

    def ignore(self) -> None:
        """Heed no signal any more: the work is done, and a launcher may end what its other processes ended with."""
        for name in self._names:
            signal.signal(signal.Signals[name], signal.SIG_IGN)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        # A batch system signals every process, and torchrun then its ranks: that is one request, not two.
        again = self._group.world == 1 or now - self._since > SAME_SIGNAL_SECONDS
        if self.name and again:
            os._exit(128 + number)
        if not self.name:
            self.name, self._since = signal.Signals(number).name, now


class Control:
    """Asked at safe points; there it answers commands, waits while the run is paused, and raises StopAsked."""

    def __init__(
        self,
        run: RunDir,
        signals: Signals,
        group: Group,
        emit: Callable[[AnyEvent], None],
        *,
        whole: Sequence[RunDir] = (),
    ) -> None:
        """`whole`: the runs that `run` is a part of, whose commands are answered too."""
        self._runs, self._signals, self._group, self._emit = [run, *whole], signals, group, emit
        self._looked = -LOOK_SECONDS
        self._reason = ""
        self._pauses = 0
        self._asked = -LOOK_SECONDS
        self.step = 0
        self.steps_per_epoch = 0

    def of_part(self, run: RunDir, emit: Callable[[AnyEvent], None]) -> Control:
        """The control of a part of the run that has a folder of its own, `run`: commands to either are answered by
        `emit`."""
        return Control(run, self._signals, self._group, emit, whole=self._runs)

    def between_phases(self) -> None:
        """Safe point of the work before training and of evaluations, where processes need not keep step. Where there
        are several, the next thing that they do together must be `together`."""
        if self._group.world == 1:
            self._obey(self._look())
        elif self._stop_wanted():
            self._obey(self._group.highest(STOP))

    def together(self) -> None:
        """End of a stretch with `between_phases`: where one process broke off to stop, all do."""
        if self._group.world > 1:
            self._obey(self._group.highest(STOP if self._signals.name else GO_ON))

    def after_step(self) -> bool:
        """Safe point after a step, the same for all processes; True when a checkpoint was asked for."""
        return self._obey(self._group.highest(self._look()))

    def _obey(self, wish: int) -> bool:
        if wish == PAUSE:
            self._emit(Paused(step=self.step))
            wish = self._group.highest(self._wait_while_paused())  # all are there, or it is no stop but a fault
            if wish != STOP:
                self._emit(Resumed(step=self.step))
        if wish == STOP:
            raise StopAsked(self._reason or self._group.read(STOP_NOTE) or "stopped")
        return wish == SAVE

    def _wait_while_paused(self) -> int:
        """What happens after a pause: rank 0 decides it, the others ask for it. Nobody waits in a collective."""
        self._pauses += 1
        note = f"pause {self._pauses} of {self._runs[0].name}"
        while True:
            time.sleep(LOOK_SECONDS)
            wish = STOP if self._stop_wanted() else self._look(paused=True)
            if self._group.rank:
                if (decided := self._group.read(note)) is not None:
                    return int(decided)
            elif wish != PAUSE:
                self._group.post(note, str(wish))
                return wish

    def _stop_wanted(self) -> bool:
        """Whether this process or another one was asked to stop by a signal."""
        if self._signals.name:
            self._note_signal()
            return True
        now = time.monotonic()
        if now - self._asked < LOOK_SECONDS:
            return False
        self._asked = now
        return self._group.read(STOP_NOTE) is not None

    def _note_signal(self) -> None:
        """Tell the other processes of a signal, once."""
        if not self._reason:
            self._reason = f"stopped by {self._signals.name}"
            where = f", sent to rank {self._group.rank} on {self._group.place}" if self._group.rank else ""
            self._group.post(STOP_NOTE, self._reason + where)

    def _look(self, *, paused: bool = False) -> int:
        """What this process wants to happen now."""
        wish = PAUSE if paused else GO_ON
        if self._signals.name:
            self._note_signal()
            return STOP
        now = time.monotonic()
        if self._group.rank or now - self._looked < LOOK_SECONDS:
            return wish
        self._looked = now
        for command in [command for run in self._runs for command in take_commands(run)]:
            outcome = "done"
            if wish == STOP:
                outcome = "the run is stopping"
            elif command.command == "stop":
                wish, self._reason, outcome = STOP, "stopped on request", "stops after this step"
            elif command.command == "pause":
                outcome = "paused already" if wish == PAUSE else "pauses after this step"
                wish = PAUSE
            elif command.command == "resume":
                outcome = "goes on" if wish == PAUSE else "was not paused"
                wish = GO_ON
            elif command.command == "checkpoint":
                outcome = "resume first: the run is paused" if wish == PAUSE else "saved after this step"
                wish = max(wish, SAVE)
            self._emit(CommandDone(id=command.id, command=command.command, outcome=outcome))
        return wish
