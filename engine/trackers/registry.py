"""The trackers that `--report-to` knows. A tracker is a module here with `open_tracker(run)`, and its name in
TRACKERS of engine.rundir.layout, which is also that of its package and of the extra that installs it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import cast

from engine.errors import UsageError
from engine.rundir.layout import TRACKERS, RunDir
from engine.trackers.base import Tracker


def tools_of(report_to: str | None) -> tuple[str, ...]:
    """The trackers that an option such as `tensorboard,wandb` names; `none` and None are none.

    Raises UsageError for one that is not known or not installed.
    """
    names = dict.fromkeys(name.strip() for name in (report_to or "").split(",") if name.strip() not in ("", "none"))
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"--report-to {name}: there is no such tracker.", hint=f"Known are {', '.join(TRACKERS)}.")
        if find_spec(name) is None:
            raise UsageError(
                f"--report-to {name}: {name} is not installed.", hint=f"pip install 'bertqa-tui[{name}]' brings it."
            )
    return tuple(names)


def open_tracker(run: RunDir, tool: str) -> Tracker:
    """A run in the tracker `tool`. Raises whatever the tracker raises."""
    return cast(Tracker, import_module(f"engine.trackers.{tool}").open_tracker(run))
