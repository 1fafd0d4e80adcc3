"""The registries of layouts and of kinds of files, and files that are too large for the memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine.data.formats import registry, source
from engine.data.formats.answers import RawAnswer, RawAnswers
from engine.data.formats.raw import RawQuestion
from engine.data.issues import DataIssues
from engine.data.squad import read_dataset
from engine.errors import DataError

PASSAGE = "Honey keeps for years."


def test_a_new_layout_is_a_module_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def matches(item: dict[str, Any]) -> bool:
        return "flashcard" in item

    def questions(item: dict[str, Any], number: int, part: str, issues: DataIssues) -> Iterator[RawQuestion]:
        front, back = item["flashcard"]
        golds = RawAnswers((RawAnswer(back, PASSAGE.find(back)),))
        yield RawQuestion(part, f"card {number}", number, None, front, PASSAGE, golds)

    flashcards: Any = ModuleType("flashcards")
    flashcards.matches, flashcards.questions = matches, questions
    path = tmp_path / "cards.json"
    path.write_text(json.dumps([{"flashcard": ["What keeps?", "Honey"]}, {"flashcard": ["How long?", "for years"]}]))
    assert [issue.kind for issue in read_dataset(path).issues] == ["columns"]  # nothing reads it yet
    monkeypatch.setattr(registry, "LAYOUTS", [*registry.LAYOUTS, flashcards])
    dataset = read_dataset(path)
    answers = {example.question: example.answers[0].text for example in (*dataset.train, *dataset.eval)}
    assert answers == {"What keeps?": "Honey", "How long?": "for years"}


def test_a_new_kind_of_file_is_a_module_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def values(path: Path, data: bytes) -> list[dict[str, str]]:
        lines = data.decode().splitlines()[1:]
        return [dict(zip(("context", "question", "answer"), line.split(" | "), strict=True)) for line in lines]

    pipes: Any = ModuleType("pipes")
    pipes.matches, pipes.values = lambda head: head.startswith(b"#pipes"), values
    path = tmp_path / "set.pipes"
    path.write_text(f"#pipes\n{PASSAGE} | What keeps? | Honey\n{PASSAGE} | How long? | for years\n")
    monkeypatch.setattr(source, "CONTAINERS", [pipes, *source.CONTAINERS])
    dataset = read_dataset(path)
    assert {example.question for example in (*dataset.train, *dataset.eval)} == {"What keeps?", "How long?"}


def check_in_little_memory(path: Path, megabytes: int) -> subprocess.CompletedProcess[str]:
    """Read `path` in a process that may take `megabytes` more than it has after its imports."""
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from engine.data.formats.source import read_values\n"
        "from engine.errors import UserError\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        f"limit = used + {megabytes} * 1_000_000\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "try:\n"
        "    read_values(Path(sys.argv[1]))\n"
        "except UserError as error:\n"
        "    print(int(error.exit_code), error)\n"
    )
    return subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_endless_line_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    with path.open("wb") as file:
        file.write(b"x" * 2_000_000)
        file.truncate(900_000_000)  # zeros that take no room on the disk
    done = check_in_little_memory(path, 100)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("65 line.txt: neither JSON nor a table")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("start", [b'["', b"context,question,answer\n"])
def test_a_file_larger_than_the_memory_says_so(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(300_000_000)
    for megabytes in (100, 450, 700):  # while it is read, and while it is decoded
        done = check_in_little_memory(path, megabytes)
        assert (done.returncode, done.stderr) == (0, "")
        assert "300 MB, and there is not enough memory to read it" in done.stdout or megabytes > 600
        assert done.stdout.startswith("65 ")


def test_a_first_line_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "line.csv"
    path.write_text("context,question" + "x" * 2_000_000)
    with pytest.raises(DataError, match="neither JSON nor a table"):
        read_dataset(path)
