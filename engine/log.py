"""The event log: one JSON object a line, `seq` first and `crc32` last, written by one engine, read by many."""

from __future__ import annotations

import os
import time
import zlib
from pathlib import Path
from typing import TypeVar

import msgspec

from engine.durable import AppendFile
from engine.events import ENDINGS, AnyEvent, CheckpointSaved, Event, RunStarted, SnapshotTaken

MAX_RECORD = 4096
RETRY_SECONDS = 2.0
READ_AT_ONCE = 4 << 20

AnEvent = TypeVar("AnEvent", bound=Event)
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_DURABLE = (RunStarted, SnapshotTaken, CheckpointSaved, *ENDINGS)


def encode_record(event: Event) -> bytes:
    """`event` as a line of the log, at most MAX_RECORD bytes: texts too long for that are cut."""
    limit = MAX_RECORD
    while True:
        fields = msgspec.to_builtins(event)
        fields = {"seq": fields.pop("seq"), **{k: _cut(v, limit) for k, v in fields.items()}}
        body = msgspec.json.encode(fields)[:-1]
        record = body + b',"crc32":%d}\n' % zlib.crc32(body)
        if len(record) <= MAX_RECORD or limit < 8:
            return record
        limit //= 2


def _cut(value: object, limit: int) -> object:
    return value[: limit - 1] + "…" if isinstance(value, str) and len(value) > limit else value


def decode_record(line: bytes) -> AnyEvent | None:
    """The event of a line that `checked_seq` passed; None for a kind this version does not know."""
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError:
        return None


def checked_seq(line: bytes) -> int:
    """The number of a line's record. Raises ValueError for a line that is not as it was written."""
    body, mark, checksum = line.rpartition(b',"crc32":')
    if not mark or not checksum.endswith(b"}") or not checksum[:-1].isdigit():
        raise ValueError("no checksum")
    if zlib.crc32(body) != int(checksum[:-1]):
        raise ValueError("wrong checksum")
    return msgspec.json.decode(line, type=_Numbered).seq


class _Numbered(msgspec.Struct):
    seq: int


class EventLog:
    """The engine's end of the log. Only the owner of a run may open one."""

    def __init__(self, path: Path) -> None:
        """Open or create the log and go on counting where it ends. Raises WriteError."""
        self._file = AppendFile(path)
        tail = EventTail(path, patience=0.0)
        tail.poll()
        self._seq = tail.last_seq

    def append(self, event: AnEvent) -> AnEvent:
        """Write `event` with its number and time; returns it with both. Raises WriteError."""
        stamped = msgspec.structs.replace(event, seq=self._seq + 1, time=event.time or time.time())
        self._file.append(encode_record(stamped), sync=isinstance(event, _DURABLE))
        self._seq += 1
        return stamped

    def close(self) -> None:
        self._file.sync()
        self._file.close()


class EventTail:
    """A reader's end of the log: `poll` returns what is new, and never waits.

    Bytes after the last newline are kept for later. A bad line is tried again for `patience` seconds (a
    network file system may show a block before its data), then skipped and counted in `skipped`.
    """

    def __init__(self, path: Path, *, patience: float = RETRY_SECONDS) -> None:
        self.path = path
        self.skipped = 0
        self.last_seq = 0
        self._patience = patience
        self._offset = 0
        self._inode = -1
        self._bad_since: float | None = None

    def poll(self) -> list[AnyEvent]:
        """Events written since the last call, in order, each once."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return []
        try:
            status = os.fstat(fd)
            if status.st_ino != self._inode or status.st_size < self._offset:
                # Another file, or one cut back: read it anew; `last_seq` keeps events from coming twice.
                self._inode, self._offset, self._bad_since = status.st_ino, 0, None
            events: list[AnyEvent] = []
            while data := os.pread(fd, READ_AT_ONCE, self._offset):
                whole = data.rfind(b"\n")
                if whole < 0:
                    if len(data) < READ_AT_ONCE:
                        break
                    self._offset += len(data)  # no record is this long: not a log of ours
                    self.skipped += 1
                elif not self._take(data[:whole], events):
                    break
            return events
        except OSError:
            return []
        finally:
            os.close(fd)

    def _take(self, lines: bytes, events: list[AnyEvent]) -> bool:
        """Decode whole lines into `events`; False when a bad one is to be tried again later."""
        for line in lines.split(b"\n"):
            seq, event = self.last_seq, None
            try:
                if line:
                    seq, event = checked_seq(line), decode_record(line)
            except ValueError:
                now = time.monotonic()
                if self._bad_since is None:
                    self._bad_since = now
                if now - self._bad_since < self._patience:
                    return False
                self.skipped += 1
            self._bad_since = None
            self._offset += len(line) + 1
            if seq > self.last_seq:
                self.last_seq = seq
                if event is not None:
                    events.append(event)
        return True


def read_events(path: Path) -> list[AnyEvent]:
    """All events of a log that can be read now."""
    return EventTail(path, patience=0.0).poll()
