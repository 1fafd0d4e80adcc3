"""The real app in a pseudo-terminal: keys go in, bytes with their times come out, as fast as a link lets them."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

ROOT = Path(__file__).parents[1]
SLICE_SECONDS = 0.02


class PseudoTerminal:
    """A process with a terminal of `columns` × `rows` cells. `bytes_per_second` bounds how fast it is read.

    Asked for its background, the terminal says `background` (None: nothing; it still says who it is).
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 40,
        environment: Mapping[str, str] | None = None,
        bytes_per_second: float | None = None,
        background: str | None = "rgb:0000/0000/0000",
    ) -> None:
        self._rate = bytes_per_second
        self._answer = (f"\x1b]11;{background}\x1b\\" if background else "") + "\x1b[?62;22c"
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        unwanted = {
            "COLUMNS",
            "LINES",
            "COLORFGBG",
            "COLORTERM",
            "NO_COLOR",
            "TEXTUAL_FPS",
            "SSH_CONNECTION",
            "TEXTUAL_COLOR_SYSTEM",
        }
        inherited = {name: value for name, value in os.environ.items() if name not in unwanted}
        self.chunks: list[tuple[float, bytes]] = []
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env=inherited | {"TERM": "xterm-256color"} | dict(environment or {}),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                if self._rate is None:
                    data = os.read(self._master, 65536)
                else:
                    time.sleep(SLICE_SECONDS)
                    if not select.select([self._master], [], [], 1.0)[0]:
                        continue
                    data = os.read(self._master, max(1, int(self._rate * SLICE_SECONDS)))
            except OSError:
                return
            if not data:
                return
            if data.endswith(b"\x1b[c"):
                self.press(self._answer)
            self.chunks.append((time.perf_counter(), data))

    @property
    def written(self) -> int:
        """Bytes that came out so far."""
        return sum(len(data) for _, data in self.chunks)

    @property
    def output(self) -> bytes:
        return b"".join(data for _, data in self.chunks)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, text: str, timeout: float = 20.0) -> float:
        """Seconds from the start until `text` had come out. Raises TimeoutError."""
        wanted = text.encode()
        while time.perf_counter() - self.began < timeout:
            so_far = b""
            for at, data in list(self.chunks):
                so_far = so_far[-len(wanted) :] + data
                if wanted in so_far:
                    return at - self.began
            time.sleep(0.005)
        raise TimeoutError(f"no {text!r} in {timeout} s; there came {self.output[-2000:]!r}")

    def settle(self, quiet: float = 0.25, timeout: float = 10.0) -> None:
        """Wait until nothing has come out for `quiet` seconds."""
        deadline = time.perf_counter() + timeout
        last, since = self.written, time.perf_counter()
        while time.perf_counter() < deadline:
            time.sleep(0.01)
            if self.written != last:
                last, since = self.written, time.perf_counter()
            elif time.perf_counter() - since > quiet:
                return

    def answer(self, keys: str, quiet: float = 0.25) -> tuple[float, int]:
        """Press `keys`; returns seconds from the key to the last byte of what it drew, and the bytes."""
        before = len(self.chunks)
        pressed = time.perf_counter()
        self.press(keys)
        self.settle(quiet)
        drawn = self.chunks[before:]
        return (drawn[-1][0] - pressed if drawn else 0.0), sum(len(data) for _, data in drawn)

    def memory(self) -> int:
        """Resident bytes of the process."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def __enter__(self) -> PseudoTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)


def app_command(run: Path, *options: str) -> list[str]:
    """The command line that watches `run`."""
    return [sys.executable, "-m", "tui.cli", str(run), *options]
