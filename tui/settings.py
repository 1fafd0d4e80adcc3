"""What the user chose (config file) and where they were (state file)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import platformdirs
from msgspec import Meta, Struct

from engine.errors import UsageError
from tui.options import read_config_file, user_config_file
from tui.screens.registry import all_commands
from tui.view_state import SCALES, RunsView, Scale, ViewState

T = TypeVar("T")
KEPT_VIEWS = 200
MAX_STATE = 1 << 20


class Settings(Struct, frozen=True):
    """`theme` None means what fits the terminal; `notify`: bell and notice when a run ends while the terminal has no
    focus; `keys` rebinds commands (by id)."""

    theme: str | None = None
    ascii: bool = False
    notify: bool = True
    keys: dict[str, str] = {}


def read_settings(config_file: Path | None) -> Settings:
    """The user's config file, then `config_file` over it. Raises UsageError for what can't be understood."""
    values: dict[str, Any] = {}
    for path in (user_config_file(), config_file):
        if path is None:
            continue
        table = {k: v for k, v in read_config_file(path, required=path == config_file).items() if k != "train"}
        try:
            msgspec.convert(table, Settings)
        except msgspec.ValidationError as error:
            raise UsageError(f"{path}: {error}.") from None
        if unknown := set(table) - set(Settings.__struct_fields__):
            raise UsageError(f"{path}: there is no setting {sorted(unknown)[0]!r}.")
        for name in table.get("keys", {}):
            if name not in all_commands():
                raise UsageError(f"{path}: [keys] names no command {name!r}.", hint="? in the app lists them.")
        values |= table | {"keys": values.get("keys", {}) | table.get("keys", {})}
    return msgspec.convert(values, Settings)


class SavedView(Struct, frozen=True):
    """Where a viewer was in a run, and how it looked at it; `snapshot` -1 stands for following the newest."""

    view: str = "journey"
    snapshot: int = -1
    example: Annotated[int, Meta(ge=0)] = 0
    token: int = -1
    scale: Scale = SCALES[0]
    fixed_scale: bool = True
    overview: bool = False
    change: bool = False

    @classmethod
    def of(cls, state: ViewState, view: str) -> SavedView:
        """`state`, seen in the screen `view`."""
        kept = {name: getattr(state, name) for name in _KEPT}
        return cls(view=view, snapshot=-1 if state.following else state.snapshot, **kept)

    def view_state(self) -> ViewState:
        """The view state again, without the snapshot, which may not be there yet."""
        return ViewState(following=self.snapshot < 0, **{name: getattr(self, name) for name in _KEPT})


_KEPT = ("example", "token", "scale", "fixed_scale", "overview", "change")


PLACES, RUNS = "places.json", "runs.json"
"""Files of the state folder."""


def _state_file(name: str) -> Path:
    return Path(platformdirs.user_state_dir("bertqa-tui")) / name


def load_view(run: Path) -> SavedView | None:
    """Where the user was in `run` last; None where that is not known."""
    return _views().get(str(run))


def save_view(run: Path, saved: SavedView) -> None:
    """Remember where the user is in `run`."""
    views = dict(_views())
    views.pop(str(run), None)
    views[str(run)] = saved
    _write(PLACES, dict(list(views.items())[-KEPT_VIEWS:]))


def load_runs_view() -> RunsView:
    """How the user listed the runs last."""
    return _read(RUNS, RunsView) or RunsView()


def save_runs_view(view: RunsView) -> None:
    """Remember how the user lists the runs."""
    if view != load_runs_view():
        _write(RUNS, view)


def _views() -> Mapping[str, SavedView]:
    return _read(PLACES, dict[str, SavedView]) or {}


def _write(name: str, value: Any) -> None:
    """Put a file of the state folder. A folder that can't be written is no fault."""
    path = _state_file(name)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(msgspec.json.encode(value))
        os.replace(temporary, path)


def _read(name: str, kind: type[T]) -> T | None:
    """A file of the state folder; None where it is not there or can't be read."""
    try:
        with _state_file(name).open("rb") as file:
            return msgspec.json.decode(file.read(MAX_STATE), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
