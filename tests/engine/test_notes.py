"""The user's name, note and tags of a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.errors import ExitCode, UsageError, WriteError
from engine.rundir.layout import RunDir
from engine.rundir.notes import MAX_NAME, Notes, read_notes, split_tags, write_notes
from tests.fake_run import make_run
from tui.cli.main import main


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make_run(tmp_path, examples=4, snapshots=2, tokens=20)


def test_what_is_written_is_read(run: RunDir) -> None:
    assert read_notes(run) == Notes()
    notes = Notes("with cased weights", "compare with “base”\n", ("cased", "paper"))
    write_notes(run, notes)
    assert read_notes(run) == notes
    assert run.notes_file.stat().st_mode & 0o777 == 0o600
    write_notes(run, Notes())
    assert read_notes(run) == Notes()


def test_what_a_newer_version_wrote_stays(run: RunDir) -> None:
    run.notes_file.write_text('{"title": "old", "colour": "blue"}')
    assert read_notes(run).title == "old"
    write_notes(run, Notes("new"))
    assert json.loads(run.notes_file.read_bytes()) == {"title": "new", "note": "", "tags": [], "colour": "blue"}


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"tags": 3}', b"[" * 60_000, b" " * 70_000])
def test_a_damaged_file_is_no_note(run: RunDir, content: bytes) -> None:
    run.notes_file.write_bytes(content)
    assert read_notes(run) == Notes()
    write_notes(run, Notes("mended"))
    assert read_notes(run).title == "mended"


def test_a_link_is_not_followed(run: RunDir, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"title": "secret"}')
    os.symlink(secret, run.notes_file)
    assert read_notes(run) == Notes()
    write_notes(run, Notes("mine"))
    assert secret.read_text() == '{"title": "secret"}'
    assert read_notes(run).title == "mine"


def test_what_is_too_long_is_refused(run: RunDir, tmp_path: Path) -> None:
    for notes in (
        Notes("x" * (MAX_NAME + 1)),
        Notes(note="x" * 2001),
        Notes(tags=("x" * 41,)),
        Notes(tags=("x",) * 21),
    ):
        with pytest.raises(UsageError, match="at most"):
            write_notes(run, notes)
    assert not run.notes_file.exists()
    with pytest.raises(WriteError, match="cannot write"):
        write_notes(RunDir(tmp_path / "gone"), Notes("x"))


def test_tags_as_typed() -> None:
    assert split_tags(["#cased, paper  cased", "#two#three"]) == ("cased", "paper", "two", "three")
    assert split_tags([" , # "]) == ()


def test_notes_from_the_command_line(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    def noted(*arguments: str) -> str:
        assert main(["note", str(run.path), *arguments]) == 0
        return capsys.readouterr().out

    assert noted().splitlines() == ["run   fake", "name  -", "note  -", "tags  -"]
    assert not run.notes_file.exists()
    noted("--name", " Cased \x1b[2J", "--note", "for the paper", "--tag", "#cased", "--tag", "a,b")
    assert read_notes(run) == Notes("Cased \x1b[2J", "for the paper", ("cased", "a", "b"))
    assert "\x1b" not in noted()
    assert json.loads(noted("--tag", "c", "--untag", "a", "--note", "", "--json")) == {
        "run": "fake",
        "title": "Cased \x1b[2J",
        "note": "",
        "tags": ["cased", "b", "c"],
    }
    assert main(["note", str(run.path), "--name", "x" * 81]) == ExitCode.USAGE
    assert "81 characters" in capsys.readouterr().err
    assert read_notes(run).tags == ("cased", "b", "c")
