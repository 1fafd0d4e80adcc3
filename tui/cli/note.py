"""`note`: a run's name, note and tags, as in the dialog of Runs."""

from __future__ import annotations

import click

from engine.errors import ExitCode
from tui.cli.common import RUN, RUNS_DIR, command, find_run
from tui.drawing.text import plain
from tui.options import GroupedOption


@command(
    RUN,
    GroupedOption(["--name"], "notes", metavar="TEXT", help="stands for the folder's name in lists ('': none)"),
    GroupedOption(["--note"], "notes", metavar="TEXT", help="what the run was for ('': none)"),
    GroupedOption(["--tag", "tags"], "notes", metavar="TAG", multiple=True, help="add a tag; may be given again"),
    GroupedOption(["--untag", "untags"], "notes", metavar="TAG", multiple=True, help="take a tag away"),
    GroupedOption(["--json", "as_json"], "output", is_flag=True, help="print them as one JSON object"),
    RUNS_DIR,
)
def note(
    run: str,
    name: str | None,
    note: str | None,
    tags: tuple[str, ...],
    untags: tuple[str, ...],
    as_json: bool,
    runs_dir: str | None,
) -> int:
    """Give a run a name, a note and tags, or print those it has."""
    import msgspec

    from engine.rundir.layout import RunDir
    from engine.rundir.notes import Notes, read_notes, split_tags, write_notes

    directory = RunDir(find_run(run, runs_dir))
    known, gone = read_notes(directory), split_tags(untags)
    notes = Notes(
        known.title if name is None else name.strip(),
        known.note if note is None else note.strip(),
        tuple(tag for tag in split_tags([*known.tags, *tags]) if tag not in gone),
    )
    if notes != known:
        write_notes(directory, notes)
    if as_json:
        click.echo(msgspec.json.encode({"run": directory.name, **msgspec.to_builtins(notes)}).decode())
        return int(ExitCode.OK)
    click.echo(f"run   {plain(directory.name)}")
    for label, text in (("name", notes.title), ("note", notes.note), ("tags", " ".join(notes.tags))):
        click.echo(f"{label}  {plain(text, 4000) or '-'}")
    return int(ExitCode.OK)
