"""The commands of `bertqa-tui`. A command is a module here and one line in COMMANDS."""

from __future__ import annotations

from tui.cli.ask import ask
from tui.cli.attach import attach
from tui.cli.check import check
from tui.cli.command_line import GroupedCommand
from tui.cli.compare import compare
from tui.cli.control import pause, resume, stop
from tui.cli.doctor import doctor
from tui.cli.export import export
from tui.cli.man import man
from tui.cli.note import note
from tui.cli.predict import predict
from tui.cli.remove import prune, remove
from tui.cli.runs import runs
from tui.cli.serve import serve
from tui.cli.suspects import suspects
from tui.cli.train import train

COMMANDS: tuple[GroupedCommand, ...] = (
    ask,
    attach,
    check,
    compare,
    doctor,
    export,
    man,
    note,
    pause,
    predict,
    prune,
    remove,
    resume,
    runs,
    serve,
    stop,
    suspects,
    train,
)
