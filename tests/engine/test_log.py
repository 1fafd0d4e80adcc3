"""The event log under damage: never a wrong record, and at most the damaged one lost."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import WriteError
from engine.events import AnyEvent, Failed, Finished, Phase, Step, Stopped, Warned
from engine.rundir import log as log_module
from engine.rundir.log import MAX_RECORD, EventLog, EventTail, encode_record, read_events
from engine.rundir.privacy import scrub
from tests.fake_run import fake_steps


def write_log(path: Path, count: int = 6) -> list[AnyEvent]:
    """A log of `count` short events with texts that look like records."""
    events: list[AnyEvent] = []
    with EventLog(path) as log:
        for number in range(count):
            text = f'{{"seq":{number},"type":"paused","step":1,"crc32":1}}\n'
            events.append(log.append(Warned(message=text, time=1.5)))
    return events


def sealed(path: Path, record: dict[str, object]) -> None:
    """Append `record` as some other version's writer would."""
    body = json.dumps(record, separators=(",", ":")).encode()[:-1]
    with path.open("ab") as file:
        file.write(body + b',"crc32":%d}\n' % zlib.crc32(body))


def test_records_have_their_number_first_and_checksum_last(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    for number, line in enumerate((tmp_path / "log").read_bytes().splitlines(), 1):
        assert line.startswith(b'{"seq":%d,' % number)
        body, checksum = line.rsplit(b',"crc32":', 1)
        assert int(checksum[:-1]) == zlib.crc32(body)
        assert json.loads(line)["type"] == "warning"


@given(st.text(max_size=3000), st.text(alphabet='\x00"\\\u2028é🙂', min_size=900, max_size=3000))
@settings(max_examples=50, deadline=None)
def test_records_stay_below_their_limit_and_are_read_back(message: str, hint: str) -> None:
    record = encode_record(Failed(seq=7, time=1.0, message=message, hint=hint))
    assert len(record) <= MAX_RECORD
    assert record.count(b"\n") == 1
    seq = log_module.checked_seq(record[:-1])
    event = log_module.decode_record(record[:-1])
    assert seq == 7
    assert isinstance(event, Failed)
    assert event.message == message or event.message.endswith("…")


def test_truncation_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "log"
    events = write_log(path, count=3)
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        expected = events[: whole[:size].count(b"\n")]
        assert read_events(path) == expected
        with EventLog(path) as log:
            added = log.append(Stopped(step=1, epoch=1.0, reason="test", time=2.0))
        found = read_events(path)
        assert found[: len(expected)] == expected
        assert found[-1] == added
        assert len(found) <= len(expected) + 2  # a last record that lacked only its newline counts
        if len(found) == len(expected) + 2:
            assert found[-2] == events[len(expected)]


def test_flipped_bit_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "log"
    events = write_log(path, count=3)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            found = read_events(path)
            lost = [event for event in events if event not in found]
            assert len(lost) <= 1
            assert found == [event for event in events if event not in lost]


@given(st.integers(0, 5), st.binary(max_size=300), st.booleans())
@settings(max_examples=100, deadline=None)
def test_garbage_between_records_costs_no_record(
    tmp_path_factory: pytest.TempPathFactory, after: int, garbage: bytes, newline: bool
) -> None:
    path = tmp_path_factory.mktemp("garbage") / "log"
    events = write_log(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines.insert(after, garbage + b"\n" * newline)
    path.write_bytes(b"".join(lines))
    assert read_events(path) == events


def test_a_reader_follows_a_writer_byte_by_byte(tmp_path: Path) -> None:
    events = write_log(tmp_path / "source")
    whole = (tmp_path / "source").read_bytes()
    path = tmp_path / "log"
    tail = EventTail(path)
    assert tail.poll() == []
    found: list[AnyEvent] = []
    with path.open("ab", buffering=0) as file:
        for byte in whole:
            file.write(bytes([byte]))
            found += tail.poll()
    assert found == events
    assert tail.skipped == 0


def test_a_bad_line_is_tried_again_then_skipped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("engine.rundir.log.time.monotonic", lambda: now)
    path = tmp_path / "log"
    events = write_log(path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    start = len(lines[0])
    # A network file system shows the size before the data: zeros, then what was written.
    path.write_bytes(lines[0] + bytes(len(lines[1]) - 1) + b"\n" + b"".join(lines[2:]))
    tail = EventTail(path)
    assert tail.poll() == events[:1]
    assert tail.waiting
    with path.open("r+b") as file:
        file.seek(start)
        file.write(lines[1])
    assert tail.poll() == events[1:]
    assert not tail.waiting
    assert tail.skipped == 0
    # This time the damage stays, twice; both places are waited for once, not one after the other.
    path.write_bytes(lines[0] + b"garbage\n" + b"".join(lines[1:3]) + b"more garbage\n" + b"".join(lines[3:]))
    tail = EventTail(path)
    assert tail.poll() == events[:1]
    now += log_module.RETRY_SECONDS
    assert tail.poll() == events[1:]
    assert tail.skipped == 2
    assert not tail.waiting


def test_a_log_replaced_by_its_copy_tells_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "log"
    events = write_log(path)
    tail = EventTail(path)
    assert tail.poll() == events
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    os.replace(copy, path)
    assert tail.poll() == []
    with EventLog(path) as log:
        added = log.append(Phase(name="saving"))
    assert tail.poll() == [added]


def test_a_log_cut_back_by_a_power_cut_goes_on(tmp_path: Path) -> None:
    """The last records were read but not synced: other ones take their numbers, and a reader sees them."""
    path = tmp_path / "log"
    events = write_log(path)
    tail = EventTail(path)
    assert tail.poll() == events
    os.truncate(path, len(b"".join(path.read_bytes().splitlines(keepends=True)[:4])))
    with EventLog(path) as log:
        added = [log.append(Phase(name="training", done=number)) for number in range(3)]
    assert [event.seq for event in added] == [5, 6, 7]
    assert tail.poll() == added
    assert tail.last_seq == 7


def test_a_log_that_comes_back_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    events = write_log(path)
    tail = EventTail(path)
    assert tail.poll() == events
    path.rename(tmp_path / "away")
    assert tail.poll() == []
    (tmp_path / "away").rename(path)
    assert tail.poll() == []
    with EventLog(path) as log:
        added = log.append(Phase(name="saving"))
    assert tail.poll() == [added]


def test_events_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write_log(path, count=1)
    sealed(path, {"seq": 2, "type": "telepathy", "time": 1.0, "thought": [1, 2]})
    sealed(path, {"seq": 3, "type": "paused", "time": 1.0, "step": 4, "mood": "fine", "crc": {"deep": None}})
    sealed(path, {"seq": 4, "type": "paused", "time": 1.0, "step": "a word"})
    sealed(path, {"seq": 5, "type": "phase", "time": 1.0, "name": "dreaming"})
    sealed(path, {"seq": 6, "type": "resumed", "time": 1.0, "step": 4, "long": "x" * 10_000})
    tail = EventTail(path)
    assert [(event.seq, event.type) for event in tail.poll()] == [(1, "warning"), (3, "paused"), (6, "resumed")]
    assert tail.skipped == 0
    assert tail.last_seq == 6
    with EventLog(path) as log:
        assert log.append(Phase(name="loading")).seq == 7


def test_hostile_records_are_only_skipped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for body in (
        b'{"seq":"one","type":"paused"',
        b'{"seq":-5,"type":"paused","step":1',
        b'{"seq":99999999999999999999999,"type":"paused","step":1',
        b'{"seq":4000000000,"type":"paused","step":1',
        b'{"seq":1,"type":"paused","step":' + b"[" * 9000 + b"]" * 9000,
        b'{"seq":1,"type":"warning","message":"\xff\xfe"',
        b"not json",
        b"",
    ):
        with path.open("ab") as file:
            file.write(body + b',"crc32":%d}\n' % zlib.crc32(body))
    with path.open("ab") as file:
        file.write(b'x,"crc32":' + b"1" * 5000 + b"}\n")
    assert read_events(path) == []
    with EventLog(path) as log:
        added = log.append(Phase(name="loading"))
    assert read_events(path) == [added]


def test_a_file_without_newlines_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    tail = EventTail(path, patience=0.0)
    assert tail.poll() == []
    assert tail.skipped > 0


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "nothing"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        write_log(tmp_path / "other")
        path.symlink_to(tmp_path / "other")
    assert EventTail(path).poll() == []
    if kind != "nothing":
        with pytest.raises(WriteError):
            EventLog(path)


def test_numbers_that_json_lacks_come_back_as_nan(tmp_path: Path) -> None:
    step = msgspec.structs.replace(fake_steps(0, 1, 1)[0], grad_norm=float("nan"), loss=float("inf"))
    with EventLog(tmp_path / "log") as log:
        log.append(step)
    found = read_events(tmp_path / "log")
    assert isinstance(found[0], Step)
    assert found[0].grad_norm != found[0].grad_norm
    assert found[0].step == 1


def test_home_and_tokens_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("HF_TOKEN", "a-very-secret-word")
    scrub.__globals__["_patterns"].cache_clear()
    with EventLog(tmp_path / "log") as log:
        log.append(
            Failed(
                message="/home/alice/data.json: 401 for hf_abcdefghijklmnopqrstuv, a-very-secret-word",
                hint="see /home/alice and /home/alicette, not /srv/home/alice",
            )
        )
    scrub.__globals__["_patterns"].cache_clear()
    (event,) = read_events(tmp_path / "log")
    assert isinstance(event, Failed)
    assert event.message == "~/data.json: 401 for ***, ***"
    assert event.hint == "see ~ and /home/alicette, not /srv/home/alice"


def test_a_long_log_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "READ_AT_ONCE", 1 << 16)
    monkeypatch.setattr(log_module, "READ_IN_A_POLL", 1 << 17)
    path = tmp_path / "log"
    with EventLog(path) as log:
        events: list[AnyEvent] = [log.append(step) for step in fake_steps(0, 3000, 1)]
        events.append(log.append(Finished(step=1, epoch=1.0, seconds=1.0)))
    tail = EventTail(path)
    first = tail.poll()
    assert 0 < len(first) < len(events)
    assert first + tail.rest() == events
    assert read_events(path) == events
