"""What can be written of a run: one table of kinds, chosen by the ending of the target's name."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path

from engine.errors import UsageError, WriteError
from engine.rundir.layout import RunDir

TABLES = (".parquet", ".csv", ".json")
Tell = Callable[[str], None]
"""Takes a line about long work, for the user."""


@dataclass(frozen=True)
class Request:
    """What is to be written where. Every field with a default is an option; `Kind.options` says who takes it."""

    run: RunDir
    path: Path
    snapshot: str | None = None
    """A snapshot's number, `best` or `last`; None for the kind's own default."""
    tokens: bool = False
    """A row for each token too."""
    passages: bool = False
    """The text of the passage in every row."""
    card: bool = False
    """Also a model card, README.md."""
    onnx: bool = False
    """Also the model as ONNX."""
    name: str | None = None
    """What the card calls the model; None: as the folder."""
    screen: str | None = None
    """The screen to draw; None: the first."""
    example: str | None = None
    """The example to show, by its id or question; None: the first."""
    size: str | None = None
    """Columns x rows, as in `120x40`."""
    theme: str | None = None
    overlay: tuple[Path, ...] = ()
    """Runs whose curves are drawn over the run's own."""
    spread: str | None = None
    """Of runs that differ in their seed alone the mean, with `range` or `std` beside it; None: each run."""
    tell: Tell = print
    draw: Callable[[Request], bytes] | None = None
    """Makes the picture of a screen; the app's part."""


@dataclass(frozen=True)
class Kind:
    """A kind of export: `engine.export.<module>.write(request)` makes `request.path`, whole or not at all, and returns
    lines to show. `ending` is "" for a folder; `options` are the fields of Request that it takes."""

    ending: str
    module: str
    about: str
    options: Collection[str] = ()


PICTURE = ("snapshot", "screen", "example", "size", "theme", "overlay", "spread")
KINDS = (
    Kind("", "folder", "the weights as a folder that transformers loads", options={"snapshot", "card", "onnx", "name"}),
    Kind(".onnx", "onnx", "the model as ONNX, compared with torch", options={"snapshot", "onnx"}),
    Kind(".html", "report", "a report on one page that any browser opens without network"),
    Kind(".svg", "picture", "a screen as a picture", options=PICTURE),
    *(Kind(ending, "tables", "a row for each example and snapshot", {"tokens", "passages"}) for ending in TABLES),
)
"""A kind of export is a module here and one line."""

ALWAYS = frozenset({"run", "path", "tell", "draw"})


@dataclass(frozen=True)
class Exported:
    """The files that were written with their sizes in bytes, and what is to be said of them."""

    files: tuple[tuple[Path, int], ...]
    notes: tuple[str, ...]


def write_export(request: Request) -> Exported:
    """Write what the ending of `request.path` asks for. Never overwrites.

    Raises UsageError, DataError, WriteError.
    """
    kind = kind_of(request.path)
    for field in fields(Request):
        given = getattr(request, field.name) != field.default
        if field.name not in ALWAYS and given and field.name not in kind.options:
            what = f"a {kind.ending} file" if kind.ending else "a folder"
            raise UsageError(f"--{field.name.replace('_', '-')} has no meaning for {what}.", hint="Leave it out.")
    if os.path.lexists(request.path):
        raise WriteError(f"{request.path}: exists already.", hint="Choose another name; nothing is overwritten.")
    notes = import_module(f"engine.export.{kind.module}").write(request)
    return Exported(tuple(_written(request.path)), tuple(notes))


def kind_of(path: Path) -> Kind:
    """The kind that a target's ending asks for. Raises UsageError for an ending that is not known.

    A version's number, as in `qa-1.2`, is no ending.
    """
    ending = path.suffix.lower()
    if ending[1:].isdigit():
        ending = ""
    for kind in KINDS:
        if kind.ending == ending:
            return kind
    known = "; ".join(f"{kind.ending or 'no ending'}: {kind.about}" for kind in KINDS)
    raise UsageError(f"{path}: there is no export that ends with {ending}.", hint=f"Known are {known}.")


def _written(path: Path) -> list[tuple[Path, int]]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return [(file, file.stat().st_size) for file in files]
