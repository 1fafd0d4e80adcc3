"""The event log: one JSON object a line, `seq` first and `crc32` last, written by one engine, read by many."""

from __future__ import annotations

import math
import os
import re
import time
import zlib
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.errors import WriteError
from engine.events import ENDINGS, AnyEvent, CheckpointSaved, Event, RunStarted, SnapshotTaken
from engine.rundir.privacy import scrub
from engine.storage.atomic_io import AppendFile, is_full, remove_file, replace_file
from engine.storage.safe_open import open_regular, read_at

MAX_RECORD = 4096
MAX_LINE = 1 << 16
"""A reader takes longer records than a writer of this version makes, but not without end."""
RETRY_SECONDS = 2.0
READ_AT_ONCE = 1 << 20
READ_IN_A_POLL = 64 << 20
FULL_DISK_TRIES, FULL_DISK_SECONDS = 3, 0.5
RESERVE_BYTES = 1 << 16
MARK_BYTES = 32
MAX_GAP = 1 << 16
"""No log of ours leaves out more record numbers than this."""

AnEvent = TypeVar("AnEvent", bound=Event)
ANY_EVENT: Any = AnyEvent
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(ANY_EVENT)
_DURABLE = (RunStarted, SnapshotTaken, CheckpointSaved, *ENDINGS)
_RECORD_START = re.compile(rb'(?=\{"seq":)')
_RECORD_END = re.compile(rb',"crc32":[0-9]{1,10}\}')


def encode_record(event: Event) -> bytes:
    """`event` as a line of the log, at most MAX_RECORD bytes: texts too long for that are cut.

    Home folder and access tokens do not get into it.
    """
    limit = MAX_RECORD
    plain: dict[str, Any] = msgspec.to_builtins(event)
    plain = {"seq": plain.pop("seq"), **{k: scrub(v) if isinstance(v, str) else v for k, v in plain.items()}}
    while True:
        body = msgspec.json.encode({k: _cut(v, limit) for k, v in plain.items()})[:-1]
        record = body + b',"crc32":%d}\n' % zlib.crc32(body)
        if len(record) <= MAX_RECORD or limit < 8:
            return record
        limit //= 2


def _cut(value: object, limit: int) -> object:
    return value[: limit - 1] + "…" if isinstance(value, str) and len(value) > limit else value


def decode_record(line: bytes) -> AnyEvent | None:
    """The event of a line that `checked_seq` passed; None for a kind or a form this version does not know.

    JSON has no infinities and no NaN; they are written as null, and a null number is read as NaN.
    """
    try:
        return _decoder.decode(line)
    except (ValueError, RecursionError):
        pass
    with suppress(ValueError, RecursionError):
        fields = msgspec.json.decode(line, type=dict[str, Any])
        event: AnyEvent = msgspec.convert({k: math.nan if v is None else v for k, v in fields.items()}, ANY_EVENT)
        return event
    return None


class _Numbered(msgspec.Struct):
    seq: int


def checked_seq(line: bytes) -> int:
    """The number of a line's record. Raises ValueError for a line that is not as it was written."""
    body, mark, checksum = line.rpartition(b',"crc32":')
    if not mark or not _RECORD_END.fullmatch(mark + checksum):
        raise ValueError("no checksum")
    if zlib.crc32(body) != int(checksum[:-1]):
        raise ValueError("wrong checksum")
    try:
        seq = msgspec.json.decode(line, type=_Numbered).seq
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not 0 < seq < 1 << 48:
        raise ValueError("no record number")
    return seq


def whole_records(line: bytes) -> list[bytes]:
    """Records that are whole inside a bad line: behind a torn one, or where the newline between two was damaged.

    A record begins with `{"seq":`, which no text inside a record can hold unescaped.
    """
    found = []
    for piece in _RECORD_START.split(line):
        if end := _RECORD_END.search(piece):
            with suppress(ValueError):
                checked_seq(piece[: end.end()])
                found.append(piece[: end.end()])
    return found


class EventLog:
    """The engine's end of the log. Only the owner of a run may open one."""

    def __init__(self, path: Path) -> None:
        """Open or create the log and go on counting where it ends. Raises WriteError."""
        self._file = AppendFile(path)
        tail = EventTail(path, patience=0.0)
        tail.rest()
        self._seq = tail.last_seq
        # Room that is given back when the disk is full, so that the last word can be said.
        self._reserve = path.with_name(".reserve")
        with suppress(WriteError):
            replace_file(self._reserve, os.urandom(RESERVE_BYTES), sync=False)

    def append(self, event: AnEvent) -> AnEvent:
        """Write `event` with its number and time; returns it with both.

        On a full disk it is tried again a few times over a second; then WriteError is raised and the log is as it
        was before. Events that end a run may use room kept back for them.
        """
        stamped = msgspec.structs.replace(event, seq=self._seq + 1, time=event.time or time.time())
        record, sync = encode_record(stamped), isinstance(event, _DURABLE)
        for tries_left in reversed(range(FULL_DISK_TRIES)):
            try:
                self._file.append(record, sync=sync)
                break
            except WriteError as error:
                if not is_full(error) or not tries_left:
                    raise
                if isinstance(event, ENDINGS):
                    with suppress(WriteError):
                        remove_file(self._reserve)
                time.sleep(FULL_DISK_SECONDS)
        self._seq += 1
        return stamped

    def close(self) -> None:
        """Make all records last and close the file. Raises WriteError."""
        try:
            self._file.sync()
        finally:
            self._file.close()
            with suppress(WriteError):
                remove_file(self._reserve)

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EventTail:
    """A reader's end of the log: `poll` returns what is new, and never waits.

    Bytes after the last newline are kept for later. A bad line is tried again for `patience` seconds (a
    network file system may show a block before its data), then skipped and counted in `skipped`. A log that was
    replaced or cut back is read from its start again: records that were returned already do not come twice, unless
    their content differs (an engine resumed after a power cut that took the last records away).
    """

    def __init__(self, path: Path, *, patience: float = RETRY_SECONDS) -> None:
        self.path = path
        self.skipped = 0
        self.last_seq = 0
        self._patience = patience
        self._offset = 0
        self._inode = -1
        self._mark = b""  # what stood before the offset: another log, or one cut back, has something else there
        self._size = 0
        self._bad_since: float | None = None
        self._bad_size = 0  # what the file held when a line was first found bad
        self._returned = array("I")  # checksum of record number i + 1
        self.waiting = False
        """Whether a bad line is being tried again, so that there may be more to read than `poll` returned."""

    def poll(self) -> list[AnyEvent]:
        """Events written since the last call, in order, each once; of a very long log the next part."""
        events: list[AnyEvent] = []
        self.waiting = False
        try:
            fd = open_regular(self.path)
        except OSError:
            return events
        try:
            status = os.fstat(fd)
            if (
                status.st_ino != self._inode
                or read_at(fd, len(self._mark), self._offset - len(self._mark)) != self._mark
            ):
                self._inode, self._offset, self._mark, self._bad_since = status.st_ino, 0, b"", None
            self._size = status.st_size
            until = self._offset + READ_IN_A_POLL
            while self._offset < until and (data := read_at(fd, READ_AT_ONCE, self._offset)):
                end = data.rfind(b"\n")
                if end < 0:
                    if len(data) < MAX_LINE:
                        break
                    self._offset += len(data)  # no record is this long: not a log of ours
                    self._mark = data[-MARK_BYTES:]
                    self.skipped += 1
                elif not self._take(data[:end], events):
                    break
        except OSError:
            pass  # what was read so far is returned, the rest at the next poll
        finally:
            os.close(fd)
        return events

    def rest(self) -> list[AnyEvent]:
        """All that `poll` would return now, one part after the other."""
        events, before = self.poll(), -1
        while self._offset != before:
            before = self._offset
            events += self.poll()
        return events

    def _take(self, lines: bytes, events: list[AnyEvent]) -> bool:
        """Decode whole lines into `events`; False when a bad one is to be tried again later."""
        for line in lines.split(b"\n"):
            try:
                if line:
                    self._add_new(checked_seq(line), line, events)
            except ValueError:
                now = time.monotonic()
                if self._bad_since is None:
                    self._bad_since, self._bad_size = now, self._size
                if now - self._bad_since < self._patience:
                    self.waiting = True
                    return False
                self.skipped += 1
                for record in whole_records(line):
                    self._add_new(checked_seq(record), record, events)
            self._offset += len(line) + 1
            self._mark = line[-MARK_BYTES:] + b"\n"
            if self._offset >= self._bad_size:
                self._bad_since = None
        return True

    def _add_new(self, seq: int, record: bytes, events: list[AnyEvent]) -> None:
        checksum, known = zlib.crc32(record) or 1, len(self._returned)
        if seq <= known and self._returned[seq - 1] in (checksum, 0):
            self._returned[seq - 1] = checksum  # 0: it was skipped as bad, and what came after it has been returned
            return
        if seq - known > MAX_GAP:
            self.skipped += 1
            return
        del self._returned[seq - 1 :]
        self._returned.extend([0] * (seq - 1 - len(self._returned)))
        self._returned.append(checksum)
        self.last_seq = seq
        if (event := decode_record(record)) is not None:
            events.append(event)


def read_events(path: Path) -> list[AnyEvent]:
    """All events of a log that can be read now."""
    return EventTail(path, patience=0.0).rest()
