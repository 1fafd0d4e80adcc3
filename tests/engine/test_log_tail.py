"""The end of a log, followed in bounded memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.rundir.log_tail import MAX_LINE, MAX_UNENDED, LogTail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "engine.log"


def add(log: Path, data: bytes) -> None:
    with log.open("ab") as file:
        file.write(data)


def test_a_log_that_comes_late_and_grows(log: Path) -> None:
    tail = LogTail(log)
    assert not tail.poll()
    add(log, b"one\ntw")
    assert tail.poll()
    assert list(tail.lines) == ["one", "tw"]
    assert not tail.poll()
    add(log, b"o\n\nthree\r\n")
    assert tail.poll()
    assert list(tail.lines) == ["one", "two", "", "three"]
    assert (tail.first, tail.left_out) == (0, False)


def test_only_the_last_lines_are_kept_under_their_numbers(log: Path) -> None:
    tail = LogTail(log, max_lines=3)
    add(log, b"0\n1\n2\n3\n4\n")
    tail.poll()
    assert (tail.first, tail.lines, tail.left_out) == (2, ("2", "3", "4"), True)
    add(log, b"5\n")
    tail.poll()
    assert (tail.first, tail.lines) == (3, ("3", "4", "5"))


def test_a_large_log_is_read_from_its_end(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.rundir.log_tail.READ_AT_ONCE", 100)
    add(log, b"".join(b"line %03d\n" % number for number in range(50)))
    tail = LogTail(log)
    tail.poll()
    assert tail.lines == tuple(f"line {number:03}" for number in range(39, 50))  # 11 whole lines of 9 bytes
    assert tail.left_out
    add(log, b"x" * 300 + b"\nlast\n")
    tail.poll()
    assert tail.lines[-1] == "last"
    assert "x" * 300 not in tail.lines


def test_a_log_that_was_replaced_or_cut_is_read_anew(log: Path) -> None:
    add(log, b"old\nolder\n")
    tail = LogTail(log)
    tail.poll()
    log.write_bytes(b"cut\n")
    assert tail.poll()
    assert list(tail.lines) == ["cut"]
    fresh = log.with_name("fresh")
    fresh.write_bytes(b"another file\nof more lines\n")
    os.replace(fresh, log)
    assert tail.poll()
    assert list(tail.lines) == ["another file", "of more lines"]


def test_progress_bars_bytes_and_endless_lines(log: Path) -> None:
    add(log, b"  1 %\r 50 %\r100 %\n\xff\xfe\n" + b"y" * (MAX_UNENDED + 1))
    tail = LogTail(log)
    tail.poll()
    assert tail.lines[:2] == ("100 %", "��")
    assert tail.lines[2] == "y" * (MAX_LINE - 1) + "…"
    add(log, b"more\n")
    tail.poll()
    assert tail.lines[3] == "more"


def test_a_link_or_a_pipe_is_not_read(log: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    log.symlink_to(tmp_path / "secret")
    assert not LogTail(log).poll()
    log.unlink()
    os.mkfifo(log)
    assert not LogTail(log).poll()
