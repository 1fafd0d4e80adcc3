"""What the user says of a run: a name, a note and tags, in a small file of the run's folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from engine.errors import UsageError
from engine.rundir.layout import RunDir
from engine.storage.atomic_io import check_own_folder, raises_write_error, replace_file
from engine.storage.safe_open import read_small

MAX_FILE = 1 << 16
MAX_NAME, MAX_NOTE, MAX_TAG, MAX_TAGS = 80, 2000, 40, 20


class Notes(Struct, frozen=True):
    """`title` stands for the folder's name in lists; tags are words without white space, commas and `#`."""

    title: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()


def read_notes(run: RunDir) -> Notes:
    """The notes of a run; empty where there are none, or what stands there can't be read."""
    try:
        return msgspec.json.decode(read_small(run.notes_file, MAX_FILE), type=Notes)
    except (OSError, ValueError, RecursionError):
        return Notes()


def write_notes(run: RunDir, notes: Notes) -> None:
    """Put the notes of a run, whole or not at all; what a newer version wrote beside them stays.

    Raises UsageError for what is too long, WriteError.
    """
    for what, text, longest in (("name", notes.title, MAX_NAME), ("note", notes.note, MAX_NOTE)):
        if len(text) > longest:
            raise UsageError(f"the {what} has {len(text)} characters; {longest} at most.")
    if len(notes.tags) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in notes.tags):
        raise UsageError(f"{MAX_TAGS} tags at most, of {MAX_TAG} characters at most.")
    try:
        known = msgspec.json.decode(read_small(run.notes_file, MAX_FILE), type=dict[str, Any])
    except (OSError, ValueError, RecursionError):
        known = {}
    with raises_write_error(run.path):
        check_own_folder(run.path)
    replace_file(run.notes_file, msgspec.json.encode(known | msgspec.to_builtins(notes)) + b"\n")


def split_tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Tags as typed, apart by blanks or commas, with or without `#`; each once, in their order."""
    return tuple(dict.fromkeys(tag for text in texts for tag in re.split(r"[\s,#]+", text) if tag))
